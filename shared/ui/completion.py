"""What a shell proposes where a command takes the name of a pilot, a release or a table.

It is asked at every press of a key: it lists folders and reads one column, opens no room, and is silent where that
cannot be done.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import typer

from shared.core.errors import PilotPlantError
from shared.state.workspace import Workspace, find_workspace

CONTRACT = ".odcs.yaml"
# A shell writes into a command line what is proposed: no name of ours holds anything that it would read as more.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# A press of a key waits no longer for whoever writes.
_WAIT_S = 0.1


def pilots(context: typer.Context, incomplete: str) -> list[str]:
    """Pilots and drafts."""
    return _proposed(context, incomplete, lambda it: _folders(it.pilots, it.lab / "pilots"))


def releases(context: typer.Context, incomplete: str) -> list[str]:
    """Releases of whatever state; on PostgreSQL those that may run now."""
    return _proposed(context, incomplete, _releases)


def tables(context: typer.Context, incomplete: str) -> list[str]:
    """Tables that have a contract."""
    return _proposed(context, incomplete, _contracts)


def _proposed(context: typer.Context, incomplete: str, names: Callable[[Workspace], Iterable[str]]) -> list[str]:
    folder: Any = context.find_root().params.get("workspace")
    with suppress(PilotPlantError, OSError, sqlite3.Error, ValueError):
        found = names(find_workspace(None if folder is None else Path(folder).expanduser()))
        return sorted({name for name in found if name.startswith(incomplete) and _PLAIN.fullmatch(name)})
    return []


def _folders(*parents: Path) -> Iterator[str]:
    for parent in parents:
        with suppress(OSError):
            yield from (path.name for path in parent.iterdir() if path.is_dir())


def _contracts(workspace: Workspace) -> Iterator[str]:
    for path in (workspace.configs / "contracts").iterdir():
        if path.name.endswith(CONTRACT):
            yield path.name.removesuffix(CONTRACT)


def _releases(workspace: Workspace) -> Iterator[str]:
    with suppress(OSError):
        yield from (path.name for path in (workspace.factory / "permits").iterdir() if path.suffix != ".release")
    file = workspace.factory / "factory.db"
    if file.exists():
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=_WAIT_S)) as connection:
            yield from (str(name) for (name,) in connection.execute("SELECT name FROM releases"))
