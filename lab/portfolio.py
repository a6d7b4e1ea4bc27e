"""The Lab at a glance: its pilots, what they wait for, and how well it learns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from statistics import median
from typing import Any

import sqlalchemy as sa

from lab.budget import committed
from lab.pilots import Pilot, State, all_pilots, spent
from lab.state import batches, candidates, read_settings
from shared.clock import rfc3339
from shared.money import Money
from shared.record import SILENCE, Decided, decisions
from shared.room import Room

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Line:
    """One pilot in a list.

    Attributes:
        exposures: rows accepted so far.
        waits_for, until: whose move it is, and until when; None once it is decided.
        synthetic: whether its units are made up.
    """

    name: str
    state: State
    word: str | None
    ends: datetime | None
    exposures: int
    planned_units: int
    spent: Money
    budget: Money
    waits_for: str | None
    until: datetime | None
    synthetic: bool

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "pilot": self.name,
            "state": self.state,
            "decision": self.word,
            "ends": rfc3339(self.ends) if self.ends else None,
            "exposures": self.exposures,
            "planned_units": self.planned_units,
            "spent": self.spent.as_json(),
            "budget": self.budget.as_json(),
            "waits_for": self.waits_for,
            "until": rfc3339(self.until) if self.until else None,
            "synthetic": self.synthetic,
        }


@dataclass(frozen=True, slots=True)
class Insight:
    """What a pilot taught.

    Attributes:
        signed: whether an owner said so; silence says only that nobody did, and counts as no insight.
    """

    pilot: str
    word: str
    claim: str
    owner: str
    at: str
    signed: bool

    def as_json(self) -> dict[str, str]:
        """For `--json`."""
        return {"pilot": self.pilot, "decision": self.word, "claim": self.claim, "owner": self.owner, "at": self.at}


def lines(room: Room) -> list[Line]:
    """Every launched pilot, in the order of launch."""
    decided, now = decisions(room.workspace), room.now()
    return [_line(room, pilot, decided.get(pilot.name), now) for pilot in all_pilots(room)]


def _line(room: Room, pilot: Pilot, decided: Decided | None, now: datetime) -> Line:
    with room.transaction() as connection:
        cost = spent(connection, pilot)
        exposures = connection.execute(
            sa.select(sa.func.coalesce(sa.func.sum(batches.c.exposures), 0)).where(batches.c.pilot == pilot.name)
        ).scalar_one()
        submitted = connection.execute(sa.select(candidates.c.digest).where(candidates.c.pilot == pilot.name)).first()
    state = pilot.state(now, decided)
    waits_for, until = _waits(pilot, state, submitted=submitted is not None)
    word = decided.decision.word if decided else "stop" if state == "decided" else None
    planned = pilot.charter.sample.units_per_arm * len(pilot.charter.arms)
    return Line(
        pilot.name, state, word, pilot.ends, exposures, planned, cost, pilot.reserved, waits_for, until,
        synthetic=pilot.charter.synthetic,
    )  # fmt: skip


def _waits(pilot: Pilot, state: State, *, submitted: bool) -> tuple[str | None, datetime | None]:
    if state == "running":
        return f"{pilot.charter.requester} (data)", pilot.ends
    if state == "ended":
        who = f"{pilot.charter.owner} (decision)" if submitted else f"{pilot.charter.requester} (submission)"
        return who, pilot.charter.deadline
    return None, None


def insights(room: Room, query: str = "") -> list[Insight]:
    """What decided pilots taught, newest first; with a query only those that contain every word of it."""
    decided, now = decisions(room.workspace), room.now()
    found = []
    for pilot in all_pilots(room):
        known = decided.get(pilot.name)
        if known is not None and known.decision.insight:
            word, claim, at = known.decision.word, known.decision.insight, known.decision.at
        elif known is None and now >= pilot.charter.deadline:
            word, claim, at = "stop", SILENCE, rfc3339(pilot.charter.deadline)
        else:
            continue
        found.append(Insight(pilot.name, word, claim, pilot.charter.owner, at, signed=known is not None))
    words = query.lower().split()
    found = [i for i in found if all(word in f"{i.pilot} {i.word} {i.claim}".lower() for word in words)]
    return sorted(found, key=lambda insight: insight.at, reverse=True)


def measures(room: Room) -> dict[str, Any]:
    """How well the Lab learns: pilots by state and decision, days to a decision, insights and what each has cost.

    A pilot that silence decided is `lapsed`: it has cost what it has, and taught nothing.
    """
    listed, learned = lines(room), [insight for insight in insights(room) if insight.signed]
    decided = decisions(room.workspace)
    pilots = all_pilots(room)
    days = [
        (known.at - pilot.launched_at).total_seconds() / SECONDS_PER_DAY
        for pilot in pilots
        if (known := decided.get(pilot.name))
    ]
    settings = read_settings(room.workspace)
    zero = Money(amount=Decimal(0), currency=settings.budget.currency)
    cost = sum((line.spent for line in listed if line.state == "decided"), zero)
    words = [known.decision.word for pilot in pilots if (known := decided.get(pilot.name))]
    return {
        "pilots": {state: sum(line.state == state for line in listed) for state in ("running", "ended", "decided")},
        "drafts": len(drafts(room)),
        "decisions": {word: words.count(word) for word in ("scale", "revise", "stop")},
        "lapsed": sum(line.state == "decided" and line.name not in decided for line in listed),
        "days_to_decision": round(median(days), 1) if days else None,
        "insights": len(learned),
        "cost_per_insight": Money(amount=round(cost.amount / len(learned), 2), currency=cost.currency).as_json()
        if learned
        else None,
        "spent": sum((line.spent for line in listed), zero).as_json(),
        "budget": settings.budget.as_json(),
        "budget_left": (settings.budget - committed(room)).as_json(),
        "waiting": [line.as_json() for line in listed if line.waits_for],
    }


def drafts(room: Room) -> list[str]:
    """Charters that have not been launched."""
    launched = {pilot.name for pilot in all_pilots(room)}
    return sorted(
        path.parent.name for path in room.workspace.pilots.glob("*/charter.yaml") if path.parent.name not in launched
    )
