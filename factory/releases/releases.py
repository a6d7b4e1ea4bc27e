"""Releases: what was admitted, and the states that people move it through."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from factory.state import permits
from factory.state.room import open_factory
from factory.state.states import (
    Release,
    StateChange,
    get_release,
    move,
    permitted,
    release_of,
    resume_everything,
    stop_everything,
    stop_switch,
)
from factory.state.tables import releases, runs
from shared.core.clock import rfc3339
from shared.core.digests import hex_of
from shared.core.errors import BadInput, PilotPlantError, Refused, Undecided
from shared.core.faults import fault
from shared.experiment.charter import Promise
from shared.experiment.metrics import Metric
from shared.experiment.play import Play
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.attestation import Promised, read_attestation

# What keeps a stop from being recorded, and must not keep it from holding.
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_UNREACHABLE = (PilotPlantError, sa.exc.SQLAlchemyError, OSError)


@dataclass(frozen=True, slots=True)
class Run:
    """One occurrence of a release, as far as it came; see `factory.state.tables.runs`."""

    release: str
    occurrence: str
    state: str
    attempts: int
    started_at: str
    ended_at: str | None
    audience: int | None
    held_out: int | None
    messages: int | None
    file: str | None
    file_digest: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Pause:
    """That a release was paused.

    Attributes:
        at: when, RFC 3339.
        by: the machine's account that did it; None where an earlier build did not keep it.
    """

    at: str
    by: str | None
    reason: str | None

    def __str__(self) -> str:
        """For people, as the end of a sentence."""
        by = f" by {self.by}" if self.by else ""
        return f"paused since {self.at}{by}: {self.reason or 'no reason was given'}"


def list_releases(workspace: Workspace) -> list[Release]:
    """Every release, by name."""
    with open_factory(workspace).read() as connection:
        found = [release_of(row) for row in connection.execute(sa.select(releases).order_by(releases.c.name))]
    return [permitted(workspace, release) for release in found]


def show_release(workspace: Workspace, name: str) -> tuple[Release, list[Run]]:
    """A release with its runs, the latest occurrence first."""
    with open_factory(workspace).read() as connection:
        release = get_release(connection, name)
        query = sa.select(runs).where(runs.c.release == name).order_by(runs.c.occurrence.desc())
        return permitted(workspace, release), [Run(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - SQLAlchemy's public name


def runs_between(workspace: Workspace, start: datetime, end: datetime) -> list[Run]:
    """The runs of all releases whose occurrences lie from `start` on and before `end`, in their order."""
    when = (runs.c.occurrence >= rfc3339(start), runs.c.occurrence < rfc3339(end))
    with open_factory(workspace).read() as connection:
        found = connection.execute(sa.select(runs).where(*when).order_by(runs.c.occurrence, runs.c.release))
        return [Run(**row._mapping) for row in found]  # noqa: SLF001 - SQLAlchemy's public name


def last_written(workspace: Workspace) -> dict[str, Run]:
    """The last run of each release that wrote something."""
    with open_factory(workspace).read() as connection:
        found = latest_runs(connection, runs.c.state == "done", runs.c.file.is_not(None))
    return {name: Run(**row._mapping) for name, row in found.items()}  # noqa: SLF001 - SQLAlchemy's public name


def latest_runs(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> dict[str, sa.Row[Any]]:
    """The run that began last of each release that has one; of all runs, or of `which`."""
    newest = sa.select(runs.c.release, sa.func.max(runs.c.started_at).label("at")).where(*which)
    newest_of = newest.group_by(runs.c.release).subquery()
    same = sa.and_(runs.c.release == newest_of.c.release, runs.c.started_at == newest_of.c.at, *which)
    return {run.release: run for run in connection.execute(sa.select(runs).join(newest_of, same))}


def has_open_runs(workspace: Workspace) -> bool:
    """Whether any run has begun and not ended, by what is on record."""
    started = sa.select(runs.c.release).where(runs.c.state == "started").limit(1)
    with open_factory(workspace).read() as connection:
        return connection.execute(started).first() is not None


def play_of(workspace: Workspace, release: Release) -> Play:
    """The release's play as its package says now, for display and schedules; a run verifies before it believes it.

    Raises BadInput where the package is gone or damaged.
    """
    path = workspace.factory / "inbox" / hex_of(release.package) / "candidate" / "promise.json"
    try:
        return Promise.stored(path.read_bytes()).charter.play(release.arm)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"the package of release {release.name} is missing or damaged",
            where=str(path),
            remedy="restore it from a backup, or have the pilot promoted again; until then the release does not run",
        ) from error


def promised_by(workspace: Workspace, release: Release) -> tuple[tuple[Promised, ...], dict[str, Metric]] | None:
    """What the release promised, with the metrics it is told in, as its package says now; None where that is damaged.

    A package of before promises nothing.
    """
    folder = workspace.factory / "inbox" / hex_of(release.package)
    try:
        attestation = read_attestation(folder / "attestation.json")
        promise = Promise.stored((folder / "candidate" / "promise.json").read_bytes())
    except (BadInput, OSError, ValueError):
        return None
    promised = attestation.predicate.promised
    return (promised, promise.metrics) if all(one.metric in promise.metrics for one in promised) else None


def pause(workspace: Workspace, name: str, *, reason: str) -> StateChange:
    """Stops a release from running until it is resumed, also where no database can be written.

    Raises Undecided where neither its permit can be taken nor the database written.
    """
    if not _NAME.fullmatch(name):  # a permit of another name may be one for everything
        raise BadInput(f"`{name}` is no release's name", remedy="name one of: pilotplant factory releases")
    hindered: OSError | None = None
    taken = False
    try:
        taken = permits.take(workspace, name)
    except OSError as error:
        hindered = error
    try:
        return _pause(workspace, name, reason)
    except _UNREACHABLE as error:
        if hindered is not None:
            raise _not_stopped(f"release {name} is not paused", hindered, error) from error
        if not taken and not _rests(workspace, name):
            raise
        return _unrecorded("paused", f"release {name} is paused: it has no permit to run any more", error)


def _pause(workspace: Workspace, name: str, reason: str) -> StateChange:
    room = open_factory(workspace, settled=False)
    with room.transaction() as connection:
        release = get_release(connection, name)
        if release.state == "paused":
            return StateChange("paused", (), f"release {name} is paused already; nothing was changed")
        _refuse_retired(release)
        move(room, connection, release, "paused", reason)
    return StateChange(
        "paused", (name,), f"release {name} is paused; `pilotplant factory resume {name}` starts it again"
    )


def resume(workspace: Workspace, name: str, *, reason: str) -> StateChange:
    """Lets a paused release run again; raises Refused while everything is stopped."""
    room = open_factory(workspace)
    with room.transaction() as connection:
        release = get_release(connection, name)
        stopped = stop_switch(connection)
        if stopped is not None:
            raise Refused(
                f"everything is stopped: {stopped}",
                where=f"release {name}",
                remedy="when the cause is gone, lift the stop with `pilotplant factory resume --all`",
            )
        if release.state == "live":
            return StateChange("live", (), f"release {name} is live already; nothing was changed")
        _refuse_retired(release)
        move(room, connection, release, "live", reason)
        # Last, and before anybody else sees the database's word: what has a permit is never to be paused in it.
        permits.give(workspace, name)
    return StateChange("live", (name,), f"release {name} is live again")


def stop_all(workspace: Workspace, *, reason: str) -> StateChange:
    """Stops everything in one step, also where no database can be written; nothing is sent from here on.

    Raises Undecided where neither the permit can be taken nor the database written.
    """
    hindered: OSError | None = None
    try:
        permits.stop(workspace)
    except OSError as error:
        hindered = error
    try:
        room = open_factory(workspace, settled=False)
        with room.transaction() as connection:
            return stop_everything(room, connection, reason)
    except _UNREACHABLE as error:
        if hindered is not None:
            raise _not_stopped("nothing is stopped for good", hindered, error) from error
        return _unrecorded("stopped", "everything is stopped: no run has a permit any more", error)


def _rests(workspace: Workspace, name: str) -> bool:
    """Whether a release that is known lost its permit before."""
    try:
        return any((each.name, each.state) == (name, "paused") for each in list_releases(workspace))
    except _UNREACHABLE:
        return False


def _unrecorded(state: str, said: str, error: Exception) -> StateChange:
    why = getattr(fault(error) or error, "what", str(error))
    return StateChange(
        state,
        (),
        f"{said}. This could not be recorded ({why}); the next command that can write does it",
        recorded=False,
    )


def _not_stopped(what: str, hindered: OSError, error: Exception) -> Undecided:
    reasons = {getattr(fault(each) or each, "what", str(each)) for each in (hindered, error)}
    return Undecided(
        f"{what}: {'; '.join(sorted(reasons))}",
        where=str(hindered.filename),
        expected="a disk or a database that can be written",
        remedy="no run begins while neither can be written. Give the command again at once when one of them can",
    )


def resume_all(workspace: Workspace, *, reason: str) -> StateChange:
    """Lifts the stop switch; releases that it paused, and nobody touched since, run again."""
    room = open_factory(workspace)
    with room.transaction() as connection:
        change = resume_everything(room, connection, reason)
        if stop_switch(connection) is None:
            permits.give(workspace, *change.releases, permits.ALL)
        return change


def why_paused(room: Room, name: str) -> Pause | None:
    """Who paused a release last, when and why, as the ledger says; None where it never was."""
    entry = room.latest(name, "paused")
    return None if entry is None else Pause(entry.at, entry.body.get("by"), entry.body.get("reason") or None)


def _refuse_retired(release: Release) -> None:
    if release.state == "retired":
        raise Refused(f"release {release.name} is retired, for ever", remedy="have the pilot promoted under a new name")


def next_occurrence(workspace: Workspace, release: Release, now: datetime) -> datetime | None:
    """When a live release runs next; None for any other, and where its package cannot be read."""
    if release.state != "live":
        return None
    try:
        return play_of(workspace, release).schedule.next(now)
    except BadInput:
        return None
