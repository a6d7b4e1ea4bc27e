"""Authority: who may decide on a pilot now, in whose place, and why somebody may not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from shared.experiment.charter import Charter
from shared.experiment.people import People, same_person
from shared.trust.decision import StandIn


@dataclass(frozen=True, slots=True)
class Occasion:
    """What authority depends on.

    Attributes:
        day: the day in UTC: who is away, and whose delegate stands in.
        separate: whether the policy keeps the requester apart from who decides.
    """

    charter: Charter
    people: People
    day: date
    separate: bool

    @property
    def owner(self) -> str:
        """The charter's owner, as configs/people.yaml spells the address if it is there."""
        found = self.people.find(self.charter.owner)
        return found.email if found else self.charter.owner


@dataclass(frozen=True, slots=True)
class Objection:
    """Why somebody may not, and what would change it."""

    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Right:
    """Somebody's right to decide: the owner's own, or that of a delegate in the place of an absent owner."""

    person: str
    stands_in: StandIn | None = None


def against(who: str, on: Occasion, instead: str) -> Objection | None:
    """What speaks against a person's signature on this pilot, whoever owns it; None where nothing does.

    `instead` says who else could sign, as the end of a remedy.
    """
    person, charter = on.people.find(who), on.charter
    if person is None:
        return Objection(f"{who} is not in configs/people.yaml", f"add the person there, or {instead}")
    if person.decides is None:
        return Objection(f"{who} is not entitled to decide anything", f"have configs/people.yaml say so, or {instead}")
    if on.separate and same_person(who, charter.requester):
        return Objection(f"{who} would decide on their own request", instead)
    if on.separate and _is_among(who, on.people.stand_ins(charter.requester, on.day)):
        return Objection(f"{who} stands in for {charter.requester} today, and would decide on their request", instead)
    beyond = person.decides.against(charter.risk_tier, charter.budget.total, who=who)
    return Objection(beyond, instead) if beyond else None


def right_to_decide(who: str, on: Occasion) -> Right | Objection:
    """Whether a person may speak the owner's word now: the owner, or a delegate while the owner is away."""
    instead = _instead(who, on)
    if same_person(who, on.owner):
        objection = against(who, on, instead)
        return objection or Right(who)
    owner = on.people.find(on.owner)
    absence = owner.absence(on.day) if owner else None
    if owner is None or not _is_among(who, owner.delegates):
        return Objection(f"{who} does not own this decision", instead)
    if absence is None:
        return Objection(f"{who} is a delegate of {on.owner}, who is not away today", instead)
    # A delegate has no more to say than the owner: what the owner may not decide, nobody decides in their place.
    objection = against(on.owner, on, "revise with another owner") or against(who, on, instead)
    if objection is not None:
        return objection
    return Right(who, StandIn(owner=on.owner, first_day=str(absence.first_day), last_day=str(absence.last_day)))


def deciders(on: Occasion) -> tuple[str, ...]:
    """Everybody who may speak the owner's word now, the owner first."""
    asked = (on.owner, *on.people.stand_ins(on.owner, on.day))
    return tuple(who for who in asked if isinstance(right_to_decide(who, on), Right))


def acts_for_requester(who: str, charter: Charter, people: People, day: date) -> bool:
    """Whether somebody asked for the promotion, or stands in on that day for whoever did."""
    return same_person(who, charter.requester) or _is_among(who, people.stand_ins(charter.requester, day))


def second_signers(on: Occasion, first: str) -> tuple[str, ...]:
    """Who may sign as the second person: whoever is entitled, not the first one, and never the requester."""
    able = (person.email for person in on.people.people if against(person.email, on, "") is None)
    return tuple(who for who in able if not same_person(who, first))


def _instead(who: str, on: Occasion) -> str:
    others = [on.owner, *on.people.stand_ins(on.owner, on.day)]
    able = [other for other in others if not same_person(other, who) and against(other, on, "") is None]
    return f"{' or '.join(able)} decides it" if able else "revise with another owner"


def _is_among(who: str, people: tuple[str, ...]) -> bool:
    return any(same_person(who, other) for other in people)
