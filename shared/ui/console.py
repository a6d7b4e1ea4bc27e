"""What every command does alike: open the workspace, print a result, say what went wrong.

Nothing else prints: whatever text passes here shows what cannot be seen (`shared/core/printable.py`), and one string is
one line. A text of several lines is `quoted`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.core.errors import BadInput, PilotPlantError
from shared.core.printable import hidden, json_text, line, quoted

if TYPE_CHECKING:
    from shared.state.workspace import Workspace

Line = str | Text | Table
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
InTrouble = Annotated[
    bool, typer.Option("--check", help="End with exit code 3 where something is in trouble, for monitoring.")
]

# Wide enough for a table of findings when the output is a file or a pipe.
PIPE_WIDTH = 120
# Of so many characters are at most: cells that stay on one line, like a date with its time; words; a header's lines.
SHORT, WORD, HEADER = 20, 24, 12
# Blanks between two columns.
GAP = 2
# What a shell makes of a process that SIGPIPE has ended: 128 and the signal's number.
CLOSED_PIPE = 141
# Where the desk is served unless somebody says otherwise.
DESK_PORT = 8700
# What goes on below a line that is longer than the terminal is wide: no text can be as long as to begin a line itself.
_GOES_ON = "  ↳ "


@dataclass(frozen=True, slots=True)
class Session:
    """What the front door hands to a room's commands.

    Attributes:
        folder: the workspace named on the command line, if any.
        preflight: has the Factory try a candidate, which in a rehearsal needs nobody's passphrase.
        judge: asks the gate about a pilot's latest candidate; nothing is decided.
        desk: has the desk up on a port while something else is.
    """

    folder: Path | None
    preflight: Callable[[Workspace, str], Any] = lambda *_: None
    judge: Callable[[Workspace, str], tuple[dict[str, Any], list[Line]]] = lambda *_: ({}, [])
    desk: Callable[[Workspace, int], AbstractContextManager[Any]] = lambda *_: nullcontext()

    def workspace(self, *, everything: bool = False) -> Workspace:
        """The workspace this command works in, closed to other accounts and rid of what killed commands left behind.

        With `everything` each file is looked at, and not only what tells whether that is needed.
        """
        # Whoever asks for help opens no workspace, and need not wait for what reads one.
        from shared.state.access import tidied
        from shared.state.team import read_in_its_zone
        from shared.state.workspace import find_workspace

        found = find_workspace(self.folder)
        read_in_its_zone(found)
        for said in tidied(found, everything=everything):
            progress(said)
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
    _stderr().print(Text(line(text), style="dim"))


class _Progress(logging.Handler):
    """What rooms log while a command runs is a line about its work."""

    def emit(self, record: logging.LogRecord) -> None:
        progress(record.getMessage())


_LOG = logging.getLogger("shared")
_LOG.addHandler(_Progress(logging.WARNING))
_LOG.propagate = False


def emit(as_json: bool, payload: object, *lines: Line) -> None:
    """Prints a result: one JSON object, or lines and tables for people."""
    if as_json:
        _write_json(payload)
        return
    console = stdout()
    for each in lines:
        if isinstance(each, Table):
            _print_table(console, each)
        else:
            _print(console, each if isinstance(each, Text) else Text(line(each)))


def styled(text: str, style: str = "bold") -> Text:
    """A line that stands out on a terminal."""
    return Text(line(text), style=style)


def _stderr() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def _print(console: Console, text: Text) -> None:
    """One line; what does not fit on a terminal goes on further in, behind a mark."""
    if not console.is_terminal or text.cell_len <= console.width:
        console.print(text)
        return
    pad = " " * (len(text.plain) - len(text.plain.lstrip(" "))) + _GOES_ON
    first, *rest = text.divide(_breaks(text.plain, max(console.width - len(pad), len(pad))))
    for each in (first, *(Text(pad, style=text.style).append_text(each) for each in rest)):
        each.rstrip()
        console.print(each, soft_wrap=True)


def _breaks(text: str, width: int) -> Iterator[int]:
    """Where a text is broken, between words: a path that is longer than a line stays whole, to be copied."""
    start = len(text) - len(text.lstrip(" "))
    for word in re.finditer(r"\S+", text):
        if word.start() > start and Text(text[start : word.end()]).cell_len > width:
            yield word.start()
            start = word.start()


def _print_table(console: Console, grid: Table) -> None:
    """A table, or one block for each of its rows where the table is wider than the terminal."""
    columns = [[_cell(each) for each in (column.header, *column.cells)] for column in grid.columns]
    wanted = [max(Text(part).cell_len for cell in cells for part in cell.plain.split("\n")) for cells in columns]
    widths = _widths(
        [column.min_width or 1 for column in grid.columns], wanted, console.width - GAP * (len(wanted) - 1)
    )
    if widths is not None:
        for column, width in zip(grid.columns, widths, strict=True):
            column.width = width
        console.print(grid)
        return
    names = [" ".join(cells[0].plain.split()) for cells in columns]
    for first, *cells in zip(*(cells[1:] for cells in columns), strict=True):
        console.print(first)
        for name, cell in zip(names[1:], cells, strict=True):
            _print(console, Text(f"  {name}: ").append_text(cell))


def _widths(least: Sequence[int], wanted: Sequence[int], room: int) -> list[int] | None:
    """How wide each column is: those that want little have it, the others share what is left; None for too little."""
    room, widths = room - sum(least), list(least)
    if room < 0:
        return None
    order = sorted(range(len(least)), key=lambda place: wanted[place] - least[place])
    for done, place in enumerate(order):
        more = min(max(0, wanted[place] - least[place]), room // (len(order) - done))
        widths[place] += more
        room -= more
    return widths


def clear() -> None:
    """Empties the terminal, for what is shown anew."""
    stdout().clear()


def write_json_line(payload: object) -> None:
    """Prints one JSON object on a line of its own, for whoever reads along."""
    _write_json(payload, indent=None)


def _write_json(payload: object, *, indent: int | None = 2) -> None:
    from shared.core.jsonable import jsonable  # pydantic is not for `--help`

    # JSON has a form of its own for what a terminal of another encoding cannot show.
    plain = not (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    write(json_text(json.dumps(jsonable(payload), indent=indent, ensure_ascii=plain)) + "\n")


def write(text: str) -> None:
    """Writes a result to stdout to the last character as it is: JSON or CSV, made for it."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise SystemExit(CLOSED_PIPE) from None


