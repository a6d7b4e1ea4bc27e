"""Who came: whether the arms' units are those that the randomisation planned."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from shared.engines.protocol import covariate, per_of
from shared.evidence.contrasts import compared_with_first, reasons
from shared.evidence.health.context import HealthContext
from shared.evidence.health.sample_ratios import DEVIATION_FLOOR, mismatched, of_groups, thin_ones_together
from shared.evidence.model import RATIO_P_MIN, Symptom
from shared.stats.estimates import Quantity, means
from shared.stats.moments import SIZE, Cells
from shared.stats.special import ndtr

# GrowthBook's default for the same question.
MULTIPLE_FRAC_MAX = 0.01
# GrowthBook's and Statsig's default for bias before the pilot.
BALANCE_P_MIN = 0.001
UNTRAITED_FRAC_MAX = 0.05


def ratio_by_day(context: HealthContext) -> Iterator[Symptom]:
    """Whether the arms have the planned sizes on each day."""
    yield from _ratios(context, "sample_ratio_by_day", {"": context.summary.drawn_by_day}, "day")


def ratio_by_segment(context: HealthContext) -> Iterator[Symptom]:
    """Whether the arms have the planned sizes in each level of each segment."""
    if not context.charter.segments:
        yield Symptom(check="sample_ratio_by_segment", state="unevaluable", reason="the charter names no segments")
        return
    yield from _ratios(context, "sample_ratio_by_segment", context.summary.drawn_by_segment, "level")


def _ratios(
    context: HealthContext, check: str, units: Mapping[str, Mapping[tuple[str, Any], int]], what: str
) -> Iterator[Symptom]:
    found = {
        (name, group): ratio
        for name, counts in units.items()
        for group, ratio in of_groups(thin_ones_together(counts, context.planned), context.planned).items()
    }
    known = {group: ratio for group, ratio in found.items() if ratio.p is not None}
    if not known or len(known) < len(found):
        why = "units are in an arm that was not planned" if found else f"no {what} has enough units to compare the arms"
        yield Symptom(check=check, state="unevaluable", reason=why)
        return
    wrong = mismatched(known)
    for (name, group), ratio in sorted(wrong.items(), key=str):
        yield Symptom(
            check=check,
            state="warning",
            where=f"{name}: {group}" if name else str(group),
            measured=ratio.p,
            threshold=RATIO_P_MIN / len(known),
            reason=f"the arms are not as large as planned {f'where {name} is' if name else 'on'} {group}",
        )
    if not wrong:
        where = "on each day" if what == "day" else f"in each {what}"
        told = f"{where} the arms are as large as planned, to {100 * DEVIATION_FLOOR:g} % or chance"
        # The least of them, so that whoever asks for more can tell what it would be to them.
        least = min(
            (r.p for r in known.values() if r.p is not None and (r.deviation or 0.0) >= DEVIATION_FLOOR), default=1
        )
        yield Symptom(check=check, state="good", measured=least, threshold=RATIO_P_MIN / len(known), reason=told)


def multiple_exposure(context: HealthContext) -> Iterator[Symptom]:
    """How many units were seen in two arms."""
    whole = sum(context.summary.drawn.values()) + context.summary.multiple_units
    if not whole:
        yield Symptom(check="multiple_exposure", state="unevaluable", reason="nobody was exposed")
        return
    frac = context.summary.multiple_units / whole
    yield Symptom(
        check="multiple_exposure",
        state="warning" if frac > MULTIPLE_FRAC_MAX else "good",
        reason=f"{context.summary.multiple_units:,} ({100 * frac:.2f} %) were seen in two arms; they are left out",
        measured=frac,
        threshold=MULTIPLE_FRAC_MAX,
    )


def pre_period_balance(context: HealthContext) -> Iterator[Symptom]:
    """Each covariate in each arm against the control, by Welch's test at its part of the error rate."""
    check, names = "pre_period_balance", context.charter.covariates
    if not names:
        yield Symptom(check=check, state="unevaluable", reason="the charter names no covariates to compare the arms by")
        return
    tests = len(names) * len(context.charter.treatments)
    quiet, least = True, 1.0
    for arm in context.charter.treatments:
        found = _welch(context, context.summary.arms, arm.name, [_trait(context, name) for name in names])
        for name, p, problem in zip(names, found[0], found[1], strict=True):
            state = "unevaluable" if problem else "warning" if p < BALANCE_P_MIN / tests else "good"
            if state == "good":
                least = min(least, p)
                continue
            quiet = False
            yield Symptom(
                check=check, state=state, arm=arm.name, where=name, threshold=BALANCE_P_MIN / tests,
                measured=None if problem else p,
                reason=f"{name} cannot be compared: {problem}" if problem else
                f"{arm.name} differed from {context.charter.control.name} in {name} before the pilot began",
            )  # fmt: skip
    if quiet:
        yield Symptom(
            check=check, state="good", measured=least, threshold=BALANCE_P_MIN / tests,
            reason="the arms were alike before the pilot: " + ", ".join(names),
        )  # fmt: skip


