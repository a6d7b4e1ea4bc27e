"""Data on its way into the Factory and, masked, out to the Lab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.cli.group import app
from shared.core.errors import Refused, Undecided
from shared.core.times import date_time
from shared.ui.completion import pilots, tables
from shared.ui.console import Json, Line, counted, emit, progress, session, table

if TYPE_CHECKING:
    from factory.warehouse.load import LoadResult

Table = Annotated[
    str, typer.Argument(help="A table with a contract in configs/contracts.", metavar="TABLE", autocompletion=tables)
]
File = Annotated[
    Path, typer.Argument(help="A table: .csv, .tsv or .txt, also packed (.gz), or .parquet.", metavar="FILE")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Out = Annotated[Path, typer.Option(help="The file to write, .csv or .parquet.")]


@app.command()
def contract(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What the table is to be called.", metavar="TABLE")],
    file: File,
    replace: Annotated[bool, typer.Option("--replace", help="Put the draft in the place of the contract.")] = False,
    as_json: Json = False,
) -> Any:
    """Draft a table's contract from a file of it; every doubt is marked for a person."""
    from factory.warehouse.contract_drafts import draft_contract

    progress(f"Reading {file} to see what its columns hold …")
    done = draft_contract(session(context).workspace(), name, file, replace_=replace)
    rows = [(c.name, c.physical or "", f"{c.type} ({c.format})" if c.format else c.type, c.classification,
             done.seen[c.name]) for c in done.columns]  # fmt: skip
    doubts = [(column, told) for column, each in done.doubts.items() for told in each]
    emit(
        as_json,
        {"table": name, "file": str(done.file), "rows": done.rows, "key": list(done.key),
         "columns": [{"name": c.name, "physical_name": c.physical, "type": c.type, "format": c.format,
                      "required": c.required, "classification": c.classification} for c in done.columns],
         "doubts": [{"column": column or None, "doubt": told} for column, told in doubts]},
        table("column", "in the file", "type", "the Lab sees", "seen", rows=rows),
        f"Rows are told apart by {' and '.join(done.key)}." if done.key else "Nothing tells the rows apart.",
        *(f"DOUBT {column}: {told}" if column else f"DOUBT: {told}" for column, told in doubts),
        f"Draft: {done.file}",
        f"Look at it, above all at each DOUBT; then: pilotplant factory load {name} {file}",
    )  # fmt: skip
    return done


