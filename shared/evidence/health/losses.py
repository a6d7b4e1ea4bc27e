"""Losses: whether as much was lost of every arm, and what the effects would be had nothing been lost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from shared.engines.by_arm import OUTCOMES, TOGETHER, ByArm
from shared.engines.protocol import EARLY
from shared.evidence.contrasts import Contrasts
from shared.evidence.model import Bound, Completeness, Loss
from shared.experiment.charter import Charter
from shared.experiment.metrics import Metric
from shared.stats.special import bdtr, bdtrc

# Fabijan et al. (2019), "Diagnosing sample ratio mismatch": as improbable as arms of the wrong size.
P_MIN = 0.001
# A smaller difference between the shares that arms lost does no harm: Statsig's 0.1 % for the arms' sizes.
DEVIATION_FLOOR = 0.001
# Of so few outcomes it may stay unknown whose they are: the share that intake may hold back.
NOBODYS_FRAC_MAX = 0.01


def losses(told: ByArm, planned: Mapping[str, float]) -> tuple[Loss, ...]:
    """Every loss that the engine tells of, the largest first."""
    whats = dict.fromkeys([*told.lost, *told.unattributed])
    if len(whats.keys() - {EARLY, TOGETHER}) == 1:
        whats.pop(TOGETHER, None)  # the one that there is
    found = [_loss(told, planned, what) for what in whats]
    return tuple(sorted(found, key=lambda loss: (-sum(loss.units.values()) - loss.unattributed, loss.what)))


def uneven_ones(found: Sequence[Loss], p_min: float = P_MIN, floor: float = DEVIATION_FLOOR) -> list[Loss]:
    """The losses that are not alike in every arm, each tested at its part of `p_min` (Bonferroni)."""
    tested = [loss for loss in found if loss.p is not None]
    return [loss for loss in tested if (loss.p or 0.0) < p_min / len(tested) and (loss.deviation or 0.0) >= floor]


def lost_share(told: Completeness, arm: str) -> float:
    """The share of an arm's units (or clusters) of which something did not count, early outcomes aside."""
    lost = [loss for loss in told.losses if loss.what != EARLY]
    whole = next((loss for loss in lost if loss.what == TOGETHER), lost[0] if lost else None)
    assigned = told.assigned.get(arm, 0)
    return whole.units.get(arm, 0) / assigned if whole is not None and assigned else 0.0


def nobodys(told: Completeness) -> int:
    """How many outcomes there are of which no arm can be told."""
    return sum(loss.unattributed for loss in told.losses if loss.what.startswith(OUTCOMES))


def unknown_share(told: Completeness, outcomes: int) -> float:
    """The share of all outcomes of which no arm can be told, or not what they said."""
    rows = nobodys(told) + max((sum(arms.values()) for arms in told.unread.values()), default=0)
    return rows / (rows + outcomes) if rows else 0.0


def bounds(told: ByArm) -> tuple[Bound, ...]:
    """Lee's bounds, where one arm lost more than the control or less, and they are numbers."""
    return tuple(
        Bound(arm=arm, metric=metric, frac=trimmed.frac, low=trimmed.low, high=trimmed.high)
        for (arm, metric), trimmed in told.trimmed.items()
        if trimmed.frac > 0 and math.isfinite(trimmed.low) and math.isfinite(trimmed.high)
    )


def against_the_arm(
    charter: Charter,
    metrics: Mapping[str, Metric],
    contrasts: Contrasts,
    told: ByArm,
    units: Mapping[str, int],
) -> Contrasts:
    """The contrasts if all that is unknown spoke against the treatment; `units` are the arms' sizes.

    Every good outcome of nobody is then the control's and every bad one the treatment's, and a value that cannot be
    read is the best of those accepted in the control, and the worst of them in the treatment (Manski 1990,
    "Nonparametric bounds on treatment effects").
    """
    name_of_control = charter.control.name
    control = units.get(name_of_control, 0)
    shift = np.zeros_like(contrasts.found.estimate)
    for column, name in enumerate(contrasts.metrics):
        (worse, better), (worst, best) = (
            ends if metrics[name].sign > 0 else ends[::-1]
            for ends in (told.unattributed_values.get(name, (0.0, 0.0))[::-1], told.ranges.get(name, (0.0, 0.0)))
        )
        unread = told.unread.get(name, {})
        of_control = better + unread.get(name_of_control, 0) * best
        for row, arm in enumerate(charter.treatments):
            treated, of_arm = units.get(arm.name, 0), worse + unread.get(arm.name, 0) * worst
            shift[row, column] = (of_arm / treated if treated else 0.0) - (of_control / control if control else 0.0)
    return replace(contrasts, found=replace(contrasts.found, estimate=contrasts.found.estimate + shift))


def _loss(told: ByArm, planned: Mapping[str, float], what: str) -> Loss:
    units, unattributed = dict(told.lost.get(what, {})), told.unattributed.get(what, 0)
    whole, everybody = sum(units.values()), sum(told.assigned.values())
    if not whole or not everybody or units.keys() - planned.keys():
        return Loss(what=what, units=units, unattributed=unattributed)
    p = uneven(units, planned)
    if what.startswith(OUTCOMES) or what == TOGETHER:
        # An arm that has more outcomes has more to lose: only what is uneven by both yardsticks is.
        p = max(p, uneven(units, told.answering))
    deviation = max(
        abs(units.get(arm, 0) / told.assigned[arm] - whole / everybody) for arm in planned if told.assigned.get(arm)
    )
    return Loss(what=what, units=units, unattributed=unattributed, p=p, deviation=deviation)


def apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """How improbable it is that two groups of units differ so (Mann and Whitney 1947, with ties)."""
    if np.array_equal(np.unique(one), np.unique(other)) and np.unique(one).size == 1:
        return 1.0
    from scipy.stats import mannwhitneyu  # half a second, for which nobody should wait who has no such units

    return float(mannwhitneyu(one, other, method="asymptotic").pvalue)


def uneven(units: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """How improbable counts so uneven are, were each unit's arm drawn by these shares.

    The least of the arms' exact two-sided binomial p-values, times their number (Bonferroni): it holds for any counts,
    and a joint chi-square for large ones only.
    """
    whole, total = sum(units.values()), float(sum(shares.values()))
    if not whole or not total:
        return 1.0
    found = [_two_sided(units.get(arm, 0), whole, share / total) for arm, share in shares.items()]
    return min(1.0, min(found) * (len(found) if len(found) > 2 else 1))  # noqa: PLR2004 - of two arms it is one test


def _two_sided(k: int, n: int, share: float) -> float:
    if share in {0.0, 1.0}:
        return 1.0 if k == n * share else 0.0
    upper = float(bdtrc(k - 1, n, share)) if k else 1.0
    return min(1.0, 2 * min(float(bdtr(k, n, share)), upper))
