"""Personal data among a pilot's sealed rows: ids, free texts, and whatever was held back."""

from __future__ import annotations

from shared.contracts import Column, Contract
from shared.engines.files import number, opened
from shared.engines.protocol import PilotData
from shared.personal import kept_sql
from shared.sql import identifier

# What this software itself writes into a row that was held back.
_OURS = frozenset({"kind", "reason"})


def personal_rows(data: PilotData, outcomes: Contract) -> dict[str, int]:
    """How many values look like an address or a telephone number, by `table.column`; only where there are any."""
    meant = {column.name: column for column in outcomes.columns if column.pattern or column.valid_values}
    found = {}
    with opened(data) as connection:
        for table in ("exposures", "outcomes", "conflicts"):
            for name, kind, *_ in connection.execute(f"DESCRIBE {table}").fetchall():
                if kind != "VARCHAR" or name in _OURS:
                    continue
                column = meant.get(name, Column(name=name, type="string"))
                found[f"{table}.{name}"] = number(
                    connection,
                    f"SELECT count({kept_sql(name, column)}) FROM {table} WHERE {identifier(name)} IS NOT NULL",
                )
    return {name: rows for name, rows in found.items() if rows}
