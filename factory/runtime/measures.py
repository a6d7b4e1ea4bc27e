"""Measures: how the Factory is doing, counted in its own database and read without any heavy library."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from factory.releases.releases import Pause, list_releases, next_occurrence, why_paused
from factory.runtime.pulse import Pulse, read
from factory.runtime.troubles import Trouble, troubles
from factory.state.room import open_factory
from factory.state.settings import inbox
from factory.state.states import Release
from factory.state.states import stopped as why_stopped
from factory.state.tables import loads, releases, runs
from shared.core.digests import PREFIX
from shared.state.room import Room
from shared.state.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ReleaseMeasures:
    """One release at a glance: its runs by state, the latest one, when the next is, and why it is paused."""

    name: str
    state: str
    runs: dict[str, int]
    last_run: str | None
    last_state: str | None
    messages: int
    next: datetime | None
    paused: Pause | None = None


@dataclass(frozen=True, slots=True)
class Measures:
    """The Factory at a glance.

    Attributes:
        stopped: why everything is stopped; None where it is not.
        rows_loaded, rows_quarantined: over all loads.
        runs: occurrences by state, over all releases.
        handed_over: packages of the inbox that no release was made of yet.
        plant: whether Prefect is at work on it.
        troubles: what does not do what it should.
    """

    stopped: str | None
    releases_by_state: dict[str, int]
    runs: dict[str, int]
    last_run: str | None
    rows_loaded: int
    rows_quarantined: int
    releases: tuple[ReleaseMeasures, ...]
    handed_over: int
    plant: Pulse
    troubles: tuple[Trouble, ...]


def measures(workspace: Workspace) -> Measures:
    """The present figures."""
    room = open_factory(workspace)
    with room.read() as connection:
        stopped = why_stopped(workspace, connection)
        by_outcome = _pairs(connection, sa.select(runs.c.state, sa.func.count()).group_by(runs.c.state))
        last = connection.execute(sa.select(sa.func.max(runs.c.started_at))).scalar()
        admitted = set(connection.execute(sa.select(releases.c.package)).scalars())
        loaded = connection.execute(sa.select(sa.func.sum(loads.c.accepted), sa.func.sum(loads.c.quarantined))).one()
    known = list_releases(workspace)
    by_state: dict[str, int] = dict(sorted(Counter[str](release.state for release in known).items()))
    each = tuple(_of_release(room, release, stopped) for release in known)
    folders = [path.name for path in inbox(workspace).glob("[!.]*") if path.is_dir()]
    waiting = sum(f"{PREFIX}{name}" not in admitted for name in folders)
    rows = loaded[0] or 0, loaded[1] or 0
    found = tuple(troubles(workspace))
    return Measures(stopped, by_state, by_outcome, last, *rows, each, waiting, read(workspace), found)


def _of_release(room: Room, release: Release, stopped: str | None) -> ReleaseMeasures:
    with room.read() as connection:
        mine = runs.c.release == release.name
        outcomes = _pairs(connection, sa.select(runs.c.state, sa.func.count()).where(mine).group_by(runs.c.state))
        last = connection.execute(sa.select(runs).where(mine).order_by(runs.c.started_at.desc()).limit(1)).first()
        sent = connection.execute(sa.select(sa.func.sum(runs.c.messages)).where(mine, runs.c.state == "done")).scalar()
    upcoming = None if stopped is not None else next_occurrence(room.workspace, release, room.now())
    return ReleaseMeasures(
        release.name,
        release.state,
        outcomes,
        last.started_at if last else None,
        last.state if last else None,
        int(sent or 0),
        upcoming,
        why_paused(room, release.name) if release.state == "paused" else None,
    )


def _pairs(connection: sa.Connection, query: sa.Select[tuple[str, int]]) -> dict[str, int]:
    return dict(connection.execute(query.order_by(sa.text("1"))).tuples().all())