def table(*columns: str, rows: Sequence[Sequence[Any]]) -> Table:
    """A plain table; what is not a text is printed as one, None as a dash, and a `styled` cell in its style.

    Names, dates and numbers stand on one line each; sentences take what is left, and are broken between words.
    """
    grid = Table(box=None, pad_edge=False, header_style="bold")
    shown = [[_cell(value) for value in row] for row in rows]
    for column, *cells in zip((_cell(name) for name in columns), *shown, strict=True):
        widest = max((cell.cell_len for cell in cells), default=0)
        if widest <= SHORT:
            header = textwrap.wrap(column.plain, max(widest, HEADER, _longest_word(column))) or [""]
            grid.add_column(Text("\n".join(header)), min_width=max(widest, *map(len, header)), overflow="fold")
        else:
            longest = max(map(_longest_word, (column, *cells)))
            grid.add_column(column, min_width=min(longest, WORD), overflow="fold")
    for row in shown:
        grid.add_row(*row)
    return grid


def _longest_word(text: Text) -> int:
    return max((Text(word).cell_len for word in text.plain.split()), default=1)


def _cell(value: Any) -> Text:
    return value if isinstance(value, Text) else Text("–" if value is None else line(str(value)))


def fail(error: PilotPlantError, *, as_json: bool) -> int:
    """Prints an error and returns its exit code."""
    if as_json:
        _write_json({"error": error})
    else:
        console = _stderr()
        first, *rest = error.what.split("\n")
        console.print(styled(first, "bold red"))
        below = quoted("\n".join(rest)) if rest else []
        for each in (*below, *(f"  {line(part)}" for part in error.parts)):
            console.print(Text(each))
    return error.exit_code


def crashed(error: Exception) -> None:
    """Where a defect was met, on stderr; what the error says may be anybody's words."""
    console = _stderr()
    for each in quoted("".join(traceback.format_exception(error))):
        console.print(Text(each))


def require_seen(text: str, where: str) -> str:
    """The text; raises BadInput where it holds what nobody can see."""
    if (found := hidden(text)) is not None:
        raise BadInput(
            f"this text holds a character that nobody can see ({found[1]})",
            where=where,
            expected="text of which every character shows",
            remedy="type it anew; nothing was done",
        )
    return text


def ask(question: str, *, default: Any = None, show_default: bool = True, value: Callable[[str], Any] = str) -> Any:
    """What somebody answers on a terminal; what cannot be read is asked again."""

    def read(answer: str) -> Any:
        try:
            return value(require_seen(answer, question))
        except BadInput as error:
            raise typer.BadParameter(line(error.what) + (f"; {line(error.expected)}" if error.expected else "")) from (
                error
            )

    return typer.prompt(
        line(question),
        default=line(default) if isinstance(default, str) else default,
        show_default=show_default,
        value_proc=read,
        err=True,
    )


def counted(number: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def passphrase(workspace: Workspace, name: str, *, new: bool = False) -> str | None:
    """The passphrase of a live workspace's key: from the environment, or asked for on a terminal.

    PILOTPLANT_GATE_PASSPHRASE holds the gate's, PILOTPLANT_FACTORY_PASSPHRASE the Factory's, PILOTPLANT_PASSPHRASE a
    person's.
    """
    if workspace.mode == "rehearsal":
        return None
    from shared.trust.keys import passphrase_variable  # cryptography is not for those who sign nothing

    given = os.environ.get(passphrase_variable(name))
    if given or not sys.stdin.isatty():
        return given
    of = f"Passphrase of {line(name)}'s key" + (" (four words or more)" if new else "")
    answer: str = typer.prompt(of, hide_input=True, confirmation_prompt=new, err=True)
    return answer
