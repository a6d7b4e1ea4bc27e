"""Releases: what was admitted, and the states that people move it through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from factory.state import ReleaseState, open_factory, releases, runs, switches
from shared.attestation import Promised, read_attestation
from shared.charter import Promise
from shared.clock import rfc3339
from shared.digests import hex_of
from shared.errors import BadInput, Refused
from shared.metrics import Metric
from shared.play import Play
from shared.room import Room
from shared.workspace import Workspace

STOP_ALL = "stop-all"


@dataclass(frozen=True, slots=True)
class Release:
    """One row of the releases.

    Attributes:
        package: the candidate's digest.
        attestation: the digest of the envelope it was admitted with.
        epoch: raised by every change of state; work that began under another epoch does not count.
        expires: after this moment it no longer runs.
    """

    name: str
    package: str
    attestation: str
    pilot: str
    arm: str
    state: ReleaseState
    epoch: int
    admitted_at: str
    expires: str


@dataclass(frozen=True, slots=True)
class Run:
    """One occurrence of a release, as far as it came; see `factory.state.runs`."""

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
class StateChange:
    """What a change of state came to.

    Attributes:
        releases: those that changed; empty where there was nothing to do.
        said: one sentence about it.
    """

    state: str
    releases: tuple[str, ...]
    said: str


def list_releases(workspace: Workspace) -> list[Release]:
    """Every release, by name."""
    with open_factory(workspace).transaction() as connection:
        return [_release(row) for row in connection.execute(sa.select(releases).order_by(releases.c.name))]


def get_release(connection: sa.Connection, name: str) -> Release:
    """The release of that name; raises BadInput naming those there are."""
    row = connection.execute(sa.select(releases).where(releases.c.name == name)).first()
    if row is None:
        known = connection.execute(sa.select(releases.c.name).order_by(releases.c.name)).scalars().all()
        raise BadInput(
            f"there is no release `{name}`",
            expected="one of: " + (", ".join(known) or "(none admitted yet)"),
            remedy="correct the name, or bring its package in with `pilotplant factory admit`",
        )
    return _release(row)


def show_release(workspace: Workspace, name: str) -> tuple[Release, list[Run]]:
    """A release with its runs, the latest occurrence first."""
    with open_factory(workspace).transaction() as connection:
        release = get_release(connection, name)
        query = sa.select(runs).where(runs.c.release == name).order_by(runs.c.occurrence.desc())
        return release, [Run(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - SQLAlchemy's public name


def play_of(workspace: Workspace, release: Release) -> Play:
    """The release's play as its package says now, for display and schedules; a run verifies before it believes it.

    Raises BadInput where the package is gone or damaged.
    """
    path = workspace.factory / "inbox" / hex_of(release.package) / "candidate" / "promise.json"
    try:
        return Promise.model_validate_json(path.read_bytes()).charter.play(release.arm)
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
        promise = Promise.model_validate_json((folder / "candidate" / "promise.json").read_bytes())
    except (BadInput, OSError, ValueError):
        return None
    promised = attestation.predicate.promised
    return (promised, promise.metrics) if all(one.metric in promise.metrics for one in promised) else None


def stop_switch(connection: sa.Connection) -> str | None:
    """Why everything is stopped; None where it is not."""
    return connection.execute(sa.select(switches.c.reason).where(switches.c.name == STOP_ALL)).scalar_one_or_none()


def pause(workspace: Workspace, name: str, *, reason: str) -> StateChange:
    """Stops a release from running until it is resumed."""
    room = open_factory(workspace)
    with room.transaction() as connection:
        release = get_release(connection, name)
        if release.state == "paused":
            return StateChange("paused", (), f"release {name} is paused already; nothing was changed")
        _refuse_retired(release)
        _move(room, connection, release, "paused", reason)
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
        _move(room, connection, release, "live", reason)
    return StateChange("live", (name,), f"release {name} is live again")


def stop_all(workspace: Workspace, *, reason: str) -> StateChange:
    """Sets the stop switch and pauses every live release, in one step; nothing is sent from here on."""
    room = open_factory(workspace)
    with room.transaction() as connection:
        return stop_everything(room, connection, reason)


def stop_everything(room: Room, connection: sa.Connection, reason: str) -> StateChange:
    """What `stop_all` does, within a transaction of the caller's."""
    since = connection.execute(sa.select(switches.c.since).where(switches.c.name == STOP_ALL)).scalar_one_or_none()
    live = _in_state(connection, "live")
    if since is not None and not live:
        return StateChange("stopped", (), f"everything has been stopped since {since}; nothing was changed")
    if since is None:
        connection.execute(switches.insert().values(name=STOP_ALL, since=rfc3339(room.now()), reason=reason))
    for release in live:
        _move(room, connection, release, "paused", reason)
    # The epochs tell `resume --all` which releases nobody has touched since.
    epochs = {release.name: release.epoch + 1 for release in live}
    room.write(connection, "stopped_all", STOP_ALL, {"reason": reason, "releases": epochs}, halts=True)
    names = tuple(epochs)
    said = f"everything is stopped ({len(names)} paused now); `pilotplant factory resume --all` lifts it"
    return StateChange("stopped", names, said)


