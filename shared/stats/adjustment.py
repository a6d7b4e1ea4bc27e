"""Adjustment: smaller errors from what was known of each unit before, by covariates (CUPED) and by strata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.stats.estimates import (
    Line,
    Means,
    Quantity,
    covariance,
    line,
    of_line,
    piled,
    rounding,
    satterthwaite,
    stacked,
)
from shared.stats.moments import Array, Cells
from shared.stats.problems import Problem, first

# Directions in which standardised covariates vary less than this share of the widest say nothing of their own.
COLLINEAR = 1e-10

Groups = NDArray[np.int64]


def slopes(
    cells: Cells, quantities: Sequence[Quantity], covariates: Sequence[Quantity], group: Groups | None = None
) -> Array:
    """How much each quantity rises with each covariate within the cells: quantities x covariates.

    Least squares on deviations from each cell's own means, so that what differs between arms is left alone: the
    pooled slope of ANCOVA, and of CUPED (Deng, Xu, Kohavi and Walker 2013, "Improving the sensitivity of online
    controlled experiments by utilizing pre-experiment data", sect. 3). Ratios are linearised first, and a covariate
    that is constant, or the sum of others, takes no part of its own. Cells that are empty or not finite take no part.

    With `group`, per cell a number from 0, cells with the same one share their slopes; the result then is cells x
    quantities x covariates, with each cell's slopes.
    """
    at = np.zeros(len(cells), dtype=np.int64) if group is None else group
    if not covariates:
        shape = (len(quantities), 0)
        return np.zeros(shape if group is None else (len(cells), *shape))
    if group is None and not len(cells):
        return np.full((len(quantities), len(covariates)), np.nan)
    with np.errstate(all="ignore"):
        xs = [line(cells, covariate) for covariate in covariates]
        ys = [line(cells, quantity) for quantity in quantities]
        found = np.stack([_slopes(cells, y, xs, at) for y in ys], axis=1)
    return found[0] if group is None else found[group]


def centres(cells: Cells, covariates: Sequence[Quantity], group: Groups | None = None) -> Array:
    """The covariates' means over all cells, or over those of each cell's group (cells x covariates)."""
    at = np.zeros(len(cells), dtype=np.int64) if group is None else group
    if not covariates:
        return np.zeros(0 if group is None else (len(cells), 0))
    if group is None and not len(cells):
        return np.full(len(covariates), np.nan)
    with np.errstate(all="ignore"):
        found = np.stack([_centre(cells, covariate, at) for covariate in covariates], axis=-1)
    return found[0] if group is None else found[group]


def adjusted(
    cells: Cells,
    quantities: Sequence[Quantity],
    covariates: Sequence[Quantity],
    slopes: Array,
    centre: Array | None = None,
) -> Means:
    """Means of each quantity at the covariates' `centre`: mean(y) - slope (mean(x) - centre), cells x quantities.

    The variance is that of y - slope x. `slopes` and `centre` are as `slopes` and `centres` give them, the latter of
    these cells by default; it moves both arms of a difference alike, but a relative lift's baseline.
    """
    with np.errstate(all="ignore"):
        middle = np.broadcast_to(
            centres(cells, covariates) if centre is None else centre, (len(cells), len(covariates))
        )
        each = np.broadcast_to(slopes, (len(cells), len(quantities), len(covariates)))
        xs = [line(cells, covariate) for covariate in covariates]
        lines = [_less(line(cells, quantity), xs, each[:, q], middle) for q, quantity in enumerate(quantities)]
        return stacked([of_line(cells, one, len(covariates)) for one in lines], len(cells))


def stratified(strata: Means | Sequence[Means], weights: Array) -> Means:
    """Means over strata, each with its weight: how many units of all arms it has.

    The strata are the first axis, or a sequence of means of one shape. Differences of such means are post-stratified
    (Miratrix, Sekhon and Yu 2013, "Adjusting treatment effect estimates by post-stratification in randomized
    experiments", eq. 3 and 7): the effect among the pilot's own units.

    Weights are one per stratum, or of the means' shape. An arm with fewer than two units in a stratum of any weight
    has no mean (`Problem.EMPTY_STRATUM`).
    """
    if not isinstance(strata, Means):
        strata = piled(strata)
    with np.errstate(all="ignore"):
        weights = np.asarray(weights, dtype=np.float64)
        share = weights.reshape(weights.shape + (1,) * (strata.mean.ndim - weights.ndim))
        share = share / share.sum(axis=0)
        valid = np.all(share >= 0, axis=0)
        counted = share > 0
        few = np.isin(strata.problem, (Problem.TOO_FEW, Problem.TOO_FEW_CLUSTERS))
        problem = np.where(counted, np.where(few, Problem.EMPTY_STRATUM, strata.problem), Problem.NONE)
        problem = np.where(valid, np.max(problem, axis=0, initial=Problem.NONE), Problem.EMPTY_STRATUM)
        parts = np.where(counted, np.square(share) * strata.variance, 0.0)
        mean = np.sum(np.where(counted, share * strata.mean, 0.0), axis=0)
        df = satterthwaite(list(parts), list(np.where(counted, strata.df, 1.0)))
    n = np.sum(np.where(counted, strata.n, 0), axis=0)
    return Means.of(n, mean, np.sum(parts, axis=0), df, problem)


def _slopes(cells: Cells, y: Line, xs: Sequence[Line], group: Groups) -> Array:
    """Groups x covariates; NaN where the numbers of a group leave a double's range."""
    square = np.stack([np.stack([covariance(cells, one, other) for other in xs], axis=-1) for one in xs], axis=-2)
    across = np.stack([covariance(cells, y, x) for x in xs], axis=-1)
    noise = np.stack([rounding(cells, x) for x in xs], axis=-1)
    sound = np.isfinite(square).all(axis=(1, 2)) & np.isfinite(across).all(axis=1)
    sound = sound & (cells.n > 1)
    for each in (y, *xs):
        sound = sound & (each.problem == Problem.NONE)
    square, across, noise = (_pooled(each, sound, group) for each in (square, across, noise))
    spread = np.diagonal(square, axis1=1, axis2=2)
    inverse = np.where(spread > noise, 1 / np.sqrt(np.where(spread > noise, spread, 1.0)), 0.0)
    alike = square * inverse[:, :, None] * inverse[:, None, :]
    whole = np.asarray(np.isfinite(alike).all(axis=(1, 2)))
    solved = np.linalg.pinv(np.where(whole[:, None, None], alike, 0.0), rcond=COLLINEAR, hermitian=True)
    found = np.einsum("gij,gj->gi", solved, across * inverse) * inverse
    return np.where(whole[:, None], found, np.nan)


def _pooled(values: NDArray[Any], sound: NDArray[np.bool_], group: Groups) -> Array:
    total = np.zeros((int(group.max(initial=-1)) + 1, *values.shape[1:]))
    np.add.at(total, group[sound], values[sound])
    return total


def _centre(cells: Cells, covariate: Quantity, group: Groups) -> Array:
    """Per group a covariate's mean over its units, from the cells that have one."""
    x = line(cells, covariate)
    base = cells.n * (1.0 if covariate.per is None else cells.means[covariate.per])
    # A cell that has no variance takes no part in the slopes, and must not push the centre away from the others.
    sound = np.isfinite(base * x.mean + covariance(cells, x, x)) & (cells.n > 0) & (x.problem == Problem.NONE)
    return np.asarray(_pooled(base * x.mean, sound, group) / _pooled(base, sound, group))


def _less(y: Line, xs: Sequence[Line], slopes: Array, centre: Array) -> Line:
    """A line less what the covariates explain of it."""
    moved = [slopes[:, k] * (x.mean - centre[:, k]) for k, x in enumerate(xs)]
    terms = tuple((name, -slopes[:, k] * weight) for k, x in enumerate(xs) for name, weight in x.terms)
    problem = first((y.problem != Problem.NONE, y.problem), *((x.problem != Problem.NONE, x.problem) for x in xs))
    size = np.max([y.size, *np.abs(moved)], axis=0)
    return Line(np.subtract(y.mean, sum(moved)), y.terms + terms, problem, size, y.units)
