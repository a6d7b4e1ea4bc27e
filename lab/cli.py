"""The Lab's commands: each parses, calls one function and prints."""

from __future__ import annotations

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
    template: Annotated[str, typer.Option(help="What to start from.")] = "ab-email",
    owner: Annotated[str | None, typer.Option(help="Who will decide; a person of configs/people.yaml.")] = None,
    requester: Annotated[str | None, typer.Option(help="Who asks; a person of configs/people.yaml.")] = None,
    as_json: Json = False,
) -> Any:
    """Write a draft charter with its files, to be edited."""
    from lab.drafts import new as draft

    path = draft(session(context).workspace(), name, template=template, owner=owner, requester=requester)
    emit(
        as_json,
        {"pilot": name, "charter": str(path)},
        f"Draft charter of {name}: {path}",
        f"Edit it and the files beside it, then: pilotplant lab check {name}",
    )
    return path


@app.command()
def check(context: typer.Context, name: Name, as_json: Json = False) -> Any:
    """Say whether a draft would launch, and what the plan means in numbers."""
    from lab.drafts import check as examine

    found = examine(session(context).workspace(), name)
    forecast = found.forecast
    problems = [line for problem in found.problems for line in _problem(problem.as_json())]
    emit(
        as_json,
        {"pilot": name, "ok": found.ok, "problems": [p.as_json() for p in found.problems], "notes": found.notes,
         "forecast": forecast},
        f"{name} would launch." if found.ok else f"{name} would not launch:",
        *problems,
        *(f"Note: {note}." for note in found.notes),
        f"Plan: {forecast['days']} days, {forecast['planned_units_per_arm']:,} units per arm planned; available: "
        + ", ".join(f"{arm} {units:,}" for arm, units in forecast["units_per_arm"].items()),
        *(f"Audience of `{arm}` today: {counted(units, 'customer')}" for arm, units in forecast["audiences"].items()),
        *([f"Next: pilotplant lab launch {name}"] if found.ok else []),
    )  # fmt: skip
    if not found.ok:
        raise typer.Exit(max(problem.exit_code for problem in found.problems))
    return found


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
        {"pilot": name, "units": done.units, "per_arm": done.per_arm, "file": str(out)},
        f"{done.units:,} units: " + ", ".join(f"{arm} {count:,}" for arm, count in done.per_arm.items()),
        f"Written to {out}. Ops turn units into customer ids with: "
        f"pilotplant factory resolve {out} --out addressed.csv",
    )
    return done


