"""The Lab's commands: each parses, calls one function and prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from shared.console import Json, counted, date_time, emit, money, progress, session, table
from shared.errors import BadInput

app = typer.Typer(name="lab", help="The Lab: launch time-boxed pilots and learn from them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The pilot's name, like spring-email.", metavar="NAME")]


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
    owner: Annotated[str | None, typer.Option(help="Who will decide; a person of configs/people.yaml.")] = None,
    requester: Annotated[str | None, typer.Option(help="Who asks; a person of configs/people.yaml.")] = None,
    no_input: Annotated[bool, typer.Option("--no-input", help="Ask nothing, even on a terminal.")] = False,
    as_json: Json = False,
) -> Any:
    """Write a draft charter with its files, to be edited; on a terminal, ask for what no option says."""
    from lab.briefs import brief
    from lab.drafts import new as draft
    from lab.questions import asked

    workspace = session(context).workspace()
    given = brief(
        template=template, because=because, believe=believe, will=will, metric=metric, minimum_effect=minimum_effect,
        weeks=weeks, units_per_arm=units_per_arm, media=media, owner=owner, requester=requester,
    )  # fmt: skip
    if sys.stdin.isatty() and not (no_input or as_json):
        given = asked(workspace, name, given)
    path = draft(workspace, name, given)
    emit(
        as_json,
        {"pilot": name, "charter": str(path)},
        f"Draft charter of {name}: {path}",
        f"Edit it and the files beside it; see its messages with: pilotplant lab preview {name}",
        f"Next: pilotplant lab check {name}",
    )
    return path


@app.command()
def check(context: typer.Context, name: Name, as_json: Json = False) -> Any:
    """Say whether a draft would launch, what the gate would probably say in the end, and what it would cost."""
    from lab import forecast_text as text
    from lab.drafts import check as examine

    progress(f"Checking {name}, and simulating what would come of it …")
    found = examine(session(context).workspace(), name)
    forecast, charter = found.forecast, found.forecast.charter
    chances, primary = forecast.chances, found.metrics[charter.primary.metric]
    problems = [line for problem in found.problems for line in _problem(problem.as_json())]
    emit(
        as_json,
        {"pilot": name, "ok": found.ok, "problems": [p.as_json() for p in found.problems], "notes": found.notes,
         "forecast": found.forecast_json()},
        f"{name} would launch." if found.ok else f"{name} would not launch:",
        *problems,
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
    from lab.preview import preview as show_

    found = show_(session(context).workspace(), name, arm=arm, unit=unit)
    emit(
        as_json,
        {"pilot": name, "launched": found.launched, "messages": [each.as_json() for each in found.renderings]},
        *(
            line
            for each in found.renderings
            for line in (
                Text(f"{each.arm} to {each.unit}: {each.subject}", style="bold"), "", each.body.rstrip("\n"), ""
            )
        ),
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
    from lab.testmail import send_test

    done = send_test(session(context).workspace(), name, to=to, arm=arm, unit=unit)
    emit(
        as_json,
        {"pilot": name, "to": done.to, "server": done.server, "message": done.rendering.as_json()},
        f"Sent to {done.to} over {done.server}: what arm `{done.rendering.arm}` says to {done.rendering.unit}.",
    )
    return done


@app.command()
def launch(context: typer.Context, name: Name, as_json: Json = False) -> Any:
    """Freeze the charter, deposit it with the gate, reserve the budget and start the clock."""
    from lab.launch import launch as start

    here = session(context)
    done = start(here.workspace(), name, here.register)
    pilot = done.pilot
    emit(
        as_json,
        {"pilot": name, "digest": pilot.promise.digest, "ends": pilot.ends, "budget": pilot.reserved.as_json(),
         "repeated": done.repeated},
        f"{name} was launched before with this very content; nothing was done."
        if done.repeated
        else f"{name} is launched.",
        f"Promise: {pilot.promise.digest}",
        f"Runs {date_time(pilot.charter.time_box.starts)} to {date_time(pilot.ends)}; budget {pilot.reserved}; "
        f"{pilot.charter.owner} decides by {date_time(pilot.charter.deadline)}",
        f"Record everything before {date_time(pilot.ends)}: later files are refused.",
        f"Next: pilotplant lab assign {name} --out {name}-arms.csv",
    )  # fmt: skip
    return done


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
    from lab.amending import amend as next_version

    here = session(context)
    done = next_version(here.workspace(), name, reason, here.register, dry_run=dry_run)
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
        *([f"Next: pilotplant lab assign {name} --out {name}-arms.csv: arms given out before no longer hold"]
          if done.reassigned and not dry_run else []),
    )  # fmt: skip
    return done


@app.command()
def assign(
    context: typer.Context,
    name: Name,
    units: Annotated[Path | None, typer.Argument(help="A file with column `unit`; without one, everybody.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write unit and arm (.csv or .parquet); NAME-arms.csv if left out.")
    ] = None,
    as_json: Json = False,
) -> Any:
    """Write which unit gets which arm."""
    from lab.assigning import assign as draw

    out = out or Path(f"{name}-arms.csv")
    done = draw(session(context).workspace(), name, out, units)
    emit(
        as_json,
        {"pilot": name, "units": done.units, "per_arm": done.per_arm, "left_out": done.left_out, "file": str(out)},
        f"{done.units:,} units: " + ", ".join(f"{arm} {count:,}" for arm, count in done.per_arm.items()),
        *(f"Left out {counted(count, 'unit')}: {why}" for why, count in done.left_out.items()),
        f"Written to {out}. Ops turn units into customer ids with: "
        f"pilotplant factory resolve {out} --out addressed.csv",
    )
    return done


@app.command()
def synthesise(
    context: typer.Context,
    name: Name,
    effect: Annotated[
        list[str] | None,
        typer.Option(help="A true effect to plant, as ARM:METRIC=VALUE, like letter:visit=0.02; may be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes up the same units.")] = 0,
    units: Annotated[int | None, typer.Option(help="How many units; all of the pilot's if left out.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write (.csv or .parquet); NAME-synthetic.csv if left out.")
    ] = None,
    as_json: Json = False,
) -> Any:
    """Make up exposures and outcomes for a pilot whose charter says `synthetic: true`."""
    from lab.synthetic import LEFT_TO_RECORD, planted
    from lab.synthetic import synthesise as make_up

    out = out or Path(f"{name}-synthetic.csv")
    effects = [planted(text) for text in effect or ()]
    progress(f"Making up units of {name} …")
    done = make_up(session(context).workspace(), name, out, effects=effects, seed=seed, units=units)
    told = ", ".join(f"{one.arm} {one.metric} {one.effect:+g}" for one in done.planted)
    emit(
        as_json,
        {"pilot": name, "synthetic": True, "file": str(out), "units": sum(done.per_arm.values()),
         "per_arm": done.per_arm, "seed": seed,
         "planted": [{"arm": one.arm, "metric": one.metric, "effect": one.effect} for one in done.planted],
         "sources": done.sources, "fillers": done.fillers, "record_from": done.last, "record_before": done.ends},
        f"{sum(done.per_arm.values()):,} made-up units: "
        + ", ".join(f"{arm} {count:,}" for arm, count in done.per_arm.items()) + f". Written to {out}.",
        f"Planted: {told or 'no effect'}.",
        *(f"Drawn: {metric} from {source}." for metric, source in done.sources.items()),
        *(f"Column `{column}` is {value} throughout: the charter does not measure it."
          for column, value in done.fillers.items()),
        f"It can be recorded after {date_time(done.last)}, its last event, and before {date_time(done.ends)}; "
        "a rehearsal's clock can be moved there:",
        f"  pilotplant clock {done.ends - LEFT_TO_RECORD / 2:%Y-%m-%dT%H:%M:%SZ}",
        f"  pilotplant lab record {name} {out}",
    )  # fmt: skip
    return done


@app.command()
def record(
    context: typer.Context,
    name: Name,
    file: Annotated[Path, typer.Argument(help="Exposures, outcomes, both, or costs (.csv or .parquet).")],
    kind: Annotated[
        str | None,
        typer.Option(help="exposures, outcomes, both or costs; the first three are told from the columns."),
    ] = None,
    as_json: Json = False,
) -> Any:
    """Take results in; rows in conflict are held back with their reason, and a file of nothing else ends with 2."""
    from lab.intake import record as take
    from lab.intake import require_some_kind

    if kind == "costs":
        return _record_costs(context, name, file, as_json=as_json)
    progress(f"Checking the rows of {file.name} against the contract …")
    done = take(session(context).workspace(), name, file, require_some_kind(kind))
    held = [{"reason": reason, "rows": rows} for reason, rows in done.conflicts.items()]
    emit(
        as_json,
        {"pilot": name, "accepted": {"exposures": done.exposures, "outcomes": done.outcomes},
         "duplicates": done.duplicates, "quarantined": held, "repeated": done.repeated, "early_outcomes": done.early},
        f"This file was recorded before; nothing was done ({done.exposures:,} exposures, {done.outcomes:,} outcomes)."
        if done.repeated
        else f"Accepted {done.exposures:,} exposures and {done.outcomes:,} outcomes, "
        f"dropped {done.duplicates:,} duplicates.",
        *([f"Nothing in {file.name} counts; what was held back:"] if done.in_vain else []),
        *(f"Held back {counted(rows, 'row')}: {reason}" for reason, rows in done.conflicts.items()),
        *([f"By now {counted(done.early, 'outcome')} of the pilot lie before their unit's first exposure; the analysis "
           "leaves them out, unless an earlier exposure is recorded."] if done.early else []),
        *([f'Look: pilotplant lab sql {name} "SELECT * FROM conflicts LIMIT 10"'] if held else []),
        *(["What to do: correct the file, and record it again before the pilot ends"] if done.in_vain else []),
    )  # fmt: skip
    if done.in_vain:
        raise typer.Exit(BadInput.exit_code)
    return done


@app.command()
def spend(
    context: typer.Context,
    name: Name,
    amount: Annotated[str | None, typer.Argument(help="An amount in the pilot's currency, like 120.50.")] = None,
    purpose: Annotated[str | None, typer.Option("--for", help="What it is for.")] = None,
    reserve: Annotated[
        bool, typer.Option("--reserve", help="Hold the money for a cost that is still to come.")
    ] = False,
    settle: Annotated[
        str | None, typer.Option(help="The reservation that this cost settles, by its purpose or its --id.")
    ] = None,
    release: Annotated[str | None, typer.Option(help="The reservation that is not needed; without AMOUNT.")] = None,
    key: Annotated[
        str | None, typer.Option("--id", help="A key of its own, for an equal cost that is another one.")
    ] = None,
    as_json: Json = False,
) -> Any:
    """Record a cost, or hold money for one that is to come; none above the budget is taken."""
    from lab.booking import Wish, book

    wish = Wish(amount, purpose, reserve=reserve, settle=settle, release=release, key=key)
    done = book(session(context).workspace(), name, wish)
    account = done.account
    emit(
        as_json,
        {"pilot": name, "id": done.key, "spent": account.spent.as_json(), "held": account.held.as_json(),
         "budget_left": account.left.as_json(), "repeated": done.repeated},
        wish.told(name, done.key, repeated=done.repeated),
        f"{name} has spent {account.spent}, " + (f"holds {account.held}, " if account.held.amount else "")
        + f"{account.left} are left.",
    )  # fmt: skip
    return done


@app.command()
def sql(
    context: typer.Context,
    name: Name,
    query: Annotated[
        str | None, typer.Argument(help="SQL over the snapshot's tables, exposures, outcomes and conflicts.")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="A .sql file of the pilot's folder, instead of QUERY.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write all rows to a .csv or .parquet file.")] = None,
    as_json: Json = False,
) -> Any:
    """Query the pilot's sandbox; what you make there stays there."""
    from lab.sandbox import run_sql, run_sql_file

    workspace = session(context).workspace()
    if file is not None and query is None:
        found = run_sql_file(workspace, name, file, out)
    elif query is not None and file is None:
        found = run_sql(workspace, name, query, out)
    else:
        raise BadInput(
            "both QUERY and --file are given" if file else "there is no SQL to run",
            where=f"lab sql {name}",
            expected="either QUERY or --file",
            remedy=f'for example: pilotplant lab sql {name} "SELECT count(*) FROM exposures"',
        )
    emit(
        as_json,
        {"columns": found.columns, "rows": found.rows, "total": found.total},
        table(*found.columns, rows=[tuple(row) for row in found.rows]),
        f"{found.total:,} rows" + (f", written to {out}" if out else ""),
    )
    return found


