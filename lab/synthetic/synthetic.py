"""Synthetic units: a pilot's exposures and outcomes, made up with planted effects, to run a whole pilot on.

Every event's id begins with the mark of the made-up, and only a pilot whose charter says `synthetic: true` takes such
events in; a rehearsal makes up results of any pilot, whose ids say that they are rehearsed. One latent propensity per
unit orders all of its columns, so that whoever buys much has visited as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.forecast.baselines import Known, Unknown, baselines
from lab.forecast.past_pilots import everything_past
from lab.pilots.assignment import assign, population_sql
from lab.pilots.pilot import Pilot, get_pilot
from lab.pilots.promise import Frozen, frozen_then
from lab.state import open_lab
from lab.synthetic.draws import Column, draw, filler, require_drawable
from shared.core.clock import rfc3339
from shared.core.errors import BadInput, Refused
from shared.core.files import scratch_in
from shared.core.sql import file_literal, identifier
from shared.core.times import date_time
from shared.data import contracts
from shared.data.tabular import connect, require_writable, write_table
from shared.engines.placement import SYNTHETIC
from shared.experiment.assignment import bucket
from shared.experiment.charter import Charter
from shared.experiment.draw import Draw
from shared.state.room import Room
from shared.state.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

KEYS = ("event_id", "unit", "at")
# An outcome follows within a day of its exposure, and the last day of the time box is left to record them in.
OUTCOME_WITHIN = LEFT_TO_RECORD = timedelta(days=1)
# Kinds of metric that a column is drawn for; the others are computed from what was drawn.
_DRAWN = {"proportion", "mean"}


@dataclass(frozen=True, slots=True)
class Planted:
    """A true effect: an absolute difference to the control, in the metric's unit."""

    arm: str
    metric: str
    effect: float


@dataclass(frozen=True, slots=True)
class Synthesised:
    """A written file of made-up results.

    Attributes:
        sources: what each metric was drawn from.
        fillers: required columns that no metric of the charter reads, each with the one value it has.
        last: the last event; the file can be recorded from then on, and before `ends`.
    """

    per_arm: dict[str, int]
    planted: tuple[Planted, ...]
    sources: dict[str, str]
    fillers: dict[str, Any]
    last: datetime
    ends: datetime


def planted(text: str) -> Planted:
    """An effect as the command line writes it, ARM:METRIC=VALUE; raises BadInput for anything else."""
    arm, colon, rest = text.partition(":")
    metric, equals, value = rest.partition("=")
    try:
        effect = float(value)
    except ValueError:
        effect = math.nan
    if not (arm and colon and metric and equals and math.isfinite(effect)):
        raise BadInput(f"`{text}` is no effect", where="--effect", expected="ARM:METRIC=VALUE, like letter:visit=0.02")
    return Planted(arm, metric, effect)


def synthesise(
    workspace: Workspace,
    name: str,
    out: Path,
    *,
    effects: Sequence[Planted] = (),
    seed: int = 0,
    units: int | None = None,
) -> Synthesised:
    """Writes made-up exposures with outcomes of a launched pilot; the same seed gives the same file.

    Raises Refused where the charter does not call its units synthetic, or too little of the time box is left; BadInput
    for an effect that cannot be, or a metric that has no baseline to draw from.
    """
    room = open_lab(workspace)
    pilot = get_pilot(room, name)
    _require_synthetic(pilot)
    pilot.require_open(room.now(), "data")
    return make_up(room, pilot, out, effects=effects, seed=seed, units=units)


def make_up(
    room: Room,
    pilot: Pilot,
    out: Path,
    *,
    mark: str = SYNTHETIC,
    effects: Sequence[Planted] = (),
    seed: int = 0,
    units: int | None = None,
    deciding_only: bool = False,
) -> Synthesised:
    """Writes made-up results of a launched pilot, whatever its charter says; each event's id begins with the mark.

    With `deciding_only`, metrics that decide nothing and have no baseline are drawn from nothing: no unit moves them.

    Raises as `synthesise` does, but for the charter.
    """
    workspace = room.workspace
    require_writable(out)
    _require_possible(pilot.charter, effects)
    _require_so_many(units, frozen_then(workspace, pilot).pool.units)
    columns = columns_of(room, pilot, effects, deciding_only=deciding_only)
    opens, last = _window(pilot)
    rng = _generator(pilot.draw(workspace), seed)
    chosen, arms = _drawn_units(workspace, pilot, rng, units)
    times = _times(rng, len(chosen), opens, last)
    rows = _rows(f"{mark}{pilot.name}", chosen, arms, times, columns, rng)
    with connect() as connection:
        connection.register("rows", rows)
        write_table(connection, "SELECT * FROM rows", out)
    return Synthesised(
        per_arm={arm: int((arms == arm).sum()) for arm in pilot.charter.weights},
        planted=tuple(effects),
        sources={c.metric: c.known.source for c in columns if c.known and c.metric},
        fillers={c.column.name: c.filler for c in columns if c.filler is not None},
        last=max(times[1]),
        ends=pilot.ends,
    )


