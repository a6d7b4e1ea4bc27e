"""The Lab at a glance: its pilots, what they wait for, and how well it learns."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from lab.analysis.health import Counts, Health, health, planned_units
from lab.budget.accounts import Account, accounts
from lab.budget.reservations import still_open
from lab.pilots.pilot import Pilot, State, all_pilots, get_pilot
from lab.state import analyses, batches, candidates
from lab.state import pilots as pilots_table
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.digests import digest_bytes
from shared.core.money import Money
from shared.evidence.model import Evidence
from shared.experiment.draw import AFTER_THE_END
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.candidate import EVIDENCE
from shared.trust.record import Decided, decisions

SECONDS_PER_DAY = 86_400
# So much evidence that was read is kept.
KEPT = 512


@dataclass(frozen=True, slots=True)
class Line:
    """One pilot in a list.

    Attributes:
        exposures: rows accepted so far.
        waits_for, until: whose move it is, and until when; None once it is decided and holds nothing.
        days_left: days until then.
        health: None once it is decided.
        open_reservations: key and amount of everything held that can still be settled.
    """

    pilot: Pilot
    state: State
    word: str | None
    exposures: int
    planned_units: int
    account: Account
    waits_for: str | None
    until: datetime | None
    days_left: float | None
    health: Health | None
    open_reservations: tuple[tuple[str, Money], ...]
    submitted: bool

    @property
    def name(self) -> str:
        """The pilot's name."""
        return self.pilot.name

    @property
    def synthetic(self) -> bool:
        """Whether its units are made up."""
        return self.pilot.charter.synthetic

    @property
    def killed(self) -> tuple[str, ...]:
        """A sentence for each kill criterion that its last analysis met; none once it is decided."""
        return self.health.killed if self.health else ()

    @property
    def cost(self) -> Money:
        """What it counts as: what it has cost, and once it is decided what it still holds as well."""
        return self.account.bound if self.state == "decided" else self.account.spent

    @property
    def sample_frac(self) -> float:
        """Exposures against planned units; 1 and more where the plan is reached."""
        return self.exposures / self.planned_units

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "pilot": self.name,
            "state": self.state,
            "decision": self.word,
            "ends": rfc3339(self.pilot.ends),
            "exposures": self.exposures,
            "planned_units": self.planned_units,
            "sample_frac": round(self.sample_frac, 4),
            "spent": self.account.spent,
            "held": self.account.held,
            "budget": self.account.budget,
            "budget_left": self.account.left,
            "waits_for": self.waits_for,
            "until": self.until,
            "days_left": None if self.days_left is None else round(self.days_left, 1),
            "health": self.health,
            "synthetic": self.synthetic,
        }


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the database says of all pilots, read at once."""

    accounts: dict[str, Account]
    counts: dict[str, Counts]
    held: dict[str, tuple[tuple[str, Money], ...]]
    submitted: set[str]
    analysed: dict[str, sa.Row[tuple[object, ...]]]


def lines(room: Room) -> list[Line]:
    """Every launched pilot, in the order of launch."""
    decided, now, pilots = decisions(room.workspace), room.now(), all_pilots(room)
    if not pilots:
        return []
    with room.read() as connection:
        facts = _facts(connection, pilots)
    return [_line(pilot, facts, decided.get(pilot.name), now) for pilot in pilots]


def line_of(room: Room, name: str) -> Line:
    """The line of one launched pilot; raises as `get_pilot` does."""
    pilot, decided, now = get_pilot(room, name), decisions(room.workspace), room.now()
    with room.read() as connection:
        facts = _facts(connection, [pilot])
    return _line(pilot, facts, decided.get(name), now)


def _facts(connection: sa.Connection, pilots: list[Pilot]) -> _Facts:
    held: defaultdict[str, tuple[tuple[str, Money], ...]] = defaultdict(tuple)
    for row in still_open(connection):
        held[row.pilot] += ((row.id, Money(amount=row.amount, currency=row.currency)),)
    last = sa.select(analyses).order_by(analyses.c.at)
    return _Facts(
        accounts=accounts(connection, pilots),
        counts=_counts(connection),
        held=held,
        submitted=set(connection.execute(sa.select(candidates.c.pilot)).scalars()),
        analysed={row.pilot: row for row in connection.execute(last)},
    )


def _counts(connection: sa.Connection) -> dict[str, Counts]:
    sums = (sa.func.sum(batches.c.exposures), sa.func.sum(batches.c.outcomes), sa.func.max(batches.c.at))
    added = connection.execute(sa.select(batches.c.pilot, *sums).group_by(batches.c.pilot)).tuples().all()
    held: Counter[str] = Counter()
    # Most files hold nothing back; of those that do the reasons are read.
    some = sa.select(batches.c.pilot, batches.c.conflicts).where(sa.cast(batches.c.conflicts, sa.String) != "{}")
    for pilot, conflicts in connection.execute(some).tuples():
        held[pilot] += sum(n for reason, n in conflicts.items() if reason != AFTER_THE_END)
    return {
        pilot: Counts(exposures=int(exposures), outcomes=int(outcomes), held_back=held[pilot], last=last)
        for pilot, exposures, outcomes, last in added
    }


def _line(pilot: Pilot, facts: _Facts, decided: Decided | None, now: datetime) -> Line:
    state, submitted = pilot.state(now, decided), pilot.name in facts.submitted
    held = facts.held.get(pilot.name, ()) if now < pilot.charter.deadline else ()
    waits_for, until = _waits(pilot, state, submitted=submitted, holds=bool(held))
    counts, account = facts.counts.get(pilot.name, Counts()), facts.accounts[pilot.name]
    return Line(
        pilot=pilot,
        state=state,
        word=decided.decision.word if decided else "stop" if state == "decided" else None,
        exposures=counts.exposures,
        planned_units=planned_units(pilot),
        account=account,
        waits_for=waits_for,
        until=until,
        days_left=None if until is None else (until - now).total_seconds() / SECONDS_PER_DAY,
        health=None if state == "decided" else _health(pilot, account, counts, facts, ended=state == "ended"),
        open_reservations=held,
        submitted=submitted,
    )


def _health(pilot: Pilot, account: Account, counts: Counts, facts: _Facts, *, ended: bool) -> Health:
    row = facts.analysed.get(pilot.name)
    evidence = None if row is None else _evidence(pilot, row)
    as_of = parse_rfc3339(str(row.at)) if row is not None and evidence is not None else None
    return health(pilot, account, counts, evidence, as_of=as_of, ended=ended)


def last_evidence(room: Room, pilot: Pilot) -> Evidence | None:
    """The evidence of a pilot's last analysis; None where there is none, or it is not what was computed."""
    query = sa.select(analyses).where(analyses.c.pilot == pilot.name).order_by(analyses.c.at.desc()).limit(1)
    with room.read() as connection:
        row = connection.execute(query).first()
    return None if row is None else _evidence(pilot, row)


