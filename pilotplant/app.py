"""The command line: `pilotplant [--workspace DIR] GROUP COMMAND … [--json]`."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

import factory.cli
import lab.cli
import promotion.cli
from shared.console import Json, Session, emit, fail, session
from shared.errors import PilotPlantError

# What a shell gives for a command that Ctrl-C has ended.
INTERRUPTED = 130

app = typer.Typer(
    name="pilotplant",
    help="A Lab for marketing pilots, a Factory for what has proved itself, and one gate between them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for room in (lab.cli.app, promotion.cli.app, factory.cli.app):
    app.add_typer(room)


@app.callback()
def front_door(
    context: typer.Context,
    workspace: Annotated[
        Path | None,
        typer.Option(help="The workspace's folder; else PILOTPLANT_WORKSPACE, else the one that holds this folder."),
    ] = None,
) -> None:
    """Hand every room what it needs of the others, and nothing more."""
    context.obj = Session(workspace, _register)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.", metavar="DIR")],
    rehearsal: Annotated[bool, typer.Option("--rehearsal", help="A workspace to practise in, for ever.")] = False,
    as_json: Json = False,
) -> Any:
    """Make a workspace."""
    from shared.clock import rfc3339
    from shared.workspace import create

    made, fresh = create(folder, "rehearsal" if rehearsal else "live")
    emit(
        as_json,
        {"workspace": str(made.root), "mode": made.mode, "created": rfc3339(made.created), "repeated": not fresh},
        f"{'Made' if fresh else 'There is already'} a {made.mode} workspace: {made.root}",
        "Say who is who in configs/people.yaml, then bring customers in:",
        f"  pilotplant --workspace {folder} factory load customers FILE.csv",
        f"  pilotplant --workspace {folder} factory publish",
        f"  pilotplant --workspace {folder} lab new my-first-pilot",
    )
    return made


@app.command()
def status(context: typer.Context, as_json: Json = False) -> Any:
    """Show both environments, each by its own measures, and what waits for whom."""
    from pilotplant.overview import overview

    found = overview(session(context).workspace())
    emit(as_json, found.as_json(), *found.lines())
    return found


@app.command()
def demo(
    data: Annotated[Path | None, typer.Option(help="The real e-mail test (CSV) instead of the synthetic shop.")] = None,
    into: Annotated[Path | None, typer.Option(help="A new folder; if left out, demo, or demo-2 and so on.")] = None,
    as_json: Json = False,
) -> Any:
    """Go the whole way in a rehearsal: two pilots, the gate, a release, and its scheduled run."""
    from pilotplant.demo import free_folder, run_demo

    found = run_demo(into or free_folder(Path("demo")), data, run=run, quiet=as_json)
    emit(as_json, found.as_json(), *found.lines())
    return found


def run(arguments: list[str]) -> Any:
    """Runs one command in this process, as the demo does; returns its result, or its exit code where that is not 0."""
    return app(arguments, standalone_mode=False)


def main() -> None:
    """The console script: runs a command and ends the process with its exit code."""
    code = _exit_code(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # DuckDB's and Great Expectations' extension modules print pages of leak warnings while the interpreter is torn
    # down; everything of ours is written and closed by now.
    os._exit(code)


def _exit_code(arguments: list[str]) -> int:
    try:
        app(arguments)
    except PilotPlantError as error:
        return fail(error, as_json="--json" in arguments)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last one to catch anything
        return _crashed(error, as_json="--json" in arguments)
    return 0


def _crashed(error: Exception, *, as_json: bool) -> int:
    traceback.print_exception(error, file=sys.stderr)
    report = PilotPlantError(
        f"a defect of Pilot Plant, or of the machine below it: {type(error).__name__}: {error}",
        remedy="run the same command again, which repairs what was cut off; if it stays, report the lines above",
    )
    return fail(report, as_json=as_json)


def _register(*arguments: Any) -> Any:
    from promotion.register import register

    return register(*arguments)