def resume_all(workspace: Workspace, *, reason: str) -> StateChange:
    """Lifts the stop switch; releases that it paused, and nobody touched since, run again."""
    room = open_factory(workspace)
    with room.transaction() as connection:
        return resume_everything(room, connection, reason)


def resume_everything(room: Room, connection: sa.Connection, reason: str) -> StateChange:
    """What `resume_all` does, within a transaction of the caller's."""
    if stop_switch(connection) is None:
        return StateChange("live", (), "nothing is stopped; single releases are resumed by name")
    connection.execute(switches.delete().where(switches.c.name == STOP_ALL))
    stopped = _paused_by_stop(room, connection)
    back = [release for release in _in_state(connection, "paused") if stopped.get(release.name) == release.epoch]
    for release in back:
        _move(room, connection, release, "live", reason)
    names = tuple(release.name for release in back)
    room.write(connection, "resumed_all", STOP_ALL, {"reason": reason, "releases": list(names)})
    left = [release.name for release in _in_state(connection, "paused")]
    still = f"; still paused, as before the stop: {', '.join(left)}" if left else ""
    return StateChange("live", names, f"the stop is lifted; live again: {', '.join(names) or 'none'}{still}")


def _paused_by_stop(room: Room, connection: sa.Connection) -> dict[str, int]:
    """The releases that the present stop paused, with their epochs since."""
    import json

    table = room.entries_table
    found: dict[str, int] = {}
    for row in connection.execute(sa.select(table).where(table.c.subject == STOP_ALL).order_by(table.c.seq)):
        found = {**found, **json.loads(row.body)["releases"]} if row.kind == "stopped_all" else {}
    return found


def _in_state(connection: sa.Connection, state: ReleaseState) -> list[Release]:
    query = sa.select(releases).where(releases.c.state == state).order_by(releases.c.name)
    return [_release(row) for row in connection.execute(query)]


def _move(room: Room, connection: sa.Connection, release: Release, state: ReleaseState, reason: str) -> None:
    epoch = release.epoch + 1
    connection.execute(releases.update().where(releases.c.name == release.name).values(state=state, epoch=epoch))
    body = {"from": release.state, "to": state, "epoch": epoch, "reason": reason}
    halts = state == "paused"
    room.write(connection, "paused" if halts else "resumed", release.name, body, halts=halts)


def _refuse_retired(release: Release) -> None:
    if release.state == "retired":
        raise Refused(f"release {release.name} is retired, for ever", remedy="have the pilot promoted under a new name")


def _release(row: Any) -> Release:
    return Release(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name


def next_occurrence(workspace: Workspace, release: Release, now: datetime) -> datetime | None:
    """When a live release runs next; None for any other, and where its package cannot be read."""
    if release.state != "live":
        return None
    try:
        return play_of(workspace, release).schedule.next(now)
    except BadInput:
        return None
