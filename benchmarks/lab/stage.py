"""The stage of the Lab's benchmarks: a rehearsal with a launched pilot over as many customers as asked for.

The snapshot is written as the Factory writes one, but from made-up rows: loading millions through their contract is
another measurement.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb

from lab.launch.launch import launch
from shared.core.digests import canonical, digest_file
from shared.data.snapshot import LATEST, MANIFEST, latest_snapshot
from shared.state.workspace import Workspace
from tests.lab_makers import CARD, PILOT, copy_of, draft, staged

CUSTOMERS = "customers"
# A few customers: what the audience selects is not what is measured.
AUDIENCE = "SELECT customer_id AS unit FROM customers WHERE history < 10.5 AND recency = 1 LIMIT 100\n"


def launched(folder: Path, customers: int, *changes: tuple[str, str]) -> Workspace:
    """A workspace whose pilot of two arms runs over a snapshot of that many customers."""
    workspace = copy_of(staged(folder, "loaded"), folder / f"launched-{customers}-{len(changes)}")
    widen(workspace, customers)
    charter = draft(workspace, PILOT, (CARD, ""), *changes)
    (charter.parent / "audience.sql").write_text(AUDIENCE)
    launch(workspace, PILOT)
    return workspace


def widen(workspace: Workspace, customers: int) -> Path:
    """Publishes a snapshot of that many made-up customers, in the order of their pseudonyms; returns the table."""
    before = latest_snapshot(workspace)
    scratch = workspace.lab / "snapshots" / ".widened"
    shutil.copytree(before.folder, scratch)
    table = scratch / before.table(CUSTOMERS).name
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT 'u_' || md5(CAST(i AS VARCHAR)) AS customer_id, i % 12 + 1 AS recency, "
            "10 + i % 3000 / 4 AS history, ['Urban', 'Surburban', 'Rural'][1 + i % 3] AS zip_code "
            f"FROM range({customers}) AS t(i) ORDER BY 1) TO '{table}' (FORMAT parquet)"
        )
    published = before.manifest.tables[CUSTOMERS].model_copy(update={"rows": customers, "data": digest_file(table)})
    manifest = before.manifest.model_copy(update={"tables": {**before.manifest.tables, CUSTOMERS: published}})
    (scratch / MANIFEST).write_bytes(canonical(manifest.model_dump(mode="json")))
    final = scratch.rename(scratch.with_name(manifest.id))
    pointer = workspace.lab / "snapshots" / LATEST
    pointer.write_text(json.dumps({**json.loads(pointer.read_bytes()), "id": manifest.id}))
    return final / table.name
