"""Personal data among a pilot's sealed rows: ids, free texts, and whatever was held back."""

from __future__ import annotations

import json

import duckdb

from shared.contracts import Column, Contract
from shared.engines.files import number, opened
from shared.engines.protocol import PilotData
from shared.personal import kept_sql
from shared.sql import identifier, json_path, literal

# What this software itself writes into a row that was held back.
_OURS = frozenset({"kind", "reason"})
# What a held-back row said, as JSON, and whatever of it is no column.
_SAID, _REST = "said", "no column"


def personal_rows(data: PilotData, outcomes: Contract) -> dict[str, int]:
    """How many values look like an address or a telephone number, by `table.column`; only where there are any."""
    meant = {column.name: column for column in outcomes.columns if column.pattern or column.valid_values}
    found: dict[str, int] = {}
    with opened(data) as connection:
        for table in ("exposures", "outcomes", "conflicts"):
            for name, kind, *_ in connection.execute(f"DESCRIBE {table}").fetchall():
                if kind != "VARCHAR" or name in _OURS:
                    continue
                if (table, name) == ("conflicts", _SAID):
                    found |= _said(connection, outcomes)
                    continue
                column = meant.get(name, Column(name=name, type="string"))
                found[f"{table}.{name}"] = number(
                    connection,
                    f"SELECT count({kept_sql(name, column)}) FROM {table} WHERE {identifier(name)} IS NOT NULL",
                )
    return {name: rows for name, rows in found.items() if rows}


def _said(connection: duckdb.DuckDBPyConnection, outcomes: Contract) -> dict[str, int]:
    """The same of what held-back rows said: each column as if it were accepted, and all else as text."""
    columns = {column.name: column for column in outcomes.columns}
    paths = {name: literal(json_path(name)) for name in columns}
    each = "".join(f", json_extract_string(v, {path}) AS {identifier(name)}" for name, path in paths.items())
    nothing = literal(json.dumps(dict.fromkeys(columns)))
    rest = f"CASE WHEN json_valid({_SAID}) THEN CAST(json_merge_patch(v, {nothing}) AS VARCHAR) ELSE {_SAID} END"
    connection.execute(
        f"CREATE TEMP TABLE said AS SELECT {rest} AS {identifier(_REST)}{each} "
        f"FROM (SELECT {_SAID}, TRY_CAST({_SAID} AS JSON) AS v FROM conflicts WHERE {_SAID} IS NOT NULL)"
    )
    whole = Column(name=_REST, type="string")
    return {
        f"conflicts.{_SAID}" + (f".{name}" if name in columns else ""): number(
            connection, f"SELECT count({kept_sql(name, column)}) FROM said WHERE {identifier(name)} IS NOT NULL"
        )
        for name, column in {_REST: whole, **columns}.items()
    }
