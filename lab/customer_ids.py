"""Customer ids in a file of results: the Factory puts pseudonyms in their place before the Lab reads a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.pilots import get_pilot
from lab.state import open_lab
from shared.contracts import Column
from shared.files import scratch_in
from shared.reading import read_raw
from shared.snapshot import open_snapshot
from shared.tabular import CSV, PARQUET, connect
from shared.workspace import Workspace

# Copies a file with customer ids replaced by units: (workspace, file, out, column, table) -> (rows, rows of strangers).
Mask = Callable[[Workspace, Path, Path, str, str], tuple[int, int]]


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
def with_units(workspace: Workspace, name: str, file: Path, mask: Mask) -> Iterator[Results]:
    """The file as it is where it has a `unit` column or no customer ids; else a copy with units, gone afterwards."""
    pilot = get_pilot(open_lab(workspace), name)
    population = pilot.charter.population
    contract = open_snapshot(workspace, pilot.snapshot).contract(population)
    key = next(column for column in contract.columns if column.name == contract.primary_key)
    with connect() as connection:
        known = Column(name=key.name, type="string", physical=key.physical)
        present = read_raw(connection, file, "raw", [known])
    if "unit" in present or key.name not in present:
        yield Results(file)
        return
    with scratch_in(pilot.folder) as scratch:
        # Under its own name, by which messages call it; whatever text it was, the copy is a plain one.
        copy = scratch / (file.name if file.suffix.lower() in {CSV, PARQUET} else file.name.split(".")[0] + CSV)
        _, strangers = mask(workspace, file, copy, key.name, population)
        yield Results(copy, key.name, strangers)
