"""Obstacles: everything that keeps a charter from being launched now, found all at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from lab.analysis.pre_period import unusable
from lab.budget.budget import committed
from lab.forecast.baselines import known_levels
from lab.forecast.past_pilots import everything_past
from lab.intake.intake import EXPOSED_AT
from lab.launch.metric_columns import unmeasurable, unwatched
from lab.pilots.clusters import taking_part
from lab.pilots.eligibility import key_of_units, select
from lab.pilots.layers import beside, overlap
from lab.pilots.pilot import imported
from lab.pilots.promise import CONTRACTS, Frozen, charter_place
from lab.state import read_settings
from shared.core.errors import BadInput, PilotPlantError, Refused
from shared.core.files import scratch_in
from shared.core.sql import file_literal, identifier
from shared.core.yamlfile import read_text
from shared.core.zones import is_everywhere
from shared.data.contracts import Column, ColumnType, Contract, load_contract
from shared.data.tabular import connect
from shared.doors.door import ask
from shared.doors.requests import LineOf
from shared.experiment.bounds import SINCE as BOUNDED_SINCE
from shared.experiment.bounds import Objection, objections, read_bounds
from shared.experiment.charter import Arm, Charter
from shared.experiment.line import Uncarried, require_carried
from shared.experiment.people import read_people
from shared.experiment.play import Play, is_scheduled
from shared.sandbox import check_template
from shared.state.room import Room

# The columns of every contract of outcomes: the event's key, whose it is, and when it was.
_OF_EXPOSURES = {"arm", EXPOSED_AT}
_FIXED: dict[str, ColumnType] = {"event_id": "string", "unit": "string", "at": "timestamp"}


@dataclass(frozen=True, slots=True)
class Examined:
    """What an examination found.

    Attributes:
        problems: each obstacle as the error it would be.
        audiences: how many units each treatment arm would reach today; arms whose audience cannot be run are left out.
        tested: how many of those may take part in the pilot.
    """

    problems: list[PilotPlantError]
    audiences: dict[str, int]
    tested: dict[str, int]


def examine(room: Room, frozen: Frozen, *, began: bool = False) -> Examined:
    """Everything that keeps the promise from being launched now, and whom its plays would reach.

    `began`: whether the pilot has been launched with this very start, which is not asked about again. What it
    continues is asked again when the gate takes the promise in.
    """
    charter, audiences = frozen.promise.charter, _Audiences(room, frozen)
    problems = [
        *_of_people(room, frozen),
        *_of_name(room, frozen.promise.charter),
        *_of_data(frozen),
        *_of_columns(frozen),
        *_of_plays(frozen, audiences),
        *([] if began else _of_time(room, frozen)),
        *_of_bounds(room, frozen),
        *_of_layer(room, charter),
        *_of_money(room, frozen),
        *_of_entitlement(room, charter),
        *_of_line(room, frozen),
    ]
    files = {arm.name: arm.play.audience for arm in charter.treatments if arm.play}
    run = {arm: file for arm, file in files.items() if file in audiences.units}
    return Examined(
        problems,
        {arm: audiences.units[file] for arm, file in run.items()},
        {arm: audiences.tested[file] for arm, file in run.items()},
    )


def examine_free(room: Room, frozen: Frozen, *, costlier: bool) -> list[PilotPlantError]:
    """Of the obstacles those that a change can bring up after the first exposure; `costlier`: with a larger budget."""
    of_money = [*_of_money(room, frozen), *_of_entitlement(room, frozen.promise.charter)] if costlier else []
    return [*_of_data(frozen), *_of_layer(room, frozen.promise.charter), *_of_bounds(room, frozen), *of_money]


def raise_first(found: list[PilotPlantError]) -> None:
    """Raises the first obstacle, which says how many more there are."""
    if not found:
        return
    first = found[0]
    if len(found) > 1:
        first.what += f" (and {len(found) - 1} more: see `pilotplant lab check`)"
    raise first


def _of_people(room: Room, frozen: Frozen) -> Iterator[PilotPlantError]:
    charter, people = frozen.promise.charter, read_people(room.workspace)
    for email in (charter.requester, charter.owner):
        try:
            people.get(email)
        except BadInput as error:
            yield error
    # By the gate's own policy a pilot of low risk may be decided by the one who asked for it.
    if charter.risk_tier != "low" and charter.owner.casefold() == charter.requester.casefold():
        yield Refused(
            f"{charter.owner} would decide on their own request",
            where=charter_place(charter),
            remedy="name another person as owner",
        )


def _of_name(room: Room, charter: Charter) -> Iterator[PilotPlantError]:
    if charter.pilot in imported(room):
        yield Refused(
            f"there is a retrospective test {charter.pilot} already",
            where=charter_place(charter),
            remedy="give the pilot another name, and its folder with it",
        )


def _of_data(frozen: Frozen) -> Iterator[PilotPlantError]:
    charter = frozen.promise.charter
    outcomes = load_contract(frozen.files[f"{CONTRACTS}/{charter.outcomes}.odcs.yaml"])
    yield from _of_outcomes(outcomes, charter)
    yield from unmeasurable(frozen.promise, outcomes, _contract_place(charter))
    yield from unwatched(frozen.promise)
    population = frozen.snapshot.contract(charter.population)
    if key_of_units(population) is None:
        yield BadInput(
            f"table `{charter.population}` has no key that is classified as an identifier, so it has no units",
            where=charter_place(charter),
            remedy="name a table of customers as `population`",
        )
    share = min(charter.weights.values()) / sum(charter.weights.values())
    available = int(taking_part(frozen) * float(share) * (1 - (charter.sample.attrition or 0.0)))
    if available < charter.sample.units_per_arm:
        yield Refused(
            f"the plan needs {charter.sample.units_per_arm:,} units per arm, and the smallest can get {available:,}",
            where=charter_place(charter),
            remedy="plan fewer units for a larger effect, drop an arm, or choose a larger population or slice",
        )


def _of_columns(frozen: Frozen) -> Iterator[BadInput]:
    """What the charter names of the snapshot, and the snapshot does not have."""
    yield from unusable(frozen)
    charter, snapshot = frozen.promise.charter, frozen.snapshot
    for name in charter.sources:
        if name not in snapshot.manifest.tables:
            yield BadInput(
                f"`sources` names table `{name}`, which the snapshot does not have",
                where=charter_place(charter),
                expected="any of: " + ", ".join(sorted(snapshot.manifest.tables)),
            )


def _of_outcomes(outcomes: Contract, charter: Charter) -> Iterator[BadInput]:
    """What the Lab's records need of the contract, and what they must not hold."""
    where, columns = _contract_place(charter), {column.name: column for column in outcomes.columns}
    for name, kind in _FIXED.items():
        column = columns.get(name)
        if column is None or column.type != kind or not column.required:
            yield BadInput(
                f"the contract of outcomes has no column `{name}` that is a {kind} and required",
                where=where,
                expected=f"`{name}` with `logicalType: {kind}` and `required: true`",
            )
    if outcomes.key != ("event_id",):
        yield BadInput(
            f"the key of the outcomes is `{', '.join(outcomes.key)}`",
            where=where,
            expected="`event_id` with `primaryKey: true`: it tells events apart",
        )
    for column in outcomes.columns:
        if taken := _OF_EXPOSURES & {column.name.lower(), (column.physical or "").lower()}:
            yield BadInput(
                f"column `{column.name}` of the outcomes is called `{taken.pop()}` like one of exposures: a file "
                "could be either",
                where=where,
                remedy="give it another name, in the contract and in the export",
            )
    for column in outcomes.columns:
        if _unmasked(column):
            yield BadInput(
                f"column `{column.name}` of the outcomes is classified as {column.classification}, "
                "and would lie in the Lab as it is",
                where=where,
                remedy="leave the column out: a pilot's records name nobody but by `unit`",
            )


