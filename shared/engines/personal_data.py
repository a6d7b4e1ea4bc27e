"""Personal data among a pilot's sealed rows: ids, free texts, and whatever was held back."""

from __future__ import annotations

import json
from collections.abc import Iterator

import duckdb

from shared.core.sql import identifier, json_path, literal
from shared.data.contracts import Column, Contract
from shared.data.personal_data import free_sql, personal_sql
from shared.engines.files import opened
from shared.engines.protocol import PilotData

# What this software itself writes into a row that was held back.
_OURS = frozenset({"kind", "reason"})
# What a held-back row said, as JSON, and whatever of it is no column.
_SAID, _REST = "said", "no column"


def personal_rows(data: PilotData, outcomes: Contract) -> dict[str, int]:
    """How many values look like an address or a telephone number, by `table.column`; only where there are any."""
    meant = {column.name: column for column in outcomes.columns if column.pattern or column.valid_values}
    with opened(data) as connection:
        texts: list[str] = []
        for table in ("exposures", "outcomes", "conflicts"):
            for name, kind, *_ in connection.execute(f"DESCRIBE {table}").fetchall():
                if kind != "VARCHAR" or name in _OURS:
                    continue
                if (table, name) == ("conflicts", _SAID):
                    texts += _said(connection, outcomes)
                else:
                    texts.append(_free(f"{table}.{name}", table, meant.get(name, Column(name=name, type="string"))))
        # The question is long, so it is put once: what it costs to read is many times what it costs to answer.
        rows = connection.execute(
            f"SELECT place, count({personal_sql('v')}) AS n FROM ({' UNION ALL '.join(texts)}) GROUP BY place "
            "HAVING n > 0 ORDER BY place"
        ).fetchall()
    return dict(rows)


def _free(place: str, table: str, column: Column) -> str:
    """A query for the values of a column that have to be asked."""
    value = identifier(column.name)
    return f"SELECT {literal(place)} AS place, {value} AS v FROM {table} WHERE {free_sql(column.name, column)}"


def _said(connection: duckdb.DuckDBPyConnection, outcomes: Contract) -> Iterator[str]:
    """Queries for what held-back rows said: each column as if it were accepted, and all else as text."""
    columns = {column.name: column for column in outcomes.columns}
    paths = {name: literal(json_path(name)) for name in columns}
    each = "".join(f", json_extract_string(v, {path}) AS {identifier(name)}" for name, path in paths.items())
    nothing = literal(json.dumps(dict.fromkeys(columns)))
    rest = f"CASE WHEN json_valid({_SAID}) THEN CAST(json_merge_patch(v, {nothing}) AS VARCHAR) ELSE {_SAID} END"
    connection.execute(
        f"CREATE TEMP TABLE said AS SELECT {rest} AS {identifier(_REST)}{each} "
        f"FROM (SELECT {_SAID}, TRY_CAST({_SAID} AS JSON) AS v FROM conflicts WHERE {_SAID} IS NOT NULL)"
    )
    yield _free(f"conflicts.{_SAID}", "said", Column(name=_REST, type="string"))
    for name, column in columns.items():
        yield _free(f"conflicts.{_SAID}.{name}", "said", column)
