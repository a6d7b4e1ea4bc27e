"""Numbers as people read them, the same in reports, tables and findings."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shared.evidence.kill_criteria import Answer
from shared.evidence.model import Between, Effect
from shared.experiment.metrics import Metric
from shared.trust.attestation import Promised

# Below this a p-value's digits say nothing.
P_FLOOR = 1e-4
# Below the first, three decimals leave fewer than two digits; beyond the second there is nothing to read.
SMALL, PLACES_MAX = 0.01, 9


def number(metric: Metric, value: float | None) -> str:
    """A difference: percentage points for a proportion, else the metric's unit."""
    if value is None:
        return "–"
    if metric.kind == "proportion":
        return f"{100 * value:+.2f} pp"
    return f"{value:+.{_places(value)}f}"


def amount(metric: Metric, value: float) -> str:
    """How much, without its direction: `7.3 points` for a proportion, else the number with its unit."""
    if metric.kind == "proportion":
        return f"{100 * abs(value):.{1 if abs(value) >= SMALL else 2}f} points"
    return f"{abs(value):.{_places(value)}f} {metric.unit}"


def tick(metric: Metric, value: float) -> str:
    """A number of a scale, in the unit that the scale is titled with: points for a proportion."""
    shown = round(100 * value if metric.kind == "proportion" else value, 9)
    return f"{shown:+g}".replace("-", "−") if shown else "0"


def change(metric: Metric, value: float) -> str:
    """A difference as one says it: `+7.3 points` for a proportion, else the number with its unit."""
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return f"{sign}{amount(metric, value)}"


def from_to(metric: Metric, low: float, high: float) -> str:
    """The ends of an interval, without the unit that the change beside it has: `6.2 to 7.3`."""
    if metric.kind == "proportion":
        scale, places = 100, 1 if max(abs(low), abs(high)) >= SMALL else 2
    else:
        scale, places = 1, max(map(_places, (low, high)))
    return " to ".join(f"{scale * end:.{places}f}".replace("-", "−") for end in (low, high))


def at_most(metric: Metric, name: str, margin: float) -> str:
    """A guardrail's margin, as what may happen: `spend may fall by at most 0.100 USD per customer`."""
    return f"{name} may {'fall' if metric.sign > 0 else 'rise'} by at most {amount(metric, margin)}"


def ago(days: float) -> str:
    """How long ago: `less than a day ago`, `1 day ago`, `3 days ago`."""
    whole = int(days)
    return "less than a day ago" if whole < 1 else "1 day ago" if whole == 1 else f"{whole} days ago"


def level(metric: Metric, value: float) -> str:
    """What an arm came to: per cent for a proportion, else the metric's unit."""
    return f"{100 * value:.2f} %" if metric.kind == "proportion" else f"{value:.{_places(value) + 1}f}"


def interval(metric: Metric, low: float | None, high: float | None) -> str:
    """An interval, without the unit that the estimate beside it has."""
    if low is None or high is None:
        return "–"
    if metric.kind == "proportion":
        return f"[{100 * low:.2f}, {100 * high:.2f}]"
    places = max(_places(low), _places(high))
    return f"[{low:.{places}f}, {high:.{places}f}]"


def _places(value: float) -> int:
    """Three decimals, and more for what would read as zero: a ratio's difference may be small and matter."""
    if value == 0 or abs(value) >= SMALL:
        return 3
    return min(PLACES_MAX, 1 - math.floor(math.log10(abs(value))))


def effect(metric: Metric, found: Effect) -> str:
    """An effect with its interval, or why there is none."""
    if found.problem is not None:
        return f"cannot be evaluated: {found.problem}"
    return f"{number(metric, found.estimate)} {interval(metric, found.low, found.high)}"


