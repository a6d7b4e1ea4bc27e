"""Opening a sandbox: how long until the first word of SQL runs, over a snapshot of 100,000 rows and of 10 million.

`python -m benchmarks.lab.sandbox` prints the table; `run()` returns its rows. The promise is a ratio, and holds on
any machine: opening over the large snapshot takes at most twice as long as over the small one.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import duckdb
import sqlalchemy as sa

from lab.sandbox import run_sql
from lab.state import open_lab, pilots
from shared.digests import canonical, digest_file
from shared.snapshot import MANIFEST, PublishedTable, latest_snapshot
from shared.stamps import SETTLED_NS
from shared.workspace import Workspace, open_workspace
from tests.lab_makers import PILOT, copy_of, staged

SIZES = (100_000, 10_000_000)
ROUNDS, AT_MOST = 9, 2.0
MB = 2**20


@dataclass(frozen=True, slots=True)
class Row:
    """One snapshot.

    Attributes:
        first_s: the first opening, which reads every byte of the snapshot once.
        open_s: the median of the later ones.
        box_mb: the largest memory of the confined process.
        caller_mb: the largest memory of the process that asks.
    """

    rows: int
    file_mb: float
    first_s: float
    open_s: float
    box_mb: float
    caller_mb: float


def run() -> list[Row]:
    """A row per size, each measured in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        template = staged(Path(folder), "launched")
        found = []
        for rows in SIZES:
            workspace = copy_of(template, Path(folder) / f"of-{rows}")
            _publish(workspace, rows)
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                found.append(process.submit(_measure, str(workspace.root), rows).result())
        return found


def ratio(rows: list[Row]) -> float:
    """How much longer opening the largest takes than opening the smallest."""
    return rows[-1].open_s / rows[0].open_s


def table(rows: list[Row]) -> str:
    """The rows and the promise, as Markdown."""
    lines = [
        "| rows of the snapshot | file | first opening, all bytes read | opening | memory of the box | of the caller |",
        "|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {row.rows:,} | {row.file_mb:.1f} MB | {row.first_s:.3f} s | {row.open_s:.3f} s | {row.box_mb:.0f} MB | "
            f"{row.caller_mb:.0f} MB |"
            for row in rows
        ),
        f"\nOpening the largest takes {ratio(rows):.2f} times as long as the smallest; promised: at most {AT_MOST:g}.",
    ]
    return "\n".join(lines) + "\n"


def _publish(workspace: Workspace, rows: int) -> None:
    """Puts a snapshot of so many customers where the pilot looks for its own."""
    old = latest_snapshot(workspace)
    scratch = Path(shutil.copytree(old.folder, old.folder.with_name(".scratch")))
    file = scratch / "customers.parquet"
    duckdb.execute(
        "COPY (SELECT md5(i::VARCHAR) AS customer_id, (i % 12 + 1)::BIGINT AS recency, 10.0 + i % 997 AS history, "
        f"['Urban', 'Surburban', 'Rural'][i % 3 + 1] AS zip_code FROM range({rows}) t(i)) TO '{file}' (FORMAT parquet)"
    )
    published = PublishedTable(rows=rows, data=digest_file(file), contract=old.manifest.tables["customers"].contract)
    manifest = old.manifest.model_copy(update={"tables": {"customers": published}})
    (scratch / MANIFEST).write_bytes(canonical(manifest.as_json()))
    scratch.rename(old.folder.with_name(manifest.id))
    with open_lab(workspace).transaction() as connection:
        connection.execute(sa.update(pilots).values(snapshot=manifest.id))


def _measure(root: str, rows: int) -> Row:
    workspace = open_workspace(Path(root))
    (file,) = workspace.lab.glob(f"snapshots/{_snapshot(workspace)}/customers.parquet")
    time.sleep(1.5 * SETTLED_NS / 1e9)
    first = _opening(workspace, rows)
    later = [_opening(workspace, rows) for _ in range(ROUNDS)]
    box, caller = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    return Row(rows, file.stat().st_size / MB, first, statistics.median(later), box / 1024, caller / 1024)


def _snapshot(workspace: Workspace) -> str:
    with open_lab(workspace).transaction() as connection:
        return str(connection.execute(sa.select(pilots.c.snapshot)).scalar_one())


def _opening(workspace: Workspace, rows: int) -> float:
    """Seconds until a query that needs only the table's description is answered, and the files are checked again."""
    began = time.perf_counter()
    found = run_sql(workspace, PILOT, "SELECT count(*) FROM customers")
    took = time.perf_counter() - began
    assert found.rows == [[rows]]
    return took


if __name__ == "__main__":
    measured = run()
    print(table(measured), flush=True)
    os._exit(ratio(measured) > AT_MOST)  # before DuckDB's extension module prints pages of leak warnings
