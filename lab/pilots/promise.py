"""Freezing: a charter with every file it names becomes one promise."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from lab.pilots.eligibility import Pool, frozen_now, pool
from lab.pilots.pilot import Pilot
from lab.pilots.sample import bounded
from shared.core.crashpoints import Point, reach
from shared.core.digests import digest_file
from shared.core.errors import BadInput, Refused
from shared.core.files import scratch_in, settle
from shared.core.yamlfile import read_text, read_yaml
from shared.data.contracts import load_contract, load_new_contract
from shared.data.snapshot import Snapshot, latest_snapshot, open_snapshot, published_at
from shared.experiment.charter import RULES, Charter, Eligible, Promise, Source, measured_by
from shared.experiment.eligibility import ELIGIBLE
from shared.experiment.metrics import read_metrics
from shared.state.workspace import Workspace
from shared.trust.candidate import PROMISE

CONTRACTS = "contracts"
# The rules from which on a promise names the snapshot it was made on.
SOURCE_SINCE = 2


@dataclass(frozen=True)
class Frozen:
    """A promise that could be frozen now.

    Attributes:
        files: each file of the promise with where it lies now.
        snapshot: what the pilot would read.
        eligible: the units that may take part, where the charter names a SELECT of them.
    """

    promise: Promise
    files: dict[str, Path]
    snapshot: Snapshot
    eligible: Path | None = None

    @cached_property
    def pool(self) -> Pool:
        """The units that it may draw from."""
        return pool(self.snapshot, self.promise.charter, self.promise.eligible, self.eligible)

    @property
    def texts(self) -> dict[str, bytes]:
        """The bytes of each file, for the gate to know earlier pilots again by them."""
        return {name: path.read_bytes() for name, path in self.files.items()}

    def write(self, folder: Path) -> None:
        """Puts promise and files into `folder`, in full or not at all; raises Refused for other bytes than promised."""
        with scratch_in(folder.parent) as scratch:
            (scratch / PROMISE).write_bytes(self.promise.content)
            for name, source in self.files.items():
                _copy(source, scratch / "files" / name, self.promise.files[name])
            if self.eligible is not None and self.promise.eligible is not None:
                _copy(self.eligible, scratch / ELIGIBLE, self.promise.eligible.digest)
            reach(Point.FREEZE_COPIED)
            settle(scratch, folder)


def _copy(source: Path, target: Path, digest: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    if digest_file(target) != digest:
        raise Refused(
            f"{source.name} was changed while it was being frozen",
            where=str(source),
            remedy="finish editing, and give the command again",
        )


def charter_place(charter: Charter) -> str:
    """Where a charter lies in its workspace, as messages name it."""
    return f"pilots/{charter.pilot}/charter.yaml"


def charter_path(workspace: Workspace, name: str) -> Path:
    """Where a pilot's charter lies; raises BadInput naming the drafts there are."""
    path = workspace.pilots / name / "charter.yaml"
    if not path.exists():
        drafts = ", ".join(sorted(found.parent.name for found in workspace.pilots.glob("*/charter.yaml")))
        raise BadInput(
            f"there is no charter of a pilot {name}",
            where=str(path),
            expected=f"one of: {drafts or '(none yet)'}",
            remedy=f"start one with `pilotplant lab new {name}`",
        )
    return path


def read_charter(workspace: Workspace, name: str) -> Charter:
    """A pilot's charter as it stands now."""
    path = charter_path(workspace, name)
    charter = read_yaml(path, Charter)
    if charter.pilot != name:
        raise BadInput(
            f"the charter says it is pilot `{charter.pilot}`",
            where=str(path),
            expected=f"`{name}`, like its folder",
            remedy="correct `pilot:`, or rename the folder",
        )
    return charter


def freeze(
    workspace: Workspace,
    name: str,
    snapshot: Snapshot | None = None,
    *,
    eligible: tuple[Eligible, Path] | None = None,
    rules: Literal[1, 2, 3] = RULES,
) -> Frozen:
    """The promise that the charter makes as it stands, over the latest snapshot if none is given.

    `eligible`: who may take part, where that was frozen before; else the charter's SELECT is run, if it names one.
    Raises BadInput where it names what is not there, and as `eligible.select` does.
    """
    charter = read_charter(workspace, name)
    snapshot = snapshot or latest_snapshot(workspace)
    home = charter_path(workspace, name).parent
    files = {}
    for file in charter.files:
        files[file] = home / file
        read_text(home / file)
    for table, path in (
        (charter.outcomes, workspace.configs / CONTRACTS / f"{charter.outcomes}.odcs.yaml"),
        (charter.population, snapshot.contract_file(charter.population)),
        # One that the snapshot lacks is an obstacle, told with the others.
        *((name, snapshot.contract_file(name)) for name in charter.sources if name in snapshot.manifest.tables),
    ):
        snapshot.table(charter.population)
        read_contract = load_new_contract if table == charter.outcomes else load_contract
        read_contract(path)
        files[f"{CONTRACTS}/{table}.odcs.yaml"] = path
    if charter.eligible is None:
        eligible, read = None, {}
    else:
        read = {charter.eligible: digest_file(files[charter.eligible])}
        eligible = eligible or frozen_now(workspace, snapshot, charter, files[charter.eligible])
    promise = Promise(
        charter=charter,
        metrics=measured_by(charter, read_metrics(workspace)),
        # The SELECT as it was before it ran: one that was changed meanwhile is refused when it is copied.
        files={file: read.get(file) or digest_file(path) for file, path in sorted(files.items())},
        holdout_frac=snapshot.manifest.holdout_frac,
        source=_source(workspace, snapshot) if rules >= SOURCE_SINCE else None,
        eligible=eligible[0] if eligible else None,
        rules=rules,
    )
    frozen = Frozen(promise, files, snapshot, eligible[1] if eligible else None)
    return replace(frozen, promise=bounded(promise, snapshot, frozen.pool))


def frozen_then(workspace: Workspace, pilot: Pilot) -> Frozen:
    """The promise of a launched pilot, with its files as they were frozen; raises Refused where one was changed."""
    files = {file: pilot.frozen_file(file) for file in pilot.promise.files}
    snapshot = open_snapshot(workspace, pilot.snapshot)
    return Frozen(pilot.promise, files, snapshot, pilot.eligible[1] if pilot.eligible else None)


def _source(workspace: Workspace, snapshot: Snapshot) -> Source | None:
    published = published_at(workspace, snapshot.id)
    return None if published is None else Source(id=snapshot.id, published=published)
