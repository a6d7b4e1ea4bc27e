"""The commands before a pilot runs, and those that change its plan: each parses, calls one function and prints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli.group import Name, app
from shared.core.errors import PilotPlantError
from shared.core.printable import quoted
from shared.core.times import date_time
from shared.ui.console import Json, Line, counted, emit, progress, session, styled, table

if TYPE_CHECKING:
    from shared.experiment.charter import Charter
    from shared.state.workspace import Workspace


@app.command()
def new(
    context: typer.Context,
    name: Name,
    template: Annotated[
        str | None,
        typer.Option(help="What to start from: ab-email (if left out), ab-page, multi-arm-content or journey."),
    ] = None,
    because: Annotated[str | None, typer.Option(help="What was seen that makes you think so.")] = None,
    believe: Annotated[str | None, typer.Option(help="What you want to try, like `a shorter mail`.")] = None,
    will: Annotated[str | None, typer.Option(help="What it will do, like `bring more visits`.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="The metric that decides, by its name in configs/metrics.yaml.")
    ] = None,
    minimum_effect: Annotated[
        float | None, typer.Option(help="The smallest difference worth scaling; 0.01 is one point of a share.")
    ] = None,
    weeks: Annotated[int | None, typer.Option(help="How long it runs, in whole weeks.")] = None,
    units_per_arm: Annotated[int | None, typer.Option(help="How many units each arm needs.")] = None,
    media: Annotated[str | None, typer.Option(help="What is spent on media, like 500.00.")] = None,
    assume: Annotated[
        list[str] | None,
        typer.Option(
            help="What a metric is without a treatment, where nothing of yours says so: METRIC=SHARE, like visit=0.11, "
            "or METRIC=MEAN:SD, like spend=0.65:10; may be repeated."
        ),
    ] = None,
    guardrail: Annotated[str | None, typer.Option(help="The metric that must not get worse.")] = None,
    margin: Annotated[
        float | None, typer.Option(help="By how much the guardrail may get worse at most, like 0.01.")
    ] = None,
    attrition: Annotated[
        float | None, typer.Option(help="The share of assigned customers who are never exposed, like 0.1.")
    ] = None,
    assignment: Annotated[
        str | None,
        typer.Option(help="Who draws the arms: pilotplant (if left out), or source, the system that exposes."),
    ] = None,
    population: Annotated[
        str | None, typer.Option(help="The snapshot's table of customers, where it has several.")
    ] = None,
    owner: Annotated[str | None, typer.Option(help="Who will decide; a person of configs/people.yaml.")] = None,
    requester: Annotated[str | None, typer.Option(help="Who asks; a person of configs/people.yaml.")] = None,
    no_input: Annotated[bool, typer.Option("--no-input", help="Ask nothing, even on a terminal.")] = False,
    as_json: Json = False,
) -> Any:
    """Write a draft charter with its files, to be edited; on a terminal, ask for what no option says."""
    from lab.charters.briefs import assumption, brief
    from lab.charters.drafts import new as draft
    from lab.cli.questions import asked

    workspace = session(context).workspace()
    given = brief(
        template=template, because=because, believe=believe, will=will, metric=metric, minimum_effect=minimum_effect,
        weeks=weeks, units_per_arm=units_per_arm, media=media, owner=owner, requester=requester,
        population=population, assume=dict(assumption(text) for text in assume or ()) or None, guardrail=guardrail,
        margin=margin, attrition=attrition, assignment=assignment,
    )  # fmt: skip
    if sys.stdin.isatty() and not (no_input or as_json):
        given = asked(workspace, name, given)
    done = draft(workspace, name, given)
    emit(
        as_json,
        {"pilot": name, "charter": str(done.charter), "sized": list(done.sizing.told),
         "missing": list(done.sizing.missing)},
        f"Draft charter of {name}: {done.charter}",
        *(f"Sized: {told}." for told in done.sizing.told),
        *(f"Missing: {why}." for why in done.sizing.missing),
        f"Edit it and the files beside it; see its messages with: pilotplant lab preview {name}",
        f"Next: pilotplant lab check {name}",
    )  # fmt: skip
    return done


@app.command()
def check(context: typer.Context, name: Name, as_json: Json = False) -> Any:
    """Say whether a draft would launch, what the gate would probably say in the end, and what it would cost."""
    from lab.charters.drafts import check as examine
    from lab.charters.verdicts import lines as verdict_lines
    from lab.forecast import text

    progress(f"Checking {name}, and simulating what would come of it …")
    found = examine(session(context).workspace(), name)
    forecast, charter = found.forecast, found.forecast.charter
    chances, primary = forecast.chances, found.metrics[charter.primary.metric]
    problems = [line for problem in found.problems for line in _problem(problem)]
    emit(
        as_json,
        {"pilot": name, "ok": found.ok, "verdict": found.verdict,
         "problems": found.problems, "notes": found.notes,
         "forecast": found.forecast_json()},
        *verdict_lines(name, found.verdict, problems),
        *(f"Note: {note}." for note in found.notes),
        f"Plan: {forecast.sample.days} days, {charter.sample.units_per_arm:,} units per arm planned; available: "
        + ", ".join(f"{arm} {units:,}" for arm, units in forecast.sample.per_arm.items()),
        *(f"Audience of `{arm}` today: {counted(units, 'customer')}" for arm, units in found.audiences.items()),
        *([table(*text.METRIC_COLUMNS, rows=rows)] if (rows := text.metric_rows(forecast, found.metrics)) else []),
        *([table(*text.CHANCE_COLUMNS, rows=text.chance_rows(chances, charter, primary))] if chances else []),
        *text.lines(forecast, found.metrics),
        *([f"Plot: {found.plot}"] if found.plot else []),
        *([f"Next: pilotplant lab launch {name}"] if found.ok else []),
    )  # fmt: skip
    if not found.ok:
        raise typer.Exit(max(problem.exit_code for problem in found.problems))
    return found


@app.command()
def preview(
    context: typer.Context,
    name: Name,
    arm: Annotated[str | None, typer.Option(help="One arm; every arm with a message if left out.")] = None,
    unit: Annotated[str | None, typer.Option(help="One unit of the audience, by its pseudonym.")] = None,
    as_json: Json = False,
) -> Any:
    """Show what the arms would say to a few units of their audience; of different words, one of each."""
    from lab.launch.preview import preview as show_

    found = show_(session(context).workspace(), name, arm=arm, unit=unit)
    emit(
        as_json,
        {"pilot": name, "launched": found.launched, "messages": found.renderings},
        *(line for each in found.renderings for line in _message(each)),
        "These are the words that were frozen at the launch."
        if found.launched
        else f"To read one as a mail: pilotplant lab test-send {name} --arm {found.renderings[0].arm} --to YOU",
    )  # fmt: skip
    return found


@app.command(name="test-send")
def mail_test(
    context: typer.Context,
    name: Name,
    to: Annotated[str, typer.Option(help="Your own address; a person of configs/people.yaml.")],
    arm: Annotated[str | None, typer.Option(help="Whose message; needed where several arms have one.")] = None,
    unit: Annotated[str | None, typer.Option(help="As which unit of the audience, by its pseudonym.")] = None,
    as_json: Json = False,
) -> Any:
    """Mail one unit's message to yourself, marked as a test, over the server in configs/lab.yaml."""
    from lab.launch.testmail import send_test

    done = send_test(session(context).workspace(), name, to=to, arm=arm, unit=unit)
    emit(
        as_json,
        {"pilot": name, "to": done.to, "server": done.server, "message": done.rendering},
        f"Sent to {done.to} over {done.server}: what arm `{done.rendering.arm}` says to {done.rendering.unit}.",
    )
    return done


