"""Troubles: what of the Factory does not do what it should, each with what to do, in the order to look at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from factory.releases.inbox import package_folder
from factory.releases.packages import verify
from factory.releases.releases import latest_runs, list_releases, play_of, why_paused
from factory.runtime import pulse
from factory.state.room import open_factory
from factory.state.settings import inbox, warehouse_path
from factory.state.states import NOT_RECORDED, STOP_ALL, Release, stopped
from factory.state.tables import ADMITTED, TOO_LATE, runs, switches
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.digests import PREFIX
from shared.core.errors import PilotPlantError
from shared.core.faults import is_full
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.package import open_package
from shared.trust.receipt import read_receipt
from shared.ui.console import counted

WENT_WRONG = ("failed", "refused")
# A run starts within seconds of its moment; an occurrence that nobody has begun by then is overdue.
STARTS_WITHIN = timedelta(minutes=5)
# What was handed over is admitted at the next round; whoever has no Factory running is told after a while.
ADMITTED_WITHIN = timedelta(hours=1)
# The largest audience is written within minutes.
ENDS_WITHIN = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One trouble.

    Attributes:
        subject: a release, or the part of the Factory.
        what: what is wrong, as a sentence's end.
        next: what to do.
    """

    subject: str
    what: str
    next: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.subject}: {self.what}. {self.next}"


def troubles(workspace: Workspace) -> list[Trouble]:
    """Every trouble, the widest first; raises Fault where the Factory's database cannot be read."""
    room = open_factory(workspace)
    with room.read() as connection:
        why = stopped(workspace, connection)
        since = connection.execute(sa.select(switches.c.since).where(switches.c.name == STOP_ALL)).scalar()
    found = []
    if is_full(workspace.factory):
        what = f"the disk that holds {workspace.factory} is full"
        found.append(Trouble("disk", what, "Make room there; what was cut off goes on with the next command."))
    if why is not None:
        what = f"everything is stopped since {since or 'a moment that was not recorded'}: {why}"
        found.append(Trouble("Factory", what, "When the cause is gone: pilotplant factory resume --all"))
    known, last = list_releases(workspace), _last_runs(room)
    beat, live = pulse.read(workspace), [release for release in known if release.state == "live"]
    found += _of_warehouse(workspace) if live else ()
    waiting = _waiting(workspace)
    if waiting and not beat.is_up:
        what = f"{counted(len(waiting), 'package')} of promoted pilots wait to be admitted, and the Factory {beat}"
        found.append(Trouble("inbox", what, "Start it: pilotplant factory up; or by hand: pilotplant factory admit"))
    if live and why is None and not beat.is_up:
        found.append(Trouble("Factory", str(beat), "Start it: pilotplant factory up"))
    for release in known:
        if release.state != "retired":
            found += _of_release(room, release, last.get(release.name), halted=why is not None)
    return found


def _of_release(room: Room, release: Release, last: sa.Row[Any] | None, *, halted: bool) -> Iterator[Trouble]:
    now = room.now()
    reasons = _against_package(room.workspace, release)
    if reasons:
        restore = "Restore it from a backup, or have the pilot promoted again; until then it does not run."
        yield Trouble(release.name, f"its package is damaged: {reasons[0]}", restore)
    if now >= parse_rfc3339(release.expires):
        yield Trouble(release.name, f"it has expired, at {release.expires}", "Have the pilot promoted again.")
    elif not reasons and (refused := _against_run(room.workspace, release, now)):
        yield Trouble(
            release.name, f"it would not run: {'; '.join(refused)}", "Put that right, or have it promoted again."
        )
    pause = why_paused(room, release.name) if release.state == "paused" else None
    if release.state == "paused" and (pause is None or pause.reason == NOT_RECORDED):
        what = "it is paused, and nobody is on record for that: its permit is gone"
        yield Trouble(release.name, what, f"When the cause is known: pilotplant factory resume {release.name}")
    if last is not None and (told := _of_run(last, now)) is not None:
        yield Trouble(
            release.name, f"its run of {last.occurrence} {told}", f"See pilotplant factory show {release.name}"
        )
    if release.state == "live" and not halted and not reasons:
        due = _overdue(room, release, now)
        if due is not None:
            what = f"overdue since {rfc3339(due)}: nothing has begun that run"
            still = "It is too late for that one by its own grace, and it will not go out any more."
            if play_of(room.workspace, release).schedule.still_due(due, now):
                still = f"By hand: pilotplant factory run {release.name} --occurrence {rfc3339(due)}"
            yield Trouble(release.name, what, f"See whether the Factory is up. {still}")