@app.command()
def record(
    context: typer.Context,
    name: Name,
    file: Annotated[Path, typer.Argument(help="Exposures, outcomes, or both (.csv or .parquet).")],
    kind: Annotated[
        str | None, typer.Option(help="exposures, outcomes or both; told from the columns if left out.")
    ] = None,
    as_json: Json = False,
) -> Any:
    """Take results in; rows in conflict are held back with their reason, and a file of nothing else ends with 2."""
    from lab.intake import record as take
    from lab.intake import require_some_kind

    progress(f"Checking the rows of {file.name} against the contract …")
    done = take(session(context).workspace(), name, file, require_some_kind(kind))
    held = [{"reason": reason, "rows": rows} for reason, rows in done.conflicts.items()]
    emit(
        as_json,
        {"pilot": name, "accepted": {"exposures": done.exposures, "outcomes": done.outcomes},
         "duplicates": done.duplicates, "quarantined": held, "repeated": done.repeated},
        f"This file was recorded before; nothing was done ({done.exposures:,} exposures, {done.outcomes:,} outcomes)."
        if done.repeated
        else f"Accepted {done.exposures:,} exposures and {done.outcomes:,} outcomes, "
        f"dropped {done.duplicates:,} duplicates.",
        *([f"Nothing in {file.name} counts; what was held back:"] if done.in_vain else []),
        *(f"Held back {counted(rows, 'row')}: {reason}" for reason, rows in done.conflicts.items()),
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
    amount: Annotated[str, typer.Argument(help="An amount in the pilot's currency, like 120.50.")],
    purpose: Annotated[str, typer.Option("--for", help="What it was for.")],
    key: Annotated[
        str | None, typer.Option("--id", help="A key of its own, for an equal cost that is another one.")
    ] = None,
    as_json: Json = False,
) -> Any:
    """Record a cost; none above the budget is taken."""
    from lab.spending import spend as pay
    from shared.money import parse_amount

    done = pay(session(context).workspace(), name, parse_amount(amount), purpose, key=key)
    emit(
        as_json,
        {"pilot": name, "spent": done.spent.as_json(), "budget_left": done.left.as_json(), "repeated": done.repeated},
        ("Recorded before; nothing was done. An equal cost that is another one needs --id. " if done.repeated else "")
        + f"{name} has spent {done.spent}, {done.left} are left.",
    )
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
         "arms": {arm.arm: arm.units for arm in evidence.arms},
         "effects": [e.model_dump(mode="json") for e in evidence.effects], "health": health, "warnings": warned,
         "report": str(done.report), "mlflow_run": done.mlflow_run},
        *(Text(warning, style="bold") for warning in warned),
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
    """List pilots with their state, and whose move it is."""
    from lab.portfolio import drafts, lines
    from lab.state import open_lab

    room = open_lab(session(context).workspace())
    found, waiting = lines(room), drafts(room)
    rows = [
        (line.name, line.word or line.state, date_time(line.ends), f"{line.exposures:,}",
         f"{line.spent.amount:,.2f} / {line.budget}", line.waits_for, date_time(line.until))
        for line in found
    ]  # fmt: skip
    rows += [(name, "draft", "–", "–", "–", "you (lab check, lab launch)", "–") for name in waiting]
    grid = table("pilot", "state", "ends", "exposures", "spent", "waits for", "until", rows=rows)
    for column in grid.columns:
        column.overflow = "fold"  # an address that is cut is nobody's
    emit(
        as_json,
        {"pilots": [line.as_json() for line in found], "drafts": waiting},
        grid if rows else "No pilots yet. Start one with: pilotplant lab new NAME",
    )
    return found


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
        },
        f"{name}: {line.word or line.state}",
        f"Because {story.because}, we believe that {story.we_believe} will {story.will}.",
        f"Arms: {', '.join(pilot.charter.weights)}; primary metric {pilot.charter.primary.metric}; guardrails "
        + (", ".join(f"{rail.metric} {rail.margin:+g}" for rail in pilot.charter.guardrails) or "none"),
        f"Exposures {line.exposures:,}, of {line.planned_units:,} units planned; spent {line.spent} of {line.budget}",
        f"Ends {date_time(line.ends)}; waits for {line.waits_for or 'nobody'} until {date_time(line.until)}",
        f"Promise {pilot.promise.digest}",
    )
    return pilot


@app.command()
def insights(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="Words that the insight must contain.")] = "",
    as_json: Json = False,
) -> Any:
    """List what decided pilots taught."""
    from lab.portfolio import insights as search
    from lab.state import open_lab

    found = search(open_lab(session(context).workspace()), query)
    emit(
        as_json,
        {"insights": [insight.as_json() for insight in found]},
        table("pilot", "decision", "insight", rows=[(i.pilot, i.word, i.claim) for i in found])
        if found
        else "No insights yet."
        if not query
        else f"No insight contains `{query}`.",
    )
    return found


@app.command()
def report(context: typer.Context, as_json: Json = False) -> Any:
    """Say how well the Lab learns: decisions, days to a decision, insights and their cost."""
    from lab.portfolio import measures
    from lab.state import open_lab

    found = measures(open_lab(session(context).workspace()))
    emit(as_json, found, *learning(found))
    return found


def learning(found: dict[str, Any]) -> list[str]:
    """The Lab's measures as lines for people, for `lab report` and `status`."""
    pilots, words = found["pilots"], found["decisions"]
    days, price = found["days_to_decision"], found["cost_per_insight"]
    return [
        f"Pilots: {found['drafts']} draft, {pilots['running']} running, {pilots['ended']} ended, {pilots['decided']} "
        f"decided ({words['scale']} scale, {words['revise']} revise, {words['stop']} stop, {found['lapsed']} lapsed)",
        f"Days to a decision: {'–' if days is None else days} (median); insights: {found['insights']}; "
        f"cost per insight: {'–' if price is None else money(price)}",
        f"Budget: {money(found['spent'])} spent, {money(found['budget_left'])} of {money(found['budget'])} not bound",
    ]


def _problem(parts: dict[str, str | None]) -> list[str]:
    lines = [f"  - {parts['what']}"]
    return lines + [f"    {key}: {parts[key]}" for key in ("where", "expected", "remedy") if parts[key]]
