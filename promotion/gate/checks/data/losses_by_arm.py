"""Was as much lost of every arm, and would it have changed what is concluded?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.completeness import completeness_of
from shared.engines.answers import Uncaused
from shared.evidence.conclusions import turned
from shared.evidence.health import losses
from shared.evidence.health.missing_data import lost_words
from shared.evidence.model import Completeness, Effect
from shared.trust.finding import Finding
from shared.ui import phrases
from shared.ui.console import counted

MEND_IDS = "mend the ids or the values of these outcomes at their source, and run the pilot again"
MEND_EXPOSURES = "find out why exposures were not recorded, or not in time, mend that, and run the pilot again"
MEND = "mend what lost these rows, and run the pilot again"


class LossesByArmRule(Rule):
    """Thresholds. What was lost of one arm only can make an effect out of nothing, however few rows it is.

    Attributes:
        p_min: how improbable the difference between the arms' losses may be, over all kinds of them; that of the sample
            ratio (Fabijan et al. 2019).
        deviation_floor: a smaller difference between the shares of units that lost something is not held against a
            pilot: Statsig's 0.1 % for the arms' sizes.
        nobodys_frac_max: of so many outcomes it may stay unknown whose they are, or what they said, where a metric does
            not add up, so that nothing can be held against the arm; the share of rows that may be held back.
    """

    p_min: float = Field(default=losses.P_MIN, gt=0, lt=1)
    deviation_floor: float = Field(default=losses.DEVIATION_FLOOR, ge=0, lt=1)
    nobodys_frac_max: float = Field(default=losses.NOBODYS_FRAC_MAX, ge=0, lt=1)


@check(
    LossesByArmRule,
    reads="sealed rows that were held back, in two arms, early or late: their numbers by arm, and the effects with "
    "them; outcomes without an exposure, and from before it",
    since=2,
)
def losses_by_arm(case: Case, rule: LossesByArmRule) -> Iterator[Finding]:
    """Was as much lost of every arm, and would it have changed what is concluded?"""
    told, placed = completeness_of(case), case.placement
    if placed.untold:
        yield finding(
            "unevaluable",
            f"{placed.untold:,} rows were held back, and what they said was not sealed",
            measured={"untold": placed.untold},
            remedy="analyse and submit again with this release",
        )
        return
    if placed.misattributed:
        yield finding(
            "failed",
            f"{placed.misattributed:,} rows that were held back name another arm than was drawn for their unit",
            measured={"misattributed": placed.misattributed},
            remedy="the Lab would not have written this: find out who did, and run the pilot again",
        )
        return
    found = [
        *_uneven(told, rule),
        *_uncaused(case, told, rule),
        *_counted_in(case, told),
        *_unknown(case, told, rule),
    ]
    yield from found or [_alike(told, rule)]


def _uneven(told: Completeness, rule: LossesByArmRule) -> Iterator[Finding]:
    uneven = losses.uneven_ones(told.losses, rule.p_min, rule.deviation_floor)
    if uneven:
        worst = min(uneven, key=lambda loss: (loss.p, loss.what))
        yield finding(
            "failed",
            f"{lost_words(worst)} (p {phrases.p_value(worst.p)})",
            measured=_measured(told),
            threshold=_threshold(rule),
            remedy=MEND,
        )


def _uncaused(case: Case, told: Completeness, rule: LossesByArmRule) -> Iterator[Finding]:
    """What no arm can have caused is alike in all; where not, exposures or moments were chosen by what units did."""
    found = case.uncaused
    if found is None:
        return
    tests = [*_without_exposure(case, told, found, rule), *_by_value(case, found)]
    for test in tests:
        p_min = rule.p_min / len(tests)
        if test.p < p_min:
            yield finding(
                "failed",
                f"{test.reason} (p {phrases.p_value(test.p)})",
                arm=test.arm,
                measured={"units": dict(test.units), "p": test.p},
                threshold=p_min,
                remedy=MEND_EXPOSURES,
            )


@dataclass(frozen=True, slots=True)
class _Test:
    """One comparison of what no arm can have caused."""

    reason: str
    p: float
    units: Mapping[str, int]
    arm: str | None = None


def _without_exposure(case: Case, told: Completeness, found: Uncaused, rule: LossesByArmRule) -> Iterator[_Test]:
    units = found.unexposed.units if found.unexposed is not None else {}
    if units and max(units.values()) >= rule.deviation_floor * sum(told.assigned.values()):
        reason = f"units without an exposure on record have outcomes, and not as many of each arm: {_each(units)}"
        weights = {arm: float(weight) for arm, weight in case.charter.weights.items()}
        yield _Test(reason, losses.uneven(units, weights), units)


def _by_value(case: Case, found: Uncaused) -> Iterator[_Test]:
    groups = (("of units without an exposure on record", found.unexposed), ("from before the exposure", found.early))
    control = case.charter.control.name
    for what, group in groups:
        values = group.values if group is not None else {}
        for name in _deciding(case):
            of = values.get(name, {})
            for arm in case.charter.treatments:
                if group is not None and arm.name in of and control in of:
                    reason = (
                        f"outcomes {what} ({_each(group.units)}) differ between {arm.name} and {control} in {name}, "
                        "which no message can have done"
                    )
                    yield _Test(reason, losses.apart(of[arm.name], of[control]), group.units, arm.name)


def _each(units: Mapping[str, int]) -> str:
    return ", ".join(f"{arm} {n:,}" for arm, n in units.items())


def _counted_in(case: Case, told: Completeness) -> Iterator[Finding]:
    for effect in _turned(case, told.everything):
        later = _later(told.everything, effect)
        known = later is not None and later.problem is None
        yield finding(
            "failed" if known else "unevaluable",
            f"with all counted in that was lost, {_said(case, effect, later)}",
            arm=effect.arm,
            measured={"counted": effect.estimate, "everything": later.estimate if later else None},
            remedy=MEND,
        )


def _unknown(case: Case, told: Completeness, rule: LossesByArmRule) -> Iterator[Finding]:
    """What nobody can attribute or read may be anything: it is held against the arm, however little it is."""
    what, frac = _unknown_words(case, told), losses.unknown_share(told, case.evidence.outcomes)
    beyond = [name for name in _deciding(case) if not case.promise.metrics[name].adds_up]
    if beyond and frac > rule.nobodys_frac_max:
        yield finding(
            "unevaluable",
            f"{what}, and what they would make of {' and '.join(beyond)} cannot be told",
            measured={"frac": frac},
            threshold=rule.nobodys_frac_max,
            remedy=MEND_IDS,
        )
    for effect in _turned(case, told.worst):
        later = _later(told.worst, effect)
        yield finding(
            "unevaluable",
            f"{what}; were that held against the arm, {_said(case, effect, later)}",
            arm=effect.arm,
            measured={"frac": frac, "counted": effect.estimate, "at_worst": later.estimate if later else None},
            remedy=MEND_IDS,
        )


def _unknown_words(case: Case, told: Completeness) -> str:
    """What is unknown, as the beginning of a sentence."""
    parts = []
    if rows := losses.nobodys(told):
        parts.append(f"of {counted(rows, 'outcome')} nobody knows whose they are")
    if unread := {name: sum(arms.values()) for name, arms in told.unread.items()}:
        each = " and ".join(f"{name} in {counted(rows, 'outcome')}" for name, rows in unread.items())
        parts.append(f"nobody can read {each} that were held back")
    return ", and ".join(parts) + f", beside {case.evidence.outcomes:,} that counted"


def _deciding(case: Case) -> list[str]:
    charter = case.charter
    named = [*(each.metric for each in charter.primaries), *(rail.metric for rail in charter.guardrails)]
    return list(dict.fromkeys(named))


def _turned(case: Case, after: Sequence[Effect]) -> list[Effect]:
    """What an arm showed, and would not show so; where nothing was lost there is nothing to compare."""
    return turned(case.charter, case.promise.metrics, case.evidence.effects, after) if after else []


def _later(after: Sequence[Effect], effect: Effect) -> Effect | None:
    return next((one for one in after if (one.arm, one.metric) == (effect.arm, effect.metric)), None)


def _said(case: Case, effect: Effect, later: Effect | None) -> str:
    metric, part = case.promise.metrics[effect.metric], "a win" if effect.part == "primary" else "kept"
    if later is None or later.problem is not None:
        return f"{effect.metric} cannot be compared: {later.problem if later else 'no data'}"
    return f"{effect.metric} is {phrases.effect(metric, later)}, not {phrases.effect(metric, effect)}: no longer {part}"


def _alike(told: Completeness, rule: LossesByArmRule) -> Finding:
    lost = sum(sum(loss.units.values()) for loss in told.losses) + sum(loss.unattributed for loss in told.losses)
    reason = "nothing was lost that an arm could miss"
    if lost:
        reason = "no arm lost more than chance explains"
    if told.everything:
        reason += ", and with all of it counted in the conclusions are the same"
    if told.worst:
        reason += "; so they are if all that nobody can attribute or read is held against the arm"
    return finding("passed", reason, measured=_measured(told), threshold=_threshold(rule))


def _measured(told: Completeness) -> dict[str, Any]:
    return {
        loss.what: {"units": loss.units, "unattributed": loss.unattributed, "p": loss.p, "deviation": loss.deviation}
        for loss in told.losses
    }


def _threshold(rule: LossesByArmRule) -> dict[str, float]:
    return {"p_min": rule.p_min, "deviation_floor": rule.deviation_floor}
