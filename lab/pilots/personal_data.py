"""Personal data at the Lab's door: what looks like an address or a telephone number is refused, or kept as a hash.

The hash is a pseudonym under a key of the Lab's own, not a bare digest: whoever has a list of addresses could find each
by its digest. Equal values stay equal, so that events are told apart and recorded once as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.pilots.pilot import Pilot
from lab.state import read_settings
from shared.core.errors import BadInput
from shared.core.sql import identifier
from shared.data.contracts import Column
from shared.data.personal_data import kept_sql, personal
from shared.data.pseudonym import drawn_key, pseudonym_sql
from shared.state.room import Room

if TYPE_CHECKING:
    import duckdb

KEY_FILE, KEY_DRAWN = "personal.key", "personal_key_drawn"
PREFIX = "p_"
# Promises under earlier rules were made before the Lab looked at what comes in.
SINCE = 2
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Guard:
    """Looks at the table `raw` of one file, every value a text, before anything is made of it.

    Attributes:
        columns: those of the file that the Lab would keep, by their names there.
    """

    room: Room
    pilot: Pilot
    connection: duckdb.DuckDBPyConnection
    file: Path
    columns: Mapping[str, Column]

    def applied(self) -> int:
        """How many values were replaced by hashes; raises BadInput for any where the policy refuses them."""
        if self.pilot.promise.rules < SINCE:
            return 0
        found = {name: rows for name, column in self.columns.items() if (rows := self._count(kept_sql(name, column)))}
        if not found:
            return 0
        if read_settings(self.room.workspace).personal_data == "refuse":
            raise self._refusal(found)
        key = drawn_key(
            self.room,
            self.room.workspace.lab / KEY_FILE,
            KEY_DRAWN,
            lost="another key would give every value another hash",
        )
        hashed = ", ".join(
            f"CASE WHEN {kept_sql(name, self.columns[name])} IS NULL THEN {identifier(name)} "
            f"ELSE {pseudonym_sql(key, identifier(name), PREFIX)} END AS {identifier(name)}"
            for name in found
        )
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE hashed AS SELECT * REPLACE ({hashed}) FROM raw")
        self.connection.execute("CREATE OR REPLACE TEMP VIEW raw AS FROM hashed")
        return sum(found.values())

    def _count(self, told: str) -> int:
        row = self.connection.execute(f"SELECT count({told}) FROM raw").fetchone()
        return int(row[0]) if row else 0

    def _refusal(self, found: Mapping[str, int]) -> BadInput:
        """The values themselves are not told: whoever reads the message need not know them."""
        from shared.data.readers import ROW  # DuckDB is not for those who only book a cost

        name, rows = max(found.items(), key=lambda each: each[1])
        told = kept_sql(name, self.columns[name])
        first = self.connection.execute(
            f"SELECT {ROW}, {told} FROM raw WHERE {told} IS NOT NULL ORDER BY {ROW} LIMIT {SHOWN}"
        ).fetchall()
        counted = f"{rows:,} {'row' if rows == 1 else 'rows'}"
        others = "".join(f"; column `{each}`: {more:,}" for each, more in found.items() if each != name)
        return BadInput(
            f"column `{name}` holds what looks like {first[0][1]}, in {counted}{others}",
            where=f"{self.file}, row {', '.join(str(row) for row, _ in first)}{' and more' if rows > SHOWN else ''}",
            expected="pseudonyms and ids that name nobody",
            remedy=f"{_remedy(name, self.file)}, or set `personal_data: hash` in configs/lab.yaml; "
            "nothing was taken from this file",
        )


def require_impersonal(pilot: Pilot, text: str, *, where: str) -> None:
    """Raises BadInput where a text that goes with the pilot's results looks like, or holds, personal data."""
    if pilot.promise.rules >= SINCE and (found := personal(text)) is not None:
        raise BadInput(
            f"this text holds what looks like {found}",
            where=where,
            expected="words that name nobody",
            remedy="leave it out; nothing was recorded",
        )


def _remedy(column: str, file: Path) -> str:
    if column == "unit":
        return f"replace them first: pilotplant factory pseudonymise {file} --column unit --out FILE"
    return f"leave them out of `{column}` when you export the file"
