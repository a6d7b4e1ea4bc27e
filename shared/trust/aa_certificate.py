"""The A/A certificate: how often the test finds a difference in a workspace's own history where there is none."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import AwareDatetime, Field, model_validator

from shared.core.digests import digest_json
from shared.core.frozen import FrozenModel
from shared.state.workspace import Mode

# How many equal parts of [0, 1] the p-values are counted in.
BINS = 20
# Of all intervals of a certificate together: each one alone is wider the more metrics there are (Bonferroni). At 95 %
# one certificate in forty would blame a sound test by chance, and invite another seed; at 99 % one in two hundred does.
CONFIDENCE = 0.99
TOLERANCE = 1e-9

Verdict = Literal["holds", "fails", "unevaluable"]


class AaSource(FrozenModel):
    """Whose values were split.

    Attributes:
        kind, name: the snapshot with its id, or the pilot, whose control arm it was.
        table: of a snapshot: the table whose rows were the units.
        columns: of a snapshot: the column that each metric's values were read from.
        data: each file that was read, with its digest.
    """

    kind: Literal["snapshot", "pilot"]
    name: str
    table: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    data: dict[str, str] = Field(min_length=1)


class AaQuestion(FrozenModel):
    """What was asked: the same question of the same data has the same answer.

    Attributes:
        definitions: every metric with the digest of its definition.
        alpha: the error rate that the test promises.
        times: how many splits.
        seed: of the splits.
        treated_frac: the chance with which a unit is treated in a split.
        software: name and version of what answered.
    """

    workspace: str
    mode: Mode
    source: AaSource
    definitions: dict[str, str]
    alpha: float = Field(gt=0, lt=1)
    times: int = Field(ge=1)
    seed: int = Field(ge=0)
    treated_frac: float = Field(gt=0, lt=1)
    software: str


class AaMetric(FrozenModel):
    """What came out for one metric.

    Attributes:
        units: how many had a value.
        false_positives: splits whose p-value was at most alpha; None where the metric cannot be certified.
        rate, low, high: their share with its interval (Clopper and Pearson 1934), all intervals of the certificate
            holding together at 99 %.
        p_counts: how many p-values fell into each of 20 equal parts of [0, 1]: about as many in each, of a sound test.
        verdict: `fails` where the interval lies above alpha; a rate below it is no fault.
        reason: in words.
    """

    metric: str
    units: int = Field(ge=0)
    false_positives: int | None = Field(default=None, ge=0)
    rate: float | None = None
    low: float | None = None
    high: float | None = None
    p_counts: tuple[int, ...] = ()
    verdict: Verdict
    reason: str


class AaCertificate(FrozenModel):
    """The answer; its numbers must follow from its counts, or it cannot be read.

    Attributes:
        made: when.
        asked: what.
        metrics: one answer for each definition.
    """

    schema_version: Literal[1] = 1
    made: AwareDatetime
    asked: AaQuestion
    metrics: tuple[AaMetric, ...]

    @model_validator(mode="after")
    def _follows(self) -> AaCertificate:
        if sorted(found.metric for found in self.metrics) != sorted(self.asked.definitions):
            raise ValueError("it does not answer for the metrics that it was asked for")
        for found in self.metrics:
            if not self._sound(found):
                raise ValueError(f"the numbers of `{found.metric}` do not follow from its counts")
        return self

    def _sound(self, found: AaMetric) -> bool:
        told = (found.rate, found.low, found.high)
        if found.false_positives is None:
            return found.verdict == "unevaluable" and told == (None, None, None)
        if not found.false_positives <= self.asked.times == sum(found.p_counts):
            return False
        own = interval(found.false_positives, self.asked.times, self.confidence)
        close = all(a is not None and abs(a - b) <= TOLERANCE for a, b in zip(told, own, strict=True))
        return close and found.verdict == verdict(own[1], self.asked.alpha)

    @property
    def confidence(self) -> float:
        """Of each interval alone."""
        return each_confidence(sum(found.false_positives is not None for found in self.metrics))

    @property
    def digest(self) -> str:
        """The digest of the canonical form."""
        return digest_json(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Plain JSON content, as candidates carry it in `aa.json`."""
        return self.model_dump(mode="json")

    def of(self, metric: str, definition: str) -> AaMetric | None:
        """What came out for a metric of that definition; None where it was not asked."""
        if self.asked.definitions.get(metric) != definition:
            return None
        return next(found for found in self.metrics if found.metric == metric)

    def age_days(self, now: datetime) -> float:
        """How old it is."""
        return (now - self.made).total_seconds() / 86_400


def each_confidence(metrics: int) -> float:
    """The confidence of each interval, so that all hold together at `CONFIDENCE`."""
    return 1 - (1 - CONFIDENCE) / max(1, metrics)


def interval(found: int, times: int, confidence: float) -> tuple[float, float, float]:
    """The share, and its exact interval's ends (Clopper and Pearson 1934; Brown, Cai and DasGupta 2001, eq. 2.9)."""
    from shared.stats.special import betaincinv

    tail = (1 - confidence) / 2
    low = float(betaincinv(found, times - found + 1, tail)) if found else 0.0
    high = float(betaincinv(found + 1, times - found, 1 - tail)) if found < times else 1.0
    return found / times, low, high


def verdict(low: float, alpha: float) -> Verdict:
    """Whether the test keeps its error rate: it fails only where more than chance stands against it."""
    return "fails" if low > alpha else "holds"
