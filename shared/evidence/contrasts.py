"""Contrasts: every treatment against the control in every metric, estimated as the charter says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shared.engines.protocol import Summary, covariate, per_of, value_of
from shared.experiment.charter import Charter
from shared.experiment.metrics import Metric
from shared.stats import quantiles
from shared.stats.adjustment import adjusted, slopes, stratified
from shared.stats.estimates import Differences, Means, Quantity, differences, lifts, means, reason
from shared.stats.moments import SIZE, Cells
from shared.stats.summaries import QuantileMoments

Array = NDArray[np.float64]
NO_QUANTILE = QuantileMoments(n=0, quantile=0.5, value=np.nan, low=np.nan, high=np.nan)


@dataclass(frozen=True, slots=True)
class Contrasts:
    """Every treatment against the control; arrays have one row per treatment and one column per metric.

    Attributes:
        metrics: the columns, in the charter's order.
        found: differences as the charter estimates them.
        lifts: the same over the control's mean.
        plain: without covariates and strata; the same as `found` where the charter names none.
        units: those of the smaller of the two arms.
        problems: why there is no number, in words; empty where there is one.
    """

    metrics: tuple[str, ...]
    found: Differences
    lifts: Differences
    plain: Differences
    units: Array
    problems: NDArray[np.str_]


@dataclass(frozen=True)
class Estimator:
    """What a charter wants estimated, and how.

    Attributes:
        base: the treatment that those after it are compared with; None for all treatments against the control.
    """

    charter: Charter
    metrics: Mapping[str, Metric]
    base: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every metric, in the charter's order."""
        return self.charter.measured

    @cached_property
    def quantities(self) -> tuple[Quantity, ...]:
        """What of a cell each metric is: of clusters, a mean is a ratio over their units."""
        size = SIZE if self.charter.cluster else None
        return tuple(
            Quantity(
                value_of(name),
                per_of(name) if self.metrics[name].divided else size,
                self.metrics[name].no_outcome == "left_out",
            )
            for name in self.names
        )

    @cached_property
    def covariates(self) -> tuple[Quantity, ...]:
        """What of a cell each covariate is."""
        return tuple(
            Quantity(covariate(name), SIZE if self.charter.cluster else None) for name in self.charter.covariates
        )

    @property
    def arms(self) -> list[str]:
        """The control, and after it the treatments; or the base, and after it the treatments after it."""
        treatments = [arm.name for arm in self.charter.treatments]
        return treatments[treatments.index(self.base) :] if self.base else [self.charter.control.name, *treatments]

    def contrasts(self, summary: Summary) -> Contrasts:
        """What a summary says of every treatment."""
        plain = self._with_quantiles(summary, means(summary.arms.aligned(arm=self.arms), self.quantities))
        found = self._with_quantiles(summary, self._as_charter_says(summary))
        silent = np.array(self._problems(summary))
        compared = compared_with_first(found)
        return Contrasts(
            metrics=self.names,
            found=compared.without(silent != ""),
            lifts=lifts(found.at(np.s_[1:]), found.at(np.s_[:1])).without(silent != ""),
            plain=compared_with_first(plain).without(silent != ""),
            units=np.minimum(found.n[1:], found.n[:1]).astype(float),
            problems=np.where(silent != "", silent, reasons(found, compared, self.arms)),
        )

    def slopes(self, summary: Summary) -> Array | None:
        """How much each metric rises with each covariate, over the whole pilot; None without covariates."""
        return slopes(summary.arms, self.quantities, self.covariates) if self.covariates else None

    def means(self, cells: Cells, slopes: Array | None) -> Means:
        """Every metric in these cells, adjusted with the pilot's slopes where there are covariates."""
        if slopes is None:
            return means(cells, self.quantities)
        return adjusted(cells, self.quantities, self.covariates, slopes)

    def _as_charter_says(self, summary: Summary) -> Means:
        slopes = self.slopes(summary)
        if summary.strata is None or not len(summary.strata):
            return self.means(summary.arms.aligned(arm=self.arms), slopes)
        levels = list(dict.fromkeys(summary.strata.keys["level"].tolist()))
        every = [summary.strata.aligned(arm=self.arms, level=[level] * len(self.arms)) for level in levels]
        return stratified([self.means(cells, slopes) for cells in every], np.array([_units(cells) for cells in every]))

    def _with_quantiles(self, summary: Summary, found: Means) -> Means:
        for column, name in enumerate(self.names):
            if self.metrics[name].kind == "quantile":
                limits = [summary.quantiles.get(arm, {}).get(name, NO_QUANTILE) for arm in self.arms]
                found = found.with_column(column, quantiles.means(limits))
        return found

    def _problems(self, summary: Summary) -> list[list[str]]:
        """Why silence may not be read as zero, and what the population does not know of the units."""
        rows = []
        for arm in self.arms[1:]:
            whole = self._silent(summary, (arm, self.arms[0])) or self._untraited(summary)
            rows.append([whole or self._unvalued(summary, name) for name in self.names])
        return rows

    def _silent(self, summary: Summary, arms: Sequence[str]) -> str:
        """A unit without an outcome is one; an arm without any is not."""
        for arm in arms:
            if summary.units.get(arm) and not summary.reporting.get(arm):
                return f"arm {arm} has no outcome at all"
        return ""

    def _untraited(self, summary: Summary) -> str:
        cluster, strata = self.charter.cluster, self.charter.strata
        if strata in summary.crowded:
            return f"`{strata}` has too many levels to be a stratum"
        if strata and 0 < sum(summary.units.values()) <= summary.untraited.get(strata, 0):
            return f"`{strata}` is not known of any unit"
        lost = summary.untraited.get(cluster, 0) if cluster else 0
        return f"{lost} unit{'' if lost == 1 else 's'} are in no {cluster} that is known" if lost else ""

    def _unvalued(self, summary: Summary, name: str) -> str:
        if summary.unvalued.get(name):
            return f"{summary.unvalued[name]} outcomes have no value of it"
        if self.charter.cluster and self.metrics[name].kind == "quantile":
            return "a quantile cannot be estimated of clusters"
        return ""


def _units(cells: Cells) -> float:
    """How many units the cells hold; of clusters, each has its size."""
    counted = cells.n > 0
    sizes = cells.means[SIZE] if SIZE in cells.means else np.ones(len(cells))
    return float(np.sum(cells.n[counted] * sizes[counted]))


def compared_with_first(found: Means) -> Differences:
    """Every row but the first, the control's, against that one."""
    return differences(found.at(np.s_[1:]), found.at(np.s_[:1]))


def reasons(found: Means, compared: Differences, arms: Sequence[str]) -> NDArray[np.str_]:
    """Why there is no difference, in words, per treatment and quantity; empty where there is one."""
    told = [
        [
            reason(found.at((row, column)), found.at((0, column)), (f"arm {arms[row]}", f"arm {arms[0]}"))
            if lost
            else ""
            for column, lost in enumerate(problems)
        ]
        for row, problems in enumerate(compared.problem, start=1)
    ]
    return np.array(told)