@app.command()
def launch(context: typer.Context, name: Name, as_json: Json = False) -> Any:
    """Freeze the charter, deposit it with the gate, reserve the budget and start the clock."""
    from lab.launch.launch import launch as start

    done = start(session(context).workspace(), name)
    pilot = done.pilot
    emit(
        as_json,
        {"pilot": name, "digest": pilot.promise.digest, "ends": pilot.ends, "budget": pilot.reserved,
         "repeated": done.repeated},
        f"{name} was launched before with this very content; nothing was done."
        if done.repeated
        else f"{name} is launched.",
        f"Promise: {pilot.promise.digest}",
        f"Runs {date_time(pilot.charter.time_box.starts)} to {date_time(pilot.ends)}; budget {pilot.reserved}; "
        f"{pilot.charter.owner} decides by {date_time(pilot.charter.deadline)}",
        f"Record everything before {date_time(pilot.closes)}: later files are refused.",
        f"Next: {_after_launch(pilot.charter)}",
    )  # fmt: skip
    return done


def _after_launch(charter: Charter) -> str:
    name = charter.pilot
    if charter.synthetic:
        return f"pilotplant lab synthesise {name}"
    if charter.assignment == "source":
        return f"pilotplant lab assign {name} --out {name}-units.csv: whom the other system may expose"
    return f"pilotplant lab assign {name} --out {name}-arms.csv"


