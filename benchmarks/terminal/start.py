"""The shortest commands: whole processes, from the interpreter's start to the last line printed, bytecode warm.

The peer is a bare Typer app of as many commands in as many groups, each with an argument and two options, that imports
nothing else: its `--help`, and for `status` a command that prints one line. The workspace is a new one.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer

from benchmarks.measure import Line, in_turns
from shared.state.workspace import create

REPEATS = 15
HELP_LIMIT, STATUS_LIMIT = 1.3, 2.5


def run(repeats: int = REPEATS) -> list[Line]:
    with TemporaryDirectory() as folder:
        root = create(Path(folder) / "workspace", "rehearsal")[0].root
        asked = ((["--help"], ["--help"], HELP_LIMIT), (["--workspace", str(root), "status"], ["only"], STATUS_LIMIT))
        return [_compared(ours, theirs, limit, repeats) for ours, theirs, limit in asked]


def _compared(ours: list[str], theirs: list[str], limit: float, repeats: int) -> Line:
    # As `main` does, which ends the process before its memory can be told.
    quiet = "import gc\ngc.set_threshold(50_000, 50, 50)\n"
    app = f"{quiet}from pilotplant.app import _exit_code\n_exit_code({ours!r})"
    bare, mine = in_turns([f"{_bare()}app({theirs!r}, standalone_mode=False)\n", app], repeats)
    what, peer = f"`{ours[-1]}`: {mine.seconds:.2f} s", f"bare Typer, `{theirs[-1]}`: {bare.seconds:.2f} s"
    return Line(what, peer, mine, bare, limit)


def _bare() -> str:
    """A program of as many commands as ours, in as many groups, that does nothing."""
    from pilotplant.app import app

    sizes = [len(group.commands) for group in _groups(typer.main.get_command(app))]
    lines = ["import typer", "app = typer.Typer(add_completion=False)"]
    lines += ["@app.command()", "def only():", "    'Print one line.'", "    typer.echo('one line')"]
    for group, size in enumerate(sizes):
        lines.append(f"group{group} = typer.Typer(name='group{group}', help='A group.')")
        lines.append(f"app.add_typer(group{group})")
        for number in range(size):
            lines += [f"@group{group}.command()", f"def command{number}(name: str, rows: int = 1, dry: bool = False):"]
            lines += ["    'Do something with a name.'", "    typer.echo(name)"]
    return "\n".join(lines) + "\n"


def _groups(command: Any) -> list[Any]:
    return [each for each in command.commands.values() if hasattr(each, "commands")]
