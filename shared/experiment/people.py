"""People and what they are entitled to, from `configs/people.yaml`; it names people and never grants trust."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from shared.core.errors import BadInput
from shared.core.frozen import FrozenModel
from shared.core.money import Money
from shared.core.yamlfile import read_yaml
from shared.state.workspace import Workspace

Tier = Literal["low", "standard", "high"]
TIERS: tuple[Tier, ...] = get_args(Tier)
Email = Annotated[str, Field(pattern=r"^[^@\s/]+@[^@\s/]+$")]


class SignaturesMin(FrozenModel):
    """How many persons must sign a decision, by risk tier: one or two."""

    low: int = Field(default=1, ge=1, le=2)
    standard: int = Field(default=1, ge=1, le=2)
    high: int = Field(default=2, ge=1, le=2)

    def of(self, tier: Tier) -> int:
        """How many for a pilot of that tier."""
        found: int = getattr(self, tier)
        return found


class Entitlement(FrozenModel):
    """What a person may decide.

    Attributes:
        tiers: the risk tiers.
        up_to: the largest pilot budget; None means no limit.
    """

    tiers: tuple[Tier, ...] = Field(min_length=1)
    up_to: Money | None = None

    def against(self, tier: str, amount: Money, *, who: str = "the owner") -> str | None:
        """What speaks against deciding on a pilot of this risk and budget, in words; None where nothing does."""
        if tier not in self.tiers:
            return f"{who} may decide {', '.join(self.tiers)} risk, this is {tier}"
        if self.up_to is None:
            return None
        if self.up_to.currency != amount.currency:
            return f"the limit of {who} is in {self.up_to.currency}, the budget in {amount.currency}"
        if amount.amount > self.up_to.amount:
            return f"{who} may decide up to {self.up_to}, the budget is {amount}"
        return None


class WaiverRight(FrozenModel):
    """Which checks of the gate a person may waive.

    Attributes:
        checks: their names, as in configs/gate.yaml.
        tiers: at which risk.
    """

    checks: tuple[str, ...] = Field(min_length=1)
    tiers: tuple[Tier, ...] = Field(min_length=1)


class Absence(FrozenModel):
    """Days on which a person is away; the person's delegates then may decide in their place.

    Attributes:
        first_day, last_day: both belong to it, in UTC.
    """

    first_day: date
    last_day: date

    @model_validator(mode="after")
    def _in_order(self) -> Absence:
        if self.last_day < self.first_day:
            raise ValueError(f"the absence ends on {self.last_day}, before it begins on {self.first_day}")
        return self

    def covers(self, day: date) -> bool:
        """Whether the day belongs to it."""
        return self.first_day <= day <= self.last_day


class Person(FrozenModel):
    """One person, known by e-mail address.

    Attributes:
        decides: what the person may decide; None for nothing.
        delegates: who may decide in the person's place while they are away, each within their own `decides`.
        absences: when that is.
        waives: which checks the person may waive; nothing where it is left out.
        operates: whether the person may, at the desk, let run again what was paused or stopped. Anybody may stop.
    """

    email: Email
    decides: Entitlement | None = None
    delegates: tuple[Email, ...] = ()
    absences: tuple[Absence, ...] = ()
    waives: tuple[WaiverRight, ...] = ()
    operates: bool = False

    def may_waive(self, check: str, tier: Tier) -> bool:
        """Whether the person may waive a check for a pilot of that risk."""
        return any(check in right.checks and tier in right.tiers for right in self.waives)

    def absence(self, day: date) -> Absence | None:
        """The absence that covers a day, or None."""
        return next((absence for absence in self.absences if absence.covers(day)), None)


class People(FrozenModel):
    """Everyone whom the gate knows."""

    schema_version: Literal[1]
    people: tuple[Person, ...] = Field(min_length=1)

    @field_validator("people")
    @classmethod
    def _once(cls, people: tuple[Person, ...]) -> tuple[Person, ...]:
        emails = [person.email.casefold() for person in people]
        twice = {email for email in emails if emails.count(email) > 1}
        if twice:
            raise ValueError(f"named twice: {', '.join(sorted(twice))}")
        return people

    @model_validator(mode="after")
    def _delegates_are_others_who_are_known(self) -> People:
        for person in self.people:
            for delegate in person.delegates:
                if same_person(delegate, person.email):
                    raise ValueError(f"{person.email} is named as their own delegate")
                if self.find(delegate) is None:
                    raise ValueError(f"{delegate}, a delegate of {person.email}, is not among the people")
        return self

    def find(self, email: str) -> Person | None:
        """The person of that address, or None; capital letters make no other person."""
        return next((person for person in self.people if same_person(person.email, email)), None)

    def get(self, email: str) -> Person:
        """The person of that address; raises BadInput naming those who are known."""
        person = self.find(email)
        if person is None:
            raise BadInput(
                f"nobody is known as {email}",
                where="configs/people.yaml",
                expected="one of: " + ", ".join(person.email for person in self.people),
                remedy="correct the address, or add the person there",
            )
        return person

    def stand_ins(self, email: str, day: date) -> tuple[str, ...]:
        """Who may act in a person's place on a day: the delegates while the person is away, else nobody."""
        away = [person for person in self.people if same_person(person.email, email) and person.absence(day)]
        found = [self.find(delegate) for person in away for delegate in person.delegates]
        return tuple(person.email for person in found if person is not None)


def same_person(one: str, other: str) -> bool:
    """Whether two addresses are one person's: capital letters make no other person."""
    return one.casefold() == other.casefold()


def known(workspace: Workspace, email: str | None) -> str | None:
    """An address as configs/people.yaml spells it, None staying None; raises BadInput for one that nobody has."""
    return None if email is None else read_people(workspace).get(email).email


def read_people(workspace: Workspace) -> People:
    """The workspace's people."""
    return read_yaml(workspace.configs / "people.yaml", People)
