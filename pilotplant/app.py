"""The command line: `pilotplant [--workspace DIR] GROUP COMMAND … [--json]`."""

from __future__ import annotations

import gc
import os
import shlex
import sys
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import factory.cli
import lab.cli
import promotion.cli
from shared.core.errors import BadInput, PilotPlantError, Refused, Undecided
from shared.core.faults import fault, no_file
from shared.core.files import PRIVATE
from shared.ui.console import (  # fmt: skip
    CLOSED_PIPE,
    DESK_PORT,
    InTrouble,
    Json,
    Session,
    crashed,
    emit,
    fail,
    require_seen,
    session,
    write,
)

if TYPE_CHECKING:
    from shared.state.workspace import Workspace

NAME = "pilotplant"
FIRST_STEPS = (
    "factory contract customers FILE.csv",
    "factory load customers FILE.csv",
    "factory publish",
    "lab new my-first-pilot",
)
# What a shell gives for a command that Ctrl-C has ended.
INTERRUPTED = 130
# Typer brings its own copy of click, whose classes it names in part: BadParameter, UsageError, ClickException.
CLICK_ERROR: type[Exception] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name=NAME,
    help="A Lab for marketing pilots, a Factory for what has proved itself, and one gate between them.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
for room in (lab.cli.app, promotion.cli.app, factory.cli.app):
    app.add_typer(room)


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        write(f"{NAME} {version(NAME)}\n")
        raise typer.Exit