@app.command()
def analyse(context: typer.Context, name: Name, as_json: Json = False) -> Any:
    """Compute effects and health, write the report, log one MLflow run."""
    from lab.analysis import analyse as compute
    from lab.report import warnings
    from shared import wording

    progress(f"Analysing {name}: one scan, the report and an MLflow run …")
    done = compute(session(context).workspace(), name)
    metrics, evidence = done.pilot.promise.metrics, done.evidence
    warned = warnings(done.pilot, evidence)
    ratio = evidence.health.sample_ratio
    health = [
        {"name": "sample_ratio", **ratio.model_dump()},
        {"name": "multiple_exposure", "units": evidence.health.multiple_units, "frac": evidence.health.multiple_frac},
        {"name": "conflicts", "rows": evidence.health.conflicts},
    ]
    rows = [
        (e.arm, e.metric, e.part, wording.effect(metrics[e.metric], e), wording.share(e.relative), wording.p_value(e.p))
        for e in evidence.effects
    ]
    emit(
        as_json,
        {"pilot": name, "evidence": evidence.digest, "interim": done.interim, "repeated": done.repeated,
         "synthetic": done.pilot.charter.synthetic,
         "arms": {arm.arm: arm.units for arm in evidence.arms},
         "effects": [e.model_dump(mode="json") for e in evidence.effects], "health": health, "warnings": warned,
         "report": str(done.report), "mlflow_run": done.mlflow_run},
        *(Text(warning, style="bold") for warning in warned),
        *(["Synthetic units: these numbers say nothing about customers."] if done.pilot.charter.synthetic else []),
        *(["Interim: the time box is open; these numbers decide nothing."] if done.interim else []),
        table("arm", "metric", "part", "difference [95 %]" if evidence.alpha == 0.05 else "difference", "lift", "p",  # noqa: PLR2004
              rows=rows),
        "Units: " + ", ".join(f"{arm.arm} {arm.units:,}" for arm in evidence.arms)
        + f"; sample ratio p {wording.p_value(ratio.p)}; in two arms: {evidence.health.multiple_units}",
        f"Report: {done.report}",
        f"MLflow run: {done.mlflow_run}",
    )  # fmt: skip
    return done


