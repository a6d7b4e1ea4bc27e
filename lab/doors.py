"""The Lab's doors: what the other rooms may ask of it."""

from __future__ import annotations

import shutil

from lab.charters.successors import open_draft
from lab.pilots import snapshots
from lab.pilots.pilot import get_pilot, require_undecided
from lab.state import open_lab
from shared.doors.door import Box, answers
from shared.doors.requests import (
    BringBack,
    Discard,
    Frozen,
    LabLedger,
    LaunchedPilot,
    LedgerState,
    OpenDraft,
    PointTo,
    SetAside,
    SnapshotUsage,
    TakeSnapshot,
)
from shared.experiment.eligibility import ELIGIBLE
from shared.state.workspace import Workspace
from shared.trust.usage import Taken, Usage, usage


@answers(OpenDraft)
def _open_draft(workspace: Workspace, request: OpenDraft, box: Box) -> str:
    return str(open_draft(workspace, request.decision, request.before, request.after, box.parcel))


@answers(LaunchedPilot)
def _launched_pilot(workspace: Workspace, request: LaunchedPilot, box: Box) -> Frozen:
    room = open_lab(workspace)
    pilot = get_pilot(room, request.pilot)
    pilot.require_open(workspace.clock.now(), "messages")
    require_undecided(room, pilot)
    listed = {} if pilot.eligible is None else {ELIGIBLE: pilot.eligible[1]}
    for name, path in ({name: pilot.frozen_file(name) for name in pilot.promise.files} | listed).items():
        (box.given / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, box.given / name)
    return Frozen(promise=pilot.promise.content, snapshot=pilot.snapshot, eligible=pilot.promise.eligible)


@answers(LabLedger)
def _ledger(workspace: Workspace, request: LabLedger, _: Box) -> LedgerState:
    room = open_lab(workspace)
    return LedgerState(room.end(), tuple(room.problems()) if request.verified else ())


@answers(TakeSnapshot)
def _take_snapshot(workspace: Workspace, _: TakeSnapshot, box: Box) -> Taken:
    return snapshots.take_in(workspace, box.parcel)


@answers(PointTo)
def _point_to(workspace: Workspace, request: PointTo, _: Box) -> None:
    snapshots.point_to(workspace, request.snapshot, request.at)


@answers(SetAside)
def _set_aside(workspace: Workspace, request: SetAside, _: Box) -> bool:
    return snapshots.set_aside(workspace, request.pruned)


@answers(BringBack)
def _bring_back(workspace: Workspace, request: BringBack, _: Box) -> None:
    snapshots.bring_back(workspace, request.snapshot)


@answers(Discard)
def _discard(workspace: Workspace, request: Discard, _: Box) -> None:
    snapshots.discard(workspace, request.snapshot)


@answers(SnapshotUsage)
def _snapshot_usage(workspace: Workspace, _request: SnapshotUsage, _: Box) -> Usage:
    return usage(workspace, workspace.clock.now())
