"""Masking: what the Lab may see of a table, by the contract's classification.

An `identifier` becomes a pseudonym: HMAC-SHA-256 under a key that the Factory alone holds, its first 128 bits, made
from the value's text, so that the keys of one customer join in every table. A `restricted` column is as coarse as its
contract says, or redacted; a `personal` one is left out. The same masking serves snapshots and the exports that
Lab-written SQL reads in production, so that such SQL means the same in both and never meets an unmasked value.
"""

from __future__ import annotations

import math

from factory.state.room import open_factory
from shared.core.sql import identifier
from shared.data.contracts import Column, Contract, Value
from shared.data.generalisation import Generalisation
from shared.data.pseudonym import drawn_key, pseudonym_sql
from shared.state.workspace import Workspace

KEY_FILE = "pseudonym.key"
KEY_DRAWN = "pseudonym_key_drawn"
LEAST_INTEGER = -(2**63)


def pseudonym_key(workspace: Workspace) -> bytes:
    """The Factory's key, drawn at its first use; losing it severs the Lab's units from the customers for ever.

    The Factory's ledger keeps the key's digest. Raises Refused where the key is gone, or is not the one first used.
    """
    return drawn_key(
        open_factory(workspace),
        workspace.factory / KEY_FILE,
        KEY_DRAWN,
        lost="with another key every unit and every holdout would be drawn anew",
    )


def published(contract: Contract) -> tuple[Column, ...]:
    """The columns that leave the Factory, identifiers among them."""
    return tuple(column for column in contract.columns if column.classification != "personal")


def masked_sql(contract: Contract, key: bytes) -> str:
    """The query of a table as the Lab may see it, in the order of its key."""
    columns = ", ".join(f"{_masked(column, key)} AS {identifier(column.name)}" for column in published(contract))
    masked = f"SELECT {columns} FROM {identifier(contract.table)}"
    return f"SELECT * FROM ({masked}) ORDER BY {', '.join(map(identifier, contract.key))}"


def _masked(column: Column, key: bytes) -> str:
    name = identifier(column.name)
    if column.classification == "identifier":
        return pseudonym_sql(key, name)
    if column.classification == "public":
        return name
    if column.generalise is None:
        return f"CAST(NULL AS {column.duckdb_type})"
    return generalised_sql(column.generalise, name, column.duckdb_type)


def generalised_sql(rule: Generalisation, column: str, duckdb_type: str) -> str:
    """The DuckDB expression of a column's coarse value, of the column's own type."""
    if rule.to:
        # A moment's month is that of the connection's time zone, which is UTC in every one of ours.
        coarse = f"date_trunc('{rule.to}', {column})"
    elif rule.characters:
        coarse = f"CASE WHEN length({column}) > {rule.characters} THEN left({column}, {rule.characters}) END"
    elif rule.breaks:
        steps = " ".join(f"WHEN {column} >= {low} THEN {low}" for low in reversed(rule.breaks))
        coarse = f"CASE WHEN {column} IS NULL THEN NULL {steps} ELSE {rule.breaks[0]} END"
    elif duckdb_type == "DOUBLE":
        width = f"CAST({rule.width} AS DOUBLE)"
        coarse = f"floor({column} / {width}) * {width}"
    else:
        # In 128 bits, as the lowest band may begin below the least integer.
        wide, width = f"CAST({column} AS HUGEINT)", f"CAST({rule.width} AS HUGEINT)"
        low = f"{wide} - ({wide} % {width} + {width}) % {width}"
        coarse = f"CASE WHEN {column} IS NOT NULL THEN greatest({low}, CAST({LEAST_INTEGER} AS HUGEINT)) END"
    return f"CAST({coarse} AS {duckdb_type})"


def generalised(rule: Generalisation, value: Value) -> Value | None:
    """What `generalised_sql` makes of a number or a text that the contract itself names, such as a bound."""
    if isinstance(value, str):
        return value[: rule.characters] if rule.characters and len(value) > rule.characters else None
    if rule.breaks:
        return max((low for low in rule.breaks if low <= value), default=rule.breaks[0])
    if rule.width is None:
        return None
    if isinstance(value, int) and isinstance(rule.width, int):
        return value - value % rule.width
    bands = value / rule.width
    # As a double, like DuckDB's: a product of integers is exact beyond 2^53, and the bound would not be the values'.
    return (float(math.floor(bands)) if math.isfinite(bands) else bands) * rule.width
