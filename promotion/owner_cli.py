"""The gate's commands around the decision owner; `promotion/cli.py` adds them to the group."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.console import Json, date_time, emit, progress, session, table
from shared.workspace import Workspace

TOLD = {"no": "not yet", "sent": "sent", "failed": "NOT SENT", "unknown": "CANNOT SAY"}
TO_DO = {
    "failed": "mend it, and run the same command again: nothing is lost",
    "unknown": "ask them whether it has come; it is not sent twice",
}


def settle(context: typer.Context, as_json: Json = False) -> Any:
    """Record what has lapsed: a deadline that passed without a decision is *stop*. The other commands do it too."""
    from promotion.silence import settle as record
    from promotion.state import open_promotion

    found = record(open_promotion(session(context).workspace()))
    emit(
        as_json,
        {"lapsed": [one.as_json() for one in found]},
        *([one.told() for one in found] or ["Nothing has lapsed since the last time."]),
    )
    return found


def remind(
    context: typer.Context,
    send: Annotated[
        bool, typer.Option("--send", help="Tell each of them, once, by mail or webhook as configs/gate.yaml says.")
    ] = False,
    as_json: Json = False,
) -> Any:
    """List who must decide or sign what by when; with --send tell them, each once, so that it may run every hour."""
    from promotion.reminding import remind as tell
    from promotion.reminding import reminders
    from shared.clock import parse_rfc3339
    from shared.errors import PilotPlantError, Undecided

    workspace = session(context).workspace()
    found = tell(workspace) if send else reminders(workspace)
    rows = [(one.pilot, one.to, one.what, date_time(parse_rfc3339(one.until)), TOLD[one.told]) for one in found]
    emit(
        as_json,
        {"reminders": [one.as_json() for one in found]},
        table("pilot", "who", "what", "until", "told", rows=rows) if found else "Nothing is due.",
        *dict.fromkeys(f"{one.to}: {one.next}" for one in found),
    )
    for one in found:
        if one.problem:
            progress(f"{one.pilot}, {one.to}: {one.told}: {one.problem}; {TO_DO[one.told]}")
    codes = {"unknown": Undecided.exit_code, "failed": PilotPlantError.exit_code}
    worst = max((codes.get(one.told, 0) for one in found), default=0)
    if send and worst:
        raise typer.Exit(worst)
    return found


def summary(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A pilot's name, or the digest of a candidate.", metavar="NAME")],
    html: Annotated[Path | None, typer.Option(help="Write one page to print or mail as well.", metavar="FILE")] = None,
    as_: Annotated[
        str | None, typer.Option("--as", help="Who looks: the ledger keeps who has seen results, if they say so.")
    ] = None,
    as_json: Json = False,
) -> Any:
    """Show one page for whoever decides: promised, found, money, what the gate says, and what to type next."""
    from promotion.summary import summarise, write_page

    progress("Asking every check; the evidence is computed again from the sealed data …")
    found = summarise(session(context).workspace(), name, as_)
    if html is not None:
        write_page(found, html)
    told = [] if html is None else [f"Page: {html}"]
    emit(as_json, {**found.as_json(), "html": html and str(html)}, *found.lines(), *told)
    return found


def asked_claim(workspace: Workspace, name: str) -> tuple[str | None, str | None]:
    """The claim and its context, asked for on a terminal; (None, None) where nobody is there to ask."""
    if not sys.stdin.isatty():
        return None, None
    from promotion.claims import DIRECTIONS
    from shared.intake import find_candidate

    charter = find_candidate(workspace, name).promise().charter
    arms = [arm.name for arm in charter.treatments]
    typer.echo("What was learned? It is set against the evidence.", err=True)
    arm = arms[0] if len(arms) == 1 else typer.prompt(f"Of which arm ({', '.join(arms)})", err=True)
    measured = ", ".join(charter.measured)
    metric = typer.prompt(f"Of which metric ({measured})", default=charter.primary.metric, err=True)
    direction = typer.prompt(f"Against the control it was ({', '.join(DIRECTIONS)})", err=True)
    context = typer.prompt("For whom, when and where does that hold", default="", show_default=False, err=True)
    return f"{arm}:{metric}={direction}", context
