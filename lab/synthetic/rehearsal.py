"""Rehearsing: the rest of a pilot's way in a rehearsal workspace, with results that are made up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from lab.analysis.analysis import Analysis, analyse
from lab.analysis.submission import Submitted, submit
from lab.intake.intake import parts, record
from lab.pilots.pilot import Pilot, get_pilot, require_undecided
from lab.state import open_lab
from lab.synthetic.draws import Column, range_of
from lab.synthetic.synthetic import Planted, Synthesised, columns_of, make_up
from shared.core.errors import Refused
from shared.core.files import scratch_in
from shared.engines.placement import REHEARSED, SYNTHETIC
from shared.state.room import Room
from shared.state.workspace import Workspace

# Without a word on it, the first treatment has so many times the smallest effect that is worth scaling.
TIMES_THE_MINIMUM = 2
# A guardrail's gain takes no mean further than half the way to what it can be at most.
OF_RANGE_MAX = 0.5
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A pilot that was brought before the gate.

    Attributes:
        made: what was made up; None where the pilot had results of its own.
    """

    made: Synthesised | None
    analysis: Analysis
    submission: Submitted


def rehearse(workspace: Workspace, name: str, *, effects: Sequence[Planted] | None = None, seed: int = 0) -> Rehearsed:
    """Makes up a launched pilot's results, moves the clock past its end, analyses and submits it.

    A pilot that has results already keeps them, and only its time passes. The same pilot and seed give the same
    results, so that a command that was cut off goes on where it was. Without `effects`, `usual` says what is planted.

    Raises Refused in a live workspace, and for a pilot that is decided on, or over without a result; BadInput as
    `synthesise` does.
    """
    if workspace.mode != "rehearsal":
        raise Refused(
            "results are made up, and time is moved, in a rehearsal only",
            where=str(workspace.root),
            remedy="make a workspace to practise in: pilotplant init DIR --rehearsal",
        )
    room = open_lab(workspace)
    pilot = get_pilot(room, name)
    require_undecided(room, pilot)
    made = None if parts(room, pilot, "exposures") else _record(room, pilot, effects, seed)
    if workspace.clock.now() < pilot.closes:
        workspace.clock.set(pilot.closes + SECOND)
    return Rehearsed(made, analyse(workspace, name), submit(workspace, name))


def usual(room: Room, pilot: Pilot) -> list[Planted]:
    """A success that shows: the first treatment has twice the smallest effect worth scaling, and harms no guardrail.

    A guardrail gains what it was allowed to lose: with nothing planted there, chance has a pilot of a power of 90 %
    refused in every tenth rehearsal.
    """
    charter, metrics = pilot.charter, pilot.promise.metrics
    arm, primary = charter.treatments[0].name, charter.primary
    found = [Planted(arm, primary.metric, metrics[primary.metric].sign * TIMES_THE_MINIMUM * primary.minimum_effect)]
    columns = {column.metric: column for column in columns_of(room, pilot, deciding_only=True)}
    for rail in charter.guardrails:
        column = columns.get(rail.metric)
        if column is not None and column.known is not None:
            found.append(Planted(arm, rail.metric, _gain(column, column.known.baseline.mean, -rail.margin)))
    return found


def _gain(column: Column, mean: float, wanted: float) -> float:
    """The gain that is wanted, or as much of it as leaves the mean well within what it can be."""
    bound = range_of(column)[wanted > 0]
    if bound is None:
        return wanted
    return math.copysign(min(abs(wanted), OF_RANGE_MAX * abs(bound - mean)), wanted)


def _record(room: Room, pilot: Pilot, effects: Sequence[Planted] | None, seed: int) -> Synthesised:
    """Makes results up over the whole time box, and records them on its last day."""
    workspace, charter = room.workspace, pilot.charter
    pilot.require_open(room.now(), "data")
    planted = usual(room, pilot) if effects is None else effects
    mark = SYNTHETIC if charter.synthetic else REHEARSED
    with scratch_in(workspace.lab) as scratch:
        file = scratch / "results.parquet"
        made = make_up(room, pilot, file, mark=mark, effects=planted, seed=seed, deciding_only=True)
        if room.now() <= made.last:
            workspace.clock.set(made.last + SECOND)
        record(workspace, pilot.name, file, "both")
    return made
