"""The certificate for people: one self-contained page with the p-values of every metric."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.core.files import write_atomically
from shared.trust.aa_certificate import BINS, AaCertificate, AaMetric, interval
from shared.ui.page import pages
from shared.ui.svg import SETTINGS, svg

PER_ROW = 3
# Okabe and Ito (2008): colours that people with colour-vision deficiencies can tell apart; a hatch does it without any.
SOUND, FAULTY, EXPECTED = "#0072B2", "#D55E00", "#333333"


def write(path: Path, certificate: AaCertificate) -> None:
    """Writes the page; equal certificates give equal pages."""
    plot = _plot(certificate)
    page = (
        pages("lab")
        .get_template("aa.html.j2")
        .render(
            certificate=certificate,
            asked=certificate.asked,
            plot=plot[plot.index("<svg") :] if plot else None,
            bins=BINS,
        )
    )
    write_atomically(path, page)


def _plot(certificate: AaCertificate) -> str | None:
    """Histograms of the p-values as SVG, one panel per metric; None where none could be certified."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    shown = [found for found in certificate.metrics if found.p_counts]
    if not shown:
        return None
    rows = -(-len(shown) // PER_ROW)
    with rc_context(SETTINGS):
        figure = Figure(figsize=(4.0 * min(PER_ROW, len(shown)), 2.6 * rows), layout="constrained")
        panels = figure.subplots(rows, min(PER_ROW, len(shown)), squeeze=False).ravel()
        for panel, found in zip(panels, shown, strict=False):
            _panel(panel, found, certificate)
        for panel in panels[len(shown) :]:
            panel.set_axis_off()
        return svg(figure)


def _panel(panel: Any, found: AaMetric, certificate: AaCertificate) -> None:
    """Counts of p-values, and where 95 % of them would lie if all p-values were equally likely."""
    times = certificate.asked.times
    faulty = found.verdict == "fails"
    left = [part / BINS for part in range(BINS)]
    panel.bar(
        left, found.p_counts, 1 / BINS, align="edge", color=FAULTY if faulty else SOUND,
        hatch="//" if faulty else "", edgecolor="white",
    )  # fmt: skip
    _, low, high = interval(round(times / BINS), times, 0.95)
    panel.axhspan(times * low, times * high, color=EXPECTED, alpha=0.15, linewidth=0)
    panel.axhline(times / BINS, color=EXPECTED, linewidth=1, linestyle="--")
    panel.axvline(certificate.asked.alpha, color=EXPECTED, linewidth=1, linestyle=":")
    panel.set_xlim(0, 1)
    panel.set_title(f"{found.metric}: {found.verdict}", loc="left")
    panel.set_xlabel("p-value")
    panel.set_ylabel("splits")
    panel.spines[["top", "right"]].set_visible(False)
