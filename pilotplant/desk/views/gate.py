"""The gate's pages: what waits for a decision, and one pilot's results as its owner reads them."""

from __future__ import annotations

from dataclasses import dataclass

from pilotplant.desk.views.insights import learned
from pilotplant.desk.views.parts import Item, how_many, title_of
from pilotplant.desk.views.today import of_candidate
from pilotplant.overview import Overview
from promotion.queue.owner_page import OwnerPage, owner_page
from promotion.queue.summary import TIME_LEFT, Summary, summarise
from promotion.queue.views import Signed, Waiting, Waived
from promotion.registry.lapses import Lapse
from shared.core.times import spoken
from shared.experiment.people import same_person
from shared.state.workspace import Workspace
from shared.trust.record import Decided, decisions
from shared.ui.fact import Fact
from shared.ui.page import sentence

DECIDED_MAX = 50


@dataclass(frozen=True, slots=True)
class GatePage:
    """All that waits, and what was decided lately."""

    headline: str
    waiting: tuple[Item, ...]
    decided: tuple[Decided, ...]
    lapsed: tuple[Lapse, ...]
    waivers: tuple[Waived, ...]


@dataclass(frozen=True, slots=True)
class CandidatePage:
    """One pilot's results, and what whoever reads may do.

    Attributes:
        results: the owner's page.
        learned: insights of the past that it should be read beside, each with its pilot.
        signed: what persons have signed and what waits for another signature; None where nothing does.
        is_open: whether nobody has decided yet.
        is_mine: whether it waits for whoever reads.
    """

    results: OwnerPage
    headline: str
    why: str
    facts: tuple[Fact, ...]
    learned: tuple[tuple[str, str], ...]
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
        results=owner_page(summary),
        headline=headline,
        why=why,
        facts=tuple(fact for fact in summary.facts if waits or fact.name != TIME_LEFT),
        learned=learned(workspace, name),
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
