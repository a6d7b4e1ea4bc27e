"""Launching: the promise is frozen, deposited with the gate, and its budget reserved."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from lab.budget.budget import reserving
from lab.launch.preconditions import examine, raise_first
from lab.pilots.eligibility import drafts_of, put_aside
from lab.pilots.pilot import LAUNCHED, NONCE, Pilot, find_pilot, get_pilot, locked_pilot, pilot_folder, version_folder
from lab.pilots.promise import Frozen, freeze, read_charter
from lab.state import open_lab, pilots
from shared.core.clock import rfc3339
from shared.core.crashpoints import Point, reach
from shared.core.digests import digest_file
from shared.core.errors import BadInput, Refused
from shared.data.snapshot import latest_id, open_snapshot
from shared.doors.door import ask
from shared.doors.requests import Register
from shared.experiment.amendment import changes
from shared.experiment.charter import Eligible, Promise
from shared.experiment.eligibility import ELIGIBLE
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.candidate import PROMISE
from shared.trust.usage import SnapshotUser, declare


@dataclass(frozen=True, slots=True)
class Launched:
    """A launched pilot, and whether it had been launched before with this very content."""

    pilot: Pilot
    repeated: bool


def launch(workspace: Workspace, name: str) -> Launched:
    """Launches a pilot; the same content again is a no-op.

    `line` tells beforehand what the gate would refuse because it continues earlier pilots.

    Raises Refused where it was launched with other content, and the first of its obstacles where there are any.
    """
    room = open_lab(workspace)
    frozen = freeze(workspace, name, eligible=_listed(room, name))
    with reserving(workspace):
        return _launch(room, frozen)


def _launch(room: Room, frozen: Frozen) -> Launched:
    workspace, name = room.workspace, frozen.promise.charter.pilot
    before = find_pilot(room, name)
    if before is not None:
        _declare(workspace, name, before.snapshot, before.charter.deadline)
        return _again(before, frozen)
    raise_first(examine(room, frozen).problems)
    _declare(workspace, name, frozen.snapshot.id, frozen.promise.charter.deadline)
    # Whoever prunes sets a snapshot aside and then looks who needs it: one of the two sees the other.
    open_snapshot(workspace, frozen.snapshot.id)
    folder = version_folder(pilot_folder(workspace, name), 1)
    _discard_other(folder, frozen)
    frozen.write(folder)
    reach(Point.LAUNCH_FROZEN)
    with room.read() as connection:
        head = room.head(connection)
    receipt = ask(workspace, Register(promise=frozen.promise.content, lab=head, texts=frozen.texts))
    reach(Point.LAUNCH_REGISTERED)
    charter = frozen.promise.charter
    with room.transaction() as connection:
        connection.execute(
            pilots.insert().values(
                name=name,
                promise=frozen.promise.digest,
                snapshot=frozen.snapshot.id,
                launched_at=rfc3339(room.now()),
                deposited_at=rfc3339(receipt.at),
                deadline=rfc3339(charter.deadline),
                reserved=str(charter.budget.total.amount),
            )
        )
        body = {
            "promise": frozen.promise.digest,
            "snapshot": frozen.snapshot.id,
            "reserved": charter.budget.total.as_json(),
            "gate": {"at": rfc3339(receipt.at), **receipt.ledger.as_json()},
            "witnessed": receipt.lab.as_json(),
            **({NONCE: receipt.nonce} if receipt.nonce else {}),
        }
        room.write(connection, LAUNCHED, name, body)
        reach(Point.LAUNCH_WRITTEN)
    reach(Point.LAUNCH_RECORDED)
    shutil.rmtree(drafts_of(workspace, name), ignore_errors=True)
    return Launched(get_pilot(room, name), repeated=False)


def _listed(room: Room, name: str) -> tuple[Eligible, Path] | None:
    """Who was eligible when the pilot was launched, or when a launch by the same SELECT and snapshot was cut off.

    The gate may have taken that in, and a SELECT that asks for today's date would now select others.
    """
    workspace, before = room.workspace, find_pilot(room, name)
    if before is not None:
        return before.eligible
    folder = version_folder(pilot_folder(workspace, name), 1)
    if not (folder / PROMISE).exists():
        return None
    promise = Promise.stored((folder / PROMISE).read_bytes())
    if promise.eligible is None or promise.source is None or promise.source.id != latest_id(workspace):
        return None
    sql = workspace.pilots / name / str(read_charter(workspace, name).eligible)
    same = sql.is_file() and digest_file(sql) == promise.files[str(promise.charter.eligible)]
    list_ = folder / ELIGIBLE
    if not same or not list_.is_file() or digest_file(list_) != promise.eligible.digest:
        return None
    return promise.eligible, put_aside(workspace, name, promise.eligible, list_)


def _declare(workspace: Workspace, name: str, snapshot: str, deadline: datetime) -> None:
    """Says that a pilot reads a snapshot, before anything else of it is written."""
    declare(workspace, SnapshotUser(pilot=name, snapshot=snapshot, deadline=deadline))


def _again(before: Pilot, frozen: Frozen) -> Launched:
    if not before.promise.same_as(frozen.promise):
        changed = ", ".join(change.name for change in changes(before.promise, frozen.promise))
        raise Refused(
            f"pilot {before.name} was launched with other content (changed since: {changed})",
            where=str(before.frozen),
            expected=f"the promise {before.promise.digest}",
            remedy=f"see what may still be changed: pilotplant lab amend {before.name} --reason TEXT --dry-run; "
            "or put the charter and its files back as they were frozen",
        )
    return Launched(before, repeated=True)


def _discard_other(folder: Path, frozen: Frozen) -> None:
    """A launch that was cut off before it was recorded may have left another draft's files, or half of them."""
    kept = folder / PROMISE
    if not kept.exists() or digest_file(kept) != frozen.promise.digest:
        shutil.rmtree(folder, ignore_errors=True)


def end(workspace: Workspace, name: str, reason: str) -> tuple[Pilot, bool]:
    """Closes a pilot early, and whether that was done before; what came in until now is its data."""
    if not reason.strip():
        raise BadInput("closing early needs a reason", where="--reason", remedy="say why, for whoever reads it later")
    room = open_lab(workspace)
    with locked_pilot(room, name) as pilot:
        return _end(room, pilot, reason)


def _end(room: Room, pilot: Pilot, reason: str) -> tuple[Pilot, bool]:
    name = pilot.name
    if pilot.ended_at is not None:
        if pilot.end_reason != reason:
            raise Refused(
                f"pilot {name} was closed on {pilot.ended_at:%Y-%m-%d} for another reason: {pilot.end_reason}",
                where=f"pilot {name}",
                remedy=f"go on with `pilotplant lab analyse {name}`",
            )
        return pilot, True
    pilot.require_open(room.now(), "closing: its time box is over")
    with room.transaction() as connection:
        now = rfc3339(room.now())
        connection.execute(sa.update(pilots).where(pilots.c.name == name).values(ended_at=now, end_reason=reason))
        room.write(connection, "ended", name, {"reason": reason})
    return get_pilot(room, name), False
