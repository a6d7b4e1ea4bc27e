"""Commands beside long ledgers: whole processes, from the interpreter's start to the last line printed.

Both workspaces hold one pilot that went the real way and stands before the gate. In the one, the ledger of each room
has a hundred entries, in the other ten thousand; what was added says of pilots that are long decided that they were
looked at, loaded or assigned.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Line, in_turns
from factory.state.room import open_factory
from lab.state import open_lab
from promotion.state import open_promotion
from shared.state.workspace import Workspace, open_workspace
from tests.lab_makers import PILOT, staged

REPEATS = 7
SHORT, LONG = 100, 10_000
LIMIT = 1.3
OTHERS = 200
COMMANDS = (["status"], ["promote", "check", PILOT], ["lab", "list"])


def run(repeats: int = REPEATS) -> list[Line]:
    with TemporaryDirectory() as folder:
        short, long = (_workspace(Path(folder), entries) for entries in (SHORT, LONG))
        return [_compared(command, short, long, repeats) for command in COMMANDS]


def _compared(command: list[str], short: Workspace, long: Workspace, repeats: int) -> Line:
    before, after = in_turns([_process(short, command), _process(long, command)], repeats)
    what = f"`{' '.join(command)}`, {LONG:,} entries: {after.seconds:.2f} s"
    return Line(what, f"{SHORT} entries: {before.seconds:.2f} s", after, before, LIMIT)


def _process(workspace: Workspace, command: list[str]) -> str:
    words = ["--workspace", str(workspace.root), *command]
    return f"from pilotplant.app import _exit_code\nassert _exit_code({words!r}) == 0"


def _workspace(folder: Path, entries: int) -> Workspace:
    root = folder / str(entries)
    shutil.copytree(staged(folder, "submitted").root, root)
    workspace = open_workspace(root)
    for room, kind in (
        (open_lab(workspace), "queried"),
        (open_promotion(workspace), "looked"),
        (open_factory(workspace), "assigned"),
    ):
        with room.transaction() as connection:
            for number in range(room.head(connection).seq, entries):
                room.write(connection, kind, f"pilot-{number % OTHERS:03}", {"number": number})
    return workspace
