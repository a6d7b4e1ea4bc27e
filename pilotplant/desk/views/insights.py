"""The library of insights: what decided pilots and finished tests taught, and what speaks against it."""

from __future__ import annotations

from dataclasses import dataclass

from lab.insights.insights import Insight, insights
from lab.insights.similarity import similar
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from pilotplant.desk.views.parts import how_many
from shared.state.workspace import Workspace

SHOWN = 50


@dataclass(frozen=True, slots=True)
class InsightsPage:
    """The page.

    Attributes:
        query, tag: what was searched for.
        tags: all that there are.
        more: how many are not shown.
    """

    headline: str
    query: str
    tag: str
    found: tuple[Insight, ...]
    more: int
    tags: tuple[str, ...]


def insights_page(workspace: Workspace, query: str, tag: str) -> InsightsPage:
    """The insights that contain every word of the query, the newest first."""
    room = open_lab(workspace)
    found, everything = insights(room, query, tag=tag or None), insights(room)
    count = len(found)
    return InsightsPage(
        how_many(count, "insight", "insights"),
        query,
        tag,
        tuple(found[:SHOWN]),
        max(0, count - SHOWN),
        tuple(sorted({each for one in everything for each in one.tags})),
    )


def learned(workspace: Workspace, pilot: str) -> tuple[tuple[str, str], ...]:
    """What was learned before that a pilot should be read beside: each claim with its pilot."""
    room = open_lab(workspace)
    return tuple((one.insight.pilot, one.insight.claim) for one in similar(room, get_pilot(room, pilot).charter))
