"""Assignment of ten million units, against a bare scan-and-write of the same file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb

from benchmarks.lab.stage import CUSTOMERS, launched
from benchmarks.measure import Line, compared
from lab.pilots.assignment import assign
from shared.data.snapshot import latest_snapshot
from shared.state.workspace import open_workspace
from tests.lab_makers import PILOT

UNITS = 10_000_000
LIMIT = 3.0
SLICE = ("assignment: pilotplant\n", "assignment: pilotplant\nlayer: {name: mail, start: 0.25, end: 0.75}\n")


def run(repeats: int = 3, units: int = UNITS) -> list[Line]:
    """Parquet to Parquet, once for a whole population and once for a slice of a layer."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        whole, sliced = launched(folder, units), launched(folder, units, SLICE)
        source = latest_snapshot(whole).table(CUSTOMERS)
        out = folder / "arms.parquet"
        peer = "DuckDB: COPY (SELECT the key FROM the snapshot's Parquet) TO Parquet"
        return [
            compared(
                f"`lab assign` of {units:,} units{what}, Parquet to Parquet",
                lambda _, root=workspace.root: (draw, (root, out)),
                peer,
                lambda _: (scan_and_write, (source, out)),
                repeats=repeats,
                limit=limit,
            )
            for what, workspace, limit in (("", whole, LIMIT), (", half of them in the pilot's slice", sliced, LIMIT))
        ]


def draw(root: Path, out: Path) -> None:
    assign(open_workspace(root), PILOT, out)


def scan_and_write(source: Path, out: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT customer_id AS unit FROM read_parquet('{source}')) TO '{out}' (FORMAT parquet)"
        )
