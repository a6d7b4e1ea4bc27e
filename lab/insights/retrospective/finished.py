"""A finished test as it is kept: its arms, and each treatment's numbers beside its control's."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from shared.core.frozen import FrozenModel
from shared.experiment.metrics import Metric
from shared.stats.summaries import Moments


class Stats(FrozenModel):
    """One metric in one arm.

    Attributes:
        n: units.
        mean: over them.
        m2: the sum of squared deviations from it; None where the export does not tell the spread.
    """

    n: int = Field(ge=0, le=2**53)
    mean: float = Field(allow_inf_nan=False)
    m2: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    @property
    def moments(self) -> Moments | None:
        """The same as evidence has it; None without a spread."""
        return None if self.m2 is None else Moments(n=self.n, mean=self.mean, m2=self.m2)


class Contrast(FrozenModel):
    """One metric of one treatment beside its control."""

    arm: str
    metric: str
    treated: Stats
    control: Stats


class Finished(FrozenModel):
    """A finished test from elsewhere.

    Attributes:
        name: what it is called here.
        source: what it is called where it comes from; None where the file is one test.
        control: the control's name.
        units: by arm, the control first.
        weights: how the arms were meant to be, by share; None where nobody says.
        ratio_p: the sample ratio's p-value as the source computed it; None where it did not.
        crossed: units that were seen in two arms and left out; None where that cannot be known.
        metrics: what each measures, the primary one first.
        catalogued: those of them that are what configs/metrics.yaml calls so: they alone count for forecasts.
        order, arms: the metrics and the arms in their order, which a ledger's JSON does not keep of objects.
        from_: what kind of file it came from.
        file, mapping: the digests of what it was read from.
    """

    name: str
    source: str | None = None
    control: str
    units: dict[str, int]
    weights: dict[str, float] | None = None
    ratio_p: float | None = None
    crossed: int | None = None
    metrics: dict[str, Metric]
    catalogued: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    contrasts: tuple[Contrast, ...]
    started: date | None = None
    ended: date | None = None
    population: str | None = None
    channel: str | None = None
    belief: str | None = None
    from_: Literal["csv", "growthbook"] = Field(alias="from")
    file: str
    mapping: str | None = None

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _in_order(cls, said: Any) -> Any:
        """The primary metric and the control come first, also where they were read from a ledger's JSON."""
        metrics, units = dict(said["metrics"]), dict(said["units"])
        order, arms = said.get("order") or tuple(metrics), said.get("arms") or tuple(units)
        return {
            **said,
            "metrics": {name: metrics[name] for name in order},
            "units": {arm: units[arm] for arm in arms},
            "order": tuple(order),
            "arms": tuple(arms),
        }

    @model_validator(mode="after")
    def _has_arms(self) -> Self:
        if len(self.units) < 2 or self.control not in self.units:  # noqa: PLR2004 - one arm is no test
            raise ValueError("a test has a control and a treatment")
        return self

    @property
    def primary(self) -> str:
        """The metric that decides."""
        return next(iter(self.metrics))

    @property
    def treatments(self) -> tuple[str, ...]:
        """The arms beside the control."""
        return tuple(arm for arm in self.units if arm != self.control)

    @property
    def days(self) -> int | None:
        """How long it ran; None where its dates are not known."""
        return None if self.started is None or self.ended is None else (self.ended - self.started).days
