"""Summary statistics of one metric in one arm, as evidence carries them."""

from __future__ import annotations

import math

from shared.core.frozen import FrozenModel


class Moments(FrozenModel):
    """Mergeable statistics of one metric in one arm.

    Attributes:
        n: units.
        mean: their mean, in the metric's unit.
        m2: the sum of squared deviations from the mean.
    """

    n: int
    mean: float
    m2: float

    @property
    def finite(self) -> bool:
        """Whether both are numbers that canonical JSON can hold and statistics can start from."""
        return math.isfinite(self.mean) and math.isfinite(self.m2)

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets of units together (Chan, Golub and LeVeque 1979, eq. 2.1)."""
        n = self.n + other.n
        if not self.n or not other.n:
            return self if self.n else other
        delta = other.mean - self.mean
        return Moments(
            n=n,
            mean=self.mean + delta * other.n / n,
            m2=self.m2 + other.m2 + delta * delta * self.n * other.n / n,
        )


class RatioMoments(FrozenModel):
    """Mergeable statistics of a ratio in one arm: each unit's value and denominator together.

    Attributes:
        n: units.
        value, per: the means of both.
        value_m2, per_m2: the sums of their squared deviations from the mean.
        co: the sum of the products of both deviations.
    """

    n: int
    value: float
    per: float
    value_m2: float
    per_m2: float
    co: float

    @property
    def finite(self) -> bool:
        """Whether all are numbers that canonical JSON can hold, and the ratio is one too."""
        return all(map(math.isfinite, (self.mean, self.value_m2, self.per_m2, self.co)))

    @property
    def mean(self) -> float:
        """The arm's ratio: the sum of values over the sum of denominators; NaN where the latter is zero."""
        return self.value / self.per if self.per else math.nan

    def merge(self, other: RatioMoments) -> RatioMoments:
        """The moments of both sets of units together (Chan, Golub and LeVeque 1979; Pébay 2008, eq. 3.6)."""
        n = self.n + other.n
        if not self.n or not other.n:
            return self if self.n else other
        dv, dp, weight = other.value - self.value, other.per - self.per, self.n * other.n / n
        return RatioMoments(
            n=n,
            value=self.value + dv * other.n / n,
            per=self.per + dp * other.n / n,
            value_m2=self.value_m2 + other.value_m2 + dv * dv * weight,
            per_m2=self.per_m2 + other.per_m2 + dp * dp * weight,
            co=self.co + other.co + dv * dp * weight,
        )


class QuantileMoments(FrozenModel):
    """A quantile in one arm with its confidence limits by rank; unlike the others it cannot be merged.

    Attributes:
        n: units.
        quantile: which one.
        value: the unit's value at that rank.
        low, high: the values at the ranks that enclose it with 95 %, see `shared.stats.quantiles`.
    """

    n: int
    quantile: float
    value: float
    low: float
    high: float

    @property
    def finite(self) -> bool:
        """Whether all are numbers that canonical JSON can hold."""
        return all(map(math.isfinite, (self.value, self.low, self.high)))

    @property
    def mean(self) -> float:
        """What stands where other metrics have their mean."""
        return self.value


AnyMoments = Moments | RatioMoments | QuantileMoments
