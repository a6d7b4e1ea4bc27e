"""Estimates from the moments of many cells at once: means and ratios, Welch's test, non-inferiority, relative lifts.

Arrays go in and come out, cells x quantities: evidence asks of one pilot, a forecast or a certificate of thousands.
What cannot be evaluated carries its problem and NaN, so that it passes nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.stats.moments import SIZE, Array, Cells
from shared.stats.problems import Problem, first, words
from shared.stats.special import stdtr, stdtrit

UNITS_MIN = 2
# A ratio, or a relative lift, is given only over a base this many standard errors above zero: nearer, the delta
# method's linearisation has no meaning (Franz 2007, "Ratios: a short guide to confidence limits", sect. 3).
BASELINE_SE_MIN = 3.0
# Clusters per arm that a standard error can be learned from, counted as clusters of equal size (Kish 1965, "Survey
# Sampling", sect. 11.7: the effective number). From here on false positives stay at alpha for sizes from equal to
# Pareto-tailed, see docs/proof/error-rates.md.
CLUSTERS_MIN = 20
# Units per covariate and arm from which their slopes' error takes no more than the degree of freedom it is given.
UNITS_PER_COVARIATE = 10
# What is left of a sum of squares where its terms cancel, and of deviations from a mean where nothing deviates, is
# nothing but rounding.
ROUNDING = 1e-12
# Squares below it have lost digits at the end of a double's range.
TINY = 1e-290


@dataclass(frozen=True, slots=True)
class Quantity:
    """What is estimated: the mean of a column, or with `per` the ratio of both columns' sums.

    With `among`, `per` is 1 for the units that the mean is of and 0 for those that are left out.
    """

    value: str
    per: str | None = None
    among: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A quantity as a sum of weighted columns, whose mean per cell it is: what the delta method makes of a ratio.

    Attributes:
        mean: per cell.
        terms: columns and their weights per cell.
        problem: per cell, as `Problem`.
        size: per cell the largest of what the mean is summed from, beside which its last digits are lost.
        units: per cell how many units the mean is of, where it leaves some out; None where it is of all.
    """

    mean: Array
    terms: tuple[tuple[str, Array], ...]
    problem: NDArray[np.int64]
    size: Array
    units: Array | None = None


@dataclass(frozen=True, slots=True)
class Means:
    """Means with their errors, in arrays of one shape, cells x quantities.

    Attributes:
        n: units that the mean is of, or clusters where these were drawn.
        mean, variance: the estimate and the square of its standard error; NaN where there is a problem.
        df: the variance's degrees of freedom.
        problem: as `Problem`.
    """

    n: NDArray[np.int64]
    mean: Array
    variance: Array
    df: Array
    problem: NDArray[np.int64]

    @classmethod
    def of(cls, n: Any, mean: Any, variance: Any, df: Any, problem: NDArray[np.int64]) -> Means:
        """The means where there is no problem, and NaN where there is one."""
        some = problem == Problem.NONE
        mean, variance, df = (np.where(some, each, np.nan) for each in (mean, variance, df))
        return cls(np.broadcast_to(n, problem.shape).astype(np.int64), mean, variance, df, problem)

    def at(self, index: Any) -> Means:
        """Those at an index of the arrays."""
        return Means(*(part[index] for part in _parts(self)))

    def with_column(self, column: int, other: Means) -> Means:
        """The same, with one quantity's means put in the place of these."""
        parts = [part.copy() for part in _parts(self)]
        for part, values in zip(parts, _parts(other), strict=True):
            part[:, column] = values
        return Means(*parts)