def _generator(drawn: Draw, seed: int) -> np.random.Generator:
    """The same results for the same arms and seed, whenever the pilot's snapshot was published."""
    return np.random.default_rng([seed, bucket(drawn.salt or "", "results")])


def _require_synthetic(pilot: Pilot) -> None:
    if not pilot.charter.synthetic:
        raise Refused(
            f"the charter of {pilot.name} promises real units, and none are made up for it",
            where=f"pilot {pilot.name}",
            remedy="launch a pilot of another name whose charter says `synthetic: true`",
        )


def _require_possible(charter: Charter, effects: Sequence[Planted]) -> None:
    arms = [arm.name for arm in charter.treatments]
    for effect in effects:
        for what, value, known in (("arm", effect.arm, arms), ("metric", effect.metric, list(charter.measured))):
            if value not in known:
                raise BadInput(
                    f"`{value}` is no {what} that an effect can be planted in",
                    where="--effect",
                    expected="one of: " + ", ".join(known),
                )
    named = [(effect.arm, effect.metric) for effect in effects]
    if len(set(named)) < len(named):
        raise BadInput("two effects are planted in one arm and metric", where="--effect", remedy="name each once")


def _require_so_many(wanted: int | None, there: int) -> None:
    if wanted is not None and not 0 < wanted <= there:
        raise BadInput(f"{wanted:,} units cannot be drawn", where="--units", expected=f"a number from 1 to {there:,}")


def columns_of(room: Room, pilot: Pilot, effects: Sequence[Planted] = (), *, deciding_only: bool) -> list[Column]:
    """How each column of the outcomes will be drawn; raises BadInput for one that cannot be."""
    frozen = frozen_then(room.workspace, pilot)
    known = baselines(frozen, everything_past(room, pilot.charter))
    read = _readers(pilot, effects)
    if deciding_only:
        needed = {*pilot.charter.bounded, *(effect.metric for effect in effects)}
        read = {column: name for column, name in read.items() if name in needed or isinstance(known[name], Known)}
    return [
        Column(column, filler=filler(column) if column.required else None)
        if column.name not in read
        else _measured(frozen, column, read[column.name], known[read[column.name]], effects)
        for column in pilot.contract.columns
        if column.name not in KEYS
    ]


def _readers(pilot: Pilot, effects: Sequence[Planted]) -> dict[str, str]:
    """Each measured column with the metric it is drawn for, the first that reads it; effects must be on that one."""
    read: dict[str, str] = {}
    for name in pilot.charter.measured:
        metric = pilot.promise.metrics[name]
        if metric.column is not None and metric.kind in _DRAWN:
            read.setdefault(metric.column, name)
    for effect in effects:
        metric = pilot.promise.metrics[effect.metric]
        column = metric.column or ""
        if metric.kind not in _DRAWN or not column:
            raise BadInput(
                f"no effect can be planted in `{effect.metric}`: it follows from the columns that are drawn",
                where="--effect",
                expected="a proportion or a mean of one column"
                + (": " + ", ".join(read.values()) if read else "; the charter measures none"),
            )
        if read[column] != effect.metric:
            raise BadInput(
                f"`{effect.metric}` reads column `{column}`, which `{read[column]}` reads as well",
                where="--effect",
                remedy=f"plant the effect in `{read[column]}`",
            )
    return read


def _measured(
    frozen: Frozen, column: contracts.Column, metric: str, known: Known | Unknown, effects: Sequence[Planted]
) -> Column:
    if isinstance(known, Unknown):
        raise BadInput(
            f"`{metric}` cannot be drawn: {known.reason}",
            where=f"pilot {frozen.promise.charter.pilot}",
            remedy="say it in the charter, under `sample`, and then: "
            f"pilotplant lab amend {frozen.promise.charter.pilot} --reason TEXT",
        )
    planted_here = {effect.arm: effect.effect for effect in effects if effect.metric == metric}
    return require_drawable(Column(column, metric, known, planted_here, _history(frozen, known)))


