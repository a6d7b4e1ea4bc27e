"""Draws: values of an outcome's column for made-up units, with the moments of a baseline and planted effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.forecast.baselines import Known
from shared.core.errors import BadInput
from shared.data import contracts
from shared.stats.special import gammaincinv, ndtri

Array = NDArray[np.float64]
CENTS = 2


@dataclass(frozen=True, slots=True)
class Column:
    """How one column comes about.

    Attributes:
        metric, known: the metric that reads it with its baseline; None where none does.
        effects: the planted effect per treatment.
        history: values to draw from, rising; None to draw from a distribution with the baseline's mean and variance.
        filler: the one value of a required column that no metric reads.
    """

    column: contracts.Column
    metric: str | None = None
    known: Known | None = None
    effects: Mapping[str, float] = field(default_factory=dict)
    history: Array | None = None
    filler: Any = None


def draw(column: Column, arms: NDArray[Any], propensity: Array, rng: np.random.Generator) -> list[Any]:
    """One value per unit of a column that is drawable."""
    if column.known is None:
        return [column.filler] * len(arms)
    values = np.zeros(len(arms))
    for arm in dict.fromkeys(arms.tolist()):
        own = arms == arm
        values[own] = _arm(column, column.known, column.effects.get(arm, 0.0), propensity[own], rng)
    if column.column.minimum is not None or column.column.maximum is not None:
        values = np.clip(values, column.column.minimum, column.column.maximum)
    return [int(v) for v in values] if column.column.type == "integer" else np.round(values, CENTS).tolist()


def filler(column: contracts.Column) -> Any:
    """The plainest value that a column's contract allows; raises BadInput where that would be a guess."""
    if column.valid_values:
        return column.valid_values[0]
    if column.type in {"integer", "number"}:
        least = 0 if column.minimum is None else max(0, column.minimum)
        return least if column.maximum is None else min(least, column.maximum)
    if column.type == "boolean":
        return "false"
    if column.type == "string" and column.pattern is None and (column.max_length is None or column.max_length):
        return "-" * max(1, column.min_length or 1)
    raise BadInput(
        f"column `{column.name}` of the outcomes is required, and no metric of the charter says what it holds",
        where="the contract of outcomes",
        remedy="measure it with a metric, or let it be missing (`required: false`)",
    )


def require_drawable(column: Column) -> Column:
    """The column; raises BadInput for an effect that leaves what the metric or its contract can be."""
    if column.known is None:
        return column
    low, high = range_of(column)
    for effect in (0.0, *column.effects.values()):
        mean = column.known.baseline.mean + effect
        if (low is not None and mean < low) or (high is not None and mean > high):
            raise BadInput(
                f"with the effect {effect:+g}, `{column.metric}` would be {mean:g} on average",
                where="--effect",
                expected=f"a mean from {'-∞' if low is None else low} to {'∞' if high is None else high}",
            )
    return column


def range_of(column: Column) -> tuple[float | None, float | None]:
    """Between which numbers an arm's mean can be; None on a side that has no bound."""
    if (column.known is not None and column.known.baseline.kind == "share") or _is_flag(column.column):
        return 0.0, 1.0
    return column.column.minimum, column.column.maximum


def _arm(column: Column, known: Known, effect: float, propensity: Array, rng: np.random.Generator) -> Array:
    """The values of one arm's units: the higher the propensity, the higher the value."""
    baseline, mean, least = known.baseline, known.baseline.mean + effect, column.column.minimum
    if baseline.kind == "share" or _is_flag(column.column):
        return (propensity > 1 - mean).astype(float)
    if column.history is not None:
        return _of_history(column.history, baseline.mean, mean, propensity)
    if least is None or least < 0 or baseline.mean <= 0:
        moved: Array = mean + np.sqrt(baseline.variance) * ndtri(propensity)
        return moved
    variance = float(baseline.under(effect)[1])
    return _positive(mean, variance, propensity, rng, whole=column.column.type == "integer")


def _is_flag(column: contracts.Column) -> bool:
    if column.valid_values is None:
        return False
    if set(column.valid_values) != {0, 1}:
        raise BadInput(
            f"column `{column.name}` takes some values only, and a mean does not say which",
            where="the contract of outcomes",
            expected="a metric of kind proportion, or values 0 and 1",
        )
    return True


def _of_history(history: Array, before: float, after: float, propensity: Array) -> Array:
    """Past values themselves, stretched to the planted mean, or moved where there is nothing to stretch."""
    values = history[np.minimum((propensity * len(history)).astype(int), len(history) - 1)]
    stretched: Array = values * (after / before) if before > 0 and history[0] >= 0 else values + after - before
    return stretched


def _positive(mean: float, variance: float, propensity: Array, rng: np.random.Generator, *, whole: bool) -> Array:
    """Gamma with the wanted moments, or whole numbers whose rate is gamma."""
    spread = max(variance - mean, 0.0) if whole else variance
    if mean == 0 or spread == 0:
        return rng.poisson(mean, len(propensity)).astype(float) if whole else np.full(len(propensity), mean)
    values: Array = gammaincinv(mean * mean / spread, propensity) * spread / mean
    if whole:
        values = rng.poisson(values).astype(float)
    return values