def between(metric: Metric, found: Between) -> str:
    """Two treatments beside each other: which is shown to be the better one, or that neither is."""
    pair = f"{found.arm} against {found.other}"
    if found.estimate is None or found.low is None or found.high is None:
        return f"{pair} cannot be compared in {found.metric}: {found.problem or 'it is not a number'}"
    told = f"{found.metric} {number(metric, found.estimate)} {interval(metric, found.low, found.high)}"
    if found.low <= 0 <= found.high:
        return f"{pair}: {told}, so neither is shown to be the better one"
    better, worse = (found.arm, found.other) if metric.sign * found.estimate > 0 else (found.other, found.arm)
    return f"{pair}: {told}, so {better} is better than {worse}"


def ends(metric: Metric, low: float, high: float) -> str:
    """The ends of an interval in words: `between 5.0 points and 15.0 points`, or `from a fall of … to a rise of …`."""
    if low * high > 0:
        less, more = sorted((abs(low), abs(high)))
        return f"between {amount(metric, less)} and {amount(metric, more)}"
    return f"from a fall of {amount(metric, low)} to a rise of {amount(metric, high)}"


def in_words(metric: Metric, found: Effect, sure: str) -> str:
    """An effect as one would say it; `sure` is the interval's confidence, in per cent."""
    if found.problem is not None or found.estimate is None or found.low is None or found.high is None:
        return f"{found.metric} cannot be evaluated: {found.problem or 'it is not a number'}"
    went = "rose" if found.estimate > 0 else "fell" if found.estimate < 0 else "stayed"
    by, ends = amount(metric, found.estimate), (found.low, found.high)
    low, high = (number(metric, end) for end in ends)
    may_be_none = ", so it may be none at all" if found.low <= 0 <= found.high else ""
    fits = f"the data fit a true difference between {low} and {high} ({sure} interval)"
    return f"{found.metric} {went} by {by}; {fits}{may_be_none}"


def kill_criterion(metric: Metric, found: Answer) -> str:
    """What a kill criterion says of an arm, without a full stop."""
    name, limit = found.criterion.metric, number(metric, found.criterion.worse_than)
    if found.met is None:
        return f"whether the kill criterion on {name} is met cannot be said: {found.problem}"
    numbers = f"{number(metric, found.estimate)} {interval(metric, found.low, found.high)}"
    if not found.met:
        return f"kill criterion not met: {name} {numbers}, and not all of it is worse than {limit}"
    when = f" at the look of {found.at[:10]}" if found.at else ""
    return f"kill criterion met{when}: {name} {numbers}, all of it worse than {limit}"


def promise(metric: Metric, found: Promised) -> str:
    """What was measured on a metric, what to expect of it once it is scaled, and by which prior."""
    prior = f"{found.prior.pilots} past pilots" if found.prior.pilots else "the default prior"
    more = "more" if found.estimate > 0 else "less"
    return (
        f"{found.metric}: measured {amount(metric, found.estimate)} {more}; expect {number(metric, found.mean)} after "
        f"launch {interval(metric, found.low, found.high)}, by {prior}"
    )


def p_value(p: float | None) -> str:
    """A p-value."""
    if p is None:
        return "–"
    return f"< {P_FLOOR:g}" if p < P_FLOOR else f"{p:.4f}"


def share(value: float | None) -> str:
    """A relative lift or share in per cent."""
    return "–" if value is None else f"{100 * value:+.1f} %"


def days(left: float) -> str:
    """How much time is left: whole days, the last one as `less than a day`."""
    whole = int(left)
    return "less than a day" if whole < 1 else "1 day" if whole == 1 else f"{whole} days"


def first_of(told: Sequence[str], most: int = 5) -> str:
    """The first sentences of several, and how many more there are: `one; two and 3 more`."""
    return "; ".join(told[:most]) + (f" and {len(told) - most} more" if len(told) > most else "")


def bar(frac: float, width: int = 6) -> str:
    """A share as a bar of blocks; only what is complete fills it."""
    full = min(width, int(frac * width))
    return "█" * full + "░" * (width - full)