def _evidence(pilot: Pilot, row: sa.Row[tuple[object, ...]]) -> Evidence | None:
    """The evidence of an analysis; None where it was removed, or is not what was computed."""
    try:
        content = (pilot.folder / "analyses" / str(row.folder) / EVIDENCE).read_bytes()
    except OSError:
        return None
    return _read(content) if digest_bytes(content) == row.evidence else None


@lru_cache(maxsize=KEPT)
def _read(content: bytes) -> Evidence:
    """The same bytes are the same evidence, which nothing changes."""
    return Evidence.model_validate_json(content)


def _waits(pilot: Pilot, state: State, *, submitted: bool, holds: bool) -> tuple[str | None, datetime | None]:
    if state == "running":
        return f"{pilot.charter.requester} (data)", pilot.ends
    if state == "ended":
        who = f"{pilot.charter.owner} (decision)" if submitted else f"{pilot.charter.requester} (submission)"
        return who, pilot.charter.deadline
    # Decided before all its bills were in.
    return (f"{pilot.charter.requester} (bills)", pilot.charter.deadline) if holds else (None, None)


def drafts(room: Room) -> list[str]:
    """Charters that have not been launched."""
    with room.read() as connection:
        launched = set(connection.execute(sa.select(pilots_table.c.name)).scalars())
    return _drafts(room.workspace, launched)


def drafts_among(workspace: Workspace, listed: list[Line]) -> list[str]:
    """The same, where the launched ones have been read already."""
    return _drafts(workspace, {line.name for line in listed})


def _drafts(workspace: Workspace, launched: set[str]) -> list[str]:
    return sorted(
        path.parent.name for path in workspace.pilots.glob("*/charter.yaml") if path.parent.name not in launched
    )
