"""Spending: how looks that were agreed on beforehand share alpha, and the boundaries that follow.

Alpha is spent by the share of the time box that is over, as the charter set it (Lan and DeMets 1983, "Discrete
sequential boundaries for clinical trials"), while looks go together by the information each had (Lan and DeMets 1989,
"Group sequential procedures: calendar versus information time"). Boundaries come from recursive numerical integration
over the paths that have not crossed yet (Armitage, McPherson and Rowe 1969; Jennison and Turnbull 2000, ch. 19).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.stats.special import log_ndtr, ndtr, ndtri, ndtri_exp, roots_legendre

Array = NDArray[np.float64]
Spending = Literal["obrien_fleming", "pocock"]

# Paths farther out than this are one in 10^15; what they add to a look's error rate is lost in its last digits.
CUT = 8.0
# A look whose part of alpha is smaller than this, or with so small a share of new units, is judged by its own tail
# alone: the sum of the looks' tails is never below the chance that any is reached (Bonferroni), so alpha is kept.
LOG_LEAST_SPENT = math.log(1e-11)
FRESH_MIN = 0.005
# Nodes per standard deviation of what a look adds: Gauss and Legendre's rule then errs by less than 1e-9.
NODES_PER_SD, NODES_STEP = 1.5, 16
CELLS_MAX = 4_000_000
NEWTON_STEPS, PRECISION = 50, 1e-12
# Levels at which boundaries are computed for p-values, as normal deviates: dense where p-values decide, up to where a
# double's smallest tail ends.
NEAR, FAR = 7.5, 37.0
ONE_SIDED_FROM = -2.0
LEVELS_NEAR, LEVELS_FAR = 101, 60
Z_MAX = 1e3
TIE, NOISE = 1e-12, 1e-9


@dataclass(frozen=True, slots=True)
class Schedule:
    """Looks, the first ones of a plan or all of it.

    Attributes:
        shares: of the time box that is over at each look, rising.
        information: exposed units at each look.
        spending: how the looks share alpha.
        sides: 2 where harm and good are looked for alike, 1 for one side alone.
    """

    shares: tuple[float, ...]
    information: tuple[float, ...]
    spending: Spending
    sides: Literal[1, 2] = 2

    def __post_init__(self) -> None:
        """Raises ValueError for shares that do not rise up to 1, or another number of looks with information."""
        if not all(before < now for before, now in pairwise((0.0, *self.shares, 1.0 + NOISE))):
            raise ValueError(f"looks are shares of the time box that rise to 1 at most, not {self.shares}")
        if len(self.information) != len(self.shares):
            raise ValueError(f"{len(self.shares)} looks, but {len(self.information)} numbers of units")

    def one_sided(self) -> Schedule:
        """The same looks at one side alone."""
        return replace(self, sides=1)

    def spent(self, alpha: float) -> Array:
        """How much of alpha is used up by each look."""
        return np.asarray(np.exp(_log_spent(self, np.array([alpha])))[0])

    def boundaries(self, alpha: float) -> Array:
        """How far z must be out to cross, at each look."""
        return _boundaries_at(self, alpha)

    def levels(self, z: Array) -> Array:
        """At each look, the smallest alpha at which any look so far crosses: a p-value that holds at every look.

        One row of `z` and of what comes back per look. z is how far out it was (two-sided: from zero); NaN where it
        could not be evaluated, which has not crossed. Below .2 p is right to 3e-6; what is near 1 is given as 1.
        """
        deviates, bounds = _table(self)
        reached = [_monotone(row, bound, deviates) for row, bound in zip(z, bounds, strict=True)]
        out = np.maximum.accumulate(np.nan_to_num(reached, nan=-np.inf), axis=0)
        return np.where(out > deviates[0], np.minimum(1.0, self.sides * ndtr(-out)), 1.0)

    def power(self, drift: Any, alpha: float) -> Array:
        """The probability that any look crosses where z is expected at `drift` at the last one.

        For one side, drift above zero is towards the boundary.
        """
        nodes, mass = _left(self, alpha)
        theta = np.maximum(drift, -CUT / 2)[..., None] if self.sides == 1 else np.asarray(drift, dtype=float)[..., None]
        # Under a drift each path is as much likelier as its end is (the likelihood ratio of a Brownian motion).
        staying = np.exp(theta * nodes - theta * theta / 2) @ mass
        return np.asarray(np.clip(1 - staying, 0.0, 1.0))


def _log_spent(plan: Schedule, alpha: Array) -> Array:
    """The logarithm of how much is spent by each look; one row per alpha."""
    a, t = alpha[:, None] / plan.sides, np.asarray(plan.shares)
    if plan.spending == "pocock":
        spent = np.log(a) + np.log(np.log1p((math.e - 1) * t))
    else:
        spent = math.log(2) + log_ndtr(ndtri(a / 2) / np.sqrt(t))
    return np.asarray(math.log(plan.sides) + spent)


def _log_new(plan: Schedule, alpha: Array) -> Array:
    """The logarithm of what each look may spend; one row per alpha."""
    total = _log_spent(plan, alpha)
    before, now = total[:, :-1], total[:, 1:]
    with np.errstate(divide="ignore"):
        return np.column_stack([total[:, :1], now + np.log1p(-np.exp(np.minimum(before - now, 0.0)))])


@lru_cache(maxsize=256)
def _boundaries_at(plan: Schedule, alpha: float) -> Array:
    bounds = np.asarray(_integrate(plan, np.array([alpha]))[0][0])
    bounds.setflags(write=False)  # every caller gets the same
    return bounds


@lru_cache(maxsize=256)
def _left(plan: Schedule, alpha: float) -> tuple[Array, Array]:
    """Where the paths are at the last look that have never crossed, and how likely each is without a drift."""
    _, paths = _integrate(plan, np.array([alpha]))
    return paths.nodes[0], paths.mass[0]


@lru_cache(maxsize=64)
def _table(plan: Schedule) -> tuple[Array, Array]:
    """Levels as normal deviates, and each look's boundary at them: one row per look, rising.

    Levels so large that a larger one is harder to cross are left out, and all beyond: there rejection is not nested.
    Where looks have no new units this begins at a one-sided .32, elsewhere near 1; such p-values are given as 1.
    """
    first = 0.0 if plan.sides > 1 else ONE_SIDED_FROM
    deviates = np.concatenate([np.linspace(first, NEAR, LEVELS_NEAR), np.linspace(NEAR, FAR, LEVELS_FAR + 1)[1:]])
    alpha = np.minimum(plan.sides * ndtr(-deviates), 1 - PRECISION)
    rows = max(1, CELLS_MAX // max(_nodes(plan)) ** 2)
    bounds = np.concatenate([_integrate(plan, part)[0] for part in np.split(alpha, range(rows, len(alpha), rows))])
    falling = np.flatnonzero((np.diff(bounds, axis=0) < -NOISE).any(axis=1))
    nested = slice(falling[-1] + 1 if falling.size else 0, None)
    rising = np.maximum.accumulate(bounds[nested], axis=0).T
    return deviates[nested], rising + TIE * np.arange(rising.shape[1])


@dataclass(frozen=True, slots=True)
class _Paths:
    """Paths that have not crossed: where they are at the last look, how likely each place is; one row per alpha."""

    nodes: Array
    mass: Array
    information: float

    def beyond(self, c: Array, information: float, sides: int) -> tuple[Array, Array]:
        """How likely they are beyond c at the next look, and how fast that falls with c."""
        scale, sd = self._to(information)
        tail, slope = np.zeros(len(c)), np.zeros(len(c))
        for side in (1, -1)[:sides]:
            z = (c[:, None] - side * scale * self.nodes) / sd
            tail += (self.mass * ndtr(-z)).sum(axis=1)
            slope += (self.mass * _density(z)).sum(axis=1) / sd
        return tail, slope

    def within(self, low: Array, high: Array, information: float, nodes: int) -> _Paths:
        """The paths that are between two bounds at the next look."""
        scale, sd = self._to(information)
        places, weights = _between(low, high, nodes)
        steps = _density((places[:, :, None] - scale * self.nodes[:, None, :]) / sd) / sd
        return _Paths(places, weights * np.einsum("bij,bj->bi", steps, self.mass), information)

    def _to(self, information: float) -> tuple[float, float]:
        """How z at the next look follows from z now: its mean per unit of z, and its standard deviation."""
        correlation = math.sqrt(self.information / information)
        return correlation, math.sqrt(1 - self.information / information)


def _integrate(plan: Schedule, alpha: Array) -> tuple[Array, _Paths]:
    """Each look's boundary, one row per alpha, and the paths that cross none."""
    log_new = _log_new(plan, alpha)
    nominal = np.clip(-ndtri_exp(log_new - math.log(plan.sides)), -Z_MAX, Z_MAX)
    bounds, paths = nominal.copy(), _Paths(np.zeros((len(alpha), 1)), np.ones((len(alpha), 1)), 0.0)
    for look, (information, nodes) in enumerate(zip(plan.information, _nodes(plan), strict=True)):
        if not _fresh(information, paths.information):
            continue
        new = log_new[:, look]
        c = np.where(
            new > LOG_LEAST_SPENT, _solve(paths, nominal[:, look], new, information, plan.sides), bounds[:, look]
        )
        bounds[:, look], high = c, np.clip(c, -CUT, CUT)
        paths = paths.within(-high if plan.sides > 1 else np.full_like(c, -CUT), high, information, nodes)
    return bounds, paths