@app.command()
def end(
    context: typer.Context,
    name: Name,
    reason: Annotated[str, typer.Option(help="Why it is closed early.")],
    as_json: Json = False,
) -> Any:
    """Close a pilot before its time box is over."""
    from lab.launch import end as close

    pilot, repeated = close(session(context).workspace(), name, reason)
    emit(
        as_json,
        {"pilot": name, "state": "ended", "repeated": repeated},
        f"{name} {'was' if repeated else 'is'} closed, at {date_time(pilot.ended_at)}.",
        f"Next: pilotplant lab analyse {name}",
    )
    return pilot


@app.command()
def submit(context: typer.Context, name: Name, as_json: Json = False) -> Any:
    """Seal the analysis as a candidate and put it before the gate."""
    from lab.submission import submit as seal

    done = seal(session(context).workspace(), name)
    emit(
        as_json,
        {"pilot": name, "candidate": done.candidate.digest, "repeated": done.repeated},
        "The same candidate was submitted before; nothing was done."
        if done.repeated
        else f"{name} is before the gate.",
        f"Candidate: {done.candidate.digest}",
        f"Next: pilotplant promote check {name}",
    )
    return done


@app.command(name="list")
def list_(context: typer.Context, as_json: Json = False) -> Any:
    """List pilots with their state, sample, budget and health, whose move it is, and what is due."""
    from lab.portfolio import drafts_among, lines
    from lab.reminders import reminders
    from lab.state import open_lab, read_settings
    from shared.wording import bar, days

    workspace = session(context).workspace()
    found = lines(open_lab(workspace))
    waiting = drafts_among(workspace, found)
    due = reminders(found, read_settings(workspace).remind_days)
    rows: list[tuple[Any, ...]] = [
        (line.name + _mark(line.synthetic), line.word or line.state,
         f"{bar(line.sample_frac)} {line.exposures:,} of {line.planned_units:,}",
         f"{line.account.left.amount:,.2f} of {line.account.budget.amount:,.2f}", line.health or "–",
         line.waits_for or "–", "–" if line.days_left is None else f"{days(line.days_left)}, to {line.until:%Y-%m-%d}")
        for line in found
    ]  # fmt: skip
    rows += [(name, "draft", "–", "–", "–", "you (lab check, lab launch)", "–") for name in waiting]
    grid = table("pilot", "state", "exposures", "budget left", "health", "waits for", "left", rows=rows)
    for column in grid.columns:
        column.overflow = "fold"
    # An address that is cut is nobody's.
    grid.columns[5].min_width = max((len(word) for row in rows for word in str(row[5]).split()), default=1)
    emit(
        as_json,
        {"pilots": [line.as_json() for line in found], "drafts": waiting, "due": [one.as_json() for one in due]},
        grid if rows else "No pilots yet. Start one with: pilotplant lab new NAME",
        *(f"Due: {one.told()}" for one in due),
    )
    return found