def _of_run(run: sa.Row[Any], now: datetime) -> str | None:
    """What is wrong with a run, as a sentence's end; None where nothing is."""
    if run.state in WENT_WRONG:
        return f"{'was refused' if run.state == 'refused' else 'failed'}: {run.reason}"
    if run.state == "skipped" and str(run.reason).startswith(TOO_LATE):
        return f"did not go out: {run.reason}"
    if run.state == "started" and now - parse_rfc3339(run.started_at) > ENDS_WITHIN:
        return f"began at {run.started_at} and has not ended"
    return None


def _against_package(workspace: Workspace, release: Release) -> tuple[str, ...]:
    try:
        return open_package(package_folder(workspace, release.package)).reasons
    except PilotPlantError as error:
        return (error.what,)


def _against_run(workspace: Workspace, release: Release, now: datetime) -> list[str]:
    """Why its next run would be refused, by what every run asks; nothing where that cannot be asked."""
    try:
        found = verify(workspace, package_folder(workspace, release.package), now=now)
    except PilotPlantError as error:
        return [error.what]
    return found if isinstance(found, list) else []


def _of_warehouse(workspace: Workspace) -> Iterator[Trouble]:
    """Whether the tables that live releases read are there; nothing is opened, for a load may hold them."""
    path = warehouse_path(workspace)
    try:
        with path.open("rb") as stream:
            sound = stream.read(12)[8:] == b"DUCK"
        what = None if sound else "its file is no database any more"
    except OSError as error:
        what = f"it cannot be read: {error.strerror}"
    if what is not None:
        yield Trouble("warehouse", f"{what} ({path})", "Restore it from a backup, or load the tables again.")


def _waiting(workspace: Workspace) -> list[Path]:
    """Packages that have lain in the inbox for a while, and that the Factory has said nothing of."""
    found = []
    for folder in inbox(workspace).glob("[!.]*"):
        came = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
        try:
            answered = read_receipt(workspace, PREFIX + folder.name) is not None
        except PilotPlantError:
            continue  # it has said something, which `verify` looks at
        # By the machine's time, whatever a rehearsal's clock shows.
        if not answered and datetime.now(UTC) - came > ADMITTED_WITHIN:
            found.append(folder)
    return found


def _last_runs(room: Room) -> dict[str, sa.Row[Any]]:
    """The latest run of each release that has one."""
    # A run that was skipped for being paused, or was asked for at a moment that the schedule does not name, is none.
    counts = sa.or_(runs.c.state != "skipped", runs.c.reason.startswith(TOO_LATE))
    with room.read() as connection:
        return latest_runs(connection, counts)


def _overdue(room: Room, release: Release, now: datetime) -> datetime | None:
    """The latest moment of its schedule that has come while it was live, and that no run was begun for."""
    try:
        due = play_of(room.workspace, release).schedule.latest(now - STARTS_WITHIN)
    except PilotPlantError:
        return None  # said already
    if due < _live_since(room, release):
        return None
    mine = sa.and_(runs.c.release == release.name, runs.c.occurrence == rfc3339(due))
    with room.read() as connection:
        return None if connection.execute(sa.select(runs.c.state).where(mine)).first() else due


def _live_since(room: Room, release: Release) -> datetime:
    """When the release was admitted, or resumed last."""
    table = room.entries_table
    query = sa.select(table.c.at).where(table.c.subject == release.name, table.c.kind.in_([ADMITTED, "resumed"]))
    with room.read() as connection:
        last = connection.execute(query.order_by(table.c.seq.desc()).limit(1)).scalar()
    return parse_rfc3339(last or release.admitted_at)
