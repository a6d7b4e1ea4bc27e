"""Bookings: what a pilot cost and still holds by the entries of the Lab's ledger, and how that differs from a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from shared.core.money import Money
from shared.trust.candidate import SpendEntry
from shared.trust.excerpt import Link


@dataclass(frozen=True, slots=True)
class Cost:
    """What one key stands for."""

    money: Money
    purpose: str

    def __str__(self) -> str:
        """As people read it: `8.00 USD (letters)`."""
        return f"{self.money} ({self.purpose})"


@dataclass(slots=True)
class Booked:
    """A pilot's account, entry by entry.

    Attributes:
        costs: each cost by its key.
        held: each reservation that is neither settled nor released, by its key.
        twice: keys under which there is more than one cost.
    """

    costs: dict[str, Cost] = field(default_factory=dict)
    held: dict[str, Money] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)

    @property
    def totals(self) -> list[Money]:
        """The sum of the costs in each currency."""
        found: dict[str, Money] = {}
        for cost in self.costs.values():
            currency = cost.money.currency
            found[currency] = found[currency] + cost.money if currency in found else cost.money
        return [found[currency] for currency in sorted(found)]

    def take(self, link: Link) -> None:
        """Books one entry; raises KeyError or ValueError for a body that is none."""
        body = link.body or {}
        key = body["id"]
        if link.kind == "reserved":
            self.held[key] = Money.model_validate(body["money"])
            return
        self.held.pop(key, None)
        if link.kind == "released":
            return
        if key in self.costs:
            self.twice.append(key)
        self.costs[key] = Cost(Money.model_validate(body["money"]), body["purpose"])


def booked(links: Iterable[Link]) -> Booked:
    """The account after the entries, in their order."""
    account = Booked()
    for link in links:
        account.take(link)
    return account


def differences(ledger: dict[str, Cost], listed: Iterable[SpendEntry]) -> Iterator[str]:
    """Each key on which the Lab's ledger and a candidate's costs disagree, in words; nothing where they agree."""
    told: dict[str, Cost] = {}
    for entry in listed:
        if entry.id in told:
            yield f"`{entry.id}` is twice in the candidate"
        told[entry.id] = Cost(entry.money, entry.purpose)
    for key in sorted(ledger.keys() | told.keys()):
        one, other = ledger.get(key), told.get(key)
        if one != other:
            yield f"`{key}` is {one or 'not'} in the Lab's ledger and {other or 'not'} in the candidate"