def _unmasked(column: Column) -> bool:
    return column.classification != "public" and not (column.classification == "identifier" and column.name == "unit")


def _of_plays(frozen: Frozen, audiences: _Audiences) -> Iterator[PilotPlantError]:
    charter = frozen.promise.charter
    for arm in charter.treatments:
        play = arm.play
        if play is None:
            continue
        yield from unpublished(frozen, arm)
        try:
            audiences.run(play)
        except PilotPlantError as error:
            yield error
        try:
            template, variables = read_text(frozen.files[play.template]), ["unit", *play.fields]
            policy = audiences.sandbox.without_landlock
            check_template(template, play.subject, variables, where=play.template, without_landlock=policy)
        except PilotPlantError as error:
            yield error


def unpublished(frozen: Frozen, arm: Arm) -> Iterator[BadInput]:
    """Each field that an arm's play uses and the snapshot does not publish."""
    charter = frozen.promise.charter
    columns = frozen.snapshot.contract(charter.population).columns
    usable = [column.name for column in columns if column.printable]
    for field in arm.play.fields if arm.play else ():
        if field not in usable:
            yield BadInput(
                f"arm `{arm.name}` uses column `{field}`, which table `{charter.population}` does not publish",
                where=charter_place(charter),
                expected="one of: " + ", ".join(usable),
            )


class _Audiences:
    """Runs each audience once over the snapshot, as the Factory will over its own tables.

    Attributes:
        units: how many units each file selects.
        tested: how many of them are of the pilot's pool.
    """

    def __init__(self, room: Room, frozen: Frozen) -> None:
        self.room, self.frozen = room, frozen
        self.sandbox = read_settings(room.workspace).sandbox
        self.units: dict[str, int] = {}
        self.tested: dict[str, int] = {}

    def run(self, play: Play) -> None:
        """Raises what speaks against the audience: its SQL, nobody in it, or somebody who is not of the population."""
        if play.audience in self.units:
            return
        workspace, charter = self.room.workspace, self.frozen.promise.charter
        sql, what = self.frozen.files[play.audience], f"the audience `{play.audience}`"
        with scratch_in(workspace.lab) as scratch:
            out = scratch / "units.parquet"
            self.units[play.audience] = select(workspace, self.frozen.snapshot, charter, sql, out, what=what)
            self.tested[play.audience] = self._tested(out)

    def _tested(self, units: Path) -> int:
        frozen = self.frozen
        key = identifier(frozen.snapshot.contract(frozen.promise.charter.population).primary_key)
        with connect() as connection:
            row = connection.execute(
                f"SELECT count(*) FROM {frozen.pool.sql} WHERE {key} IN "
                f"(SELECT unit FROM read_parquet({file_literal(units)}))"
            ).fetchone()
        return int(row[0]) if row else 0


