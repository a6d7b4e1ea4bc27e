"""The forecast's plot: the chances of each decision, and how they rise with the true effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lab.forecast.forecast import Forecast, OperatingCharacteristics
from lab.forecast.simulation import Ending
from lab.forecast.text import ENDINGS
from shared.core.files import write_atomically
from shared.core.printable import line
from shared.experiment.charter import Charter
from shared.experiment.metrics import Metric
from shared.state.workspace import Workspace
from shared.ui.svg import SETTINGS, svg

# Okabe and Ito (2008): colours that people with colour-vision deficiencies can tell apart; hatches do it without any.
LOOKS = {
    Ending.SCALE: ("#0072B2", ""),
    Ending.NO_EFFECT: ("#BBBBBB", ""),
    Ending.HARM_NOT_RULED_OUT: ("#D55E00", "//"),
    Ending.TOO_FEW_UNITS: ("#E69F00", ".."),
    Ending.UNDECIDED: ("#FFFFFF", "xx"),
}


def plot_path(workspace: Workspace, pilot: str) -> Path:
    """Where a draft's plot lies: in the Lab's own room, since a draft's folder holds only what its author wrote."""
    return workspace.lab / "forecasts" / f"{pilot}.svg"


def write(workspace: Workspace, found: Forecast, metric: Metric) -> Path | None:
    """Writes the plot as SVG and returns its path; None, and no old plot left behind, where nothing can be forecast."""
    path = plot_path(workspace, found.charter.pilot)
    if found.chances is None:
        path.unlink(missing_ok=True)
        return None
    write_atomically(path, _plot(found.chances, found.charter, metric))
    return path


def _plot(found: OperatingCharacteristics, charter: Charter, metric: Metric) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(SETTINGS):
        figure = Figure(figsize=(11, 3.6), layout="constrained")
        bars, curve = figure.subplots(1, 2, width_ratios=(1.15, 1))
        _bars(bars, found)
        _curve(curve, found, charter, metric)
        return svg(figure)


def _bars(panel: Any, found: OperatingCharacteristics) -> None:
    rows = {"as expected": found.expected, "no effect": found.none, "minimum effect": found.minimum}
    for position, chances in enumerate(rows.values()):
        left = 0.0
        for ending, (colour, hatch) in LOOKS.items():
            width = 100 * chances[ending]
            label = ENDINGS[ending] if position == 0 else None
            panel.barh(position, width, left=left, color=colour, hatch=hatch, edgecolor="#333333", label=label)
            left += width
    panel.set_yticks(range(len(rows)), list(rows))
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.set_xlim(0, 100)
    panel.set_xlabel("chance of each decision, %")
    panel.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=3, frameon=False, fontsize=9)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(left=False)


def _curve(panel: Any, found: OperatingCharacteristics, charter: Charter, metric: Metric) -> None:
    scale = 100 if metric.kind == "proportion" else 1
    effects = [scale * effect for effect in found.curve.effects]
    panel.plot(effects, [100 * p for p in found.curve.power], "--", color="#D55E00", label="power of one arm's test")
    panel.plot(effects, [100 * p for p in found.curve.scale], "-", color="#0072B2", linewidth=2, label="may scale")
    least = scale * metric.sign * charter.primary.minimum_effect
    panel.axvline(least, color="#555555", linewidth=1, linestyle=":")
    panel.annotate("minimum", (least, 103), ha="center", fontsize=9, color="#555555", annotation_clip=False)
    unit = "percentage points" if metric.kind == "proportion" else line(metric.unit)
    panel.set_xlabel(f"true effect on {charter.primary.metric}, {unit}")
    panel.set_ylabel("chance, %")
    panel.set_ylim(0, 102)
    panel.legend(loc="lower right", frameon=False, fontsize=9)
    panel.spines[["top", "right"]].set_visible(False)
