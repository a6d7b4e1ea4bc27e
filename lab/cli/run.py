"""The commands while a pilot runs: who gets which arm, what came in, and what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli.group import Name, app
from shared.core.errors import BadInput
from shared.core.times import date_time
from shared.ui.console import Json, counted, emit, progress, session, table


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
    """Write which unit gets which arm; or, where another system draws the arms, which units it may expose."""
    from lab.pilots.assignment import assign as draw

    out = out or Path(f"{name}-arms.csv")
    done = draw(session(context).workspace(), name, out, units)
    emit(
        as_json,
        {"pilot": name, "units": done.units, "per_arm": done.per_arm, "left_out": done.left_out, "file": str(out)},
        f"{done.units:,} units"
        + (
            ": " + ", ".join(f"{arm} {count:,}" for arm, count in done.per_arm.items())
            if done.per_arm
            else " may be exposed; the other system draws their arms."
        ),
        *(f"Left out {counted(count, 'unit')}: {why}" for why, count in done.left_out.items()),
        f"Written to {out}. Ops turn units into customer ids with: "
        f"pilotplant factory resolve {out} --out addressed.csv"
        + ("" if done.table == "customers" else f" --table {done.table}"),
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
    from lab.synthetic.synthetic import LEFT_TO_RECORD, planted
    from lab.synthetic.synthetic import synthesise as make_up

    out = out or Path(f"{name}-synthetic.csv")
    effects = [planted(text) for text in effect or ()]
    progress(f"Making up units of {name} …")
    done = make_up(session(context).workspace(), name, out, effects=effects, seed=seed, units=units)
    told = ", ".join(f"{one.arm} {one.metric} {one.effect:+g}" for one in done.planted)
    emit(
        as_json,
        {"pilot": name, "synthetic": True, "file": str(out), "units": sum(done.per_arm.values()),
         "per_arm": done.per_arm, "seed": seed,
         "planted": done.planted,
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
    """Take results in; rows in conflict are held back with their reason, and a file of nothing else ends with 2.

    Where the file has customer ids instead of units, the Factory puts the units in their place before the Lab reads it.
    """
    from lab.intake.customer_ids import with_units
    from lab.intake.intake import record as take
    from lab.intake.intake import require_some_kind

    if kind == "costs":
        return _record_costs(context, name, file, as_json=as_json)
    progress(f"Checking the rows of {file.name} against the contract …")
    workspace = session(context).workspace()
    with with_units(workspace, name, file) as results:
        done = take(workspace, name, results.file, require_some_kind(kind))
    held = [{"reason": reason, "rows": rows} for reason, rows in done.conflicts.items()]
    emit(
        as_json,
        {"pilot": name, "accepted": {"exposures": done.exposures, "outcomes": done.outcomes},
         "duplicates": done.duplicates, "quarantined": held, "repeated": done.repeated, "early_outcomes": done.early,
         "hashed": done.hashed, "cleared": done.cleared, "masked": results.masked, "strangers": results.strangers},
        f"This file was recorded before; nothing was done ({done.exposures:,} exposures, {done.outcomes:,} outcomes)."
        if done.repeated
        else f"Accepted {done.exposures:,} exposures and {done.outcomes:,} outcomes, "
        f"dropped {done.duplicates:,} duplicates.",
        *([f"The Factory put units in the place of the customer ids in `{results.masked}`"
           + (f"; {counted(results.strangers, 'row')} of nobody in the table." if results.strangers else ".")]
          if results.masked else []),
        *([_hashed(done.hashed)] if done.hashed else []),
        *([f"{counted(done.cleared, 'row')} that had been held back {'counts' if done.cleared == 1 else 'count'} now."]
          if done.cleared else []),
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


def _hashed(values: int) -> str:
    what = "1 value looks" if values == 1 else f"{values:,} values look"
    return f"{what} like an e-mail address or a telephone number; a hash is kept instead, as configs/lab.yaml says."


def _record_costs(context: typer.Context, name: str, file: Path, *, as_json: bool) -> Any:
    from lab.budget.costs import record_costs

    done = record_costs(session(context).workspace(), name, file)
    emit(
        as_json,
        {"pilot": name, "accepted": {"costs": done.accepted}, "duplicates": done.duplicates, "quarantined": [],
         "repeated": not done.accepted, "spent": done.spent, "budget_left": done.left},
        f"Recorded {counted(done.accepted, 'cost')}; {done.duplicates:,} were on record before."
        if done.accepted
        else f"All {done.duplicates:,} costs of this file were on record before; nothing was done.",
        f"{name} has spent {done.spent}, {done.left} are left.",
    )  # fmt: skip
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
    from lab.budget.bookings import Wish, book

    wish = Wish(amount, purpose, reserve=reserve, settle=settle, release=release, key=key)
    done = book(session(context).workspace(), name, wish)
    account = done.account
    emit(
        as_json,
        {"pilot": name, "id": done.key, "spent": account.spent, "held": account.held,
         "budget_left": account.left, "repeated": done.repeated},
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
    from lab.sandbox.sandbox import run_sql, run_sql_file

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
        *([] if out else [table(*found.columns, rows=[tuple(row) for row in found.rows])]),
        counted(found.total, "row") + (f", written to {out}" if out else ""),
    )
    return found


@app.command()
def end(
    context: typer.Context,
    name: Name,
    reason: Annotated[str, typer.Option(help="Why it is closed early.")],
    as_json: Json = False,
) -> Any:
    """Close a pilot before its time box is over."""
    from lab.launch.launch import end as close

    pilot, repeated = close(session(context).workspace(), name, reason)
    emit(
        as_json,
        {"pilot": name, "state": "ended", "repeated": repeated},
        f"{name} {'was' if repeated else 'is'} closed, at {date_time(pilot.ended_at)}.",
        f"Next: pilotplant lab analyse {name}",
    )
    return pilot
