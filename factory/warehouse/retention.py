"""Retention: which snapshots go, and how, so that no pilot that still needs one loses it.

A plan is a list of steps; a dry run prints the very steps that the real run takes. Before a snapshot is removed it is
set aside under a hidden name, and only then is it asked for the last time who needs it: a launch in that moment either
finds the snapshot gone and stops, or is found here and gets it back. An interrupted run is finished by the next one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from factory.state.room import open_factory
from factory.state.settings import read_settings
from factory.state.tables import snapshots
from factory.warehouse.snapshots import one_at_a_time
from shared.core.clock import parse_rfc3339
from shared.core.errors import BadInput
from shared.core.times import date_time
from shared.data.snapshot import ASIDE, PRUNED, Pruned, latest_id, snapshots_folder
from shared.doors import requests
from shared.doors.door import ask
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.usage import Usage


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of a snapshot, and why.

    Attributes:
        step: `keep`; `remove`: it is set aside, asked for once more, entered in the ledger, and deleted. Of one that an
            interrupted run had set aside: `restore` where it is needed, `discard` where it was removed.
    """

    step: Literal["keep", "remove", "restore", "discard"]
    snapshot: str
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """A snapshot on disk.

    Attributes:
        published: RFC 3339; None where the Factory's books do not have it (any more).
        there: whether it lies under its own name.
        aside: whether it, or what is left of it, was set aside.
    """

    snapshot: str
    published: str | None
    there: bool
    aside: bool


@dataclass(frozen=True, slots=True)
class Pruning:
    """What was done, or would be in a dry run.

    Attributes:
        steps: in the order they were taken; a snapshot that was asked for at the last moment is kept.
        unclear: what could not be read, so that nothing was removed.
        freed_bytes: what the disk has, or would have, back; files that another snapshot shares stay.
    """

    steps: tuple[Step, ...]
    unclear: tuple[str, ...]
    freed_bytes: int
    dry_run: bool = False


def prune(workspace: Workspace, *, keep: int | None = None, dry_run: bool = False) -> Pruning:
    """Removes snapshots that no undecided pilot reads, but never the `keep` newest, nor the latest.

    `keep` is the settings' number if left out. Where it is unclear who needs what, everything is kept.
    """
    room = open_factory(workspace)
    kept = keep if keep is not None else read_settings(workspace).snapshots.keep
    if kept < 1:
        raise BadInput(f"--keep {kept} would remove the latest snapshot", where="--keep", expected="1 or more")
    with one_at_a_time(workspace):
        found, needed = _found(room), ask(workspace, requests.SnapshotUsage())
        latest, unclear = _latest(workspace) if found else (None, ())
        needed = Usage(needed.users, needed.unclear + unclear)
        steps = plan(found, latest, needed, kept)
        freed = _freed_bytes(workspace, steps)
        if not dry_run:
            steps = tuple(_take(room, step) for step in steps)
    return Pruning(steps, needed.unclear, freed, dry_run)


def plan(found: Sequence[Found], latest: str | None, needed: Usage, keep: int) -> tuple[Step, ...]:
    """What is to be done about each snapshot, newest first."""
    ordered = sorted(found, key=lambda each: (each.published or "", each.snapshot), reverse=True)
    newest = {each.snapshot for each in ordered[:keep] if each.published}
    return tuple(step for each in ordered for step in _steps(each, _why_kept(each, latest, newest, needed)))


def _why_kept(each: Found, latest: str | None, newest: set[str], needed: Usage) -> str | None:
    if each.snapshot == latest:
        return "it is the latest"
    if users := needed.users.get(each.snapshot):
        said = ", ".join(f"{user.pilot} (until {date_time(user.deadline)})" for user in users)
        return f"undecided pilots read it: {said}"
    if needed.unclear:
        return "it is unclear whether a pilot reads it"
    if each.there and each.published is None:
        return "it is not in the Factory's books: its publication was cut off, or they were restored from a backup"
    return "it is one of the newest" if each.snapshot in newest else None


def _steps(each: Found, why_kept: str | None) -> Iterator[Step]:
    if each.aside and (each.there or each.published is None):
        yield Step("discard", each.snapshot, "an interrupted run left it behind")
        if not each.there:
            return
    elif each.aside and why_kept is not None:
        yield Step("restore", each.snapshot, why_kept)
        return
    if why_kept:
        yield Step("keep", each.snapshot, why_kept)
    else:
        at = date_time(each.published) if each.published else "at an unknown time"
        yield Step("remove", each.snapshot, f"published {at}, and no undecided pilot reads it")


def _found(room: Room) -> list[Found]:
    root = snapshots_folder(room.workspace)
    with room.read() as connection:
        books = {row.id: row.at for row in connection.execute(sa.select(snapshots))}
    folders = {path.name for path in root.glob("*") if path.is_dir() and path.name != PRUNED}
    there = {name for name in folders if not name.startswith(".")}
    aside = {name.removeprefix(ASIDE) for name in folders if name.startswith(ASIDE)}
    return [Found(name, books.get(name), name in there, name in aside) for name in sorted(there | aside)]


def _latest(workspace: Workspace) -> tuple[str | None, tuple[str, ...]]:
    try:
        latest = latest_id(workspace)
    except BadInput as error:
        return None, (f"{error.where}: {error.what}; `pilotplant factory publish` writes it again",)
    return latest, () if latest else ("no snapshot is the latest; `pilotplant factory publish` makes one",)


def _take(room: Room, step: Step) -> Step:
    """Takes one step; returns what was done, which is to keep it where somebody asked for the snapshot just now."""
    match step.step:
        case "remove":
            return _remove(room, step)
        case "restore":
            ask(room.workspace, requests.BringBack(snapshot=step.snapshot))
        case "discard":
            ask(room.workspace, requests.Discard(snapshot=step.snapshot))
    return step


def _remove(room: Room, step: Step) -> Step:
    with room.read() as connection:
        at = connection.execute(sa.select(snapshots.c.at).where(snapshots.c.id == step.snapshot)).scalar_one()
    pruned = Pruned(id=step.snapshot, published=parse_rfc3339(at), pruned=room.now())
    if not ask(room.workspace, requests.SetAside(pruned=pruned)):
        return Step("keep", step.snapshot, "a pilot that is being launched reads it")
    with room.transaction() as connection:
        connection.execute(sa.delete(snapshots).where(snapshots.c.id == step.snapshot))
        room.write(connection, "pruned", step.snapshot, {"why": step.reason})
    ask(room.workspace, requests.Discard(snapshot=step.snapshot))
    return step


def _freed_bytes(workspace: Workspace, steps: Sequence[Step]) -> int:
    """The size of the files whose every name goes."""
    root, names, files = (
        snapshots_folder(workspace),
        Counter[tuple[int, int]](),
        dict[tuple[int, int], os.stat_result](),
    )
    for step in steps:
        parts = {"remove": ("", ASIDE), "discard": (ASIDE,)}.get(step.step, ())
        for path in (path for part in parts for path in (root / f"{part}{step.snapshot}").glob("*")):
            found = path.stat()
            file = found.st_dev, found.st_ino
            names[file] += 1
            files[file] = found
    return sum(found.st_size for file, found in files.items() if found.st_nlink == names[file])
