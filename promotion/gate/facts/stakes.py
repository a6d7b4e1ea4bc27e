"""The money at stake: what a pilot has cost, and what an arm is expected to bring and to cost if it is scaled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from shared.core.money import Money
from shared.experiment.charter import Charter
from shared.experiment.value import Value
from shared.trust.attestation import Promised

# From here on cents say nothing.
WHOLE_FROM = 100


@dataclass(frozen=True, slots=True)
class Return:
    """What an arm is expected to bring in a month, and what a month of it costs.

    Attributes:
        mean, low, high: what it brings: the promised effect and its interval, in money.
        cost: what a month costs, with its part of the set-up.
        months: over how many months the set-up has to pay.
    """

    mean: Money
    low: Money
    high: Money
    cost: Money
    months: int

    @property
    def net(self) -> Money:
        """What is expected to be left of a month."""
        return self.mean - self.cost

    @property
    def pays(self) -> bool:
        """Whether more is expected to come in than it costs."""
        return self.net.amount > 0

    def __str__(self) -> str:
        """As people read it: `1,200 to 3,400 EUR a month (2,300 expected) for 300`."""
        low, high, mean, cost = (_told(each.amount) for each in (self.low, self.high, self.mean, self.cost))
        return f"{low} to {high} {self.mean.currency} a month ({mean} expected) for {cost}"

    def as_json(self) -> dict[str, Any]:
        """For `--json`: money per month."""
        money = {name: getattr(self, name).as_json() for name in ("mean", "low", "high", "cost", "net")}
        return {**money, "months": self.months, "pays": self.pays}


@dataclass(frozen=True, slots=True)
class Stakes:
    """The money at stake in a decision on one arm.

    Attributes:
        spent, budget: what the pilot has cost, and what it may.
        expected: what scaling would bring; None where the charter does not say what a gain is worth, or no effect is
            known.
    """

    spent: Money
    budget: Money
    expected: Return | None


def stakes(charter: Charter, spent: Money, sign: int, promised: Promised | None) -> Stakes:
    """The money at stake; `promised` is on the first primary metric, whose `sign` says which way is better."""
    expected = None
    if charter.value is not None and promised is not None and _finite(promised):
        expected = _return(charter, charter.value, sign, promised)
    return Stakes(spent, charter.budget.total, expected)


def _finite(promised: Promised) -> bool:
    return all(map(math.isfinite, (promised.mean, promised.low, promised.high)))


def _return(charter: Charter, value: Value, sign: int, promised: Promised) -> Return:
    low, high = sorted((sign * promised.low, sign * promised.high))

    def money(amount: Decimal) -> Money:
        return Money(amount=amount, currency=charter.budget.currency)

    return Return(
        mean=money(value.per_month(sign * promised.mean)),
        low=money(value.per_month(low)),
        high=money(value.per_month(high)),
        cost=money(value.cost_per_month),
        months=value.months,
    )


def _told(amount: Decimal) -> str:
    return f"{amount:,.0f}" if abs(amount) >= WHOLE_FROM or not amount else f"{amount:,.2f}"
