"""The portfolio: each pilot's place and level, as the gate's ledger fixed them at registration, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from promotion.registry.online_fdr import level, wealth
from promotion.state import DECIDED, REGISTERED
from shared.state.chain import Entry
from shared.trust.attestation import Attestation

CHECK = "portfolio_fdr"
State = Literal["running", "discovery", "no discovery", "outside"]


@dataclass(frozen=True, slots=True)
class Place:
    """A pilot's place among all that the gate took in.

    Attributes:
        number: counted from 1, in the order of registration.
        level: at most this p-value makes it a discovery.
        bound: the policy's bound when the level was fixed.
    """

    number: int
    level: float
    bound: float

    def as_json(self) -> dict[str, Any]:
        """As the ledger's entry of the registration carries it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Tested:
    """One pilot of the portfolio.

    Attributes:
        state: `discovery` was scaled within its level, `outside` was scaled beyond it, where the policy only warns.
        p: the p-value it was decided on; None while it runs, and where there was none.
    """

    pilot: str
    at: str
    place: Place
    state: State = "running"
    p: float | None = None

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"pilot": self.pilot, "registered": self.at, **self.place.as_json(), "state": self.state, "p": self.p}


@dataclass(frozen=True, slots=True)
class Portfolio:
    """All pilots in the order of their registration.

    Attributes:
        bound: the largest expected share of false discoveries among all, by today's policy.
        following: the level of the pilot that is registered next.
    """

    bound: float
    tested: tuple[Tested, ...]
    following: float

    @property
    def discoveries(self) -> int:
        """How many were scaled within their level."""
        return sum(each.state == "discovery" for each in self.tested)

    @property
    def spent(self) -> float:
        """All levels together: how many false discoveries are to be expected at most."""
        return sum(each.place.level for each in self.tested)

    @property
    def wealth(self) -> float:
        """What is left for pilots to come, until another discovery adds to it."""
        return wealth([each.place.level for each in self.tested], self.discoveries, self.bound)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "bound": self.bound,
            "discoveries": self.discoveries,
            "outside": sum(each.state == "outside" for each in self.tested),
            "spent": self.spent,
            "wealth": self.wealth,
            "following": self.following,
            "pilots": [each.as_json() for each in self.tested],
        }


def place_of(entries: Iterable[Entry], pilot: str) -> Place | None:
    """The place that a pilot got when it was first registered; None where it got none."""
    found = (e.body["portfolio"] for e in entries if e.subject == pilot and _has_place(e))
    return next((Place(**told) for told in found), None)


def next_place(entries: Iterable[Entry], bound: float) -> Place:
    """The place of the pilot that is registered after these entries: only what they hold decides on its level."""
    begun: set[str] = set()
    known: list[int] = []
    for entry in entries:
        if _has_place(entry):
            begun.add(entry.subject)
        elif _is_discovery(entry):
            known.append(len(begun))
    number = len(begun) + 1
    return Place(number, level(number, known, bound=bound), bound)


def portfolio(entries: Iterable[Entry], bound: float) -> Portfolio:
    """Where the portfolio stands by the gate's ledger."""
    written = list(entries)
    decided = {entry.subject: entry for entry in written if entry.kind == DECIDED}
    first: dict[str, Tested] = {}
    for entry in written:
        if _has_place(entry) and entry.subject not in first:
            place = Place(**entry.body["portfolio"])
            first[entry.subject] = _tested(entry, place, decided.get(entry.subject))
    return Portfolio(bound, tuple(first.values()), next_place(written, bound).level)


def outcome(attestation: Attestation) -> dict[str, Any]:
    """What the ledger keeps of a decision: the arm's p-value, and whether it was scaled within its level."""
    predicate = attestation.predicate
    found = [one for one in predicate.findings if one.check == CHECK]
    decided = predicate.decision
    about = [one for one in found if decided.arm is None or one.arm == decided.arm]
    known = [one.measured["p"] for one in about if isinstance(one.measured, dict) and one.measured.get("p") is not None]
    passed = bool(about) and all(one.outcome == "passed" for one in about)
    return {"p": min(known) if known else None, "discovery": decided.word == "scale" and passed}


def _tested(registered: Entry, place: Place, decided: Entry | None) -> Tested:
    if decided is None:
        return Tested(registered.subject, registered.at, place)
    told = decided.body.get("portfolio", {})
    scaled = decided.body["decision"]["word"] == "scale"
    state: State = "discovery" if told.get("discovery") else "outside" if scaled else "no discovery"
    return Tested(registered.subject, registered.at, place, state, told.get("p"))


def _has_place(entry: Entry) -> bool:
    return entry.kind == REGISTERED and "portfolio" in entry.body


def _is_discovery(entry: Entry) -> bool:
    return entry.kind == DECIDED and bool(entry.body.get("portfolio", {}).get("discovery"))
