"""Learning: what a quarter's pilots came to, and how fast the Lab learns from month to month."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, Literal, get_args

from lab.overview.measures import per_insight
from lab.overview.portfolio import SECONDS_PER_DAY, Line, lines
from lab.state import read_settings
from shared.core.clock import parse_rfc3339
from shared.core.errors import BadInput
from shared.core.files import write_atomically
from shared.core.jsonable import jsonable
from shared.core.money import Money
from shared.state.room import Room
from shared.trust.record import Decided, decisions
from shared.ui.svg import SETTINGS, svg

Ending = Literal["scale", "revise", "stop", "lapsed"]
ENDINGS: tuple[Ending, ...] = get_args(Ending)
MONTHS_SHOWN, MONTHS_PER_QUARTER, MONTHS_PER_YEAR = 24, 3, 12
# Okabe and Ito (2008): colours that people with colour-vision deficiencies can tell apart.
COLOURS = {"scale": "#0072B2", "revise": "#56B4E9", "stop": "#E69F00", "lapsed": "#BBBBBB"}
LINE = "#000000"


@dataclass(frozen=True, slots=True)
class Closed:
    """A pilot that is decided.

    Attributes:
        ending: the owner's word, or `lapsed` where silence was *stop*.
        at: when that was.
        days: from launch to the signed decision; None where there was none.
        cost: what it has cost.
        taught: whether an owner signed an insight.
    """

    pilot: str
    ending: Ending
    at: datetime
    days: float | None
    cost: Money
    taught: bool

    @property
    def month(self) -> str:
        """`2026-01`, UTC."""
        return f"{self.at:%Y-%m}"


@dataclass(frozen=True, slots=True)
class Quarter:
    """A quarter of a year, UTC."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Quarter:
        """The quarter in a text like `2026Q1`; raises BadInput."""
        found = re.fullmatch(r"([0-9]{4})-?[Qq]([1-4])", text.strip())
        if found is None:
            raise BadInput(f"`{text}` is not a quarter", where="--quarter", expected="like 2026Q1")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of(cls, moment: datetime) -> Quarter:
        """The quarter that a moment lies in."""
        day = moment.astimezone(UTC)
        return cls(day.year, (day.month - 1) // MONTHS_PER_QUARTER + 1)

    @property
    def months(self) -> list[str]:
        """Its three months, like `2026-01`."""
        last = MONTHS_PER_QUARTER * self.number
        return [f"{self.year:04}-{month:02}" for month in range(last - MONTHS_PER_QUARTER + 1, last + 1)]

    def __str__(self) -> str:
        """`2026Q1`."""
        return f"{self.year:04}Q{self.number}"


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a quarter came to.

    Attributes:
        insight_rate: insights per decided pilot; None without any.
        days_to_decision: the median; None without any.
    """

    decided: int
    scaled: int
    revised: int
    stopped: int
    lapsed: int
    insights: int
    insight_rate: float | None
    days_to_decision: float | None
    cost: Money
    cost_per_insight: Money | None


@dataclass(frozen=True, slots=True)
class Month:
    """A month's insights and endings; `month` is like `2026-01`."""

    month: str
    insights: int
    scale: int
    revise: int
    stop: int
    lapsed: int


@dataclass(frozen=True, slots=True)
class Report:
    """How well the Lab learned in a quarter.

    Attributes:
        velocity: month by month up to the quarter's end.
        plot: where the picture of it was written.
    """

    quarter: Quarter
    numbers: Numbers
    velocity: tuple[Month, ...]
    plot: Path

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"quarter": str(self.quarter), **jsonable(self.numbers), "velocity": self.velocity, "plot": self.plot}

    @property
    def told(self) -> tuple[str, ...]:
        """Lines for people."""
        found, when = self.numbers, self.quarter
        rate = "rate –" if found.insight_rate is None else f"rate {found.insight_rate:.0%}"
        days = "–" if found.days_to_decision is None else found.days_to_decision
        return (
            f"{when}: {found.decided} decided ({found.scaled} scaled, {found.revised} revised, "
            f"{found.stopped} stopped, {found.lapsed} lapsed); insights: {found.insights}, {rate}",
            f"{when}: days to a decision {days} (median); cost {found.cost}; "
            f"cost per insight {found.cost_per_insight or '–'}",
            "Learning velocity, insights a month: "
            + ", ".join(f"{month.month} {month.insights}" for month in self.velocity),
            f"Plot: {self.plot}",
        )


