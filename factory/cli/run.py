"""Releases at work: under Prefect or at once, and what became of their runs."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.cli.group import Name, app, settled
from shared.core.clock import parse_rfc3339
from shared.core.errors import BadInput, Refused
from shared.core.times import date_time, day
from shared.ui.console import DESK_PORT, Json, emit, progress, session, table

if TYPE_CHECKING:
    from factory.runtime.deployments import FlowRunFacts
    from factory.runtime.plant import Plant, Reconciled


@app.command()
def up(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Wait for each schedule's next run, then stop.")] = False,
    wait: Annotated[float, typer.Option(help="With --once: seconds to wait at most.")] = 180.0,
    port: Annotated[int | None, typer.Option(help="Where Prefect listens; 0 takes any free port.")] = None,
    no_desk: Annotated[bool, typer.Option("--no-desk", help="Do not serve the desk beside it.")] = False,
    desk_port: Annotated[int, typer.Option(help="Where the desk is served; 0 takes any free port.")] = DESK_PORT,
    as_json: Json = False,
) -> Any:
    """Start Prefect, a worker and the desk, and keep schedules in step with the releases until Ctrl-C.

    With --once there is no desk. Its links are printed on a terminal only, since each lets somebody in.
    """
    from factory.runtime.plant import Plant, until_told
    from factory.state.room import open_factory

    runs: list[FlowRunFacts] = []
    workspace = settled(context, everything=True)
    open_factory(workspace)  # what keeps it from opening is said before Prefect is started
    serve = nullcontext() if once or no_desk else session(context).desk(workspace, desk_port)
    with until_told() as stopping, Plant(workspace, port=port).running() as plant, serve as desk:
        first = plant.reconcile()
        _tell(first)
        if once:
            runs = plant.wait_for_scheduled_runs(wait)
        urls = {"prefect": plant.url} | ({} if desk is None else {"desk": desk.url})
        emit(as_json, {"urls": urls, "password_file": str(plant.password_file),
                       "deployments": plant.deployed, "runs": runs,
                       "edited": first.edited, "removed_from_prefect": first.foreign},
             f"Prefect: {plant.url}; its password is in {plant.password_file}, new at every start.",
             *([] if desk is None else desk.lines(links=sys.stdout.isatty())),
             *_said(plant, runs))  # fmt: skip

        def heard(round_: Reconciled) -> None:
            _tell(round_)
            if desk is not None and (ended := desk.ended()):
                progress(ended)

        if not once:
            progress("the Factory is up; Ctrl-C stops it")
            plant.keep_up(stopping, heard=heard)
    return runs


@app.command()
def releases(context: typer.Context, as_json: Json = False) -> Any:
    """List the releases."""
    from factory.releases.releases import list_releases

    found = list_releases(settled(context))
    rows = [(r.name, r.state, r.pilot, r.arm, day(r.admitted_at), day(r.expires)) for r in found]
    emit(
        as_json,
        {"releases": found},
        table("release", "state", "pilot", "arm", "admitted", "expires", rows=rows)
        if found
        else "There are no releases yet; `pilotplant factory admit` takes what the gate has handed over.",
    )
    return found


@app.command()
def show(context: typer.Context, name: Name, as_json: Json = False) -> Any:
    """Show a release with its runs."""
    from factory.releases.releases import next_occurrence, promised_by, show_release, why_paused
    from factory.state.room import open_factory
    from shared.ui import phrases

    workspace = settled(context)
    release, runs = show_release(workspace, name)
    upcoming = next_occurrence(workspace, release, workspace.clock.now())
    pause = why_paused(open_factory(workspace), release.name) if release.state == "paused" else None
    found = promised_by(workspace, release)
    promised, metrics = found or ((), {})
    rows = [
        (date_time(r.occurrence), r.state, r.attempts, r.messages, r.held_out, r.file and Path(r.file).name, r.reason)
        for r in runs
    ]
    emit(
        as_json,
        {
            **asdict(release),
            "release": release.name,
            "next": upcoming,
            "paused": pause,
            "promised": None if found is None else promised,
            "runs": runs,
        },
        f"Release {release.name} is {release.state} (arm {release.arm} of pilot {release.pilot}).",
        *([f"It is {pause}."] if pause else []),
        f"Package {release.package}, admitted {date_time(release.admitted_at)}, expires {date_time(release.expires)}.",
        *(f"Promised: {phrases.promise(metrics[one.metric], one)}." for one in promised),
        *(["What it promised cannot be read: its package is missing or damaged."] if found is None else []),
        f"Next run: {date_time(upcoming)}.",
        table("occurrence", "state", "tries", "messages written", "held out", "file", "reason", rows=rows),
    )
    return release, runs


@app.command()
def run(
    context: typer.Context,
    name: Name,
    occurrence: Annotated[
        str | None, typer.Option(help="Another moment of the schedule, like 2026-11-23T09:00:00Z.")
    ] = None,
    as_json: Json = False,
) -> Any:
    """Run a release now, at the moment of its schedule that is due, without Prefect."""
    from factory.runtime.campaign import run_now

    result = run_now(settled(context), name, _occurrence(occurrence))
    if result.state == "refused":
        raise Refused(
            f"release {name} does not run: {result.reason}",
            remedy="restore its package, look at configs/trusted_keys, or have the pilot promoted again",
        )
    if result.state == "skipped" and not as_json:
        raise Refused(
            f"release {name} did not run: {result.reason}",
            where=f"its occurrence {date_time(result.occurrence)}",
            remedy=f"look at it: pilotplant factory show {name}",
        )
    emit(
        as_json,
        result,
        f"{result.release} at {date_time(result.occurrence)}: {result.state}: {result.reason}.",
        *([f"File: {result.file}"] if result.file else []),
    )
    if result.state == "skipped":
        raise typer.Exit(Refused.exit_code)
    return result


def _tell(happened: Reconciled) -> None:
    for line in happened.lines():
        progress(line)


def _occurrence(text: str | None) -> Any:
    try:
        return parse_rfc3339(text) if text else None
    except ValueError as error:
        raise BadInput(f"`{text}` is not a moment", expected="like 2026-11-23T09:00:00Z, with its offset") from error


def _said(plant: Plant, runs: list[FlowRunFacts]) -> list[str]:
    resting = [f"{d.release}: {'paused' if d.paused else f'{d.cron} ({d.timezone})'}" for d in plant.deployed]
    ended = [f"{run.release}: {run.state}: {run.message} (scheduled {date_time(run.scheduled)})" for run in runs]
    return [*resting, *ended] or ["There are no releases yet."]
