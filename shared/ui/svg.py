"""Drawings as SVG: the settings that all of them share, and the one way from a figure to a file's text."""

from __future__ import annotations

import io
from typing import Any

from shared.core.printable import block

# A fixed salt and no metadata make equal drawings an equal file, which names nothing outside itself. What people wrote
# is no formula, whatever dollar signs stand in it.
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "pilotplant",
    "svg.fonttype": "none",
    "font.size": 10,
    "text.parse_math": False,
}


def svg(figure: Any) -> str:
    """The figure as SVG, in which every character of a label shows."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return block(stream.getvalue())
