"""Was as much lost of every arm, and would it have changed what is concluded?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from promotion.case import Case
from promotion.check import Check, Rule, finding
from promotion.completeness import completeness_of
from shared import wording
from shared.console import counted
from shared.evidence import losses
from shared.evidence.conclusion import turned
from shared.evidence.missing import lost_words
from shared.evidence.model import Completeness, Effect
from shared.finding import Finding

MEND_IDS = "mend the ids or the values of these outcomes at their source, and run the pilot again"
MEND_EXPOSURES = "find out why these exposures were not recorded, mend that, and run the pilot again"
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


def _run(case: Case, rule: LossesByArmRule) -> Iterator[Finding]:
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
        *_unexposed(case, rule),
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
            f"{lost_words(worst)} (p {wording.p_value(worst.p)})",
            measured=_measured(told),
            threshold=_threshold(rule),
            remedy=MEND,
        )


def _unexposed(case: Case, rule: LossesByArmRule) -> Iterator[Finding]:
    """Who was never exposed has done alike in every arm; where not, exposures were left out by what their units did."""
    found = case.unexposed
    if found is None or not found.units:
        return
    charter, each = case.charter, ", ".join(f"{arm} {n:,}" for arm, n in found.units.items())
    weights = {arm: float(weight) for arm, weight in charter.weights.items()}
    control = charter.control.name
    compared = [
        (name, arm.name, losses.apart(values[arm.name], values[control]))
        for name in _deciding(case)
        if (values := found.values.get(name)) is not None
        for arm in charter.treatments
        if arm.name in values and control in values
    ]
    p_min = rule.p_min / (1 + len(compared))
    measured = {"units": dict(found.units)}
    whole = sum(case.evidence.completeness.assigned.values()) if case.evidence.completeness else 0
    p = losses.uneven(found.units, weights)
    if p < p_min and max(found.units.values()) >= rule.deviation_floor * whole:
        yield finding(
            "failed",
            f"units without an exposure on record have outcomes, and not as many of each arm: {each} (p "
            f"{wording.p_value(p)})",
            measured=measured | {"p": p},
            threshold=p_min,
            remedy=MEND_EXPOSURES,
        )
    for name, arm, apart in compared:
        if apart < p_min:
            yield finding(
                "failed",
                f"units without an exposure on record ({each}) differ between {arm} and {control} in {name}, which no "
                f"message can have done (p {wording.p_value(apart)})",
                arm=arm,
                measured=measured | {"p": apart},
                threshold=p_min,
                remedy=MEND_EXPOSURES,
            )


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
    return f"{effect.metric} is {wording.effect(metric, later)}, not {wording.effect(metric, effect)}: no longer {part}"


def _alike(told: Completeness, rule: LossesByArmRule) -> Finding:
    lost = sum(sum(loss.units.values()) for loss in told.losses) + sum(loss.unattributed for loss in told.losses)
    reason = "nothing was lost that an arm could miss"
    if lost:
        reason = "no arm lost more than chance explains, and with all of it counted in the conclusions are the same"
    if told.worst:
        reason += ", as they were if all that nobody can attribute or read were held against the arm"
    return finding("passed", reason, measured=_measured(told), threshold=_threshold(rule))


def _measured(told: Completeness) -> dict[str, Any]:
    return {
        loss.what: {"units": loss.units, "unattributed": loss.unattributed, "p": loss.p, "deviation": loss.deviation}
        for loss in told.losses
    }


def _threshold(rule: LossesByArmRule) -> dict[str, float]:
    return {"p_min": rule.p_min, "deviation_floor": rule.deviation_floor}


CHECK = Check(
    "losses_by_arm",
    "Was as much lost of every arm, and would it have changed what is concluded?",
    "sealed rows that were held back, in two arms, early or late: their numbers by arm, and the effects with them; "
    "outcomes without an exposure",
    LossesByArmRule,
    _run,
    since=2,
)
