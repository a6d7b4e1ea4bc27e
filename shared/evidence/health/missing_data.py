"""What is missing, by arm: whether as much was lost of each, whether all were recorded, and watched, alike."""

from __future__ import annotations

from collections.abc import Iterator

from shared.evidence.conclusions import turned
from shared.evidence.health import follow_up, losses, outages
from shared.evidence.health.context import HealthContext
from shared.evidence.model import Completeness, FollowUp, Latest, Loss, Outage, Symptom, TimeOfDay


def losses_by_arm(context: HealthContext, told: Completeness) -> Iterator[Symptom]:
    """Whether what did not count is alike in the arms, and whether it would have changed what is concluded."""
    check = "losses_by_arm"
    uneven = losses.uneven_ones(told.losses)
    for loss in uneven:
        yield Symptom(check=check, state="warning", measured=loss.p, threshold=losses.P_MIN, reason=lost_words(loss))
    changed = turned(context.charter, context.metrics, context.effects, told.everything) if told.everything else []
    for effect in changed:
        yield Symptom(
            check=check, state="warning", arm=effect.arm, metric=effect.metric,
            reason=f"with all counted in that was lost, {effect.metric} no longer shows what it shows without",
        )  # fmt: skip
    doubtful = turned(context.charter, context.metrics, context.effects, told.worst) if told.worst else []
    for effect in doubtful:
        yield Symptom(
            check=check, state="warning", arm=effect.arm, metric=effect.metric,
            reason=f"were all that nobody can attribute or read held against it, {effect.metric} would no longer show "
                   "what it shows",
        )  # fmt: skip
    if not (uneven or changed or doubtful):
        yield Symptom(check=check, state="good", reason="what did not count is alike in every arm, and changes nothing")


def outages_by_arm(_: HealthContext, told: Completeness) -> Iterator[Symptom]:
    """Whether an arm's outcomes were missing for some days, or end before the others'."""
    check = "outages_by_arm"
    if not told.outages:
        yield Symptom(check=check, state="unevaluable", reason="there are not outcomes of two arms on two days")
        return
    down, behind = outages.down(told.outages), outages.behind(told.latest)
    for one in down:
        yield Symptom(check=check, state="warning", arm=one.arm, where=one.day, measured=one.p,
                      threshold=outages.P_MIN, reason=outage_words(one))  # fmt: skip
    for late in behind:
        yield Symptom(check=check, state="warning", arm=late.arm, measured=late.p, threshold=outages.P_MIN,
                      reason=behind_words(late))  # fmt: skip
    if not (down or behind):
        yield Symptom(
            check=check, state="good", reason="on every day each arm's outcomes were recorded like the others'"
        )


def time_at_risk(context: HealthContext, told: Completeness) -> Iterator[Symptom]:
    """Whether every arm's units were watched equally long, from the same time of the day."""
    check = "time_at_risk"
    if not told.follow_up or None in follow_up.p_values(told.follow_up, told.time_of_day):
        yield Symptom(check=check, state="unevaluable", reason="an arm has too few units on one day to compare")
        return
    found = follow_up.apart(told.follow_up, told.time_of_day)
    for one in found:
        yield Symptom(check=check, state="warning", arm=one.arm, measured=one.p, threshold=follow_up.P_MIN,
                      reason=apart_words(one, context.charter.control.name))  # fmt: skip
    if not found:
        yield Symptom(check=check, state="good", reason="every arm's units were watched equally long")


def lost_words(loss: Loss) -> str:
    """A loss that is not alike in the arms, as a sentence without its end."""
    each = ", ".join(f"{arm} {n:,}" for arm, n in sorted(loss.units.items())) or "none"
    return f"the arms did not lose alike ({loss.what}): {each}"


def outage_words(one: Outage) -> str:
    """An outage, as a sentence without its end."""
    since = f"on {one.day}" if one.days == 1 else f"for {one.days} days from {one.day} on"
    what = "outcomes" if one.stream == "any outcome" else f"outcomes for {one.stream}"
    return f"{since} {one.arm} had {one.outcomes:,} {what}, where about {one.expected:,.0f} were to be expected"


def behind_words(late: Latest) -> str:
    """An arm whose data end early, as a sentence without its end."""
    return f"the outcomes of {late.arm} end {late.hours:.0f} hours before the others'"


def apart_words(one: FollowUp | TimeOfDay, control: str) -> str:
    """Arms that were not watched alike, as a sentence without its end."""
    if isinstance(one, FollowUp):
        hours, than = one.mean_h - one.control_h, f"than {control}"
        return f"{one.arm} was watched {abs(hours):.1f} hours {'longer' if hours > 0 else 'less'} {than} on average"
    hours = one.later_h or 0.0
    return (
        f"{one.arm} was exposed {abs(hours):.1f} hours {'later' if hours > 0 else 'earlier'} in the day than {control}"
    )
