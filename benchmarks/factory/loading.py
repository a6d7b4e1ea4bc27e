"""Loading and publishing ten million customers (a CSV file of 650 MB), against bare DuckDB with the same memory.

The load judges every row by its contract and brings it in by its key; the publication replaces every id by its
pseudonym and sorts. Both hold 512 MiB of a table in memory and spill the rest, as the peers do.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb

from benchmarks.measure import Line, compared, cost_of
from factory.warehouse.load import load
from factory.warehouse.snapshots import publish
from shared.core.sql import MEMORY
from shared.state.workspace import create, open_workspace
from tests.makers import copy_of

CUSTOMERS = 10_000_000
# A gibibyte in all, of which DuckDB's own share is the peer's as well.
EXTRA_MIB = 512.0


def run(repeats: int = 3, customers: int = CUSTOMERS) -> list[Line]:
    """A load into an empty warehouse, and the first publication of what was loaded."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        file, empty = write_customers(folder / "customers.csv", customers), create(folder / "empty", "rehearsal")[0]
        loaded = copy_of(empty, folder / "loaded")
        cost_of(bring_in, loaded.root, file, customers)
        return [
            compared(
                f"`factory load` of {customers:,} customers, CSV",
                lambda number: (bring_in, (copy_of(empty, folder / f"load-{number}").root, file, customers)),
                "DuckDB: CREATE TABLE AS FROM the same CSV",
                lambda number: (copy, (file, folder / f"peer-{number}.duckdb")),
                repeats=repeats,
                extra_mib=EXTRA_MIB,
                limit=10,
            ),
            compared(
                f"`factory publish` of {customers:,} customers",
                lambda number: (lay_out, (copy_of(loaded, folder / f"publish-{number}").root,)),
                "DuckDB: COPY (FROM the table ORDER BY its key) TO Parquet",
                lambda number: (export, (folder / "peer-0.duckdb", folder / f"peer-{number}.parquet")),
                repeats=repeats,
                extra_mib=EXTRA_MIB,
                limit=10,
            ),
        ]


def write_customers(file: Path, customers: int) -> Path:
    """Customers after the contract that every new workspace has."""
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT 'c' || lpad(n::VARCHAR, 8, '0') AS customer_id, 'c' || n || '@example.com' AS email, "
            "n % 12 + 1 AS recency, 'high' AS history_segment, round(10 + n * 7919 % 100000 / 100, 2) AS history, "
            "n % 2 AS mens, (n + 1) % 2 AS womens, ['Urban', 'Surburban', 'Rural'][1 + n % 3] AS zip_code, "
            f"(n % 5 = 0)::INTEGER AS newbie, 'Web' AS channel FROM range({customers}) AS t(n)) TO '{file}' (HEADER)"
        )
    return file


def bring_in(root: Path, file: Path, customers: int) -> None:
    assert load(open_workspace(root), "customers", file).accepted == customers


def lay_out(root: Path) -> None:
    publish(open_workspace(root))


def copy(file: Path, database: Path) -> None:
    with duckdb.connect(str(database), config={"memory_limit": MEMORY}) as connection:
        connection.execute(f"CREATE TABLE customers AS FROM read_csv('{file}')")


def export(database: Path, out: Path) -> None:
    with duckdb.connect(str(database), config={"memory_limit": MEMORY}) as connection:
        connection.execute(f"COPY (FROM customers ORDER BY customer_id) TO '{out}' (FORMAT parquet)")