@app.command()
def amend(
    context: typer.Context,
    name: Name,
    reason: Annotated[str, typer.Option(help="Why; the gate shows it to whoever decides.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    as_json: Json = False,
) -> Any:
    """Make the edited charter the next version of a launched pilot's promise.

    After the first exposure only these may change: the hypothesis' wording, secondary metrics, the budget, and, while
    nobody has looked at outcomes, a later end and a later decision.
    """
    from lab.launch.amendment import amend as next_version

    workspace = session(context).workspace()
    done = next_version(workspace, name, reason, dry_run=dry_run)
    promise, charter = done.promise, done.promise.charter
    told = {
        "amended": f"{name} is amended.",
        "planned": f"{name} could be amended like this; nothing was done.",
        "finished": f"The amendment of {name} that was cut off is finished.",
        "same": f"The charter of {name} says what is in force already; nothing was done.",
    }[done.outcome]
    emit(
        as_json,
        {"pilot": name, "digest": promise.digest, "version": promise.version, "changes": done.changes,
         "repeated": done.outcome in {"same", "finished"}, "dry_run": dry_run},
        told,
        *(f"  {change['path']}: {_value(change['before'])} -> {_value(change['after'])}" for change in done.changes),
        f"Promise: {promise.digest} (version {promise.version})",
        f"Runs until {date_time(charter.time_box.ends)}; budget {charter.budget.total}; "
        f"{charter.owner} decides by {date_time(charter.deadline)}",
        *(_void_before(workspace, charter, dry_run=dry_run) if done.begins_anew else []),
        *([f"Next: pilotplant lab assign {name} --out {name}-arms.csv: arms given out before no longer hold"]
          if done.reassigned and not dry_run else []),
    )  # fmt: skip
    return done


def _void_before(workspace: Workspace, charter: Charter, *, dry_run: bool) -> list[str]:
    """What an amendment of what decides costs, and no charter shows: what happened before it proves nothing now."""
    now = workspace.clock.now()
    if now <= charter.time_box.starts:
        return []
    would = "would count" if dry_run else "counts"
    return [f"Nothing that happened before {date_time(now)} {would}: the gate takes in what is promised now."]


def _message(found: Any) -> list[Line]:
    return [styled(f"{found.arm} to {found.unit}: {found.subject}"), "", *quoted(found.body), ""]


def _value(value: Any) -> str:
    return "(nothing)" if value is None else str(value)


def _problem(error: PilotPlantError) -> list[str]:
    return [f"  - {error.what}", *(f"    {part}" for part in error.parts)]
