"""Pictures of effects: intervals beside none and beside a margin, for the Lab's pages and the gate's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.core.printable import line
from shared.evidence.model import Effect
from shared.experiment.metrics import Metric
from shared.ui.svg import SETTINGS, svg

# Okabe and Ito (2008): colours that people with colour-vision deficiencies can tell apart.
GOOD, BAD, OPEN = "#0072B2", "#D55E00", "#555555"


def intervals(
    metrics: Mapping[str, Metric],
    arms: Sequence[str],
    effect: Callable[[str, str], Effect | None],
    margins: Mapping[str, float],
) -> str:
    """The interval of each effect, by arm and metric: one panel per metric, since units differ."""

    def draw(panels: Sequence[Any]) -> None:
        for panel, (name, metric) in zip(panels, metrics.items(), strict=True):
            _panel(panel, name, metric, {arm: effect(arm, name) for arm in arms}, margins.get(name))

    return picture(4.0 * len(metrics), 1.3 + 0.55 * len(arms), len(metrics), draw)


def _panel(panel: Any, name: str, metric: Metric, effects: Mapping[str, Effect | None], margin: float | None) -> None:
    scale, arms = scale_of(metric), list(effects)
    for position, effect in enumerate(effects.values()):
        if effect is None or effect.estimate is None or effect.low is None or effect.high is None:
            panel.text(0, position, "cannot be evaluated", color=BAD, va="center", ha="center")
            continue
        colour = judged(metric, effect.estimate, effect.low, effect.high)
        panel.plot([scale * effect.low, scale * effect.high], [position, position], color=colour, linewidth=2.5)
        panel.plot([scale * effect.estimate], [position], "o", color=colour, markersize=7)
    panel.axvline(0, color="black", linewidth=1)
    if margin is not None:
        panel.axvline(scale * margin, color=BAD, linewidth=1, linestyle="--")
    panel.set_yticks(range(len(arms)), arms)
    panel.set_ylim(len(arms) - 0.5, -0.5)
    titled(panel, name, metric)
    panel.spines["left"].set_visible(False)
    panel.tick_params(left=False)


def judged(metric: Metric, estimate: float, low: float, high: float) -> str:
    """The colour of an interval: better, worse, or neither."""
    return OPEN if low <= 0 <= high else GOOD if estimate * metric.sign > 0 else BAD


def picture(width: float, height: float, panels: int, draw: Any) -> str:
    """A figure of so many panels in a row as SVG; `draw` is handed the panels. Width and height are in inches."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.subplots(1, panels, squeeze=False)[0])
        return svg(figure)


def scale_of(metric: Metric) -> int:
    """By what a value is multiplied to be read: proportions are shown in points."""
    return 100 if metric.kind == "proportion" else 1


def titled(panel: Any, name: str, metric: Metric) -> None:
    """Gives a panel its metric as a title, with the unit."""
    panel.set_title(f"{name} ({'percentage points' if metric.kind == 'proportion' else line(metric.unit)})", loc="left")
    panel.spines[["top", "right"]].set_visible(False)
