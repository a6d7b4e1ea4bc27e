"""What every command does alike: open the workspace, print a result, say what went wrong."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.clock import parse_rfc3339, rfc3339
from shared.errors import PilotPlantError
from shared.housekeeping import tidied
from shared.ledger import Head
from shared.workspace import Workspace, find_workspace

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]

# Wide enough for a table of findings when the output is a file or a pipe.
PIPE_WIDTH = 120
# What a shell makes of a process that SIGPIPE has ended: 128 and the signal's number.
CLOSED_PIPE = 141


@dataclass(frozen=True, slots=True)
class Session:
    """What the front door hands to a room's commands.

    Attributes:
        folder: the workspace named on the command line, if any.
        register: deposits a charter with the gate; the Lab's only word to it, spoken through the front door.
        heads: the ledger heads of the rooms that can be read here, and why the others cannot; only for the gate's
            checkpoints, for it opens no other room's database.
    """

    folder: Path | None
    register: Callable[..., Any]
    heads: Callable[[Workspace], tuple[dict[str, Head], dict[str, str]]] = lambda _: ({}, {})

    def workspace(self, *, everything: bool = False) -> Workspace:
        """The workspace this command works in, closed to other accounts and rid of what killed commands left behind.

        With `everything` each file is looked at, and not only what tells whether that is needed.
        """
        found = find_workspace(self.folder)
        for line in tidied(found, everything=everything):
            progress(line)
        return found


def session(context: typer.Context) -> Session:
    """The session of a running command."""
    found = context.find_object(Session)
    if found is None:
        raise PilotPlantError("a command was started without its front door")
    return found


class _Results(Console):
    """Where results go, until whoever reads along, like `head`, has seen enough."""

    def on_broken_pipe(self) -> None:
        """Ends the command as if the signal had ended it."""
        raise SystemExit(CLOSED_PIPE)


def stdout() -> Console:
    """Where results go."""
    return _Results(
        highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH, soft_wrap=not sys.stdout.isatty()
    )


def progress(text: str) -> None:
    """One line about long work, on stderr."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, style="dim", markup=False)


def emit(as_json: bool, payload: dict[str, Any], *lines: str | Text | Table) -> None:
    """Prints a result: one JSON object, or lines and tables for people."""
    if as_json:
        _write_json(payload)
        return
    console = stdout()
    for line in lines:
        if isinstance(line, Table):
            console.print(line)
        else:
            console.print(line, markup=False)


def _write_json(payload: dict[str, Any]) -> None:
    write(json.dumps(payload, indent=2, default=_plain, ensure_ascii=False) + "\n")


def write(text: str) -> None:
    """Writes a result to stdout to the last character as it is."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise SystemExit(CLOSED_PIPE) from None


def _plain(value: Any) -> str:
    """How `--json` writes what JSON has no form for."""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Path | Decimal | date):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form here")


def table(*columns: str, rows: list[tuple[Any, ...]], title: str | None = None) -> Table:
    """A plain table; what is not a text is printed as one, None as a dash."""
    grid = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        grid.add_row(*("–" if cell is None else str(cell) for cell in row))
    return grid


def fail(error: PilotPlantError, *, as_json: bool) -> int:
    """Prints an error and returns its exit code."""
    if as_json:
        _write_json({"error": error.as_json()})
    else:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        first, *rest = str(error).split("\n")
        console.print(first, style="bold red", markup=False)
        for line in rest:
            console.print("  " + line, markup=False)
    return error.exit_code


def date_time(moment: datetime | str | None) -> str:
    """A moment for people: to the minute, UTC. One that was recorded is told as it stands where it is none."""
    if moment is None:
        return "–"
    try:
        return (parse_rfc3339(moment) if isinstance(moment, str) else moment).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return str(moment)


def counted(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def money(parts: dict[str, str]) -> str:
    """Money from its JSON form, for people."""
    return f"{Decimal(parts['amount']):,.2f} {parts['currency']}"


def passphrase(workspace: Workspace, name: str, *, new: bool = False) -> str | None:
    """The passphrase of a live workspace's key: from the environment, or asked for on a terminal.

    PILOTPLANT_GATE_PASSPHRASE holds the gate's, PILOTPLANT_FACTORY_PASSPHRASE the Factory's, PILOTPLANT_PASSPHRASE a
    person's.
    """
    if workspace.mode == "rehearsal":
        return None
    own = f"{name.upper()}_" if name in {"gate", "factory"} else ""
    variable = f"PILOTPLANT_{own}PASSPHRASE"
    given = os.environ.get(variable)
    if given or not sys.stdin.isatty():
        return given
    answer: str = typer.prompt(f"Passphrase of {name}'s key", hide_input=True, confirmation_prompt=new, err=True)
    return answer
