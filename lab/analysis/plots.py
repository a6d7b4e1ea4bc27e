"""The report's pictures, as SVG: effects, effects over time, effects in segments, and the arms' sizes by day.

Arms are told apart by marker as well as by colour, so that a page printed in black says the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lab.pilots.pilot import Pilot
from shared.core.printable import line
from shared.evidence.model import Evidence, SegmentEffect
from shared.ui.intervals import intervals, picture, scale_of, titled

# Okabe and Ito (2008), like all colours here.
ARMS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
MARKERS = ("o", "s", "^", "D", "v", "P")
# Normal's 99.95 % point: where a day's share lies outside by chance once in a thousand.
Z_DAY = 3.2905267314919255
LEVELS_MAX = 40


def pictures(pilot: Pilot, evidence: Evidence) -> dict[str, str]:
    """Every picture that there is something to show in, by file name: `effects.svg` always, and first."""
    drawn = {"effects.svg": _effects(pilot, evidence)}
    if len(evidence.days) > 1:
        drawn["over_time.svg"] = _over_time(pilot, evidence)
        drawn["sample_ratio.svg"] = _sample_ratio(evidence)
    if any(found.estimate is not None for found in evidence.segments):
        drawn["segments.svg"] = _segments(pilot, evidence)
    return drawn


def _effects(pilot: Pilot, evidence: Evidence) -> str:
    """Intervals of every effect, beside each guardrail's margin."""
    metrics = {name: pilot.promise.metrics[name] for name in pilot.charter.measured}
    margins = {rail.metric: rail.margin for rail in pilot.charter.guardrails}
    return intervals(metrics, [arm.name for arm in pilot.charter.treatments], evidence.effect, margins)


def _over_time(pilot: Pilot, evidence: Evidence) -> str:
    """Each primary metric's effect with all units exposed until each day, and the looks that were agreed on."""
    names = [primary.metric for primary in pilot.charter.primaries]

    def draw(panels: Sequence[Any]) -> None:
        for panel, name in zip(panels, names, strict=True):
            metric = pilot.promise.metrics[name]
            for number, arm in enumerate(pilot.charter.treatments):
                _line(panel, evidence, arm.name, name, number, scale_of(metric))
            panel.axhline(0, color="black", linewidth=1)
            titled(panel, name, metric)
            panel.set_xlabel("units exposed until this day")
            panel.tick_params(axis="x", rotation=45)
        if panels[0].get_legend_handles_labels()[0]:
            panels[0].legend(frameon=False, loc="best")

    return picture(max(6.0, 5.0 * len(names)), 3.4, len(names), draw)


def _line(panel: Any, evidence: Evidence, arm: str, metric: str, number: int, scale: int) -> None:
    colour, marker = ARMS[number % len(ARMS)], MARKERS[number % len(MARKERS)]
    points = [
        (day.day[5:], effect.estimate, effect.low, effect.high)
        for day in evidence.days
        for effect in day.effects
        if (effect.arm, effect.metric) == (arm, metric) and None not in {effect.estimate, effect.low, effect.high}
    ]
    if not points:
        return
    days, estimates, lows, highs = zip(*points, strict=True)
    panel.plot(days, [scale * e for e in estimates], marker=marker, markersize=4, color=colour, label=arm)
    panel.fill_between(
        days, [scale * e for e in lows], [scale * e for e in highs], color=colour, alpha=0.18, linewidth=0
    )
    every = max(1, math.ceil(len(days) / 10))
    panel.set_xticks(range(0, len(days), every), days[::every])


def _segments(pilot: Pilot, evidence: Evidence) -> str:
    """A forest: one row per level of a segment, one panel per primary metric, arms side by side in a row."""
    names = [primary.metric for primary in pilot.charter.primaries]
    rows = list(dict.fromkeys((found.segment, found.level) for found in evidence.segments))[:LEVELS_MAX]
    arms = [arm.name for arm in pilot.charter.treatments]

    def draw(panels: Sequence[Any]) -> None:
        for panel, name in zip(panels, names, strict=True):
            metric = pilot.promise.metrics[name]
            for found in evidence.segments:
                if found.metric == name and (found.segment, found.level) in rows:
                    _twig(panel, found, rows, arms, scale_of(metric))
            panel.axvline(0, color="black", linewidth=1)
            panel.set_yticks(range(len(rows)), [f"{segment}: {_level(level)}" for segment, level in rows])
            panel.set_ylim(len(rows) - 0.5, -0.5)
            titled(panel, name, metric)
        _legend(panels[0], arms)

    return picture(max(6.0, 4.6 * len(names)), 1.3 + 0.3 * len(rows) * max(1, len(arms) / 2), len(names), draw)


def _level(level: str | None) -> str:
    return "(none)" if level is None else line(level)


def _twig(panel: Any, found: SegmentEffect, rows: list[tuple[str, str | None]], arms: list[str], scale: int) -> None:
    if found.estimate is None or found.low is None or found.high is None or found.arm not in arms:
        return
    number = arms.index(found.arm)
    at = rows.index((found.segment, found.level)) + (number - (len(arms) - 1) / 2) * 0.6 / max(1, len(arms))
    colour, marker = ARMS[number % len(ARMS)], MARKERS[number % len(MARKERS)]
    panel.plot([scale * found.low, scale * found.high], [at, at], color=colour, linewidth=1.8)
    panel.plot([scale * found.estimate], [at], marker, color=colour, markersize=5)


def _legend(panel: Any, arms: list[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=ARMS[n % len(ARMS)], marker=MARKERS[n % len(MARKERS)], label=arm)
        for n, arm in enumerate(arms)
    ]
    panel.legend(handles=handles, frameon=False, loc="best")


def _sample_ratio(evidence: Evidence) -> str:
    """How far each arm's share of each day's units is from the planned one, with where chance leaves it."""
    planned = {arm.arm: arm.planned_frac for arm in evidence.arms}

    def draw(panels: Sequence[Any]) -> None:
        [panel] = panels
        days = [day.day[5:] for day in evidence.days]
        for number, (arm, frac) in enumerate(planned.items()):
            apart = [100 * (day.units.get(arm, 0) / sum(day.units.values()) - frac) for day in evidence.days]
            panel.plot(days, apart, marker=MARKERS[number % len(MARKERS)], linestyle="none", markersize=4,
                       color=ARMS[number % len(ARMS)], label=arm)  # fmt: skip
        spread = max(frac * (1 - frac) for frac in planned.values())
        reach = [100 * Z_DAY * math.sqrt(spread / sum(day.units.values())) for day in evidence.days]
        panel.fill_between(days, [-r for r in reach], reach, color="#999999", alpha=0.2, linewidth=0)
        panel.axhline(0, color="black", linewidth=1)
        panel.set_title("share of the day's units, less the planned one (percentage points)", loc="left")
        panel.spines[["top", "right"]].set_visible(False)
        every = max(1, math.ceil(len(days) / 14))
        panel.set_xticks(range(0, len(days), every), days[::every])
        panel.tick_params(axis="x", rotation=45)
        panel.legend(frameon=False, loc="best")

    return picture(8.0, 3.0, 1, draw)
