"""What waits for whom: the queue, silence, reminders and the owner's one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promotion.cli.group import Looker, Name, app
from promotion.cli.texts import proposal_text
from shared.core.errors import PilotPlantError, Undecided
from shared.core.times import date_time
from shared.ui.console import Json, emit, progress, session, table

if TYPE_CHECKING:
    from promotion.queue.views import Waiting

TOLD = {"no": "not yet", "sent": "sent", "failed": "NOT SENT", "unknown": "CANNOT SAY"}
TO_DO = {
    "failed": "mend it, and run the same command again: nothing is lost",
    "unknown": "ask them whether it has come; it is not sent twice",
}


@app.command()
def queue(
    context: typer.Context,
    as_: Annotated[str | None, typer.Option("--as", help="Only what waits for this person.")] = None,
    as_json: Json = False,
) -> Any:
    """List what waits for a decision or a signature, and until when; what lapsed, and what crosses over."""
    from promotion.queue.queue import waiting
    from promotion.queue.reception import receptions
    from promotion.registry.lapses import lapses
    from promotion.state import open_promotion
    from shared.experiment.people import known, same_person

    workspace = session(context).workspace()
    reader = known(workspace, as_)
    found, crossing = waiting(workspace, owner=reader), receptions(workspace)
    lapsed = [
        one for one in lapses(open_promotion(workspace)).values() if reader is None or same_person(reader, one.owner)
    ]
    rows = [
        (c.pilot, c.candidate[:19] + "…", _whom(c), date_time(c.until),
         _left(c), _warnings(c.warnings), c.next)
        for c in found
    ]  # fmt: skip
    emit(
        as_json,
        {
            "candidates": found,
            "lapsed": lapsed,
            "handed_over": crossing,
        },
        table("pilot", "candidate", "waits for", "until", "left", "warnings", "before scale", rows=rows)
        if found
        else "Nothing waits for a decision.",
        *(line for one in found if one.proposed for line in proposal_text(one.pilot, one.proposed)),
        *(
            f"{one.pilot}: the gate would not sign {one.declined.word}: {one.declined.reason}. Decide anew."
            for one in found
            if one.declined
        ),
        *(one.told() for one in lapsed),
        *(f"{one.pilot}: {one.told}" for one in crossing if one.state != "admitted"),
    )
    return found


def _whom(entry: Waiting) -> str:
    """Whose move it is."""
    signed = entry.proposed
    if not signed:
        return entry.owner
    return "ops" if signed.for_gate else " or ".join(signed.others) or "nobody yet"


def _left(entry: Waiting) -> str:
    """How long whoever it waits for has; what waits for the gate was signed in time."""
    from shared.ui.phrases import days

    if entry.proposed and entry.proposed.for_gate:
        return "signed in time"
    return days(entry.days_left) + (", due" if entry.due else "")


def _warnings(names: list[str] | None) -> str:
    """How many warnings there were when somebody looked last: those that failed, or could not be checked."""
    return "not checked yet" if names is None else f"{len(names)} failed or not checked" if names else "none"


@app.command()
def settle(context: typer.Context, as_json: Json = False) -> Any:
    """Record what has lapsed: a deadline that passed without a decision is *stop*. The other commands do it too."""
    from promotion.decisions.silence import settle as record
    from promotion.state import open_promotion

    found = record(open_promotion(session(context).workspace()))
    emit(
        as_json,
        {"lapsed": found},
        *([one.told() for one in found] or ["Nothing has lapsed since the last time."]),
    )
    return found


@app.command()
def remind(
    context: typer.Context,
    send: Annotated[
        bool, typer.Option("--send", help="Tell each of them, once, by mail or webhook as configs/gate.yaml says.")
    ] = False,
    as_json: Json = False,
) -> Any:
    """List who must decide or sign what by when; with --send tell them, each once, so that it may run every hour."""
    from promotion.queue.reminders import remind as tell
    from promotion.queue.reminders import reminders

    workspace = session(context).workspace()
    found = tell(workspace) if send else reminders(workspace)
    rows = [(one.pilot, one.to, one.what, date_time(one.until), TOLD[one.told]) for one in found]
    emit(
        as_json,
        {"reminders": found},
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


@app.command()
def summary(
    context: typer.Context,
    name: Name,
    html: Annotated[Path | None, typer.Option(help="Write one page to print or mail as well.", metavar="FILE")] = None,
    as_: Looker = None,
    as_json: Json = False,
) -> Any:
    """Show one page for whoever decides: promised, found, money, what the gate says, and what to type next."""
    from promotion.queue.owner_page import write_page
    from promotion.queue.summary import summarise
    from shared.experiment.people import known

    workspace = session(context).workspace()
    who = known(workspace, as_)
    progress("Asking every check; the evidence is computed again from the sealed data …")
    found = summarise(workspace, name, who)
    if html is not None:
        write_page(found, html)
    told = [] if html is None else [f"Page: {html}"]
    emit(as_json, {**found.as_json(), "html": html and str(html)}, *found.lines(), *told)
    return found
