"""How well the Lab learns: what its pilots came to, what an insight has cost, and what is due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from statistics import median

from lab.budget.budget import committed
from lab.overview.portfolio import SECONDS_PER_DAY, Line, drafts_among, lines
from lab.overview.reminders import Reminder, reminders
from lab.state import read_settings
from shared.core.money import Money
from shared.state.room import Room
from shared.trust.record import decisions


@dataclass(frozen=True, slots=True)
class Killed:
    """A pilot whose last analysis met a kill criterion, in a sentence."""

    pilot: str
    told: str


@dataclass(frozen=True, slots=True)
class Measures:
    """How well the Lab learns.

    Attributes:
        pilots, decisions: how many there are in each state, and of each word.
        lapsed: pilots that silence decided: they have cost what they have, and taught nothing.
        days_to_decision: the median; None without any.
        cost_per_insight: None without any.
        waiting: the pilots that wait for somebody.
    """

    pilots: Mapping[str, int]
    drafts: int
    decisions: Mapping[str, int]
    lapsed: int
    days_to_decision: float | None
    insights: int
    cost_per_insight: Money | None
    spent: Money
    held: Money
    budget: Money
    budget_left: Money
    waiting: tuple[Line, ...]
    killed: tuple[Killed, ...]
    due: tuple[Reminder, ...]

    @property
    def told(self) -> tuple[str, ...]:
        """Lines for people."""
        pilots, words = self.pilots, self.decisions
        days = "–" if self.days_to_decision is None else self.days_to_decision
        return (
            f"Pilots: {self.drafts} draft, {pilots['running']} running, {pilots['ended']} ended, {pilots['decided']} "
            f"decided ({words['scale']} scale, {words['revise']} revise, {words['stop']} stop, {self.lapsed} lapsed)",
            f"Days to a decision: {days} (median); insights: {self.insights}; "
            f"cost per insight: {self.cost_per_insight or '–'}",
            f"Budget: {self.spent} spent, {self.held} held, {self.budget_left} of {self.budget} not bound",
        )


def measures(room: Room, listed: list[Line] | None = None) -> Measures:
    """How well the Lab learns, now; `listed` are all its pilots, where they have been read already."""
    listed = lines(room) if listed is None else listed
    decided, settings = decisions(room.workspace), read_settings(room.workspace)
    spoken = [(line, decided[line.name]) for line in listed if line.name in decided]
    learned = sum(bool(known.decision.insight) for _, known in spoken)
    days = [(known.at - line.pilot.launched_at).total_seconds() / SECONDS_PER_DAY for line, known in spoken]
    zero = Money(amount=Decimal(0), currency=settings.budget.currency)
    words = [known.decision.word for _, known in spoken]
    return Measures(
        pilots={state: sum(line.state == state for line in listed) for state in ("running", "ended", "decided")},
        drafts=len(drafts_among(room.workspace, listed)),
        decisions={word: words.count(word) for word in ("scale", "revise", "stop")},
        lapsed=sum(line.state == "decided" and line.name not in decided for line in listed),
        days_to_decision=round(median(days), 1) if days else None,
        insights=learned,
        cost_per_insight=per_insight(sum((line.cost for line in listed if line.state == "decided"), zero), learned),
        spent=sum((line.account.spent for line in listed), zero),
        held=sum((line.account.held for line in listed), zero),
        budget=settings.budget,
        budget_left=settings.budget - committed(room),
        waiting=tuple(line for line in listed if line.waits_for),
        killed=tuple(Killed(line.name, told) for line in listed for told in line.killed),
        due=tuple(reminders(listed, settings.remind_days, room.now())),
    )


def per_insight(cost: Money, insights: int) -> Money | None:
    """What one insight has cost; None without any."""
    return Money(amount=round(cost.amount / insights, 2), currency=cost.currency) if insights else None