@app.command()
def remind(context: typer.Context, as_json: Json = False) -> Any:
    """List who must do what until when, for a timer to mail; nothing is sent, and it always ends with 0."""
    from lab.portfolio import lines
    from lab.reminders import reminders
    from lab.state import open_lab, read_settings

    workspace = session(context).workspace()
    within = read_settings(workspace).remind_days
    due = reminders(lines(open_lab(workspace)), within)
    rows = [(one.who, one.pilot, one.what, date_time(one.until), one.next) for one in due]
    emit(
        as_json,
        {"remind_days": within, "due": [one.as_json() for one in due]},
        table("for whom", "pilot", "what is due", "until", "next", rows=rows) if rows else "Nothing is due.",
    )
    return due


@app.command()
def show(context: typer.Context, name: Name, as_json: Json = False) -> Any:
    """Show one launched pilot: its promise, what came in, what it cost."""
    from lab.pilots import get_pilot
    from lab.portfolio import lines
    from lab.state import open_lab

    room = open_lab(session(context).workspace())
    pilot = get_pilot(room, name)
    line = next(line for line in lines(room) if line.name == name)
    story = pilot.charter.hypothesis
    emit(
        as_json,
        {
            **line.as_json(),
            "promise": pilot.promise.as_json(),
            "digest": pilot.promise.digest,
            "snapshot": pilot.snapshot,
            "version": pilot.promise.version,
            "amendments": [amendment.as_json() for amendment in pilot.amendments],
        },
        f"{name}{_mark(line.synthetic)}: {line.word or line.state}",
        f"Because {story.because}, we believe that {story.we_believe} will {story.will}.",
        f"Arms: {', '.join(pilot.charter.weights)}; primary metric {pilot.charter.primary.metric}; guardrails "
        + (", ".join(f"{rail.metric} {rail.margin:+g}" for rail in pilot.charter.guardrails) or "none"),
        f"Exposures {line.exposures:,}, of {line.planned_units:,} units planned; spent {line.account.spent} of "
        f"{line.account.budget}, {line.account.left} left",
        *(f"Held: {amount} for {key}" for key, amount in line.open_reservations),
        *([f"Health: {line.health}"] if line.health else []),
        f"Ends {date_time(pilot.ends)}; waits for {line.waits_for or 'nobody'} until {date_time(line.until)}",
        f"Promise {pilot.promise.digest}",
        *(amendment.told() for amendment in pilot.amendments),
        *(["The last amendment was cut off: give the same `lab amend` again"] if pilot.undeposited else []),
    )
    return pilot