def _history(frozen: Frozen, known: Known) -> NDArray[np.float64] | None:
    """The values of the column that a baseline was read from, rising; None where it comes from elsewhere."""
    if known.history is None:
        return None
    with connect() as connection:
        found = connection.sql(f"SELECT {identifier(known.history)} AS value FROM {frozen.pool.sql}").fetchnumpy()
    return np.sort(found["value"].astype(float))


def _window(pilot: Pilot) -> tuple[datetime, datetime]:
    """From when to when units can be exposed."""
    opens = max(pilot.charter.time_box.starts, pilot.deposited_at + timedelta(seconds=1)).replace(microsecond=0)
    last = min(pilot.ends - LEFT_TO_RECORD - OUTCOME_WITHIN, pilot.charter.time_box.enrolled or pilot.ends)
    if opens < pilot.deposited_at:
        opens += timedelta(seconds=1)
    if opens >= last:
        raise Refused(
            f"too little of the time box is left to make up a pilot in: it ends at {date_time(pilot.ends)}",
            where=f"pilot {pilot.name}",
            remedy="launch one of another name with a later time box",
        )
    return opens, last


def _drawn_units(
    workspace: Workspace, pilot: Pilot, rng: np.random.Generator, wanted: int | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Units and their arms: all that the pilot's assignment reaches, or so many of them."""
    takes_part = pilot.draw(workspace).takes_part_sql("unit", able=pilot.able)
    with scratch_in(workspace.lab) as scratch, connect() as connection:
        if pilot.charter.assignment == "pilotplant":
            assign(workspace, pilot.name, scratch / "arms.parquet")
            query = f"SELECT unit, arm FROM read_parquet({file_literal(scratch / 'arms.parquet')}) ORDER BY unit"
        else:
            query = f"SELECT * FROM ({population_sql(workspace, pilot)}) WHERE {takes_part} ORDER BY unit"
        found = connection.sql(query).to_arrow_table()
    units = found.column("unit").to_numpy(zero_copy_only=False)
    if pilot.charter.assignment == "source":
        drawn_by = found.column("unit" if pilot.charter.cluster is None else "cluster")
        arms = _of_the_source(pilot.charter, drawn_by.to_numpy(zero_copy_only=False), rng)
    else:
        arms = found.column("arm").to_numpy(zero_copy_only=False)
    if wanted is None:
        return units, arms
    _require_so_many(wanted, len(units))
    kept = np.sort(rng.choice(len(units), wanted, replace=False))
    return units[kept], arms[kept]


def _of_the_source(charter: Charter, drawn_by: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Arms as a system that exposes would draw them: one for each unit, or for each cluster."""
    weights = charter.weights
    shares = [float(weight / sum(weights.values())) for weight in weights.values()]
    each, place = np.unique(drawn_by, return_inverse=True)
    arms: NDArray[Any] = rng.choice(np.array(list(weights), dtype=object), len(each), p=shares)[place]
    return arms


def _times(
    rng: np.random.Generator, count: int, opens: datetime, last: datetime
) -> tuple[list[datetime], list[datetime]]:
    """When each unit is exposed, and when its outcome comes, to the second."""
    exposed = rng.integers(0, int((last - opens).total_seconds()), count)
    delays = rng.integers(60, int(OUTCOME_WITHIN.total_seconds()), count)
    return (
        [opens + timedelta(seconds=int(s)) for s in exposed],
        [opens + timedelta(seconds=int(s)) for s in exposed + delays],
    )


def _rows(
    mark: str,
    units: NDArray[Any],
    arms: NDArray[Any],
    times: tuple[list[datetime], list[datetime]],
    columns: Sequence[Column],
    rng: np.random.Generator,
) -> pa.Table:
    import pyarrow as pa

    propensity = rng.random(len(units))
    exposed, happened = times
    drawn = {column.column.name: draw(column, arms, propensity, rng) for column in columns}
    return pa.table(
        {
            "event_id": [f"{mark}-{n:08d}" for n in range(len(units))],
            "unit": units.tolist(),
            "arm": arms.tolist(),
            "exposed_at": [rfc3339(at) for at in exposed],
            "at": [rfc3339(at) for at in happened],
            **drawn,
        }
    )
