"""The gate's pages: what waits for a decision, and one pilot's results as its owner reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pilotplant.desk.views.parts import Item, Tone, how_many, sentence, title_of
from pilotplant.desk.views.today import of_candidate
from pilotplant.overview import Overview
from promotion.gate.checks import CHECKS
from promotion.queue.summary import MEANS, TIME_LEFT, Summary, summarise
from promotion.queue.views import Signed, Waiting, Waived
from promotion.registry.lapses import Lapse
from shared.core.times import spoken
from shared.experiment.people import same_person
from shared.state.workspace import Workspace
from shared.trust.finding import Finding, alike
from shared.trust.record import Decided, decisions
from shared.ui.fact import Fact

DECIDED_MAX = 50
_QUESTIONS = {check.name: check.question for check in CHECKS}
_TONES: dict[str, tuple[Tone, str]] = {
    "admit": ("go", "check"),
    "refuse": ("no", "cross"),
    "undecided": ("wait", "ask"),
}


@dataclass(frozen=True, slots=True)
class GatePage:
    """All that waits, and what was decided lately."""

    headline: str
    waiting: tuple[Item, ...]
    decided: tuple[Decided, ...]
    lapsed: tuple[Lapse, ...]
    waivers: tuple[Waived, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gate's checks of one name answered.

    Attributes:
        question: what they ask.
        names: which ones, and of which arms.
        reasons: their answers.
        remedy: what would change it; None where nothing has to.
    """

    question: str
    names: str
    tone: Tone
    icon: str
    word: str
    reasons: tuple[str, ...]
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class CandidatePage:
    """One pilot's results, and what they allow.

    Attributes:
        arms: each with how its verdict is drawn, and in words.
        admitted: the arms that may be scaled.
        signed: what persons have signed and what waits for another signature; None where nothing does.
        is_open: whether nobody has decided yet.
        is_mine: whether it waits for whoever reads.
    """

    summary: Summary
    tone: Tone
    icon: str
    headline: str
    why: str
    facts: tuple[Fact, ...]
    arms: tuple[tuple[str, Tone, str, str], ...]
    failed: tuple[Answer, ...]
    warned: tuple[Answer, ...]
    passed: tuple[Answer, ...]
    admitted: tuple[str, ...]
    signed: Signed | None
    is_open: bool
    is_mine: bool


def gate_page(workspace: Workspace, found: Overview) -> GatePage:
    """The page."""
    waiting = tuple(of_candidate(each)[1] for each in found.promotion.waiting)
    decided = sorted(decisions(workspace).values(), key=lambda each: each.at, reverse=True)
    count = len(waiting)
    return GatePage(
        how_many(count, "decision waits", "decisions wait") if count else "No decision waits",
        waiting,
        tuple(decided[:DECIDED_MAX]),
        tuple(reversed(found.promotion.lapsed))[:DECIDED_MAX],
        found.promotion.waivers,
    )


def candidate_page(workspace: Workspace, name: str, person: str | None, found: Overview) -> CandidatePage:
    """A pilot's latest results, judged now; showing them is a look of the person's, and on the ledger.

    Raises BadInput where there are none.
    """
    summary = summarise(workspace, name, person)
    waits = next((one for one in found.promotion.waiting if one.pilot == summary.pilot), None)
    mine = of_candidate(waits)[0] if waits else ()
    headline, why = _said(summary, waits, decisions(workspace).get(summary.pilot))
    return CandidatePage(
        summary,
        *_TONES[summary.verdict],
        headline=headline,
        why=why,
        facts=tuple(fact for fact in summary.facts if waits or fact.name != TIME_LEFT),
        arms=tuple((arm, *_TONES[verdict], MEANS[verdict]) for arm, verdict in summary.arms.items()),
        failed=tuple(_failed(names, one, blocks=True) for names, one in summary.obstacles),
        warned=tuple(_failed(names, one, blocks=False) for names, one in alike(summary.warnings)),
        passed=tuple(_passed(summary.passed)),
        admitted=tuple(arm for arm, verdict in summary.arms.items() if verdict == "admit"),
        signed=waits.proposed if waits else None,
        is_open=waits is not None,
        is_mine=person is not None and any(same_person(person, one) for one in mine),
    )


def _said(summary: Summary, waits: Waiting | None, decided: Decided | None) -> tuple[str, str]:
    """The headline, and what to know of it."""
    if decided is not None:
        said = decided.decision
        words = {"scale": f"{title_of(said.arm or '')} was scaled", "revise": "To be tried again, changed",
                 "stop": f"{title_of(summary.pilot)} was stopped"}  # fmt: skip
        return words[said.word], f"Decided by {said.owner} on {spoken(decided.at)}: {sentence(said.reason)}"
    if waits is not None and waits.proposed is not None:
        return _half_signed(waits.proposed, spoken(waits.until))
    if waits is not None:
        until = f"Decide by {spoken(waits.until)}. If nobody decides by then, the pilot is stopped."
        return _measured(summary), until
    return sentence(summary.headline)[:-1], "" if summary.state == summary.headline else sentence(summary.state)


def _half_signed(signed: Signed, until: str) -> tuple[str, str]:
    """The headline of what persons have signed, and whose signature is missing."""
    headline = f"{title_of(signed.told)} is signed by {' and '.join(signed.persons)}"
    if signed.for_gate:
        return headline, "It waits for the gate's own signature, and was in time."
    others = " or ".join(signed.others) or "somebody else, whom configs/people.yaml does not name yet"
    return headline, f"It needs a second signature by {until}, from {others}. They say: {sentence(signed.reason)}"


def _measured(summary: Summary) -> str:
    """The verdict, with what was measured on the goal where one arm is to be taken."""
    headline = sentence(summary.headline)[:-1]
    if "admit" not in summary.arms.values() or not summary.facts or summary.hidden:
        return headline
    first = summary.facts[0]
    return f"{headline}: {first.name.split(', ', maxsplit=1)[0]} {first.value}"


def _failed(names: str, one: Finding, *, blocks: bool) -> Answer:
    failed = one.outcome == "failed"
    tone: Tone = "no" if failed and blocks else "wait"
    what = "Failed" if failed else "Could not be checked"
    word = f"{what}, and keeps it from being scaled" if blocks else f"{what}; it warns and blocks nothing"
    return Answer(_QUESTIONS[one.check], names, tone, "cross" if failed else "ask", word, (one.reason,), one.remedy)


def _passed(findings: Sequence[Finding]) -> Iterator[Answer]:
    """One answer for each check, with what it said of each arm."""
    for name in dict.fromkeys(one.check for one in findings):
        mine = [one for one in findings if one.check == name]
        said = tuple(f"{one.arm}: {one.reason}" if one.arm else one.reason for one in mine)
        yield Answer(_QUESTIONS[name], name, "go", "check", "Passed", said)