@app.command()
def insights(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="Words that the insight must contain.")] = "",
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.")] = None,
    metric: Annotated[str | None, typer.Option(help="Only those on this metric.")] = None,
    as_json: Json = False,
) -> Any:
    """List what decided pilots taught, and which pilots contradict it."""
    from lab.insights import insights as search
    from lab.state import open_lab

    found = search(open_lab(session(context).workspace()), query, tag=tag, metric=metric)
    asked = " ".join(filter(None, (query, tag and f"--tag {tag}", metric and f"--metric {metric}")))
    rows = [
        (i.pilot, i.word, i.claim, i.told(), ", ".join(i.contradicted_by), " ".join(i.tags)) for i in found
    ]  # fmt: skip
    emit(
        as_json,
        {"insights": [insight.as_json() for insight in found]},
        table("pilot", "decision", "insight", "effect", "contradicted by", "tags", rows=rows)
        if found
        else "No insights yet."
        if not asked
        else f"No insight contains `{asked}`.",
    )
    return found


@app.command()
def insight(
    context: typer.Context,
    name: Name,
    tag: Annotated[list[str] | None, typer.Option(help="A tag to add; may be given several times.")] = None,
    supports: Annotated[str | None, typer.Option(help="A pilot whose insight this one's result supports.")] = None,
    contradicts: Annotated[
        str | None, typer.Option(help="A pilot whose insight this one's result contradicts.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why it supports or contradicts.")] = None,
    as_json: Json = False,
) -> Any:
    """Show one pilot's insight; tag it, or link it with another pilot's that it supports or contradicts."""
    from lab.linking import say

    if supports is not None and contradicts is not None:
        raise BadInput("it is one or the other", where="--supports, --contradicts", expected="one of them at a time")
    kind: Any = "supports" if supports is not None else "contradicts" if contradicts is not None else None
    done = say(
        session(context).workspace(), name, tags=tuple(tag or ()), kind=kind, other=supports or contradicts,
        reason=reason,
    )  # fmt: skip
    found, asked = done.insight, bool(tag or kind)
    emit(
        as_json,
        {**found.as_json(), "repeated": asked and done.repeated},
        *(["This had been said before; nothing was done."] if asked and done.repeated else []),
        f"{name} ({found.word}): {found.claim}",
        f"Effect: {found.told()}",
        f"Context: {found.context.population}, {', '.join(found.context.channels)}",
        f"Tags: {' '.join(found.tags) or '–'}",
        *(f"Supported by {link.pilot}: {link.reason}" for link in found.supporting),
        *(f"Contradicted by {link.pilot}: {link.reason}" for link in found.contradicting),
        *(f"The numbers of {other} contradict it. If so: pilotplant lab insight {other} --contradicts {name} "
          "--reason TEXT" for other in found.proposed),
    )  # fmt: skip
    return found


