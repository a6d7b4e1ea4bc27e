"""The report of a finished test: one self-contained page, as of a pilot, that says what it cannot be used for."""

from __future__ import annotations

from typing import Any

from lab.insights.retrospective.effects import Shown
from shared.evidence.model import Effect
from shared.ui import phrases
from shared.ui.intervals import intervals
from shared.ui.page import pages

PAGE = "report.html"
# More arms and metrics than that are a table, and no picture.
DRAWN_MAX = 40


def render(shown: Shown, at: str) -> str:
    """The page of a test that was brought in at a moment, RFC 3339."""
    environment = pages("lab")
    environment.filters["p_value"] = phrases.p_value
    environment.filters["share"] = phrases.share
    return environment.get_template("retrospective.html.j2").render(
        test=shown.test,
        shown=shown,
        at=at,
        rows=[_row(shown, effect) for effect in shown.effects],
        picture=_picture(shown),
    )


def _row(shown: Shown, effect: Effect) -> dict[str, Any]:
    metric = shown.test.metrics[effect.metric]
    return {
        "effect": effect,
        "estimate": phrases.number(metric, effect.estimate),
        "interval": phrases.interval(metric, effect.low, effect.high),
    }


def _picture(shown: Shown) -> str | None:
    found = {(effect.arm, effect.metric): effect for effect in shown.effects}
    if not 0 < len(found) <= DRAWN_MAX or all(effect.problem for effect in found.values()):
        return None
    drawn = intervals(shown.test.metrics, shown.test.treatments, lambda arm, name: found.get((arm, name)), {})
    return drawn[drawn.index("<svg") :]