def left_out_alike(context: HealthContext) -> Iterator[Symptom]:
    """Whether as many units of each arm have an outcome, where a metric leaves the others out."""
    check = "left_out_alike"
    names = [name for name in context.charter.measured if context.metrics[name].no_outcome == "left_out"]
    tests = len(names) * len(context.charter.treatments)
    quiet = True
    for arm in context.charter.treatments:
        size = SIZE if context.charter.cluster else None
        p_values, problems = _welch(context, context.summary.arms, arm.name, [Quantity(per_of(n), size) for n in names])
        for name, p, problem in zip(names, p_values, problems, strict=True):
            p = _pooled(context, arm.name, name) if problem else p  # noqa: PLW2901 - Welch's has none of a constant arm
            if not p < BALANCE_P_MIN / tests:
                continue
            quiet = False
            yield Symptom(
                check=check, state="warning", arm=arm.name, metric=name, measured=p, threshold=BALANCE_P_MIN / tests,
                reason=f"{name} leaves out units without an outcome, and in {arm.name} these are more or fewer than in "
                f"{context.charter.control.name}: who is left may be others, not changed ones",
            )  # fmt: skip
    if quiet:
        why = "as many units of each arm have one" if names else "every metric counts a unit without an outcome as 0"
        yield Symptom(check=check, state="good", reason=why)


def _pooled(context: HealthContext, arm: str, metric: str) -> float:
    """Two-sided p of no difference in the shares that have an outcome, by their pooled variance; 1 without units."""
    shares, parts = [], []
    for name in (arm, context.charter.control.name):
        cell = context.summary.arms.of(arm=name)
        if not len(cell):
            return 1.0
        size = cell.means[SIZE][0] if context.charter.cluster else 1.0
        shares.append(float(cell.means[per_of(metric)][0] / size))
        parts.append(1 / float(cell.n[0]))
    whole = (shares[0] / parts[0] + shares[1] / parts[1]) / (1 / parts[0] + 1 / parts[1])
    variance = whole * (1 - whole) * sum(parts)
    # Where every unit of both arms has one, or none, they are as alike as they can be.
    return float(2 * ndtr(-abs(shares[0] - shares[1]) / math.sqrt(variance))) if variance > 0 else 1.0


def traits_known(context: HealthContext) -> Iterator[Symptom]:
    """Whether the population knows the units that were exposed."""
    check, units = "traits_known", sum(context.summary.units.values())
    if not context.summary.untraited or not units:
        yield Symptom(check=check, state="unevaluable", reason="the charter names no column of the population")
        return
    lacking = {name: n / units for name, n in context.summary.untraited.items() if n / units > UNTRAITED_FRAC_MAX}
    for name, frac in lacking.items():
        yield Symptom(
            check=check, state="warning", where=name, measured=frac, threshold=UNTRAITED_FRAC_MAX,
            reason=f"{100 * frac:.1f} % of the units have no {name} in the population's table",
        )  # fmt: skip
    if not lacking:
        most = max(context.summary.untraited.values()) / units
        yield Symptom(
            check=check, state="good", measured=most, threshold=UNTRAITED_FRAC_MAX,
            reason="the population knows the units that were exposed",
        )  # fmt: skip


def _trait(context: HealthContext, name: str) -> Quantity:
    return Quantity(covariate(name), SIZE if context.charter.cluster else None)


def _welch(context: HealthContext, cells: Cells, arm: str, quantities: list[Quantity]) -> tuple[list[float], list[str]]:
    """Two-sided p-values of an arm against the control, and for each the problem in words, or nothing."""
    both = [cells.of(arm=name) for name in (arm, context.charter.control.name)]
    if min(len(part) for part in both) == 0:
        return [math.nan] * len(quantities), ["an arm has no units"] * len(quantities)
    found = means(both[1].joined(both[:1]), quantities)
    compared = compared_with_first(found)
    why = reasons(found, compared, [context.charter.control.name, arm])
    return compared.p()[0].tolist(), why[0].tolist()
