"""The states of releases, and the stop switch: in the database, and by permits where that cannot be written."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from factory.state import permits
from factory.state.tables import ReleaseState, releases, switches
from shared.core.clock import rfc3339
from shared.core.errors import BadInput, Fault
from shared.state.ledger import entries
from shared.state.room import Room
from shared.state.workspace import Workspace

STOP_ALL = "stop-all"

# Why a release rests whose permit is gone, where nothing else says it.
NOT_RECORDED = "it was stopped while that could not be recorded"


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
class StateChange:
    """What a change of state came to.

    Attributes:
        releases: those that changed; empty where there was nothing to do.
        said: one sentence about it.
        recorded: whether the database has it; if not, the next command that can write sees to that.
    """

    state: str
    releases: tuple[str, ...]
    said: str
    recorded: bool = True


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
    return release_of(row)


def permitted(workspace: Workspace, release: Release) -> Release:
    """The release as things stand: without a permit it is paused, whatever the database could be told."""
    if release.state == "live" and not permits.has(workspace, release.name):
        return replace(release, state="paused")
    return release


def stopped(workspace: Workspace, connection: sa.Connection) -> str | None:
    """Why everything is stopped as things stand; None where it is not."""
    recorded = stop_switch(connection)
    return NOT_RECORDED if recorded is None and not permits.has(workspace, permits.ALL) else recorded


def stop_switch(connection: sa.Connection) -> str | None:
    """Why everything is stopped by the database; None where it is not."""
    return connection.execute(sa.select(switches.c.reason).where(switches.c.name == STOP_ALL)).scalar_one_or_none()


def settle(room: Room) -> None:
    """Brings database and permits together: what one of them stops is stopped in both. Nobody is asked to wait for it.

    Where the disk takes neither, everything is left as it is; `permitted` and `stopped` say how things stand.
    """
    with suppress(Fault, OSError):
        with room.read() as connection:
            live = {release.name for release in in_state(connection, "live")}
            runs, workspace = stop_switch(connection) is None, room.workspace
        same = permits.held(workspace) == live and permits.has(workspace, permits.ALL) == runs
        if not (permits.in_use(workspace) and same):
            _settle(room)


def _settle(room: Room) -> None:
    with room.transaction() as connection:
        live, switch = in_state(connection, "live"), stop_switch(connection)
        permits.begin(room, connection, [release.name for release in live], stopped=switch is not None)
        if switch is None and not permits.has(room.workspace, permits.ALL):
            stop_everything(room, connection, NOT_RECORDED)
        for release in in_state(connection, "live"):
            if not permits.has(room.workspace, release.name):
                move(room, connection, release, "paused", NOT_RECORDED)
        for name in permits.held(room.workspace) - {release.name for release in in_state(connection, "live")}:
            permits.take(room.workspace, name)
        if stop_switch(connection) is not None:
            permits.take(room.workspace, permits.ALL)


def stop_everything(room: Room, connection: sa.Connection, reason: str) -> StateChange:
    """What `stop_all` does, within a transaction of the caller's."""
    since = connection.execute(sa.select(switches.c.since).where(switches.c.name == STOP_ALL)).scalar_one_or_none()
    live = in_state(connection, "live")
    if since is not None and not live:
        return StateChange("stopped", (), f"everything has been stopped since {since}; nothing was changed")
    if since is None:
        connection.execute(switches.insert().values(name=STOP_ALL, since=rfc3339(room.now()), reason=reason))
    for release in live:
        move(room, connection, release, "paused", reason)
    # The epochs tell `resume --all` which releases nobody has touched since.
    epochs = {release.name: release.epoch + 1 for release in live}
    body = {"reason": reason, "releases": epochs, "by": account()}
    room.write(connection, "stopped_all", STOP_ALL, body, halts=True)
    names = tuple(epochs)
    said = f"everything is stopped ({len(names)} paused now); `pilotplant factory resume --all` lifts it"
    return StateChange("stopped", names, said)


def resume_everything(room: Room, connection: sa.Connection, reason: str) -> StateChange:
    """What `resume_all` does, within a transaction of the caller's."""
    if stop_switch(connection) is None:
        return StateChange("live", (), "nothing is stopped; single releases are resumed by name")
    connection.execute(switches.delete().where(switches.c.name == STOP_ALL))
    stopped = _paused_by_stop(room, connection)
    back = [release for release in in_state(connection, "paused") if stopped.get(release.name) == release.epoch]
    for release in back:
        move(room, connection, release, "live", reason)
    names = tuple(release.name for release in back)
    room.write(connection, "resumed_all", STOP_ALL, {"reason": reason, "releases": list(names), "by": account()})
    left = [release.name for release in in_state(connection, "paused")]
    still = f"; still paused, as before the stop: {', '.join(left)}" if left else ""
    return StateChange("live", names, f"the stop is lifted; live again: {', '.join(names) or 'none'}{still}")


def _paused_by_stop(room: Room, connection: sa.Connection) -> dict[str, int]:
    """The releases that the present stop paused, with their epochs since."""
    found: dict[str, int] = {}
    for entry in entries(connection, room.entries_table, subject=STOP_ALL):
        found = {**found, **entry.body["releases"]} if entry.kind == "stopped_all" else {}
    return found


def in_state(connection: sa.Connection, state: ReleaseState) -> list[Release]:
    """The releases in a state, by name."""
    query = sa.select(releases).where(releases.c.state == state).order_by(releases.c.name)
    return [release_of(row) for row in connection.execute(query)]


def move(room: Room, connection: sa.Connection, release: Release, state: ReleaseState, reason: str) -> None:
    """Moves a release to a state within a transaction; its epoch rises, and the ledger has who did it and why."""
    epoch = release.epoch + 1
    connection.execute(releases.update().where(releases.c.name == release.name).values(state=state, epoch=epoch))
    body = {"from": release.state, "to": state, "epoch": epoch, "reason": reason, "by": account()}
    halts = state == "paused"
    room.write(connection, "paused" if halts else "resumed", release.name, body, halts=halts)


def account() -> str:
    """The machine's account that gives a command, for the record: it says who was there, and proves nothing."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def release_of(row: Any) -> Release:
    """The release in a row of its table."""
    return Release(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name


def halted(release: Release, stopped: str | None) -> str | None:
    """Why a release does not run as things stand, `stopped` being why everything is; None where it runs."""
    if stopped is not None:
        return f"everything is stopped: {stopped}"
    if release.state != "live":
        hint = f"; `pilotplant factory resume {release.name}` starts it again" if release.state == "paused" else ""
        return f"the release is {release.state}{hint}"
    return None