def _fresh(information: float, last: float) -> bool:
    """Whether a look has new units enough to be told from the one before."""
    return information > last and information - last >= FRESH_MIN * information


def _solve(paths: _Paths, nominal: Array, log_new: Array, information: float, sides: int) -> Array:
    """The boundaries at which a look spends its part.

    Newton's method from the nominal boundary inwards. The logarithm of a tail is concave, since paths cut off at
    boundaries keep a log-concave density (Prékopa 1973): every step stays outside of the solution.
    """
    c, least = nominal, 0.0 if sides > 1 else -CUT
    for _ in range(NEWTON_STEPS):
        tail, slope = paths.beyond(c, information, sides)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = (np.log(tail) - log_new) * tail / slope
        step = np.where(np.isfinite(step), step, 0.0)
        c = np.maximum(c + step, least)
        if np.max(np.abs(step)) < PRECISION:
            break
    return np.minimum(c, nominal)


def _monotone(at: Array, x: Array, y: Array) -> Array:
    """Rising values between rising places, by cubic pieces (Fritsch and Carlson 1980); beyond the ends, the end's."""
    secants = np.diff(y) / np.diff(x)
    slopes = np.gradient(y, x)
    slopes[1:-1] = np.minimum(slopes[1:-1], 3 * np.minimum(secants[:-1], secants[1:]))
    slopes[[0, -1]] = np.minimum(slopes[[0, -1]], 3 * secants[[0, -1]])
    at = np.clip(at, x[0], x[-1])
    i = np.clip(np.searchsorted(x, at) - 1, 0, len(x) - 2)
    width = x[i + 1] - x[i]
    u = (at - x[i]) / width
    rise = y[i + 1] - y[i]
    bend = (slopes[i] * width - rise) * (1 - u) - (slopes[i + 1] * width - rise) * u
    return y[i] + u * rise + u * (1 - u) * bend


def _nodes(plan: Schedule) -> list[int]:
    """How many nodes each look's paths need: enough for the narrowest step into or out of it."""
    steps, last = [], 0.0
    for information in plan.information:
        fresh = _fresh(information, last)
        steps.append(math.sqrt(1 - last / information) if fresh else 1.0)
        last = information if fresh else last
    wanted = (NODES_PER_SD * 2 * CUT / min(into, out) for into, out in zip(steps, [*steps[1:], 1.0], strict=True))
    return [NODES_STEP * math.ceil(nodes / NODES_STEP) for nodes in wanted]


@lru_cache(maxsize=64)
def _rule(nodes: int) -> tuple[Array, Array]:
    places, weights = roots_legendre(nodes)
    return places, weights


def _between(low: Array, high: Array, nodes: int) -> tuple[Array, Array]:
    """Gauss and Legendre's places and weights between two bounds; one row per pair."""
    places, weights = _rule(nodes)
    half = (high - low)[:, None] / 2
    return low[:, None] + half * (1 + places), half * weights


def _density(z: Array) -> Array:
    return np.asarray(np.exp(-z * z / 2) / math.sqrt(2 * math.pi))