@app.callback()
def front_door(
    context: typer.Context,
    workspace: Annotated[
        Path | None,
        typer.Option(help="The workspace's folder; else PILOTPLANT_WORKSPACE, else the one that holds this folder."),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Remember which workspace is meant."""
    context.obj = Session(workspace, preflight=_preflight, judge=_judge, desk=_desk)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.", metavar="DIR")],
    rehearsal: Annotated[bool, typer.Option("--rehearsal", help="A workspace to practise in, for ever.")] = False,
    timezone: Annotated[str | None, typer.Option(help="The team's time zone, like Europe/Berlin.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="What its pilots may cost in a quarter, like `20000 EUR`; set anew for each.")
    ] = None,
    owner: Annotated[str | None, typer.Option(help="Who decides on pilots: an e-mail address.")] = None,
    no_input: Annotated[bool, typer.Option("--no-input", help="Ask nothing, even on a terminal.")] = False,
    as_json: Json = False,
) -> Any:
    """Make a workspace; a rehearsal has the keys of all who sign in it from the start.

    On a terminal it asks for what no option says of the team.
    """
    from pilotplant.rehearsal import make_keys
    from shared.core.clock import rfc3339
    from shared.state.workspace import MARK, create

    team = None
    asks = sys.stdin.isatty() and not (no_input or as_json or (folder / MARK).exists())
    if asks or any(option is not None for option in (timezone, budget, owner)):
        import pilotplant.team as teams

        # Everything is answered before anything is made.
        team = teams.given(timezone, budget, owner)
        team = teams.asked(team) if asks else team
    made, fresh = create(folder, "rehearsal" if rehearsal else "live")
    if team is not None:
        teams.settle(made, team, fresh=fresh)
    keys = make_keys(made) if rehearsal else ()
    emit(
        as_json,
        {
            "workspace": str(made.root),
            "mode": made.mode,
            "created": rfc3339(made.created),
            "repeated": not fresh,
            "keys": list(keys),
            "team": {} if team is None else team.said(),
        },
        f"{'Made' if fresh else 'There is already'} a {made.mode} workspace: {folder}",
        *([f"Keys are made and trusted for {', '.join(keys)}; nothing they sign counts elsewhere."] if keys else []),
        *(
            [f"Written into configs/: {', '.join(f'{name} {said}' for name, said in team.said().items())}."]
            if fresh and team and team.said()
            else []
        ),
        "Say who is who in configs/people.yaml, then bring customers in:",
        *(f"  {NAME} --workspace {shlex.quote(str(folder))} {step}" for step in FIRST_STEPS),
    )
    return made


@app.command("init-database")
def init_database(
    room: Annotated[str, typer.Argument(help="lab, promotion or factory.", metavar="ROOM")],
    url: Annotated[
        str, typer.Option(help="The room's PostgreSQL database as its owner reaches it.", envvar="PILOTPLANT_OWNER_URL")
    ],
    role: Annotated[str, typer.Option(help="The role that the room works as; it may only add to the ledger.")],
    as_json: Json = False,
) -> Any:
    """Make a room's tables on PostgreSQL, and give its role the rights it needs. The owner's URL is kept nowhere."""
    from pilotplant.databases import prepare

    done = prepare(room, url, role)
    emit(
        as_json,
        {"room": room, "database": done.database, "role": role, "tables": done.tables, "repeated": not done.tables},
        f"{room}: {'made ' + ', '.join(done.tables) if done.tables else 'every table was there already'}.",
        f"Role {role} may add to the ledger and change nothing in it. Name it in `database` of configs/.",
    )
    return done


@app.command()
def migrate(
    context: typer.Context,
    rooms: Annotated[
        list[str] | None, typer.Argument(help="lab, promotion or factory; all three without one.", metavar="[ROOM]...")
    ] = None,
    owner_url: Annotated[
        list[str] | None,
        typer.Option(
            help="A room's PostgreSQL database as its owner reaches it; kept nowhere. May be given for each room.",
            metavar="ROOM=URL",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    as_json: Json = False,
) -> Any:
    """Bring the rooms' databases to this release's schema; each is kept as it was before, and changed whole or not."""
    from pilotplant import databases

    workspace = session(context).workspace()
    owners = {}
    for said in owner_url or ():
        room, equals, url = said.partition("=")
        if not equals:
            raise BadInput("an owner's URL names its room", where="--owner-url", expected="ROOM=URL, with room lab, "
                           "promotion or factory")  # fmt: skip
        owners[room] = url
    asked = tuple(dict.fromkeys(rooms or ()))
    found = databases.planned(workspace, asked) if dry_run else databases.migrate(workspace, asked, owners)
    behind = [one for one in found if one.steps]
    emit(
        as_json,
        {"rooms": found, "dry_run": dry_run},
        *(line for one in found for line in one.lines()),
        *(["Nothing was changed; without --dry-run it is done."] if dry_run and behind else []),
        *([f"See that every ledger still verifies: {NAME} verify"] if behind and not dry_run else []),
    )
    return found


@app.command()
def status(
    context: typer.Context,
    check: InTrouble = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it anew until Ctrl-C; with --json one object on each line.")
    ] = False,
    every: Annotated[int, typer.Option(help="With --watch: seconds between two looks.", min=1, max=3600)] = 5,
    as_json: Json = False,
) -> Any:
    """Show both environments, each by its own measures, what is in trouble, and what waits for whom."""
    from factory.cli.group import settled
    from pilotplant.overview import overview

    if watch:
        from pilotplant.watch import require_watchable, show_anew

        require_watchable(check=check, as_json=as_json)
        show_anew(lambda: overview(settled(context)), every, as_json=as_json)
    found = overview(settled(context))
    emit(as_json, found, *found.lines())
    if check and found.troubles:
        raise typer.Exit(Refused.exit_code)
    return found


@app.command()
def desk(
    context: typer.Context,
    as_: Annotated[str | None, typer.Option("--as", help="Who opens it; else a link for each person.")] = None,
    port: Annotated[
        int, typer.Option(help="Where it is served, on this machine alone; 0 for any free one.")
    ] = DESK_PORT,
    link: Annotated[bool, typer.Option("--link", help="Only print a new link, for a desk that is up.")] = False,
    as_json: Json = False,
) -> Any:
    """Serve the desk, where pilots, decisions and releases are seen in a browser, until Ctrl-C."""
    from pilotplant.desk.links import address_at, invitations
    from shared.experiment.people import known

    workspace = session(context).workspace()
    who = known(workspace, as_)

    def tell(address: str) -> None:
        found = invitations(workspace, address, who)
        emit(
            as_json,
            {"url": address, "links": found},
            f"The desk is at {address}. Each link lets one browser in, once, within ten minutes:",
            *(f"  {one.person or 'reading only'}: {one.url}" for one in found),
            *([] if link else ["It is up until Ctrl-C."]),
        )

    if link:
        tell(address_at(port))
        return None
    from pilotplant.desk.desk import Desk
    from pilotplant.desk.server import address_of, listen, server_of

    with listen(port) as listener:
        tell(address_of(listener))
        server_of(Desk(workspace)).run(sockets=[listener])
    return None


@app.command()
def verify(
    context: typer.Context,
    checkpoint: Annotated[Path | None, typer.Option(help="A checkpoint that was kept elsewhere.")] = None,
    as_json: Json = False,
) -> Any:
    """Verify the ledgers of all three rooms, each against what the others have seen of it, and the gate's record."""
    from pilotplant.witnesses import verify as cross

    found = cross(session(context).workspace(everything=True), checkpoint)
    emit(
        as_json,
        found,
        *(f"ok          {line}" for line in found.verified),
        *(f"PROBLEM     {line}" for line in found.problems),
        *(f"CANNOT SAY  {line}" for line in found.unread),
    )
    if found.problems or found.unread:
        raise typer.Exit(Refused.exit_code if found.problems else Undecided.exit_code)
    return found


@app.command()
def doctor(context: typer.Context, as_json: Json = False) -> Any:
    """Say what is wrong with this machine or workspace, and how to mend it. Nothing is changed."""
    from pilotplant.doctor import examine

    folder = session(context).folder
    found = examine(folder, named=bool(folder or os.environ.get("PILOTPLANT_WORKSPACE")))
    emit(as_json, {"workspace": found.workspace, "checks": found.checks}, *found.lines())
    if not found.ok:
        raise typer.Exit(Refused.exit_code)
    return found


@app.command()
def clock(
    context: typer.Context,
    moment: Annotated[
        str | None,
        typer.Argument(help="A moment like 2026-11-23T09:00:00Z, or `now` for real time.", metavar="[MOMENT]"),
    ] = None,
    as_json: Json = False,
) -> Any:
    """Show the workspace's time, or set it: in a rehearsal only, where it runs on from there."""
    from shared.core.clock import rfc3339
    from shared.core.times import date_time

    workspace = session(context).workspace()
    if moment == "now":
        workspace.clock.follow_real_time()
    elif moment is not None:
        workspace.clock.set(_moment(moment))
    now = workspace.clock.now()
    done = {None: "It is", "now": "The clock follows real time again: it is"}.get(moment, "The clock is set: it is")
    emit(
        as_json,
        {"workspace": str(workspace.root), "mode": workspace.mode, "clock": rfc3339(now), "changed": bool(moment)},
        f"{done} {date_time(now)} in this {workspace.mode} workspace.",
    )
    return now


@app.command()
def demo(
    data: Annotated[Path | None, typer.Option(help="The real e-mail test (CSV) instead of the synthetic shop.")] = None,
    into: Annotated[Path | None, typer.Option(help="A new folder; if left out, demo, or demo-2 and so on.")] = None,
    as_json: Json = False,
) -> Any:
    """Go the whole way in a rehearsal: two pilots, the gate, a release, and its scheduled run."""
    from pilotplant.demo import free_folder, run_demo

    found = run_demo(into or free_folder(Path("demo")), data, run=run, quiet=as_json)
    emit(as_json, found, *found.lines())
    return found


def run(arguments: list[str]) -> Any:
    """Runs one command in this process, as the demo does; returns its result, or its exit code where that is not 0."""
    return _command()(arguments, prog_name=NAME, standalone_mode=False)


@cache
def _command() -> Any:
    """All commands, built once: whoever runs several in one process need not wait for them again."""
    return typer.main.get_command(app)


def main() -> None:
    """The console script: runs a command and ends the process with its exit code."""
    # Imports make many objects and no garbage: looking for it among them takes a tenth of a short command's time.
    gc.set_threshold(50_000, 50, 50)
    # What a command makes is its account's alone, and so is what its children make.
    os.umask(PRIVATE)
    try:
        code = _exit_code(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        code = CLOSED_PIPE
    sys.stderr.flush()
    # DuckDB's and Great Expectations' extension modules print pages of leak warnings while the interpreter is torn
    # down; everything of ours is written and closed by now.
    os._exit(code)


def _exit_code(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    try:
        # Whatever is said on a command line is kept, signed or shown; only SQL has line breaks of its own.
        for number, said in enumerate(arguments, 1):
            require_seen(said, f"word {number} after {NAME}")
        found = run(arguments) if as_json else _command()(arguments, prog_name=NAME)
        # Typer hands an exit code over as if it were a result; no command has a number for its result.
        return found if isinstance(found, int) else 0
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except PilotPlantError as error:
        return fail(fault(error) or error, as_json=as_json)
    except CLICK_ERROR as error:
        return fail(_misused(error), as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last one to catch anything
        return _crashed(error, as_json=as_json)


def _misused(error: Any) -> BadInput:
    """What typer says of a command line that it cannot read, in the four parts of our own errors."""
    context = error.ctx
    what = error.format_message().strip().split("\n")[0]
    if context is None:
        return BadInput(what, where=NAME, remedy=f"see `{NAME} --help`")
    if not what or what.startswith("Usage:"):
        what = "a command is missing"
    usage = context.get_usage().removeprefix("Usage:").strip()
    path = context.command_path
    return BadInput(what, where=path, expected=" ".join(usage.split()), remedy=f"see `{path} --help`")


def _moment(text: str) -> datetime:
    from shared.core.clock import parse_rfc3339

    try:
        return parse_rfc3339(text)
    except (ValueError, OverflowError) as error:
        raise BadInput(
            f"`{text}` is not a moment", where="MOMENT", expected="like 2026-11-23T09:00:00Z, with its offset, or `now`"
        ) from error


def _crashed(error: Exception, *, as_json: bool) -> int:
    found = fault(error) or no_file(error)
    if found is not None:
        return fail(found, as_json=as_json)
    crashed(error)
    report = PilotPlantError(
        f"a defect of Pilot Plant: {type(error).__name__}: {error}",
        remedy="run the same command again, which repairs what was cut off; if it stays, report the lines above",
    )
    return fail(report, as_json=as_json)


def _preflight(workspace: Workspace, name: str) -> Any:
    from factory.preflight.report import preflight

    return preflight(workspace, name)


def _judge(workspace: Workspace, name: str) -> tuple[dict[str, Any], list[Any]]:
    from promotion.cli.check import asked

    return asked(workspace, name)


def _desk(workspace: Workspace, port: int) -> Any:
    from pilotplant.desk.beside import beside

    return beside(workspace, port)
