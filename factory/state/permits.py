"""Permits: files that a run needs besides the database's word, so that a stop holds where no database can be written.

Taking a file away needs no room on a disk. A release runs only while its own permit and the common one lie there; a
stop takes the permit first and is recorded afterwards, a resumption is recorded first and gives it back last, within
the same transaction. What one of the two forbids is forbidden, and `reconcile` brings the other to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa

from factory.state.tables import ADMITTED
from shared.core.errors import BadInput
from shared.core.files import scratch_in, settle, sync_folder, write_atomically
from shared.state.ledger import entries
from shared.state.room import Room
from shared.state.workspace import Workspace

# No release's name: those hold no dots.
ALL = "every.release"
# What an entry of the ledger says where permits were in use by then.
IN_USE = "permits"
GIVEN = "permitted"


def folder(workspace: Workspace) -> Path:
    """Where permits lie."""
    return workspace.factory / "permits"


def has(workspace: Workspace, name: str) -> bool:
    """Whether a release, or everything (`ALL`), has its permit."""
    return _path(workspace, name).is_file()


def give(workspace: Workspace, *names: str) -> None:
    """Lets releases run again, or everything (`ALL`); raises OSError where the disk takes no file."""
    for name in names:
        write_atomically(_path(workspace, name), "")


def take(workspace: Workspace, name: str) -> bool:
    """Takes a permit away for good; False where there was none. Raises OSError where nothing can be removed."""
    path = _path(workspace, name)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    sync_folder(path.parent)
    return True


def in_use(workspace: Workspace) -> bool:
    """Whether there are permits at all; until then the database alone says what runs."""
    return folder(workspace).is_dir()


def stop(workspace: Workspace) -> None:
    """Takes the common permit, also where permits were not in use yet; raises OSError where nothing can be removed."""
    # An empty folder permits nothing, and `begin` takes it as it finds it.
    folder(workspace).mkdir(parents=True, exist_ok=True)
    take(workspace, ALL)


def begin(room: Room, connection: sa.Connection, live: Iterable[str], *, stopped: bool) -> None:
    """Takes permits into use: once, as the database of an earlier build has it.

    A folder that was there before and is gone permits nothing any more.
    """
    place = folder(room.workspace)
    if in_use(room.workspace):
        return
    lost = any(entry.body.get(IN_USE) for entry in entries(connection, room.entries_table, kinds=(GIVEN, ADMITTED)))
    given = [] if lost else sorted(live)
    with scratch_in(room.workspace.factory) as scratch:
        for name in (*given, *([] if lost or stopped else [ALL])):
            (scratch / name).touch()
        if settle(scratch, place) and given:
            room.write(connection, GIVEN, ALL, {IN_USE: True, "releases": given})


def held(workspace: Workspace) -> set[str]:
    """The releases that have a permit of their own."""
    return {path.name for path in folder(workspace).glob("[!.]*")} - {ALL}


def _path(workspace: Workspace, name: str) -> Path:
    if Path(name).name != name:
        raise BadInput(f"`{name}` is no release's name", remedy="name one of: pilotplant factory releases")
    return folder(workspace) / name
