"""Candidates of whose rows some were held back: what an accident or an adversary does to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb

from shared.core.sql import literal
from tests.promotion.cases import DAYS, EXPOSED, GOOD, Recorded, _write_data

# A unit's number within its arm, as `_write_data` counts them.
NUMBER = "CAST(split_part(unit, '-', 2) AS INTEGER)"


def held_back(
    *moves: Mapping[str, str], arms: Mapping[str, Recorded] = GOOD, days: int = DAYS
) -> Callable[[Path], None]:
    """Writes the data of these arms, and moves some of their rows to those held back.

    A move says `which` rows of `part` (outcomes by default) and why (`reason`), and as SQL what the row says otherwise
    than it was: `unit`, `arm`, `assigned`, `at`, and the values `spend`, `visit`, `conversion`.
    """

    def write(folder: Path) -> None:
        _write_data(folder, arms, EXPOSED, {}, {"outcomes": "FROM outcomes", "exposures": "FROM exposures"}, days)
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for part in ("exposures", "outcomes", "conflicts"):
                connection.execute(f"CREATE TABLE {part} AS FROM '{folder / part}.parquet'")
            for move in moves:
                connection.execute(f"INSERT INTO conflicts {_moved(move)}")
                connection.execute(f"DELETE FROM {move.get('part', 'outcomes')} WHERE {move['which']}")
            for part in ("exposures", "outcomes", "conflicts"):
                connection.execute(f"COPY (FROM {part} ORDER BY ALL) TO '{folder / part}.parquet' (FORMAT parquet)")

    return write


def _moved(move: Mapping[str, str]) -> str:
    part = move.get("part", "outcomes")
    said = {name: move.get(name, name) for name in ("visit", "conversion", "spend")}
    texts = ", ".join(f"{literal(name)}, CAST({value} AS VARCHAR)" for name, value in said.items())
    row = f"CAST(json_object({texts}) AS VARCHAR)" if part == "outcomes" else "NULL"
    arm = "arm" if part == "exposures" else "NULL"
    return f"""
        SELECT {literal(part)}, event_id, {move.get("unit", "unit")}, {literal(move["reason"])}, {move.get("arm", arm)},
            {move.get("assigned", "NULL")}, CAST({move.get("at", '"at"')} AS VARCHAR), {row}
        FROM {part} WHERE {move["which"]}
    """