@dataclass(frozen=True, slots=True)
class Differences:
    """Differences of means with what tests on them need; NaN where there is a problem.

    Attributes:
        estimate, se, df: the difference, its standard error, and Welch's degrees of freedom.
        problem: as `Problem`.
    """

    estimate: Array
    se: Array
    df: Array
    problem: NDArray[np.int64]

    @classmethod
    def of(cls, estimate: Array, se: Array, df: Array, problem: NDArray[np.int64]) -> Differences:
        """The differences where there is no problem, and NaN where there is one."""
        some = problem == Problem.NONE
        estimate, se, df = (np.where(some, each, np.nan) for each in (estimate, se, df))
        return cls(estimate, se, df, problem)

    def without(self, lost: NDArray[np.bool_]) -> Differences:
        """The same, with NaN where something else is known to be wrong."""
        estimate, se, df = (np.where(lost, np.nan, each) for each in (self.estimate, self.se, self.df))
        return Differences(estimate, se, df, self.problem)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where there is one."""
        return np.asarray(self.problem == Problem.NONE)

    def at(self, index: Any) -> Differences:
        """Those at an index of the arrays."""
        return Differences(*(part[index] for part in _parts(self)))

    def interval(self, alpha: float) -> tuple[Array, Array]:
        """The two-sided intervals at 1 - alpha."""
        half = reach(self.se, self.df, alpha)
        return self.estimate - half, self.estimate + half

    def p(self) -> Array:
        """Two-sided p-values of no difference."""
        with np.errstate(over="ignore"):
            return np.asarray(p_two_sided(self.estimate, self.se, self.df))


def means(cells: Cells, quantities: Sequence[Quantity]) -> Means:
    """Means and ratios, cells x quantities; raises KeyError for a column or product that nobody asked for."""
    with np.errstate(all="ignore"):
        return stacked([of_line(cells, line(cells, quantity)) for quantity in quantities], len(cells))


def differences(treated: Means, control: Means) -> Differences:
    """Differences of means by Welch's test (Welch 1947), with the treatment's problem before the control's.

    An arm in which nothing varies has shown nothing of its error, which is not zero: of a share of 1 %, a hundred
    units without any success against nine hundred would count as an effect in every third pilot without one.
    """
    with np.errstate(all="ignore"):
        parts = treated.variance, control.variance
        estimate, variance = treated.mean - control.mean, np.add(*parts)
        problem = first(
            (treated.problem != Problem.NONE, treated.problem),
            (control.problem != Problem.NONE, control.problem),
            (variance == 0, Problem.CONSTANT),
            (np.minimum(*parts) == 0, Problem.CONSTANT_ARM),
            (~(np.isfinite(estimate) & (variance > 0) & np.isfinite(variance)), Problem.OUT_OF_RANGE),
        )
        df = satterthwaite(parts, (treated.df, control.df))
        return Differences.of(estimate, np.sqrt(variance), df, problem)


def reason(treated: Means, control: Means, names: tuple[str, str]) -> str | None:
    """Why there is no difference between two single means, in words; None where there is one."""
    for arm, name in zip((treated, control), names, strict=True):
        if arm.problem != Problem.NONE:
            return words(int(arm.problem), name, int(arm.n))
    problem = int(differences(treated, control).problem)
    constant = names[0] if treated.variance == 0 else names[1]
    return None if problem == Problem.NONE else words(problem, constant)


def lifts(treated: Means, control: Means) -> Differences:
    """Relative lifts over the control's mean, by the delta method.

    A lift is (treated - control) / |control|: more is positive, over a negative baseline too. There is none where there
    is no difference, and where the baseline is within `BASELINE_SE_MIN` standard errors of zero.
    """
    with np.errstate(all="ignore"):
        base = np.abs(control.mean)
        ratio = treated.mean / base
        parts = treated.variance / base / base, np.square(ratio) * (control.variance / base / base)
        variance, lift = np.add(*parts), ratio - np.sign(control.mean)
        problem = first(
            (treated.problem != Problem.NONE, treated.problem),
            (control.problem != Problem.NONE, control.problem),
            (~(base > BASELINE_SE_MIN * np.sqrt(control.variance)), Problem.DENOMINATOR_NEAR_ZERO),
            (np.minimum(*parts) == 0, Problem.CONSTANT_ARM),
            (~(np.isfinite(variance) & np.isfinite(lift)), Problem.OUT_OF_RANGE),
        )
        return Differences.of(lift, np.sqrt(variance), satterthwaite(parts, (treated.df, control.df)), problem)


def relative(treated: Means, control: Means, alpha: float) -> tuple[Array, Array, Array]:
    """Relative lifts and the ends of their intervals at 1 - alpha, of one look; see `lifts`."""
    found = lifts(treated, control)
    return found.estimate, *found.interval(alpha)


def reach(se: Any, df: Any, alpha: float) -> Any:
    """How far the two-sided interval at 1 - alpha reaches to either side."""
    return se * stdtrit(df, 1 - alpha / 2)


def p_two_sided(estimate: Any, se: Any, df: Any) -> Any:
    """Two-sided p-value of no difference."""
    return 2 * stdtr(df, -abs(estimate) / se)


def satterthwaite(parts: Sequence[Any], dfs: Sequence[Any]) -> Any:
    """The degrees of freedom of a sum of variances, from each one's own (Satterthwaite 1946); all where none varies.

    They are taken from shares since the variance's square may leave a double's range.
    """
    variance = sum(parts)
    some = np.where(variance == 0, 1.0, variance)
    inverse = sum(np.square(part / some) / df for part, df in zip(parts, dfs, strict=True))
    return np.where(variance == 0, sum(dfs), 1 / np.where(variance == 0, 1.0, inverse))


def degrees(parts: Sequence[Any], units: Sequence[Any]) -> Any:
    """Welch's degrees of freedom, from each arm's share of the variance and its units."""
    return satterthwaite(parts, [np.subtract(n, 1) for n in units])


def line(cells: Cells, quantity: Quantity) -> Line:
    """A quantity as a sum of weighted columns.

    A ratio r of the means of v and d becomes r + (v - r d) / mean(d), whose variance is the delta method's (Deng,
    Knoblich and Lu 2018, "Applying the delta method in metric analytics", eq. 4). The same holds of clusters, whose
    sums v and sizes d vary together (there sect. 3; Deng, Lu and Qin 2021, "The equivalence of the delta method and
    the cluster-robust variance estimator").
    """
    value = cells.means[quantity.value]
    if quantity.per is None:
        whole, none = np.ones(len(cells)), np.zeros(len(cells), dtype=np.int64)
        return Line(value, ((quantity.value, whole),), none, np.abs(value))
    per, spread = cells.means[quantity.per], cells.product(quantity.per, quantity.per)
    clear = per > BASELINE_SE_MIN * np.sqrt(spread / (cells.n - 1) / cells.n)
    problem = first(
        (per == 0, Problem.ZERO_DENOMINATOR),
        (~(np.isfinite(value) & np.isfinite(spread)), Problem.NOT_FINITE),
        (~clear, Problem.DENOMINATOR_NEAR_ZERO),
    )
    ratio = value / per
    units = cells.n * per if quantity.among and SIZE not in cells.means else None
    return Line(ratio, ((quantity.value, 1 / per), (quantity.per, -ratio / per)), problem, np.abs(ratio), units)


def covariance(cells: Cells, one: Line, other: Line) -> Array:
    """Per cell the sum of products of two lines' deviations from their means."""
    return np.asarray(
        sum(a * b * cells.product(name, with_) for name, a in one.terms for with_, b in other.terms), dtype=np.float64
    )


def rounding(cells: Cells, line: Line) -> Array:
    """Per cell the sum of squares below which a line does not vary but for rounding."""
    return np.asarray(
        sum(
            np.square(a) * (ROUNDING * cells.product(name, name) + cells.n * np.square(ROUNDING * cells.means[name]))
            for name, a in line.terms
        )
        + TINY,
        dtype=np.float64,
    )


def of_line(cells: Cells, line: Line, covariates: int = 0) -> Means:
    """A line's means per cell; each covariate in it takes a degree of freedom from each cell.

    The slopes were fitted to the same units: with two arms of a size, what that takes from the residuals' sum of
    squares and what the slopes' own error adds are together a degree of freedom per covariate and arm.
    """
    total, noise = covariance(cells, line, line), rounding(cells, line)
    lost = ~np.isfinite(total + noise) | (total < -noise)
    m2 = np.where(lost, np.nan, np.where(total <= noise, 0.0, total))
    effective, wider = _clusters(cells) if line.units is None else _left(cells, line.units)
    df = effective - 1 - covariates
    variance = wider * (effective - 1) / df * m2 / (cells.n - 1) / cells.n
    problem = first(
        (cells.n < UNITS_MIN, Problem.TOO_FEW),
        (~(effective >= CLUSTERS_MIN) & (SIZE in cells.means), Problem.TOO_FEW_CLUSTERS),
        (line.problem != Problem.NONE, line.problem),
        (~(effective >= UNITS_PER_COVARIATE * covariates) | (df < 1), Problem.TOO_FEW_FOR_COVARIATES),
        (~(np.isfinite(line.mean) & np.isfinite(variance)), Problem.NOT_FINITE),
        ((variance > 0) & ~(ROUNDING * line.size < np.sqrt(variance)), Problem.OUT_OF_RANGE),
    )
    counted = cells.n if line.units is None else np.rint(np.nan_to_num(line.units))
    return Means.of(counted, line.mean, variance, df, problem)


def _clusters(cells: Cells) -> tuple[Array, Array]:
    """The effective number of each cell's clusters, and how much wider the delta method's variance has to be.

    Residuals are smaller than errors, most of all those of large clusters, which draw the ratio to themselves: of G
    clusters with sizes s whose sums vary as their sizes do, the sum of squares lacks 2 sum(s^3) / (sum(s) sum(s^2)) -
    sum(s^2) / sum(s)^2 (the bias that Bell and McCaffrey 2002 correct, "Bias reduction in standard errors for linear
    regression with multi-stage samples"). Its third moment is taken from the first two, as of lognormal sizes. Sizes
    that are all equal lack 1 / G, which dividing by G - 1 makes up for.
    """
    units = cells.n.astype(np.float64)
    if SIZE not in cells.means:
        return units, np.ones(len(cells))
    uneven = cells.product(SIZE, SIZE) / units / np.square(cells.means[SIZE])
    effective = units / (1 + uneven)
    return effective, 1 + (1 + 2 * uneven) / effective - 1 / units


def _left(cells: Cells, units: Array) -> tuple[Array, Array]:
    """The number of units that a mean leaves in, and how much wider that makes the delta method's variance.

    It divides by all units less one where there is the variance of those alone: with both, the test is Welch's of them.
    """
    return units, units / (units - 1) * (cells.n - 1) / cells.n


def stacked(columns: Sequence[Means], length: int) -> Means:
    """Cells x quantities, from each quantity's means per cell."""
    if not columns:
        none = np.empty((length, 0))
        return Means(none.astype(np.int64), none, none, none, none.astype(np.int64))
    return Means(*(np.stack(parts, axis=-1) for parts in zip(*(_parts(each) for each in columns), strict=True)))


def piled(several: Sequence[Means]) -> Means:
    """Means of one shape along a new first axis."""
    return Means(*(np.stack(parts) for parts in zip(*(_parts(each) for each in several), strict=True)))


def _parts(record: Any) -> tuple[Any, ...]:
    return tuple(getattr(record, field.name) for field in fields(record))
