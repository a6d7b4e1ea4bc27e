"""The sample plan: how many units, how sure, and when to look."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from shared.core.frozen import FrozenModel


class Part(FrozenModel):
    """A part of a charter."""


class FixedHorizon(Part):
    """One look, when the time box is over."""

    method: Literal["fixed"] = "fixed"


class GroupSequential(Part):
    """Looks agreed on beforehand, which share alpha by a spending function (Lan and DeMets 1983).

    Attributes:
        at: when to look, as shares of the time box, rising; the last is its end.
        spending: how the looks share alpha.
    """

    method: Literal["group_sequential"]
    at: tuple[float, ...] = Field(min_length=2)
    spending: Literal["obrien_fleming", "pocock"] = "obrien_fleming"

    @model_validator(mode="after")
    def _rising_to_the_end(self) -> GroupSequential:
        if self.at[0] <= 0 or self.at[-1] != 1 or any(b <= a for a, b in pairwise(self.at)):
            raise ValueError("the looks are shares of the time box that rise to 1, like [0.5, 1]")
        return self


class AlwaysValid(Part):
    """A look at any time, by a confidence sequence."""

    method: Literal["always_valid"]


class Assumption(Part):
    """What a metric is expected to be in the control, for the forecast and for synthetic units; it decides nothing.

    Attributes:
        mean: per unit, over the time box, in the metric's unit.
        sd: its standard deviation between units; of a proportion it follows from the mean.
    """

    mean: float = Field(allow_inf_nan=False)
    sd: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class SamplePlan(Part):
    """How many units, how sure, and when to look.

    Attributes:
        alpha: two-sided error rate of the primary test, over all primary metrics and arms.
        guardrail_alpha: one-sided error rate of each guardrail's test; None for alpha. It is not shared between
            guardrails, since an arm must keep all of them (Schultzberg, Ankargren and Frånberg 2024).
        power: the power that `units_per_arm` was planned for.
        units_per_arm: exposed units needed in every arm.
        attrition: the share of assigned units that are expected never to be exposed; then only as many take part as
            `units_per_arm` takes. None lets everybody take part who can.
        looks: when the evidence may be looked at to decide.
        assume: by metric, what is expected without a treatment, where no history says so.
    """

    alpha: float = Field(default=0.05, gt=0, le=0.2)
    guardrail_alpha: float | None = Field(default=None, gt=0, le=0.2, exclude_if=lambda alpha: alpha is None)
    power: float = Field(default=0.8, ge=0.5, lt=1)
    units_per_arm: int = Field(ge=2, le=10**12)
    attrition: float | None = Field(default=None, ge=0, lt=1, exclude_if=lambda attrition: attrition is None)
    looks: FixedHorizon | GroupSequential | AlwaysValid = Field(default=FixedHorizon(), discriminator="method")
    assume: dict[str, Assumption] = Field(default_factory=dict)
