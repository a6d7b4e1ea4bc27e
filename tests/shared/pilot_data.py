"""Makers of a pilot's three sealed files and its promise."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from shared.engines.protocol import PilotData
from shared.experiment.charter import RULES, Promise
from shared.experiment.metrics import Metric
from tests.makers import make_charter

VISIT = Metric(kind="proportion", column="visit", unit="share of customers")
SPEND = Metric(kind="mean", column="spend", unit="USD per customer")
EARLY, LATE = "2026-01-05 00:00:00+00", "2026-01-06 00:00:00+00"


def pilot_data(folder, exposures=(), outcomes=(), conflicts=()):
    """Files from rows: exposures (unit, arm, at), outcomes (unit, at, visit, spend), conflicts (unit, reason)."""
    folder.mkdir(parents=True, exist_ok=True)
    data = PilotData.in_folder(folder)
    with duckdb.connect() as connection:
        for path, columns, rows in (
            (data.exposures, 'unit VARCHAR, arm VARCHAR, "at" TIMESTAMPTZ', exposures),
            (data.outcomes, 'unit VARCHAR, "at" TIMESTAMPTZ, visit BIGINT, spend DOUBLE', outcomes),
            (data.conflicts, "unit VARCHAR, reason VARCHAR", conflicts),
        ):
            connection.execute(f"CREATE OR REPLACE TABLE t ({columns})")
            if rows:
                columns_of = [list(column) for column in zip(*rows, strict=True)]
                connection.execute(f"INSERT INTO t SELECT {', '.join(['unnest(?)'] * len(columns_of))}", columns_of)
            named = f"SELECT '{path.stem}-' || row_number() OVER () AS event_id, * FROM t"
            connection.execute(f"COPY ({named}) TO '{path}' (FORMAT parquet)")
    return data


def two_arms(folder, control, letter):
    """Two arms whose units spend as listed, each with one outcome after its exposure."""
    spends = [("control", value) for value in control] + [("letter", value) for value in letter]
    return pilot_data(
        folder,
        [(f"u{number}", arm, EARLY) for number, (arm, _) in enumerate(spends)],
        [(f"u{number}", LATE, int(value > 0), value) for number, (_, value) in enumerate(spends)],
    )


def with_traits(data, **columns):
    """The same data with what was known of the units: `unit` and further columns, each a list."""
    pq.write_table(pa.table(columns), data.exposures.parent / "traits.parquet")
    return PilotData.in_folder(data.exposures.parent)


def promised(metrics=None, **changes):
    """A promise over `spend` as primary and `visit` beside it, or as `changes` say."""
    primary = {"metric": "spend", "minimum_effect": 0.01}
    charter = make_charter(**{"primary": primary, "secondary": ["visit"], **changes})
    known = metrics or {"visit": VISIT, "spend": SPEND}
    return Promise(charter=charter, metrics={name: known[name] for name in charter.measured}, files={}, rules=RULES)
