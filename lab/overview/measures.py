"""How well the Lab learns: what its pilots came to, what an insight has cost, and what is due."""

from __future__ import annotations

from decimal import Decimal
from statistics import median
from typing import Any

from lab.budget.budget import committed
from lab.overview.portfolio import SECONDS_PER_DAY, drafts_among, lines
from lab.overview.reminders import reminders
from lab.state import read_settings
from shared.core.money import Money
from shared.state.room import Room
from shared.trust.record import decisions


def measures(room: Room) -> dict[str, Any]:
    """How well the Lab learns: pilots by state and decision, days to a decision, insights and what each has cost.

    A pilot that silence decided is `lapsed`: it has cost what it has, and taught nothing.
    """
    listed, decided, settings = lines(room), decisions(room.workspace), read_settings(room.workspace)
    spoken = [(line, decided[line.name]) for line in listed if line.name in decided]
    learned = sum(bool(known.decision.insight) for _, known in spoken)
    days = [(known.at - line.pilot.launched_at).total_seconds() / SECONDS_PER_DAY for line, known in spoken]
    zero = Money(amount=Decimal(0), currency=settings.budget.currency)
    cost = sum((line.cost for line in listed if line.state == "decided"), zero)
    words = [known.decision.word for _, known in spoken]
    return {
        "pilots": {state: sum(line.state == state for line in listed) for state in ("running", "ended", "decided")},
        "drafts": len(drafts_among(room.workspace, listed)),
        "decisions": {word: words.count(word) for word in ("scale", "revise", "stop")},
        "lapsed": sum(line.state == "decided" and line.name not in decided for line in listed),
        "days_to_decision": round(median(days), 1) if days else None,
        "insights": learned,
        "cost_per_insight": per_insight(cost, learned),
        "spent": sum((line.account.spent for line in listed), zero).as_json(),
        "held": sum((line.account.held for line in listed), zero).as_json(),
        "budget": settings.budget.as_json(),
        "budget_left": (settings.budget - committed(room)).as_json(),
        "waiting": [line.as_json() for line in listed if line.waits_for],
        "killed": [{"pilot": line.name, "told": told} for line in listed for told in line.killed],
        "due": [reminder.as_json() for reminder in reminders(listed, settings.remind_days, room.now())],
    }


def per_insight(cost: Money, insights: int) -> dict[str, str] | None:
    """What one insight has cost; None without any."""
    return Money(amount=round(cost.amount / insights, 2), currency=cost.currency).as_json() if insights else None
