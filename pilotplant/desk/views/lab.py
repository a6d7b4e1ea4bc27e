"""The Lab's pages: the board of all pilots, and one pilot with its plan, its intake, its health and what it showed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from lab.analysis.results import Results, results
from lab.launch.preview import Rendering
from lab.overview.measures import Measures, measures
from lab.overview.portfolio import Line, drafts_among, last_evidence, line_of, lines
from lab.state import open_lab
from pilotplant.desk.views.charters.form import OutlookFragment, outlook_of
from pilotplant.desk.views.charters.messages import messages
from pilotplant.desk.views.parts import Meter, how_many, title_of
from pilotplant.desk.views.today import sample_meter
from shared.evidence.model import Evidence
from shared.state.workspace import Workspace
from shared.ui import phrases
from shared.ui.fact import Fact
from shared.ui.page import Tone, sentence

# Of each column, on one page of the board.
SHOWN = 24


@dataclass(frozen=True, slots=True)
class Card:
    """A pilot on the board.

    Attributes:
        tone, icon, state: how it stands, in a word.
        note: whose move it is, or what is wrong.
        meters: customers, days and money, against the plan.
    """

    name: str
    tone: Tone
    icon: str
    state: str
    note: str
    meters: tuple[Meter, ...]
    synthetic: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """All pilots by where they stand, of each column so many a page.

    Attributes:
        page, pages: which one this is, and how many there are.
        counts: how many pilots there are in each column.
    """

    headline: str
    why: str
    facts: tuple[Fact, ...]
    drafts: tuple[str, ...]
    running: tuple[Card, ...]
    ended: tuple[Card, ...]
    decided: tuple[Card, ...]
    page: int
    pages: int
    counts: dict[str, int]
    measures: Measures


@dataclass(frozen=True, slots=True)
class PilotPage:
    """One pilot.

    Attributes:
        takes_results: whether a file of results may still be brought.
        to_finish: whether it has ended, and is to be analysed and put before the gate.
        outlook: while nothing is shown, what the plan can show; None afterwards.
        hidden: why no effects are shown; None where they are.
        facts: the plan in numbers.
        arms: what each treatment says, as one customer reads it; empty where it cannot be rendered, and `unread` why.
    """

    card: Card
    headline: str
    why: str
    next: tuple[str, str] | None
    takes_results: bool
    to_finish: bool
    hypothesis: str
    facts: tuple[Fact, ...]
    terms: tuple[tuple[str, str], ...]
    health: tuple[str, ...]
    healthy: str
    outlook: OutlookFragment | None
    hidden: str | None
    showing: Results | None
    control: str
    arms: tuple[Rendering, ...]
    unread: str | None
    amendments: tuple[str, ...]
    starts: datetime
    ends: datetime
    deadline: datetime
    digest: str


def board(workspace: Workspace, page: int = 1) -> Board:
    """A page of the board, now."""
    room = open_lab(workspace)
    listed, now = lines(room), room.now()
    drafts, here = drafts_among(workspace, listed), slice(SHOWN * (page - 1), SHOWN * page)
    columns = {state: [line for line in listed if line.state == state] for state in ("running", "ended", "decided")}
    columns["decided"].reverse()
    found = measures(room, listed)
    running, words = found.pilots["running"], ", ".join(f"{n} {word}" for word, n in found.decisions.items())
    return Board(
        headline=how_many(running, "pilot is running", "pilots are running") if running else "No pilot is running",
        why=f"{found.pilots['ended']} ended and wait for a decision, {found.drafts} in draft.",
        facts=(
            Fact("Decided", f"{found.pilots['decided']}", words),
            Fact(
                "From launch to decision",
                "–" if found.days_to_decision is None else f"{found.days_to_decision} days",
                "the median",
            ),
            Fact(
                "Insights",
                f"{found.insights}",
                f"{found.cost_per_insight} each" if found.cost_per_insight else "none yet",
            ),
            Fact("Budget", str(found.budget_left), f"of {found.budget} not bound"),
        ),
        drafts=tuple(drafts[here]),
        running=tuple(card(line, now) for line in columns["running"][here]),
        ended=tuple(card(line, now) for line in columns["ended"][here]),
        decided=tuple(card(line, now) for line in columns["decided"][here]),
        page=page,
        pages=max(1, ceil(max(len(drafts), *(len(column) for column in columns.values())) / SHOWN)),
        counts={name: len(column) for name, column in columns.items()},
        measures=found,
    )


def card(line: Line, now: datetime) -> Card:
    """A pilot as a card."""
    tone, icon, state = _stands(line)
    meters = () if line.state == "decided" else (sample_meter(line), _days(line, now), _money(line))
    return Card(line.name, tone, icon, state, _note(line), meters, line.synthetic)


def _stands(line: Line) -> tuple[Tone, str, str]:
    if line.killed:
        return "no", "warn", "Does harm"
    if line.state == "running":
        return "new", "flask", "Running"
    if line.state == "ended":
        return ("new", "clock", "Waits for its owner") if line.submitted else ("wait", "clock", "Ended, not submitted")
    words: dict[str | None, tuple[Tone, str, str]] = {
        "scale": ("go", "check", "Scaled"),
        "revise": ("wait", "next", "Revised"),
        "stop": ("quiet", "cross", "Stopped"),
    }
    return words.get(line.word, ("quiet", "info", "Decided"))


def _note(line: Line) -> str:
    if line.killed:
        return line.killed[0]
    if line.health is not None and line.health.condition == "trouble":
        return sentence(str(line.health))
    if line.until is not None and line.days_left is not None:
        who = str(line.waits_for).split(" (", maxsplit=1)[0]
        return f"{who}: {phrases.days(line.days_left)} left." if line.days_left >= 0 else f"{who}: overdue."
    return ""


def _days(line: Line, now: datetime) -> Meter:
    box = line.pilot.charter.time_box
    total = (box.ends - box.starts).days
    passed = max(0, min(total, (min(now, line.pilot.ends) - box.starts).days))
    told = f"{passed} of {total} days"
    return Meter(told, passed / total, f"{title_of(line.name)}: {told} have passed")


def _money(line: Line) -> Meter:
    spent, held, budget = line.account.spent, line.account.held, line.account.budget
    share = float(budget.amount) or 1.0
    return Meter(
        f"{spent} of {budget}", float(spent.amount) / share,
        f"{title_of(line.name)}: {spent} of {budget} are spent, {held} are set aside", float(held.amount) / share,
    )  # fmt: skip


def pilot_page(workspace: Workspace, name: str) -> PilotPage:
    """The page of a launched pilot; raises BadInput where none has that name."""
    room = open_lab(workspace)
    line = line_of(room, name)
    charter, now = line.pilot.charter, room.now()
    evidence = last_evidence(room, line.pilot)
    hidden = _hidden(line, evidence)
    arms, unread = messages(workspace, name)
    said = charter.hypothesis
    return PilotPage(
        card=card(line, now),
        headline=_headline(line),
        why=_note(line),
        next=_next(line),
        takes_results=line.state in {"running", "ended"} and now < line.pilot.closes and not line.submitted,
        to_finish=line.state == "ended" and not line.submitted,
        hypothesis=f"Because {said.because}, we believe that {said.we_believe} will {said.will}.",
        facts=tuple(_facts(line)),
        terms=tuple(_terms(line)),
        health=line.health.findings if line.health else (),
        healthy=_healthy(line),
        outlook=outlook_of(workspace, charter) if hidden and line.state == "running" else None,
        hidden=hidden,
        showing=None if hidden or evidence is None else results(line.pilot, evidence),
        control=charter.control.name,
        arms=arms,
        unread=unread,
        amendments=tuple(each.told() for each in line.pilot.amendments),
        starts=charter.time_box.starts,
        ends=line.pilot.ends,
        deadline=charter.deadline,
        digest=line.pilot.promise.digest,
    )


def _next(line: Line) -> tuple[str, str] | None:
    """The page to go on with, and its name."""
    if line.submitted and line.state != "running":
        return f"/gate/{line.name}", "Decide" if line.state == "ended" else "See the owner's page"
    return None


def _healthy(line: Line) -> str:
    """What is said where nothing is wrong; silence is not health."""
    if line.health is None or line.health.condition == "unknown":
        return "Nothing is wrong so far, and nothing was analysed either."
    return "Nothing speaks against it."


def _hidden(line: Line, evidence: Evidence | None) -> str | None:
    """Why effects are not shown: nobody sees them before the look that the plan agreed on."""
    if evidence is None:
        is_open = line.state == "running"
        return "Nothing was analysed yet." if is_open else f"`pilotplant lab analyse {line.name}` computes them."
    if evidence.standing != "decisive":
        return "They are shown at the look that the plan agreed on, so that nobody stops on a lucky day."
    return None


def _headline(line: Line) -> str:
    name = title_of(line.name)
    if line.killed:
        return f"{name} does harm"
    if line.state == "running":
        return f"{name} is running"
    if line.state == "ended":
        return f"{name} has ended; its results {'wait for their owner' if line.submitted else 'are not submitted yet'}"
    return f"{name} was {'scaled' if line.word == 'scale' else 'revised' if line.word == 'revise' else 'stopped'}"


def _facts(line: Line) -> Iterator[Fact]:
    charter, metrics = line.pilot.charter, line.pilot.promise.metrics
    for primary in charter.primaries:
        least = phrases.amount(metrics[primary.metric], primary.minimum_effect)
        yield Fact(f"Goal: {primary.metric}", least, "the smallest gain worth it")
    for rail in charter.guardrails:
        yield Fact(f"Safety limit: {rail.metric}", phrases.amount(metrics[rail.metric], rail.margin),
                   f"it may {'fall' if metrics[rail.metric].sign > 0 else 'rise'} by at most that")  # fmt: skip
    yield Fact("Customers", f"{line.exposures:,}", f"{line.planned_units:,} are planned")
    yield Fact("Money spent", str(line.account.spent), f"{line.account.left} of {line.account.budget} left")


def _terms(line: Line) -> Iterator[tuple[str, str]]:
    charter = line.pilot.charter
    yield "Asked for by", charter.requester
    yield "Decided by", charter.owner
    yield "Arms", ", ".join(charter.weights)
    yield "Risk", charter.risk_tier
