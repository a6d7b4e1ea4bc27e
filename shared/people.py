"""People and what they are entitled to, from `configs/people.yaml`; it names people and never grants trust."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from shared.errors import BadInput
from shared.money import Money
from shared.workspace import Workspace
from shared.yamlfile import read_yaml

Tier = Literal["low", "standard", "high"]


class Entitlement(BaseModel):
    """What a person may decide.

    Attributes:
        tiers: the risk tiers.
        up_to: the largest pilot budget; None means no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tiers: tuple[Tier, ...] = Field(min_length=1)
    up_to: Money | None = None

    def against(self, tier: str, amount: Money) -> str | None:
        """What speaks against deciding on a pilot of this risk and budget, in words; None where nothing does."""
        if tier not in self.tiers:
            return f"the owner may decide {', '.join(self.tiers)} risk, this is {tier}"
        if self.up_to is None:
            return None
        if self.up_to.currency != amount.currency:
            return f"the owner's limit is in {self.up_to.currency}, the budget in {amount.currency}"
        if amount.amount > self.up_to.amount:
            return f"the owner may decide up to {self.up_to}, the budget is {amount}"
        return None


class Person(BaseModel):
    """One person, known by e-mail address."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: str = Field(pattern=r"^[^@\s/]+@[^@\s/]+$")
    decides: Entitlement | None = None


class People(BaseModel):
    """Everyone whom the gate knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1]
    people: tuple[Person, ...] = Field(min_length=1)

    @field_validator("people")
    @classmethod
    def _once(cls, people: tuple[Person, ...]) -> tuple[Person, ...]:
        emails = [person.email for person in people]
        twice = {email for email in emails if emails.count(email) > 1}
        if twice:
            raise ValueError(f"named twice: {', '.join(sorted(twice))}")
        return people

    def find(self, email: str) -> Person | None:
        """The person of that address, or None."""
        return next((person for person in self.people if person.email == email), None)

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


def read_people(workspace: Workspace) -> People:
    """The workspace's people."""
    return read_yaml(workspace.configs / "people.yaml", People)