def report(room: Room, quarter: str | None = None) -> Report:
    """The report for a quarter, the present one if none is named; its plot is written below the Lab's root."""
    asked = Quarter.parse(quarter) if quarter is not None else Quarter.of(room.now())
    found = closed(lines(room), decisions(room.workspace))
    currency = read_settings(room.workspace).budget.currency
    months = velocity(found, asked)
    path = room.workspace.lab / "reports" / f"{asked}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _plot(asked, months))
    return Report(asked, numbers([one for one in found if one.month in asked.months], currency), months, path)


def closed(listed: Sequence[Line], decided: dict[str, Decided]) -> list[Closed]:
    """The decided pilots, in the order of their decisions."""
    found = [_closed(line, decided.get(line.name)) for line in listed if line.state == "decided"]
    return sorted(found, key=lambda one: (one.at, one.pilot))


def numbers(found: Sequence[Closed], currency: str) -> Numbers:
    """What these pilots came to."""
    days = [one.days for one in found if one.days is not None]
    taught = sum(one.taught for one in found)
    cost = sum((one.cost for one in found), Money(amount=Decimal(0), currency=currency))
    endings = [one.ending for one in found]
    return Numbers(
        decided=len(found),
        scaled=endings.count("scale"),
        revised=endings.count("revise"),
        stopped=endings.count("stop"),
        lapsed=endings.count("lapsed"),
        insights=taught,
        insight_rate=round(taught / len(found), 3) if found else None,
        days_to_decision=round(median(days), 1) if days else None,
        cost=cost,
        cost_per_insight=per_insight(cost, taught),
    )


def velocity(found: Sequence[Closed], until: Quarter) -> tuple[Month, ...]:
    """Insights and endings of each month, from the first decision (at most two years back) to the quarter's end."""
    end = until.months[-1]
    past = [one for one in found if one.month <= end]
    first = min((one.month for one in past), default=until.months[0])
    return tuple(
        Month(
            month,
            sum(one.taught for one in past if one.month == month),
            **{ending: sum(one.ending == ending for one in past if one.month == month) for ending in ENDINGS},
        )
        for month in _months(min(first, until.months[0]), end)[-MONTHS_SHOWN:]
    )


def _months(first: str, last: str) -> list[str]:
    begin, end = (MONTHS_PER_YEAR * int(text[:4]) + int(text[5:]) - 1 for text in (first, last))
    return [f"{n // MONTHS_PER_YEAR:04}-{n % MONTHS_PER_YEAR + 1:02}" for n in range(begin, end + 1)]


def _closed(line: Line, known: Decided | None) -> Closed:
    if known is None:
        return Closed(line.name, "lapsed", line.pilot.charter.deadline, None, line.cost, taught=False)
    at = parse_rfc3339(known.decision.at)
    days = (at - line.pilot.launched_at).total_seconds() / SECONDS_PER_DAY
    return Closed(line.name, known.decision.word, at, days, line.cost, taught=bool(known.decision.insight))


def _plot(quarter: Quarter, months: Sequence[Month]) -> str:
    """Decisions of each month as stacked bars, insights as a line over them, as SVG."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    names, places = [month.month for month in months], range(len(months))
    # A fixed salt and no metadata make an equal quarter an equal file.
    with rc_context(SETTINGS):
        figure = Figure(figsize=(max(6.0, 0.5 * len(months) + 2.5), 3.2), layout="constrained")
        panel = figure.subplots()
        below = [0] * len(months)
        for ending in ENDINGS:
            heights = [getattr(month, ending) for month in months]
            panel.bar(places, heights, bottom=below, color=COLOURS[ending], label=ending, width=0.7)
            below = [low + high for low, high in zip(below, heights, strict=True)]
        panel.plot(places, [month.insights for month in months], "o-", color=LINE, label="insights", markersize=5)
        panel.set_xticks(list(places), names, rotation=90 if len(months) > MONTHS_PER_YEAR // 2 else 0)
        panel.yaxis.set_major_locator(MaxNLocator(integer=True))
        panel.set_ylim(bottom=0)
        panel.set_title(f"Pilots decided and insights per month, to {quarter}", loc="left")
        panel.spines[["top", "right"]].set_visible(False)
        figure.legend(frameon=False, ncols=len(ENDINGS) + 1, loc="outside lower left", fontsize=9)
        return svg(figure)
