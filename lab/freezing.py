"""Freezing: a charter with every file it names becomes one promise; and everything that keeps it from launching."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from lab.budget import committed
from lab.state import read_settings
from shared.candidate import write_json
from shared.charter import Charter, Promise, measured_by
from shared.confined import check_audience, check_template
from shared.contracts import Contract, load_contract
from shared.digests import digest_file
from shared.errors import BadInput, PilotPlantError, Refused
from shared.files import scratch_in, settle
from shared.metrics import read_metrics
from shared.people import read_people
from shared.room import Room
from shared.snapshot import Snapshot, latest_snapshot
from shared.workspace import Workspace
from shared.yamlfile import read_text, read_yaml

CONTRACTS = "contracts"


@dataclass(frozen=True, slots=True)
class Frozen:
    """A promise that could be frozen now.

    Attributes:
        files: each file of the promise with where it lies now.
        snapshot: what the pilot would read.
    """

    promise: Promise
    files: dict[str, Path]
    snapshot: Snapshot

    def write(self, folder: Path) -> None:
        """Puts promise and files into `folder`, in full or not at all."""
        with scratch_in(folder.parent) as scratch:
            write_json(scratch / "promise.json", self.promise.as_json())
            for name, source in self.files.items():
                target = scratch / "files" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
            settle(scratch, folder)


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


def freeze(workspace: Workspace, name: str) -> Frozen:
    """The promise that the charter makes as it stands; raises BadInput where it names what is not there."""
    charter = read_charter(workspace, name)
    snapshot = latest_snapshot(workspace)
    home = charter_path(workspace, name).parent
    files = {}
    for arm in charter.treatments:
        for file in arm.play.files if arm.play else ():
            files[file] = home / file
            read_text(home / file)
    for table, path in (
        (charter.outcomes, workspace.configs / CONTRACTS / f"{charter.outcomes}.odcs.yaml"),
        (charter.population, snapshot.contract_file(charter.population)),
    ):
        snapshot.table(charter.population)
        load_contract(path)
        files[f"{CONTRACTS}/{table}.odcs.yaml"] = path
    promise = Promise(
        charter=charter,
        metrics=measured_by(charter, read_metrics(workspace)),
        files={file: digest_file(path) for file, path in sorted(files.items())},
    )
    return Frozen(promise, files, snapshot)


def obstacles(room: Room, frozen: Frozen) -> list[PilotPlantError]:
    """Everything that keeps the promise from being launched now, each as the error it would be."""
    return [
        *_of_people(room, frozen),
        *_of_data(frozen),
        *_of_plays(frozen),
        *_of_time(room, frozen),
        *_of_money(room, frozen),
    ]


def _of_people(room: Room, frozen: Frozen) -> Iterator[PilotPlantError]:
    charter, people = frozen.promise.charter, read_people(room.workspace)
    for email in (charter.requester, charter.owner):
        try:
            people.get(email)
        except BadInput as error:
            yield error
    if charter.owner == charter.requester:
        yield Refused(
            f"{charter.owner} would decide on their own request",
            where=_place(charter),
            remedy="name another person as owner",
        )


def _of_data(frozen: Frozen) -> Iterator[PilotPlantError]:
    charter = frozen.promise.charter
    outcomes = load_contract(frozen.files[f"{CONTRACTS}/{charter.outcomes}.odcs.yaml"])
    columns = {column.name: column for column in outcomes.columns}
    for name in ("event_id", "unit", "at"):
        if name not in columns:
            yield BadInput(f"the contract of outcomes has no column `{name}`", where=f"contract {outcomes.id}")
    for name, metric in frozen.promise.metrics.items():
        if metric.column not in columns or columns[metric.column].type not in {"integer", "number"}:
            numeric = ", ".join(c.name for c in outcomes.columns if c.type in {"integer", "number"})
            yield BadInput(
                f"metric `{name}` reads column `{metric.column}`, which the outcomes do not have as a number",
                where="configs/metrics.yaml",
                expected=f"one of: {numeric}",
            )
    population = frozen.snapshot.contract(charter.population)
    if _identifier(population) is None:
        yield BadInput(
            f"table `{charter.population}` has no key that is classified as an identifier, so it has no units",
            where=_place(charter),
            remedy="name a table of customers as `population`",
        )
    share = min(charter.weights.values()) / sum(charter.weights.values())
    available = int(frozen.snapshot.manifest.tables[charter.population].rows * share)
    if available < charter.sample.units_per_arm:
        yield Refused(
            f"the plan needs {charter.sample.units_per_arm:,} units per arm, and the smallest can get {available:,}",
            where=_place(charter),
            remedy="plan fewer units for a larger effect, drop an arm, or choose a larger population",
        )


def _of_plays(frozen: Frozen) -> Iterator[PilotPlantError]:
    charter = frozen.promise.charter
    columns = frozen.snapshot.contract(charter.population).columns
    usable = [column.name for column in columns if column.classification == "public"]
    tables = sorted(frozen.snapshot.manifest.tables)
    for arm in charter.treatments:
        play = arm.play
        if play is None:
            continue
        for field in play.fields:
            if field not in usable:
                yield BadInput(
                    f"arm `{arm.name}` uses column `{field}`, which table `{charter.population}` does not publish",
                    where=_place(charter),
                    expected="one of: " + ", ".join(usable),
                )
        try:
            check_audience(read_text(frozen.files[play.audience]), tables, where=play.audience)
            check_template(
                read_text(frozen.files[play.template]), play.subject, ["unit", *play.fields], where=play.template
            )
        except PilotPlantError as error:
            yield error


def _of_time(room: Room, frozen: Frozen) -> Iterator[PilotPlantError]:
    charter, now = frozen.promise.charter, room.now()
    if now >= charter.time_box.starts + timedelta(days=1):
        yield Refused(
            f"the time box began on {charter.time_box.start}, and today is {now:%Y-%m-%d}",
            where=_place(charter),
            remedy="move start, end and decide_by: a pilot is launched before or on its first day",
        )


def _of_money(room: Room, frozen: Frozen) -> Iterator[PilotPlantError]:
    wanted, budget = frozen.promise.charter.budget.total, read_settings(room.workspace).budget
    if wanted.currency != budget.currency:
        yield BadInput(
            f"the pilot's budget is in {wanted.currency}",
            where=_place(frozen.promise.charter),
            expected=f"{budget.currency}, like the Lab's own (configs/lab.yaml)",
        )
        return
    left = budget - committed(room, except_for=frozen.promise.charter.pilot)
    if wanted.amount > left.amount:
        yield Refused(
            f"the pilot asks for {wanted}, and the Lab has {left} left of {budget}",
            where=_place(frozen.promise.charter),
            remedy="ask for less, wait until another pilot is decided, or have configs/lab.yaml raised",
        )


def _identifier(contract: Contract) -> str | None:
    key = contract.primary_key
    return next((c.name for c in contract.columns if c.name == key and c.classification == "identifier"), None)


def _place(charter: Charter) -> str:
    return f"pilots/{charter.pilot}/charter.yaml"
