"""Customer ids in a file of results: the Factory puts pseudonyms in their place before the Lab reads a row."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from shared.core.errors import BadInput
from shared.core.sql import literal
from shared.data.contracts import Column
from shared.data.readers import ROW, read_raw
from shared.data.snapshot import open_snapshot
from shared.data.tabular import CSV, PARQUET, connect
from shared.doors.door import asked
from shared.doors.requests import Pseudonymise
from shared.state.workspace import Workspace

# What `factory resolve` and `factory messages` call the customers' ids.
ID = "id"


@dataclass(frozen=True, slots=True)
class Results:
    """A file of results that names units.

    Attributes:
        masked: the column of customer ids that pseudonyms were put in place of; None where it named units already.
        strangers: rows whose id the table does not have; they are held back as those of unknown units.
    """

    file: Path
    masked: str | None = None
    strangers: int = 0


@contextmanager
def with_units(workspace: Workspace, name: str, file: Path) -> Iterator[Results]:
    """The file as it is where it has a `unit` column or no customer ids; else a copy with units, gone afterwards."""
    pilot = get_pilot(open_lab(workspace), name)
    population = pilot.charter.population
    contract = open_snapshot(workspace, pilot.snapshot).contract(population)
    key = next(column for column in contract.columns if column.name == contract.primary_key)
    arms = [arm.name for arm in pilot.charter.arms]
    with connect() as connection:
        present = read_raw(connection, file, "raw", [Column(name=key.name, type="string", physical=key.physical)])
        masked = "unit" not in present
        # As the contract calls it, or as the Factory's own files do.
        ids = next((column for column in (key.name, ID) if column in present), None)
        if masked and ids is None:
            raise BadInput(
                "the file has neither a column of units nor one of customers' ids",
                where=str(file),
                expected=f"a column `unit`, as in the file that `lab assign` writes, or `{key.name}` or `{ID}`",
                remedy=f"call the column that holds the customers' ids `{key.name}`, and record the file again",
            )
        # Nothing that is written freely goes with the units: it could say whose each of them is.
        if masked and "arm" in present:
            listed = ", ".join(literal(arm) for arm in arms)
            row = connection.execute(f"SELECT {ROW} FROM raw WHERE trim(arm) NOT IN ({listed}) LIMIT 1").fetchone()
            if row is not None:
                raise BadInput(
                    "an arm is none of the pilot's, and nothing of the file was taken",
                    where=f"{file}, row {row[0]}",
                    expected="one of: " + ", ".join(arms),
                    remedy="correct it, or leave the row out",
                )
    if not masked:
        yield Results(file)
        return
    # Under its own name, by which messages call it; whatever text it was, the copy is a plain one.
    copy = file.name if file.suffix.lower() in {CSV, PARQUET} else file.name.split(".")[0] + CSV
    request = Pseudonymise(file=str(file), name=file.name, out=copy, column=str(ids), table=population)
    with asked(workspace, request, lambda parcel: _pack(file, parcel)) as (done, folder):
        yield Results(folder / copy, ids, done.strangers)


def _pack(file: Path, parcel: Path) -> None:
    shutil.copyfile(file, parcel / file.name)