@app.command()
def load(
    context: typer.Context,
    name: Table,
    file: File,
    replace: Annotated[
        bool, typer.Option("--replace", help="Afterwards the table is what this file says, and nothing else.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> Any:
    """Bring a file into a table through its contract; bad rows are kept aside with their reasons."""
    from factory.warehouse.load import load as bring_in

    progress(f"loading {file} into {name}{', and taking it back' if dry_run else ''}")
    result = bring_in(session(context).workspace(), name, file, replace=replace, dry_run=dry_run)
    held = [{"reason": reason, "rows": rows} for reason, rows in result.reasons.items()]
    emit(
        as_json,
        {
            "table": result.table,
            "accepted": result.accepted,
            "new": result.new,
            "renewed": result.renewed,
            "gone": result.gone,
            "quarantined": held,
            "rows_quarantined": result.quarantined,
            "columns_kept": list(result.kept),
            "columns_emptied": result.emptied,
            "repeated": result.repeated,
            "dry_run": dry_run,
        },
        *_told(result),
    )
    return result


def _told(result: LoadResult) -> Iterator[str]:
    """What became of a file's rows, or would."""
    rows = f"{result.accepted:,} rows accepted"
    if result.repeated:
        yield (
            f"This file was loaded before; no row is new: {rows}, {result.quarantined:,} quarantined. "
            f"{'Its date would be' if result.dry_run else 'Its date is'} now."
        )
        return
    done = f"{result.table} would be loaded" if result.dry_run else f"Loaded into {result.table}"
    yield (
        f"{done}: {rows} ({result.new:,} new, {result.renewed:,} in place of earlier ones), "
        f"{result.quarantined:,} quarantined."
    )
    yield from (f"  {counted(rows, 'row')}: {reason}" for reason, rows in result.reasons.items())
    if result.gone:
        yield f"  {counted(result.gone, 'row')} of the table {'would go' if result.dry_run else 'went'}."
    if result.kept:
        yield f"  Not in this file: {', '.join(result.kept)}. Rows that were there keep what they had."
    for column, values in result.emptied.items():
        yield f"  Not in this file: {column}. {counted(values, 'value')} {'would go' if result.dry_run else 'went'}."
    if result.dry_run:
        yield "Nothing was done."


@app.command()
def drop(context: typer.Context, name: Table, dry_run: DryRun = False, as_json: Json = False) -> Any:
    """Remove a table that no release reads from the warehouse, with what was held back of it."""
    from factory.releases.packages import readers
    from factory.warehouse.tables import drop as remove

    gone = remove(session(context).workspace(), name, readers=readers, dry_run=dry_run)
    verb = "would go" if dry_run else "went"
    emit(
        as_json,
        gone,
        f"{name}: {counted(gone.rows, 'row')} and {counted(gone.quarantined, 'quarantined row')} {verb}.",
        "Nothing was done."
        if dry_run
        else "Snapshots keep what they have of it; the next one goes without: pilotplant factory publish",
    )
    return gone


@app.command("tables")
def show_tables(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(help="One table, with why rows of it were held back.", metavar="[TABLE]", autocompletion=tables),
    ] = None,
    as_json: Json = False,
) -> Any:
    """List the loaded tables: rows, rows held back, and when each was loaded."""
    from factory.warehouse.tables import list_tables

    found = list_tables(session(context).workspace(), name)
    if not found:
        lines: list[Line] = ["No table is loaded yet: pilotplant factory load TABLE FILE"]
    else:
        rows = [(f.table, f"{f.rows:,}", f"{f.quarantined:,}", date_time(f.loaded_at)) for f in found]
        lines = [table("table", "rows", "quarantined", "loaded", rows=rows)]
    for each in found:
        if each.problem:
            lines.append(f"{each.table} is left out of what is published: {each.problem}")
        if name is not None:
            lines += [
                f"{counted(held.rows, 'row')}: {held.reason} (in its file row {held.places})" for held in each.held
            ]
    emit(as_json, {"tables": found}, *lines)
    return found


@app.command()
def publish(
    context: typer.Context,
    anew: Annotated[
        bool, typer.Option("--anew", help="Read every table, even one that was not loaded since it was published.")
    ] = False,
    as_json: Json = False,
) -> Any:
    """Write a masked snapshot of the loaded tables for the Lab; what is unchanged is not written again.

    A table that does not keep its contract is left out, and the command ends with exit code 3.
    """
    from factory.warehouse.snapshots import publish as write

    result = write(session(context).workspace(), anew=anew)
    new = [name for name in result.rows if name not in result.shared]
    rows = ", ".join(f"{name} {count:,} rows" for name, count in result.rows.items())
    parts = {"New": new, "shared with an earlier snapshot": result.shared}
    written = "; ".join(f"{word}: {', '.join(names) or 'no table'}" for word, names in parts.items())
    emit(
        as_json,
        {"snapshot": result.snapshot, "tables": result.rows, "new": [] if result.repeated else new,
         "shared": list(result.rows) if result.repeated else list(result.shared), "repeated": result.repeated,
         "left_out": result.left_out},
        f"Snapshot {result.snapshot}{' was published before' if result.repeated else ' published'}: {rows}.",
        *([] if result.repeated else [f"{written}."]),
        *(f"{name} is left out: {why}" for name, why in result.left_out.items()),
    )  # fmt: skip
    if result.left_out:
        raise typer.Exit(Refused.exit_code)
    return result


@app.command()
def prune(
    context: typer.Context,
    keep: Annotated[
        int | None, typer.Option(help="How many of the newest stay; as in configs/factory.yaml if left out.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> Any:
    """Remove old snapshots that no undecided pilot reads; the latest always stays."""
    from factory.warehouse.retention import prune as clear

    done = clear(session(context).workspace(), keep=keep, dry_run=dry_run)
    going = [one for one in done.steps if one.step != "keep"]
    mib = f"{done.freed_bytes / 2**20:,.1f} MiB"
    emit(
        as_json,
        done,
        *(f"{one.step} {one.snapshot}: {one.reason}" for one in done.steps),
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
    name: Annotated[str, typer.Option("--table", help="The table whose ids they are.")] = "customers",
    keep_strangers: Annotated[
        bool, typer.Option("--keep-strangers", help="Copy rows whose id the table does not have, too.")
    ] = False,
    as_json: Json = False,
) -> Any:
    """Copy a result file with customer ids replaced by the units that the Lab knows."""
    from factory.warehouse.ids import pseudonymise as mask

    workspace = session(context).workspace()
    rows, strangers = mask(workspace, file, out, column=column, table=name, keep_strangers=keep_strangers)
    emit(
        as_json,
        {"file": str(out), "rows": rows, "strangers": strangers},
        f"{rows:,} rows written to {out}, `{column}` replaced by `unit`.",
        *([f"{counted(strangers, 'row')} of them {'is' if strangers == 1 else 'are'} of nobody in table {name}."]
          if strangers else []),
    )  # fmt: skip
    return out


@app.command()
def messages(
    context: typer.Context,
    pilot: Annotated[str, typer.Argument(help="A launched pilot.", metavar="PILOT", autocompletion=pilots)],
    out: Annotated[Path, typer.Option(help="The file to write, .csv or .jsonl.")],
    arm: Annotated[str | None, typer.Option(help="One arm; every arm with a message if left out.")] = None,
    address: Annotated[
        str | None,
        typer.Option(help="The column of addresses; if left out, the personal one that has `mail` in its name."),
    ] = None,
    as_json: Json = False,
) -> Any:
    """Write what each customer of a running pilot would get, with the address, for your mail tool."""
    from factory.delivery.pilot_messages import launched, write_messages

    workspace = session(context).workspace()
    progress(f"Selecting and rendering the messages of {pilot}; nothing is sent …")
    with launched(workspace, pilot) as frozen:
        done = write_messages(workspace, frozen, out, arm=arm, address=address)
    total = sum(done.per_arm.values())
    emit(
        as_json,
        {"pilot": pilot, "file": str(out), "messages": total, "per_arm": done.per_arm, "address": done.address,
         "outside_audience": done.outside},
        f"{counted(total, 'message')} written to {out}: "
        + ", ".join(f"{name} {count:,}" for name, count in done.per_arm.items()),
        f"Each with its id and its address, from column `{done.address}`." if done.address
        else "Each with its id; no personal column of the table is called like an address (--address COLUMN).",
        *(f"{counted(units, 'customer')} of arm {name} get nothing: its audience does not select them today."
          for name, units in done.outside.items()),
        "It holds personal data: give it to the mail tool alone, and delete it then. Nothing was sent.",
        f"What was sent comes back with: pilotplant lab record {pilot} FILE",
    )  # fmt: skip
    return done


@app.command()
def resolve(
    context: typer.Context,
    file: File,
    out: Out,
    name: Annotated[str, typer.Option("--table", help="The table whose ids are wanted.")] = "customers",
    as_json: Json = False,
) -> Any:
    """Copy a file of units with each unit's customer id beside it."""
    from factory.warehouse.ids import resolve as unmask

    rows = unmask(session(context).workspace(), file, out, table=name)
    emit(as_json, {"file": str(out), "rows": rows}, f"{rows:,} rows written to {out}, each with its `id`.")
    return out
