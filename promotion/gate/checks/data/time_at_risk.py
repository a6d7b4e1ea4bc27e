"""Were the arms' units watched equally long, and exposed at the same time of the day?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.completeness import completeness_of
from shared.core.clock import parse_rfc3339
from shared.evidence.health import follow_up
from shared.evidence.health.missing_data import apart_words
from shared.evidence.model import FollowUp, TimeOfDay
from shared.trust.finding import Finding
from shared.ui import phrases


class TimeAtRiskRule(Rule):
    """Thresholds: a difference counts where it is both beyond chance and as long.

    Attributes:
        p_min: how improbable the difference may be, over all arms and questions; that of the sample ratio.
        hours_min: a smaller difference of mean times is not held against a pilot. No gate publishes one: two hours are
            1 % of a week, the shortest time box, and move what comes evenly over time by as much.
    """

    p_min: float = Field(default=follow_up.P_MIN, gt=0, lt=1)
    hours_min: float = Field(default=follow_up.HOURS_MIN, gt=0)


@check(
    TimeAtRiskRule,
    reads="first exposures: the time from each to its metrics' windows' or the data's end, and its time of the day",
    since=2,
)
def time_at_risk(case: Case, rule: TimeAtRiskRule) -> Iterator[Finding]:
    """Were the arms' units watched equally long, and exposed at the same time of the day?"""
    told = completeness_of(case)
    tests = len(told.follow_up) + len(told.time_of_day)
    over = parse_rfc3339(case.candidate.manifest.covers_until) >= case.charter.time_box.ends
    for arm in case.charter.treatments:
        lengths = [one for one in told.follow_up if one.arm == arm.name]
        times = [one for one in told.time_of_day if one.arm == arm.name]
        yield _of_arm(case, lengths, times, rule, tests, over=over).model_copy(update={"arm": arm.name})


def _of_arm(
    case: Case,
    lengths: Sequence[FollowUp],
    times: Sequence[TimeOfDay],
    rule: TimeAtRiskRule,
    tests: int,
    *,
    over: bool,
) -> Finding:
    compared: dict[str, Any] = {
        "measured": {
            "follow_up": [one.model_dump(exclude={"arm"}) for one in lengths],
            "time_of_day": [one.model_dump(exclude={"arm"}) for one in times],
        },
        "threshold": {"p_min": rule.p_min / tests, "hours_min": rule.hours_min} if tests else None,
    }
    control = case.charter.control.name
    if not lengths or None in follow_up.p_values(lengths, times):
        reason = f"too few units were exposed on one day in both {control} and the arm to compare their times"
        return finding("unevaluable", reason, remedy="record exposures of both arms on the same days", **compared)
    short = {
        "the arm": max((one.cut_short or 0 for one in lengths), default=0),
        control: max((one.control_cut_short or 0 for one in lengths), default=0),
    }
    if over and any(short.values()):
        told = " and ".join(f"{units:,} units of {name}" for name, units in short.items() if units)
        reason = f"the data end before {told} had the days that a metric counts"
        remedy = "say `enrol_until` in the next charter, so many days before the time box ends"
        return finding("failed", reason, remedy=remedy, **compared)
    apart = follow_up.apart(lengths, times, rule.p_min * (len(lengths) + len(times)) / tests, rule.hours_min)
    if apart:
        worst = min(apart, key=lambda one: one.p or 0.0)
        return finding(
            "failed",
            f"{apart_words(worst, control)} (p {phrases.p_value(worst.p)}): that alone can make a difference",
            remedy="expose the arms at the same times, drawn anew for each unit, and run the pilot again",
            **compared,
        )
    return finding(
        "passed", f"its units were watched as long as those of {control}, from the same times on", **compared
    )
