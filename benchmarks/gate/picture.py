"""The picture of the headline benchmark: what each stack lets through, class by class."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.gate.headline import Result

# Okabe and Ito's palette, which colour-blind readers tell apart.
CONVENTIONAL, GATE = "#E69F00", "#0072B2"


def draw(results: Sequence[Result]) -> str:
    """Two bars a class, as SVG."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "pilotplant", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(8.5, 5.5), layout="constrained")
        panel = figure.subplots()
        for side, (label, colour, counts) in enumerate(
            (
                ("conventional stack", CONVENTIONAL, [sum(r.shipped) for r in results]),
                ("this gate", GATE, [r.count("admit") for r in results]),
            )
        ):
            places = [row + 0.4 * side for row in range(len(results))]
            shares = [100 * count / r.pilots for count, r in zip(counts, results, strict=True)]
            panel.barh(places, shares, 0.36, color=colour, label=label)
            for place, share in zip(places, shares, strict=True):
                panel.text(share + 0.8, place, f"{share:.1f}", va="center", fontsize=8)
        panel.set_yticks([row + 0.2 for row in range(len(results))], [r.one.name for r in results])
        panel.invert_yaxis()
        panel.set_xlim(0, 108)
        panel.set_xlabel("pilots let through, %; only the first class deserves it")
        panel.legend(loc="lower right", frameon=False)
        panel.spines[["top", "right"]].set_visible(False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return stream.getvalue()
