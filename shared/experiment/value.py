"""What a pilot's gain is worth, and what its play costs to run, as its charter declares them."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field, model_validator

from shared.core.money import CENT, Amount
from shared.experiment.sample_plan import Part

# A release may run 180 days after its decision (`valid_days` in configs/gate.yaml); what comes later is decided anew.
MONTHS = 6


class Running(Part):
    """What a play costs a month once it is scaled, in the budget's currency.

    Attributes:
        media, ai, infrastructure: the parts, each with at most two decimals.
    """

    media: Amount = Decimal("0.00")
    ai: Amount = Decimal("0.00")
    infrastructure: Amount = Decimal("0.00")

    @model_validator(mode="after")
    def _not_below_zero(self) -> Running:
        if min(self.media, self.ai, self.infrastructure) < 0:
            raise ValueError("no cost is below zero")
        return self

    @property
    def total(self) -> Decimal:
        """All parts together."""
        return self.media + self.ai + self.infrastructure


class Value(Part):
    """What an arm is worth if it is scaled: its gain per unit, times the units it reaches, less what it costs.

    Attributes:
        worth: what one more of the primary metric is worth, in the budget's currency: one visit, one order, or for a
            metric that counts money the share of it that is earned, like 0.30.
        units_per_month: how many units the play reaches in a month, counted as the pilot counts them, without its
            holdout.
        running: what it costs a month.
        set_up: what it costs once, before the first month.
        months: over how many months the set-up has to pay.
    """

    worth: Amount = Field(gt=0)
    units_per_month: int = Field(ge=1)
    running: Running
    set_up: Amount = Field(default=Decimal("0.00"), ge=0)
    months: int = Field(default=MONTHS, ge=1, le=36)

    def per_month(self, gain: float) -> Decimal:
        """What a gain per unit in the primary metric brings in a month, to the cent."""
        return (Decimal(repr(gain)) * self.units_per_month * self.worth).quantize(CENT)

    @property
    def cost_per_month(self) -> Decimal:
        """What a month costs, with its part of the set-up, to the cent."""
        return (self.running.total + self.set_up / self.months).quantize(CENT)

    @property
    def break_even(self) -> float:
        """The gain per unit from which on it pays."""
        return float(self.cost_per_month / (self.units_per_month * self.worth))
