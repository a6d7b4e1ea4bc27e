"""Simulated pilots by the thousand: rows drawn by numpy, their moments, and the estimates that the product makes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shared.stats.adjustment import adjusted, centres, slopes, stratified
from shared.stats.estimates import Means, Quantity, means
from shared.stats.moments import SIZE, Cells
from shared.stats.quantiles import enclosed, ranks
from tests.shared.cells import drawn_cells

Rows = dict[str, np.ndarray]
Draw = Callable[[np.random.Generator, tuple[int, int]], Rows]
Pair = tuple[Means, Means]
VALUE, RATIO, CLUSTERED = Quantity("y"), Quantity("y", "d"), Quantity("y", SIZE)
NUMBERS_AT_ONCE = 2_000_000
# Spend like the e-mail test's: one customer in twenty buys, for about 100.
BUYERS, BASKET_SHAPE, BASKET_SCALE = 0.05, 2.0, 50.0


def arms(rng, pilots: int, draws: tuple[Draw, Draw], units: tuple[int, int], estimate) -> Pair:
    """The means of the treatment and of the control of so many pilots."""
    batch, parts = max(1, NUMBERS_AT_ONCE // sum(units)), []
    for start in range(0, pilots, batch):
        count = min(batch, pilots - start)
        parts.append(estimate(*(draw(rng, (count, n)) for draw, n in zip(draws, units, strict=True))))
    treated, control = zip(*parts, strict=True)
    return together(treated), together(control)


def together(parts) -> Means:
    """Means of several batches, whose last axis is the pilots."""
    return Means(*(np.concatenate([getattr(p, f) for p in parts], axis=-1) for f in Means.__slots__))


def plain(quantity: Quantity = VALUE):
    """Means or ratios as they are."""

    def estimate(treated: Rows, control: Rows) -> Pair:
        one, other = (means(drawn_cells(rows), [quantity]).at((slice(None), 0)) for rows in (treated, control))
        return one, other

    return estimate


def with_covariates(quantity: Quantity, *covariates: Quantity):
    """Means at the covariates' overall means, each pilot with slopes of its own."""

    def estimate(treated: Rows, control: Rows) -> Pair:
        cells = drawn_cells(treated).joined([drawn_cells(control)])
        count = len(cells) // 2
        pilot = np.tile(np.arange(count), 2)
        theta = slopes(cells, [quantity], covariates, pilot)
        found = adjusted(cells, [quantity], covariates, theta, centres(cells, covariates, pilot))
        return found.at((slice(count), 0)), found.at((slice(count, None), 0))

    return estimate


def over_strata(treated: Rows, control: Rows) -> Pair:
    """Post-stratified means: rows have a `stratum`, a whole number."""
    count = int(max(rows["stratum"].max() for rows in (treated, control))) + 1
    shares = sum(np.stack([(rows["stratum"] == s).sum(axis=1) for s in range(count)]) for rows in (treated, control))
    pair = []
    for rows in (treated, control):
        layers = [_masked(rows["y"], rows["stratum"] == s) for s in range(count)]
        strata = Means(*(np.stack([getattr(layer, f) for layer in layers]) for f in Means.__slots__))
        pair.append(stratified(strata, shares))
    return pair[0], pair[1]


def _masked(values, chosen) -> Means:
    n = chosen.sum(axis=1)
    mean = (values * chosen).sum(axis=1) / np.maximum(n, 1)
    spread = (np.square(values - mean[:, None]) * chosen).sum(axis=1)
    return means(Cells({}, n, {"y": mean}, {("y", "y"): spread}, {}, {}), [VALUE]).at((slice(None), 0))


def of_quantile(quantile: float):
    """Quantiles with the errors of their ranks."""

    def estimate(treated: Rows, control: Rows) -> Pair:
        one, other = (_quantile(rows["y"], quantile) for rows in (treated, control))
        return one, other

    return estimate