@app.command()
def report(
    context: typer.Context,
    quarter: Annotated[str | None, typer.Option(help="Like 2026Q1; the present one if left out.")] = None,
    as_json: Json = False,
) -> Any:
    """Say how well the Lab learns: decisions, days to a decision, insights and their cost, and a plot over time."""
    from lab.learning import report as tell
    from lab.portfolio import measures
    from lab.state import open_lab

    room = open_lab(session(context).workspace())
    found, overall = tell(room, quarter), measures(room)
    numbers = found.numbers
    rate, days, price = numbers["insight_rate"], numbers["days_to_decision"], numbers["cost_per_insight"]
    emit(
        as_json,
        {**overall, "report": found.as_json()},
        *learning(overall),
        f"{found.quarter}: {numbers['decided']} decided ({numbers['scaled']} scaled, {numbers['revised']} revised, "
        f"{numbers['stopped']} stopped, {numbers['lapsed']} lapsed); insights: {numbers['insights']}, "
        + ("rate –" if rate is None else f"rate {rate:.0%}"),
        f"{found.quarter}: days to a decision {'–' if days is None else days} (median); cost {money(numbers['cost'])}; "
        f"cost per insight {'–' if price is None else money(price)}",
        "Learning velocity, insights a month: "
        + ", ".join(f"{month['month']} {month['insights']}" for month in found.velocity),
        f"Plot: {found.plot}",
    )
    return found


def _record_costs(context: typer.Context, name: str, file: Path, *, as_json: bool) -> Any:
    from lab.costs import record_costs

    done = record_costs(session(context).workspace(), name, file)
    emit(
        as_json,
        {"pilot": name, "accepted": {"costs": done.accepted}, "duplicates": done.duplicates, "quarantined": [],
         "repeated": not done.accepted, "spent": done.spent.as_json(), "budget_left": done.left.as_json()},
        f"Recorded {counted(done.accepted, 'cost')}; {done.duplicates:,} were on record before."
        if done.accepted
        else f"All {done.duplicates:,} costs of this file were on record before; nothing was done.",
        f"{name} has spent {done.spent}, {done.left} are left.",
    )  # fmt: skip
    return done


def learning(found: dict[str, Any]) -> list[str]:
    """The Lab's measures as lines for people, for `lab report` and `status`."""
    pilots, words = found["pilots"], found["decisions"]
    days, price = found["days_to_decision"], found["cost_per_insight"]
    return [
        f"Pilots: {found['drafts']} draft, {pilots['running']} running, {pilots['ended']} ended, {pilots['decided']} "
        f"decided ({words['scale']} scale, {words['revise']} revise, {words['stop']} stop, {found['lapsed']} lapsed)",
        f"Days to a decision: {'–' if days is None else days} (median); insights: {found['insights']}; "
        f"cost per insight: {'–' if price is None else money(price)}",
        f"Budget: {money(found['spent'])} spent, {money(found['held'])} held, {money(found['budget_left'])} of "
        f"{money(found['budget'])} not bound",
    ]


def _value(value: Any) -> str:
    return "(nothing)" if value is None else str(value)


def _mark(synthetic: bool) -> str:
    return " (synthetic)" if synthetic else ""


def _problem(parts: dict[str, str | None]) -> list[str]:
    lines = [f"  - {parts['what']}"]
    return lines + [f"    {key}: {parts[key]}" for key in ("where", "expected", "remedy") if parts[key]]