def _of_time(room: Room, frozen: Frozen) -> Iterator[PilotPlantError]:
    charter, now = frozen.promise.charter, room.now()
    schedules = [arm.play.schedule for arm in charter.treatments if arm.play]
    zones = [charter.time_box.timezone, *(schedule.timezone for schedule in schedules)]
    for zone in dict.fromkeys(zones):
        if not is_everywhere(zone):
            yield BadInput(
                f"`timezone: {zone}` means something on this machine only",
                where=charter_place(charter),
                expected="a name of the tz database, like Europe/Berlin or UTC",
                remedy="correct it there",
            )
    for cron in dict.fromkeys(schedule.cron for schedule in schedules):
        if not is_scheduled(cron):
            yield BadInput(
                f"no release would ever run by the schedule `{cron}`",
                where=charter_place(charter),
                expected="five cron fields whose day of the month comes by itself, and without `W`",
                remedy="correct it there",
            )
    if now >= charter.time_box.starts + timedelta(days=1):
        yield Refused(
            f"the time box began on {charter.time_box.start}, and today is {now:%Y-%m-%d}",
            where=charter_place(charter),
            remedy="move start, end and decide_by: a pilot is launched before or on its first day",
        )


def _of_bounds(room: Room, frozen: Frozen) -> Iterator[Refused]:
    """What the gate would say of the promise's numbers at the end, said at the beginning."""
    promise, charter = frozen.promise, frozen.promise.charter
    if promise.rules < BOUNDED_SINCE:
        return
    bounds, levels = (
        read_bounds(room.workspace, charter.risk_tier),
        known_levels(frozen, everything_past(room, charter)),
    )
    for each in objections(promise, bounds, levels):
        yield Refused(
            f"`{each.part}`: {each.reason}",
            where=charter_place(charter),
            expected=f"{_asked(each)}, by `promise_reasonable` in configs/gate.yaml",
            remedy=each.remedy,
        )


def _asked(objection: Objection) -> str:
    """The bound, and on which side of it a number may lie."""
    if objection.threshold is None:
        return "none of these columns"
    if objection.threshold < 0:
        return f"{objection.threshold:g} or closer to zero"
    return f"{objection.threshold:g} or {'more' if objection.measured < objection.threshold else 'less'}"


def _of_layer(room: Room, charter: Charter) -> Iterator[Refused]:
    taken = overlap(charter, beside(room, charter), where=charter_place(charter))
    if taken is not None:
        yield taken


def _of_money(room: Room, frozen: Frozen) -> Iterator[PilotPlantError]:
    wanted, budget = frozen.promise.charter.budget.total, read_settings(room.workspace).budget
    if wanted.currency != budget.currency:
        yield BadInput(
            f"the pilot's budget is in {wanted.currency}",
            where=charter_place(frozen.promise.charter),
            expected=f"{budget.currency}, like the Lab's own (configs/lab.yaml)",
        )
        return
    left = budget - committed(room, except_for=frozen.promise.charter.pilot)
    if wanted.amount > left.amount:
        yield Refused(
            f"the pilot asks for {wanted}, and the Lab has {left} left of {budget}",
            where=charter_place(frozen.promise.charter),
            remedy="ask for less, wait until another pilot is decided, or have configs/lab.yaml raised",
        )


def _of_entitlement(room: Room, charter: Charter) -> Iterator[Refused]:
    """What the gate would say of the owner at the end, said at the beginning."""
    owner = read_people(room.workspace).find(charter.owner)
    if owner is None:
        return  # said already
    if owner.decides is None:
        against: str | None = f"{charter.owner} is not entitled to decide anything"
    else:
        against = owner.decides.against(charter.risk_tier, charter.budget.total)
    if against is not None:
        yield Refused(
            against,
            where=charter_place(charter),
            remedy="name an owner whom configs/people.yaml entitles to decide this",
        )


def _of_line(room: Room, frozen: Frozen) -> Iterator[Refused]:
    """What the gate would say of a further attempt that does not carry what the ones before it have spent."""
    if frozen.promise.rules == 1:
        return
    found = ask(room.workspace, LineOf(promise=frozen.promise.content, texts=frozen.texts))
    try:
        require_carried(found, frozen.promise.charter)
    except Uncarried as error:
        yield error


def _contract_place(charter: Charter) -> str:
    return f"configs/{CONTRACTS}/{charter.outcomes}.odcs.yaml"