def _quantile(values, quantile: float) -> Means:
    n, ordered = values.shape[1], np.sort(values, axis=1)
    low, middle, high = ranks(n, quantile) or (1, 1, 1)
    return enclosed(n, quantile, *(ordered[:, rank - 1] for rank in (middle, low, high)))


def normal(mean: float = 0.0, sd: float = 1.0) -> Draw:
    return lambda rng, shape: {"y": rng.normal(mean, sd, shape)}


def share(p: float) -> Draw:
    return lambda rng, shape: {"y": (rng.random(shape) < p) * 1.0}


def spend(effect: float = 0.0, buyers: float = BUYERS) -> Draw:
    """Most have nothing, and the others' baskets have a tail; more buyers add `effect` where it is not added to all."""

    def draw(rng, shape):
        values = np.zeros(shape)
        bought = rng.random(shape) < buyers
        values[bought] = rng.gamma(BASKET_SHAPE, BASKET_SCALE, int(bought.sum()))
        return {"y": values + effect}

    return draw


def lognormal(sigma: float, scale: float = 1.0) -> Draw:
    return lambda rng, shape: {"y": scale * rng.lognormal(0, sigma, shape)}


def visits(effect: float = 0.0, sign: int = 1) -> Draw:
    """Spend over visits, which vary together: 10 and an effect per visit."""

    def draw(rng, shape):
        d = 1.0 + rng.poisson(2.0, shape)
        return {"d": d, "y": sign * d * (10 + effect) + np.sqrt(d) * rng.gamma(1.0, 10.0, shape), "x": rng.poisson(d)}

    return draw


def with_past(count: int, tail: bool = False, effect: float = 0.0, response: float = 0.0) -> Draw:
    """A value that rises with each of so many covariates, by `response` more in this arm."""

    def draw(rng, shape):
        xs = {f"x{k}": rng.lognormal(0, 1, shape) if tail else rng.standard_normal(shape) for k in range(count)}
        noise = rng.lognormal(0, 1, shape) if tail else rng.standard_normal(shape)
        return {"y": (1 + response) * sum(xs.values()) + noise + effect, **xs}

    return draw


def pasts(count: int) -> tuple[Quantity, ...]:
    return tuple(Quantity(f"x{k}") for k in range(count))


def in_strata(weights, effects=None) -> Draw:
    """A value whose mean differs between strata, and whose effect may."""
    weights = np.asarray(weights)
    moved = np.zeros(len(weights)) if effects is None else np.asarray(effects)

    def draw(rng, shape):
        stratum = np.searchsorted(np.cumsum(weights)[:-1], rng.random(shape))
        return {"stratum": stratum, "y": 3.0 * stratum + moved[stratum] + rng.standard_normal(shape)}

    return draw


SIZES = {
    "equal": lambda _, shape: np.full(shape, 20.0),
    "uniform from 1 to 60": lambda rng, shape: rng.integers(1, 61, shape) * 1.0,
    "exponential": lambda rng, shape: np.ceil(20 * rng.standard_exponential(shape)),
    "lognormal": lambda rng, shape: np.ceil(20 * rng.lognormal(0, 1, shape)),
    "Pareto": lambda rng, shape: np.ceil(5 * (1 + rng.pareto(1.5, shape))),
}


def clusters(sizes: str, effect: float = 0.0, of_shares: bool = False, past: float = 0.0) -> Draw:
    """Sums over clusters whose units are alike (a tenth of the variance is between them), and a covariate's sums."""

    def draw(rng, shape):
        size = SIZES[sizes](rng, shape)
        if of_shares:
            return {SIZE: size, "y": rng.binomial(size.astype(int), rng.beta(0.9, 8.1, shape)) * 1.0}
        before = size * rng.normal(0, 0.3, shape) + np.sqrt(0.9 * size) * rng.standard_normal(shape)
        own = size * rng.normal(effect, np.sqrt(0.1), shape) + np.sqrt(0.9 * size) * rng.standard_normal(shape)
        return {SIZE: size, "x": before, "y": own + past * before}

    return draw
