"""Measures: how the Factory is doing, counted in its own database and read without any heavy library."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from factory.releases.releases import Pause, latest_runs, list_releases, next_occurrence, why_paused
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
    each = tuple(_of_releases(room, known, stopped))
    folders = [path.name for path in inbox(workspace).glob("[!.]*") if path.is_dir()]
    waiting = sum(f"{PREFIX}{name}" not in admitted for name in folders)
    rows = loaded[0] or 0, loaded[1] or 0
    found = tuple(troubles(workspace))
    return Measures(stopped, by_state, by_outcome, last, *rows, each, waiting, read(workspace), found)


def _of_releases(room: Room, known: Sequence[Release], stopped: str | None) -> Iterator[ReleaseMeasures]:
    """Each release at a glance, from what one look at the runs of all of them says."""
    by_state: defaultdict[str, dict[str, int]] = defaultdict(dict)
    counted = sa.select(runs.c.release, runs.c.state, sa.func.count(), sa.func.sum(runs.c.messages))
    sent: Counter[str] = Counter()
    with room.read() as connection:
        of_each = counted.group_by(runs.c.release, runs.c.state).order_by(runs.c.release, runs.c.state)
        for release, state, count, messages in connection.execute(of_each).tuples():
            by_state[release][state] = count
            if state == "done":
                sent[release] += int(messages or 0)
        last = latest_runs(connection)
    now = room.now()
    for each in known:
        run = last.get(each.name)
        yield ReleaseMeasures(
            each.name,
            each.state,
            by_state[each.name],
            run.started_at if run else None,
            run.state if run else None,
            sent[each.name],
            None if stopped is not None else next_occurrence(room.workspace, each, now),
            why_paused(room, each.name) if each.state == "paused" else None,
        )


def _pairs(connection: sa.Connection, query: sa.Select[tuple[str, int]]) -> dict[str, int]:
    return dict(connection.execute(query.order_by(sa.text("1"))).tuples().all())
