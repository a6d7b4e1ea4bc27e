"""Data on its way into the Factory and, masked, out to the Lab."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from factory.cli.group import app
from shared.console import Json, counted, emit, progress, session
from shared.errors import Undecided

Table = Annotated[str, typer.Argument(help="A table with a contract in configs/contracts.", metavar="TABLE")]
File = Annotated[Path, typer.Argument(help="A .csv or .parquet file.", metavar="FILE")]
Out = Annotated[Path, typer.Option(help="The file to write, .csv or .parquet.")]


@app.command()
def load(context: typer.Context, name: Table, file: File, as_json: Json = False) -> Any:
    """Bring a file into a table through its contract; bad rows are kept aside with their reasons."""
    from factory.load import load as bring_in

    progress(f"loading {file} into {name}")
    result = bring_in(session(context).workspace(), name, file)
    held = [{"reason": reason, "rows": rows} for reason, rows in result.reasons.items()]
    done = "This file was loaded before; nothing was changed" if result.repeated else f"Loaded into {name}"
    emit(
        as_json,
        {
            "table": result.table,
            "accepted": result.accepted,
            "quarantined": held,
            "rows_quarantined": result.quarantined,
            "repeated": result.repeated,
        },
        f"{done}: {result.accepted:,} rows accepted, {result.quarantined:,} quarantined.",
        *(f"  {counted(rows, 'row')}: {reason}" for reason, rows in result.reasons.items()),
    )
    return result


@app.command()
def publish(
    context: typer.Context,
    anew: Annotated[
        bool, typer.Option("--anew", help="Read every table, even one that was not loaded since it was published.")
    ] = False,
    as_json: Json = False,
) -> Any:
    """Write a masked snapshot of the loaded tables for the Lab; what is unchanged is not written again."""
    from factory.snapshots import publish as write

    result = write(session(context).workspace(), anew=anew)
    new = [name for name in result.rows if name not in result.shared]
    rows = ", ".join(f"{name} {count:,} rows" for name, count in result.rows.items())
    parts = {"New": new, "shared with an earlier snapshot": result.shared}
    written = "; ".join(f"{word}: {', '.join(names) or 'no table'}" for word, names in parts.items())
    emit(
        as_json,
        {"snapshot": result.snapshot, "tables": result.rows, "new": [] if result.repeated else new,
         "shared": list(result.rows) if result.repeated else list(result.shared), "repeated": result.repeated},
        f"Snapshot {result.snapshot}{' was published before' if result.repeated else ' published'}: {rows}.",
        *([] if result.repeated else [f"{written}."]),
    )  # fmt: skip
    return result


@app.command()
def prune(
    context: typer.Context,
    keep: Annotated[
        int | None, typer.Option(help="How many of the newest stay; as in configs/factory.yaml if left out.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: Json = False,
) -> Any:
    """Remove old snapshots that no undecided pilot reads; the latest always stays."""
    from factory.retention import Keep
    from factory.retention import prune as clear

    done = clear(session(context).workspace(), keep=keep, dry_run=dry_run)
    steps = [{"step": type(s).__name__.lower(), "snapshot": s.snapshot, "reason": s.why} for s in done.steps]
    going = [s for s in done.steps if not isinstance(s, Keep)]
    mib = f"{done.freed_bytes / 2**20:,.1f} MiB"
    emit(
        as_json,
        {"steps": steps, "unclear": list(done.unclear), "freed_bytes": done.freed_bytes, "dry_run": dry_run},
        *(f"{step['step']} {step['snapshot']}: {step['reason']}" for step in steps),
        *(f"unclear: {line}" for line in done.unclear),
        "Nothing to remove." if not going else f"{mib} would be free again; nothing was done yet."
        if dry_run else f"{mib} are free again.",
    )  # fmt: skip
    if done.unclear:
        raise typer.Exit(Undecided.exit_code)
    return done


@app.command()
def pseudonymise(
    context: typer.Context,
    file: File,
    out: Out,
    column: Annotated[str, typer.Option(help="The column that holds customer ids.")] = "customer_id",
    as_json: Json = False,
) -> Any:
    """Copy a result file with customer ids replaced by the units that the Lab knows."""
    from factory.load import pseudonymise as mask

    rows = mask(session(context).workspace(), file, out, column=column)
    emit(as_json, {"file": str(out), "rows": rows}, f"{rows:,} rows written to {out}, `{column}` replaced by `unit`.")
    return out


@app.command()
def resolve(
    context: typer.Context,
    file: File,
    out: Out,
    name: Annotated[str, typer.Option("--table", help="The table whose ids are wanted.")] = "customers",
    as_json: Json = False,
) -> Any:
    """Copy a file of units with each unit's customer id beside it."""
    from factory.load import resolve as unmask

    rows = unmask(session(context).workspace(), file, out, table=name)
    emit(as_json, {"file": str(out), "rows": rows}, f"{rows:,} rows written to {out}, each with its `id`.")
    return out
