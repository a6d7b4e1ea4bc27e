"""Releases are paused and resumed, everything is stopped, and the Factory says how it is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.cli.group import Name, app, settled
from shared.core.errors import BadInput, Refused
from shared.core.times import date_time
from shared.ui.completion import releases
from shared.ui.console import InTrouble, Json, emit, session, styled, table

if TYPE_CHECKING:
    from factory.state.states import StateChange

Reason = Annotated[str, typer.Option(help="Why, for the record.")]


@app.command()
def pause(context: typer.Context, name: Name, reason: Reason = "", as_json: Json = False) -> Any:
    """Stop a release from running until it is resumed."""
    from factory.releases.releases import pause as stop

    return _changed(stop(session(context).workspace(), name, reason=reason), name, as_json=as_json)


@app.command()
def resume(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="The release's name.", metavar="[NAME]", autocompletion=releases)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Lift stop-all, and what it paused runs again.")] = False,
    reason: Reason = "",
    as_json: Json = False,
) -> Any:
    """Let a paused release run again."""
    from factory.releases.releases import resume as restart
    from factory.releases.releases import resume_all

    workspace = session(context).workspace()
    if everything == (name is not None):
        raise BadInput("either a release is named, or --all is given", remedy="pilotplant factory resume NAME")
    if name is None:
        return _changed(resume_all(workspace, reason=reason), None, as_json=as_json)
    return _changed(restart(workspace, name, reason=reason), name, as_json=as_json)


@app.command("stop-all")
def stop_all(context: typer.Context, reason: Reason = "no reason was given", as_json: Json = False) -> Any:
    """Stop everything, at once; no message is written until the stop is lifted."""
    from factory.releases.releases import stop_all as stop

    return _changed(stop(session(context).workspace(), reason=reason), None, as_json=as_json)


@app.command()
def log(
    context: typer.Context,
    since: Annotated[
        str | None, typer.Option(help="From when on: yesterday, today, 12h, 3d, a date or a moment.")
    ] = None,
    release: Annotated[
        str | None, typer.Option(help="Only what concerns this release.", autocompletion=releases)
    ] = None,
    as_json: Json = False,
) -> Any:
    """Tell what happened in the Factory, one line an event."""
    from factory.runtime.journal import journal

    found = journal(settled(context), since=since, release=release)
    emit(
        as_json,
        {"events": found},
        table("at", "what", "happened", rows=[(date_time(e.at), e.subject, e.what) for e in found])
        if found
        else "Nothing happened.",
    )
    return found


@app.command()
def status(context: typer.Context, check: InTrouble = False, as_json: Json = False) -> Any:
    """Say how the Factory is doing, what is in trouble first."""
    from factory.runtime.measures import measures

    found = measures(settled(context))
    rows = [
        (r.name, r.state, _counts(r.runs), f"{r.messages:,}", date_time(r.last_run), date_time(r.next))
        for r in found.releases
    ]
    emit(
        as_json,
        {
            "stopped": found.stopped,
            "plant": found.plant,
            "troubles": found.troubles,
            "releases_by_state": found.releases_by_state,
            "runs": found.runs,
            "last_run": found.last_run,
            "rows_loaded": found.rows_loaded,
            "rows_quarantined": found.rows_quarantined,
            "releases": [
                {"release": r.name, "state": r.state, "runs": r.runs, "messages": r.messages, "last_run": r.last_run,
                 "last_state": r.last_state, "next": r.next, "paused": r.paused}
                for r in found.releases
            ],
        },
        *(styled(str(trouble), "bold red") for trouble in found.troubles),
        f"The Factory {found.plant}.",
        f"Rows loaded: {found.rows_loaded:,}; quarantined: {found.rows_quarantined:,}.",
        f"Releases: {_counts(found.releases_by_state)}. Runs: {_counts(found.runs)}.",
        *([table("release", "state", "runs", "messages written", "last run", "next run", rows=rows)] if rows else []),
        *(f"{r.name}: {r.paused}." for r in found.releases if r.paused),
    )  # fmt: skip
    if check and found.troubles:
        raise typer.Exit(Refused.exit_code)
    return found


def _changed(change: StateChange, name: str | None, *, as_json: bool) -> StateChange:
    payload = {"release": name, "state": change.state, "changed": list(change.releases), "message": change.said,
               "recorded": change.recorded}  # fmt: skip
    said = change.said[0].upper() + change.said[1:]
    emit(as_json, payload, f"{said}.")
    return change


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"
