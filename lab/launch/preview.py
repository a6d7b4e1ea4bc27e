"""Previews: what an arm would say to a few units of its audience, over the masked snapshot, in the box."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from lab.launch.preconditions import unpublished
from lab.pilots.pilot import find_pilot
from lab.pilots.promise import Frozen, freeze, frozen_then
from lab.state import SandboxSettings, open_lab, read_settings
from shared.core.errors import BadInput, Refused
from shared.core.files import scratch_in
from shared.core.sql import file_literal, identifier, literal
from shared.core.yamlfile import read_text
from shared.data.tabular import connect
from shared.experiment.charter import Arm, Charter
from shared.experiment.play import Play
from shared.sandbox import audience, render
from shared.state.room import Room
from shared.state.workspace import Workspace

# Of so many units, those that get different words are shown first, and no more than a person reads.
RENDERED, SHOWN = 200, 3


@dataclass(frozen=True, slots=True)
class Rendering:
    """What one unit would get."""

    arm: str
    unit: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What was rendered.

    Attributes:
        launched: whether the words are those that were frozen, or still a draft's.
    """

    launched: bool
    renderings: list[Rendering]


def preview(workspace: Workspace, name: str, *, arm: str | None = None, unit: str | None = None) -> Preview:
    """What the arms of a pilot, or one of them, would say to a few units, or to one.

    Raises BadInput for an arm or unit that is not among them, Refused where there is nobody to say it to, Contained
    where SQL or template cannot be run.
    """
    room = open_lab(workspace)
    launched, frozen = _promised(room, name)
    charter = frozen.promise.charter
    arms = [arm_of(charter, arm)] if arm else list(charter.treatments)
    found = [rendering for each in arms for rendering in _render(room, frozen, each, unit)]
    if not found and unit is not None:
        raise BadInput(
            f"unit `{unit}` is in no audience today",
            where=f"pilot {name}, {', '.join(each.name for each in arms)}",
            remedy="leave --unit out to see some that are",
        )
    return Preview(launched, found)


def arm_of(charter: Charter, name: str) -> Arm:
    """The treatment arm of that name; raises BadInput with those that have something to say."""
    for arm in charter.treatments:
        if arm.name == name:
            return arm
    raise BadInput(
        f"arm `{name}` says nothing: " + ("it is the control" if name == charter.control.name else "there is none"),
        where=f"pilot {charter.pilot}",
        expected="one of: " + ", ".join(arm.name for arm in charter.treatments),
    )


def _promised(room: Room, name: str) -> tuple[bool, Frozen]:
    """Whether the pilot is launched, and what was frozen then, or what would be now."""
    pilot = find_pilot(room, name)
    if pilot is None:
        return False, freeze(room.workspace, name)
    return True, frozen_then(room.workspace, pilot)


def _render(room: Room, frozen: Frozen, arm: Arm, unit: str | None) -> list[Rendering]:
    play = arm.play
    if play is None:
        return []
    for problem in unpublished(frozen, arm):
        raise problem
    charter = frozen.promise.charter
    where = f"pilots/{charter.pilot}"
    with scratch_in(room.workspace.lab) as scratch:
        rows, out = scratch / "rows.parquet", scratch / "rendered.parquet"
        sandbox = read_settings(room.workspace).sandbox
        if not _write_rows(frozen, play, unit, scratch, rows, sandbox):
            return []
        template, place = read_text(frozen.files[play.template]), f"{where}, arm {arm.name}"
        policy = sandbox.without_landlock
        render(template, play.subject, rows, out, where=place, limits=sandbox.limits, without_landlock=policy)
        found = [
            Rendering(arm.name, str(row["unit"]), row["subject"], row["body"]) for row in pq.read_table(out).to_pylist()
        ]
    return _different(found)


def _write_rows(
    frozen: Frozen, play: Play, unit: str | None, scratch: Path, rows: Path, sandbox: SandboxSettings
) -> int:
    """Writes the audience's first units, or the one that is asked for, with the play's fields; returns how many."""
    charter, snapshot, selected = frozen.promise.charter, frozen.snapshot, scratch / "audience.parquet"
    where = f"pilots/{charter.pilot}/{play.audience}"
    sql = read_text(frozen.files[play.audience])
    policy = sandbox.without_landlock
    audience(sql, snapshot.tables(), selected, where=where, limits=sandbox.limits, without_landlock=policy)
    key = identifier(snapshot.contract(charter.population).primary_key)
    fields = "".join(f", p.{identifier(name)}" for name in play.fields if name != "unit")
    only = "" if unit is None else f"WHERE a.unit = {literal(unit)} "
    with connect() as connection:
        connection.execute(
            f"COPY (SELECT a.unit{fields} FROM read_parquet({file_literal(selected)}) a "
            f"JOIN read_parquet({file_literal(snapshot.table(charter.population))}) p ON p.{key} = a.unit {only}"
            f"ORDER BY a.unit LIMIT {RENDERED}) TO {literal(str(rows))} (FORMAT parquet)"
        )
    written: int = pq.read_metadata(rows).num_rows
    if not written and unit is None:
        raise Refused(
            f"the audience `{play.audience}` selects nobody today", where=where, remedy="correct its conditions"
        )
    return written


def _different(found: list[Rendering]) -> list[Rendering]:
    """The first renderings, those whose words differ before those whose words were seen already."""
    words: dict[tuple[str, str], Rendering] = {}
    for rendering in found:
        words.setdefault((rendering.subject, rendering.body), rendering)
    return list(words.values())[:SHOWN]
