"""Ids on their way between the Factory's customers and the Lab's units, by the type that the table's contract says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from factory.state.room import open_factory
from factory.warehouse.mask import pseudonym_key
from factory.warehouse.warehouse import contract_of, identities
from shared.core.digests import digest_file
from shared.core.errors import BadInput
from shared.core.sql import file_literal, identifier, literal
from shared.data.contracts import Column
from shared.data.pseudonym import pseudonym_sql
from shared.data.readers import ROW, delimiter_of, read_raw
from shared.data.tabular import connect, write_table
from shared.data.typed import value_sql
from shared.state.workspace import Workspace

# The ledger's entry of a file of results whose customer ids became units for the Lab.
MASKED = "masked"

# So many ids, or rows, are named of those that are nobody.
SHOWN = 3


def pseudonymise(
    workspace: Workspace,
    file: Path,
    out: Path,
    *,
    column: str,
    table: str,
    keep_strangers: bool = False,
    hash_events: bool = False,
) -> tuple[int, int]:
    """Copies a result file with `column` (the Factory's ids) replaced by `unit` (pseudonyms).

    With `hash_events` its `event_id` is replaced by a keyed hash as well: mail tools make it of the customer's id.

    Returns its rows, and how many of these are of strangers: ids that the table does not have, in this spelling. Raises
    BadInput for any unless it is to `keep_strangers`, whose pseudonyms stand for nobody the Lab knows.
    """
    contract = contract_of(workspace, table)
    key = next(each for each in contract.columns if each.name == contract.primary_key)
    with connect() as connection, TemporaryDirectory() as scratch:
        present = read_raw(connection, file, "raw", [Column(column, key.type, required=True, physical=key.physical)])
        if column not in present:
            raise BadInput(
                f"column `{column}` is missing",
                where=str(file),
                expected="one of: " + ", ".join(present),
                remedy="name the column of customer ids with --column",
            )
        if "unit" in present and column != "unit":
            raise BadInput(
                "the file has a column `unit` already", where=str(file), remedy="rename it: each id's unit is put there"
            )
        name = identifier(column)
        # As the warehouse has it: `12346.0` is the number 12346 where the contract says so, and a text elsewhere.
        spelt = f"coalesce(CAST({value_sql(Column(column, key.type, required=True))} AS VARCHAR), {name})"
        known = _known(connection, workspace, table, Path(scratch))
        stranger = f"coalesce({spelt} NOT IN (SELECT id FROM {known}), true)"
        strangers = _Strangers.among(connection, name, stranger)
        if strangers.rows and not keep_strangers:
            raise _refusal(strangers, "ids", table, file, remedy="correct them (leading zeros, spaces and capitals "
                           "count), or copy them too with --keep-strangers; nothing was written")  # fmt: skip
        secret = pseudonym_key(workspace)
        others = f"* EXCLUDE ({ROW}, {name})"
        if hash_events and "event_id" in present:
            # As far from the pseudonyms of units as these are from each other: an event's hash is nobody's unit.
            others += f" REPLACE ({pseudonym_sql(secret, literal('event:') + ' || event_id')} AS event_id)"
        masked = f"{pseudonym_sql(secret, spelt)} AS unit"
        # With the signs of the file that was read: numbers with decimal commas are such only between semicolons.
        query = f"SELECT {masked}, {others} FROM raw ORDER BY {ROW}"
        rows = write_table(connection, query, out, delimiter_of(file))
    if hash_events:
        room = open_factory(workspace)
        with room.transaction() as written:
            body = {"table": table, "file": digest_file(file), "rows": rows, "strangers": strangers.rows}
            room.write(written, MASKED, table, body)
    return rows, strangers.rows


def resolve(workspace: Workspace, file: Path, out: Path, *, table: str) -> int:
    """Copies a file with column `unit`, the Factory's own `id` of each unit added in front; returns its rows.

    Raises BadInput where a unit is not in the table.
    """
    with connect() as connection, TemporaryDirectory() as scratch:
        present = read_raw(connection, file, "raw", [Column("unit", "string")])
        if "unit" not in present:
            raise BadInput("column `unit` is missing", where=str(file), expected="a file of `pilotplant lab assign`")
        known = _known(connection, workspace, table, Path(scratch))
        stranger = f"coalesce(unit NOT IN (SELECT unit FROM {known}), true)"
        strangers = _Strangers.among(connection, "unit", stranger)
        if strangers.rows:
            remedy = "use a file of units of this workspace, after the table was loaded"
            raise _refusal(strangers, "units", table, file, remedy=remedy)
        if "id" in present:
            remedy = "rename it: `id` is what comes to each unit"
            raise BadInput("the file has a column `id` already", where=str(file), remedy=remedy)
        return write_table(
            connection,
            f"SELECT {known}.id, raw.* EXCLUDE ({ROW}) FROM raw JOIN {known} USING (unit) ORDER BY {ROW}",
            out,
            delimiter_of(file),
        )


def _known(connection: duckdb.DuckDBPyConnection, workspace: Workspace, table: str, scratch: Path) -> str:
    """A relation of `unit` and `id` of everybody in the table."""
    found = identities(workspace, table, scratch)
    connection.execute(f"CREATE TEMP VIEW _known AS SELECT * FROM read_parquet({file_literal(found)})")
    return "_known"


@dataclass(frozen=True, slots=True)
class _Strangers:
    """Values that are nobody's: in how many rows, how many different ones, the first of them, and where that is."""

    rows: int
    values: int
    first: list[str | None]
    row: int | None

    @classmethod
    def among(cls, connection: duckdb.DuckDBPyConnection, name: str, stranger: str) -> _Strangers:
        """Those of a column of the table `raw`, by the condition that makes one."""
        of = f"FROM raw WHERE {stranger}"
        counts = f"count(*), count(DISTINCT {name}) + CAST(count(*) > count({name}) AS INTEGER), min({ROW})"
        rows, values, row = connection.execute(f"SELECT {counts} {of}").fetchone() or (0, 0, None)
        first = connection.execute(f"SELECT {name} {of} GROUP BY {name} ORDER BY min({ROW}) LIMIT {SHOWN}").fetchall()
        return cls(rows, values, [value for (value,) in first], row)


def _refusal(strangers: _Strangers, what: str, table: str, file: Path, *, remedy: str) -> BadInput:
    first = ", ".join(f"`{value}`" if value is not None else "an empty one" for value in strangers.first)
    more = ", …" if strangers.values > SHOWN else ""
    told = f"1 {what[:-1]} is" if strangers.values == 1 else f"{strangers.values:,} {what} are"
    return BadInput(
        f"{told} nobody in table `{table}`: {first}{more}",
        where=f"{file}, row {strangers.row}",
        expected=f"{what} as table `{table}` has them",
        remedy=remedy,
    )
