"""Opening a sandbox: until a query of a mere description is answered, over 100,000 rows and over 10 million."""

from __future__ import annotations

import resource
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import duckdb
import sqlalchemy as sa

from benchmarks.measure import FRESH, KIB_PER_MIB, Cost, Line
from lab.sandbox.sandbox import run_sql
from lab.state import open_lab, pilots
from shared.core.digests import canonical, digest_file
from shared.core.stamps import SETTLED_NS
from shared.data.snapshot import MANIFEST, PublishedTable, latest_snapshot
from shared.state.workspace import Workspace, open_workspace
from tests.lab_makers import PILOT, copy_of, staged

SMALL, LARGE = 100_000, 10_000_000


def run(repeats: int = 9) -> list[Line]:
    """The large snapshot against the small one: the first opening, which reads every byte, and the later ones."""
    with tempfile.TemporaryDirectory() as folder:
        template = staged(Path(folder), "launched")
        found = {}
        for rows in (SMALL, LARGE):
            workspace = copy_of(template, Path(folder) / f"of-{rows}")
            _publish(workspace, rows)
            with ProcessPoolExecutor(1, FRESH) as process:
                found[rows] = process.submit(_measure, str(workspace.root), rows, repeats).result()
    peer = f"the same over {SMALL:,} rows"
    (first, later), (small_first, small_later) = found[LARGE], found[SMALL]
    return [
        Line(f"opening a sandbox over {LARGE:,} rows", peer, later, small_later, limit=2),
        Line("its first opening, which reads every byte once", peer, first, small_first),
    ]


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
    (scratch / MANIFEST).write_bytes(canonical(manifest.model_dump(mode="json")))
    scratch.rename(old.folder.with_name(manifest.id))
    with open_lab(workspace).transaction() as connection:
        connection.execute(sa.update(pilots).values(snapshot=manifest.id))


def _measure(root: str, rows: int, repeats: int) -> tuple[Cost, Cost]:
    """The first opening, and the median of the later ones; memory is that of the confined process."""
    workspace = open_workspace(Path(root))
    time.sleep(1.5 * SETTLED_NS / 1e9)
    first = _opening(workspace, rows)
    later = statistics.median(_opening(workspace, rows) for _ in range(repeats))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / KIB_PER_MIB
    return Cost(first, peak), Cost(later, peak)


def _opening(workspace: Workspace, rows: int) -> float:
    """Seconds until a query that needs only the table's description is answered, and the files are checked again."""
    began = time.perf_counter()
    found = run_sql(workspace, PILOT, "SELECT count(*) FROM customers")
    took = time.perf_counter() - began
    assert found.rows == [[rows]]
    return took
