"""Claims: what an owner says was learned of one metric, set against what the sealed data show."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

from promotion.decisions.draft import Asked
from promotion.gate.blinding import hidden
from promotion.gate.case import Case
from promotion.gate.policy import read_settings
from shared.core.errors import BadInput, Refused, Undecided
from shared.evidence.model import Effect
from shared.experiment.charter import Charter
from shared.ui import phrases

Direction = Literal["more", "less", "no-difference", "could-not-tell"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
FORM = "ARM:METRIC=DIRECTION, like letter:visit=more; with one arm the arm may be left out"


@dataclass(frozen=True, slots=True)
class Claim:
    """That an arm made a metric more or less than the control, made no difference, or that nobody could tell."""

    arm: str
    metric: str
    direction: Direction

    @property
    def told(self) -> str:
        """`letter: visit more`."""
        return f"{self.arm}: {self.metric} {self.direction.replace('-', ' ')}"


def taught(case: Case, asked: Asked) -> Asked:
    """What was asked, with the claim as its insight, numbers beside it; as it is where nothing is claimed.

    Raises BadInput for a claim that cannot be read, Refused where the evidence says otherwise, Undecided where it
    says nothing.
    """
    if asked.claim is None:
        return asked
    if (asked.insight or "").strip():
        raise BadInput("an insight is a claim or a text of your own", where="--claim", remedy="leave --insight away")
    claim = parse(asked.claim, case.charter)
    _require_supported(case, claim)
    context = " ".join((asked.context or "").split())
    told = [claim.told, *_numbers(case, claim), *([f"context: {context}"] if context else [])]
    return replace(asked, insight="; ".join(told), claim=None, context=None)


def parse(text: str, charter: Charter) -> Claim:
    """A claim as it is typed; raises BadInput for another form, arm, metric or direction."""
    what, found, direction = text.strip().replace(" ", "").rpartition("=")
    arm, _, metric = what.rpartition(":")
    arms = [one.name for one in charter.treatments]
    arm = arm or (arms[0] if len(arms) == 1 else "")
    for value, known, name in ((arm, arms, "arm"), (metric, charter.measured, "metric"), (direction, DIRECTIONS, "")):
        if value not in known or not found:
            expected = f"{FORM}; {name or 'direction'} is one of: {', '.join(known)}"
            raise BadInput(f"`{text}` is no claim on this pilot", where="--claim", expected=expected)
    return Claim(arm, metric, cast("Direction", direction))


def against(claim: Claim, effect: Effect, least: float | None) -> str | None:
    """Why an interval contradicts a claim, in words; None where it does not.

    `least` is the smallest difference that the charter calls one: a minimum effect, or a guardrail's margin.
    """
    low, high, estimate = effect.low, effect.high, effect.estimate
    if low is None or high is None or estimate is None or not math.isfinite(low + high):
        return None if claim.direction == "could-not-tell" else "the effect could not be computed"
    if claim.direction == "no-difference":
        if least is None:
            return "the charter names no smallest difference of this metric that would count as one"
        inside = -least < low and high < least
        return None if inside else f"its interval is not within the {least:g} that would count as a difference"
    if claim.direction == "could-not-tell":
        shown = shows(effect, least)
        return None if shown == "could-not-tell" else f"its interval tells: {shown}"
    if (high <= 0) if claim.direction == "more" else (low >= 0):
        return "its interval excludes that"
    other_way = (estimate <= 0) if claim.direction == "more" else (estimate >= 0)
    return "the estimate does not point that way" if other_way else None


def shows(effect: Effect, least: float | None) -> Direction:
    """What an interval shows: a difference, that there is none of the size that would count as one, or neither."""
    low, high = effect.low, effect.high
    if low is None or high is None or not math.isfinite(low + high):
        return "could-not-tell"
    if low > 0:
        return "more"
    if high < 0:
        return "less"
    return "no-difference" if least is not None and -least < low and high < least else "could-not-tell"


def _require_supported(case: Case, claim: Claim) -> None:
    early = hidden(case, read_settings(case.room.workspace))
    if early is not None:
        if claim.direction == "could-not-tell":
            return
        raise Refused(early, where="--claim", remedy="say could-not-tell, or what was learned with --insight TEXT")
    effect = case.evidence.effect(claim.arm, claim.metric)
    if effect is None or effect.estimate is None:
        if claim.direction == "could-not-tell":
            return
        raise Undecided(
            f"`{claim.told}` cannot be set against the evidence: {effect.problem if effect else 'no data'}",
            where="--claim",
            remedy=f"claim {claim.arm}:{claim.metric}=could-not-tell",
        )
    least = _least(case.charter, claim.metric)
    why = against(claim, effect, least)
    if why is not None:
        [phrases] = _numbers(case, claim)
        raise Refused(
            f"the evidence contradicts `{claim.told}`: {phrases}; {why}",
            where=f"pilot {case.charter.pilot}, --claim",
            expected="a claim that the interval allows",
            remedy=f"claim {claim.arm}:{claim.metric}={shows(effect, least)}, which is what the numbers show",
        )


def _least(charter: Charter, metric: str) -> float | None:
    primary = charter.primary_of(metric)
    if primary is not None:
        return primary.minimum_effect
    return next((abs(rail.margin) for rail in charter.guardrails if rail.metric == metric), None)


def _numbers(case: Case, claim: Claim) -> list[str]:
    """The effect with its interval, and that it may be none; nothing while it is not shown or not there."""
    if hidden(case, read_settings(case.room.workspace)):
        return []
    effect = case.evidence.effect(claim.arm, claim.metric)
    if effect is None or effect.low is None or effect.high is None:
        return []
    may_be_none = claim.direction in {"more", "less"} and effect.low <= 0 <= effect.high
    told = phrases.effect(case.promise.metrics[claim.metric], effect)
    return [told + (", which may be chance" if may_be_none else "")]
