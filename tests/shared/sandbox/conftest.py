"""A small world for the box: two tables, a secret outside, and the proof that nothing of it was touched."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from shared.sandbox import Limits
from tests.walls import require_landlock

SECRET = "the secret outside the box"


@dataclass(frozen=True)
class World:
    root: Path
    tables: dict[str, Path]
    canary: Path
    out: Path
    tight: Limits

    def digests(self):
        files = [*self.tables.values(), self.canary]
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def leftovers(self):
        return sorted(path.name for path in self.root.rglob(".scratch.*"))


@pytest.fixture
def world(tmp_path):
    require_landlock()
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    tables = {name: inputs / f"{name}.parquet" for name in ("customers", "orders")}
    duckdb.sql(
        "SELECT 'u' || i AS unit, i % 3 AS segment, 'Zoë ' || i AS name, CASE WHEN i <> 5 THEN 'Łódź' END AS city,"
        " DATE '2026-01-01' + i::INTEGER AS since FROM range(100) t(i)"
    ).write_parquet(str(tables["customers"]))
    duckdb.sql("SELECT 'u' || (i % 40) AS unit, i::DECIMAL(10, 2) AS amount FROM range(400) t(i)").write_parquet(
        str(tables["orders"])
    )
    canary = tmp_path / "canary.csv"
    canary.write_text(f"unit\n{SECRET}\n")
    tight = Limits(seconds=1, memory_mb=128, disk_mb=16, rows=100_000)
    made = World(tmp_path, tables, canary, tmp_path / "out" / "result.parquet", tight)
    before = made.digests()
    yield made
    assert made.digests() == before
    assert made.leftovers() == []
