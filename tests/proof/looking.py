"""Pilots that are looked at again and again: their effects at every look, vectorised over pilots."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from shared.stats.estimates import degrees

Array = np.ndarray
# What one arm's new units add: their sum and sum of squares about the law's mean, one number per pilot.
Step = Callable[[np.random.Generator, int, int], tuple[Array, Array]]


@dataclass(frozen=True, slots=True)
class Law:
    """What units do without a treatment: how sums and sums of squares of many come about, and the variance of one."""

    name: str
    step: Step
    variance: float


@dataclass(frozen=True, slots=True)
class Effects:
    """The differences at one look, one per pilot."""

    estimate: Array
    se: Array
    df: Array


def pilots(
    rng: np.random.Generator,
    law: Law,
    units: Sequence[int],
    number: int,
    *,
    treated: Law | None = None,
    effect: float = 0.0,
    per_treated: int = 1,
) -> list[Effects]:
    """The effects at each look of so many pilots.

    `units` of the treatment by each look, rising; the control has `per_treated` for each of them. The treatment
    follows the same law, or another one, and its mean is `effect` above the control's.
    """
    sums, squares, before, found = np.zeros((2, number)), np.zeros((2, number)), 0, []
    for now in units:
        for arm, (of, times) in enumerate(((treated or law, 1), (law, per_treated))):
            added = of.step(rng, (now - before) * times, number)
            sums[arm] += added[0]
            squares[arm] += added[1]
        before, n = now, np.array([[now], [now * per_treated]])
        parts = np.maximum(squares - sums * sums / n, 0) / (n - 1) / n
        with np.errstate(divide="ignore", invalid="ignore"):
            df = degrees(list(parts), [now, now * per_treated])
        mean = sums / n
        found.append(Effects(mean[0] - mean[1] + effect, np.sqrt(parts.sum(axis=0)), df))
    return found


def normal() -> Law:
    def step(rng: np.random.Generator, units: int, number: int) -> tuple[Array, Array]:
        mean = rng.standard_normal(number) / np.sqrt(units)
        return units * mean, (rng.chisquare(units - 1, number) if units > 1 else 0) + units * mean * mean

    return Law("normal", step, 1.0)


def share(p: float) -> Law:
    def step(rng: np.random.Generator, units: int, number: int) -> tuple[Array, Array]:
        hits = rng.binomial(units, p, number)
        return hits - units * p, hits * (1 - p) ** 2 + (units - hits) * p * p

    return Law(f"a share of {100 * p:g} %", step, p * (1 - p))


def spend(
    buyers: float, draw: Callable[[np.random.Generator, int], Array], mean: float, second: float, name: str
) -> Law:
    """Most units have nothing; the others a basket with this mean and second moment."""
    centre = buyers * mean

    def step(rng: np.random.Generator, units: int, number: int) -> tuple[Array, Array]:
        bought = rng.binomial(units, buyers, number)
        baskets = draw(rng, int(bought.sum())) - centre
        pilot = np.repeat(np.arange(number), bought)
        nothing = units - bought
        total = np.bincount(pilot, baskets, number) - nothing * centre
        return total, np.bincount(pilot, baskets * baskets, number) + nothing * centre * centre

    return Law(name, step, buyers * second - centre * centre)


def gamma_spend(buyers: float, shape: float, scale: float) -> Law:
    return spend(
        buyers,
        lambda rng, n: rng.gamma(shape, scale, n),
        shape * scale,
        shape * (shape + 1) * scale * scale,
        f"spend of {100 * buyers:g} % buyers, gamma baskets",
    )


def lognormal_spend(buyers: float, sigma: float) -> Law:
    return spend(
        buyers,
        lambda rng, n: rng.lognormal(0, sigma, n),
        float(np.exp(sigma**2 / 2)),
        float(np.exp(2 * sigma**2)),
        f"spend of {100 * buyers:g} % buyers, log-normal baskets (sigma {sigma:g})",
    )
