"""The stage of the benchmarks: a table of made-up units, and what is asked of it.

Of each unit there are two proportions, a count, two amounts of money (two decimals; most units have none, the others
log-normal ones) and a duration, each with the same of the time before as its covariate (flags, a count, monthly
averages), and eight segments of two to six levels. The file is Parquet as lakehouses write it, compressed by Zstandard.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from shared.core.sql import literal
from shared.engines import files
from shared.engines.sums import Asked
from shared.stats.moments import pair

METRICS = ("visit", "conversion", "clicks", "spend", "refund", "duration")
COVARIATES = {metric: f"{metric}_before" for metric in METRICS}
FLAGS = ("visit", "conversion", "visit_before", "conversion_before")
ARMS = ("control", "letter", "card")
LEVELS = {"age": 6, "region": 5, "channel": 4, "plan": 4, "device": 3, "tenure": 3, "gender": 2, "consent": 2}
UNITS = 10_000_000


def write_units(path: Path, units: int, compression: str = "zstd") -> None:
    """The table, by seeded random numbers: equal calls write equal rows."""
    segments = ", ".join(
        f"'{name}-' || (hash(i, {at}) % {levels})::VARCHAR AS {name}"
        for at, (name, levels) in enumerate(LEVELS.items())
    )
    normal = "sqrt(-2 * ln({} + 1e-12)) * cos(2 * pi() * {})".format
    # a, b and c are what a unit is like, before and after; the others are chance.
    chances = ", ".join(f"random() AS {name}" for name in ("a", "b", "c", *(f"r{n}" for n in range(12))))
    with connect(1) as connection:
        connection.execute("SELECT setseed(0.4)")
        connection.execute(f"""
            COPY (
                SELECT {list(ARMS)!r}[1 + i % {len(ARMS)}] AS arm,
                    (r0 < 0.05 + 0.3 * a)::TINYINT AS visit,
                    (r1 < 0.02 + 0.1 * b)::TINYINT AS conversion,
                    floor(-ln(r2 + 1e-9) * (1 + 2 * c))::INTEGER AS clicks,
                    CASE WHEN r0 < 0.3 * a THEN round(exp(3 + b + 0.8 * {normal("r3", "r4")}), 2) ELSE 0 END AS spend,
                    CASE WHEN r1 < 0.1 * b THEN round(exp(2 + 0.6 * {normal("r5", "r6")}), 2) ELSE 0 END AS refund,
                    -ln(r7 + 1e-12) * 180 * (0.5 + a) AS duration,
                    (r8 < 0.05 + 0.3 * a)::TINYINT AS visit_before,
                    (r9 < 0.02 + 0.1 * b)::TINYINT AS conversion_before,
                    floor(-ln(r10 + 1e-9) * (1 + 2 * c))::INTEGER AS clicks_before,
                    CASE WHEN r8 < 0.9 * a THEN exp(2 + b) * r11 ELSE 0 END AS spend_before,
                    CASE WHEN r9 < 0.5 * b THEN exp(1 + b) * r11 ELSE 0 END AS refund_before,
                    180 * (0.5 + a) * (0.5 + r11) AS duration_before,
                    {segments}
                FROM (SELECT i, {chances} FROM range({units}) t(i))
            ) TO {literal(str(path))} (FORMAT parquet, COMPRESSION {compression})
        """)


def asked(path: Path) -> Asked:
    """Every metric's moments and its covariate's, and their product."""
    columns = (*COVARIATES, *COVARIATES.values())
    return Asked(
        table=f"read_parquet({literal(str(path))}, file_row_number = true)",
        columns={name: name for name in columns},
        pairs=[pair(name, name) for name in columns] + [pair(*each) for each in COVARIATES.items()],
        keys={key: key for key in ("arm", *LEVELS)},
        flags=FLAGS,
        position="file_row_number",
    )


def connect(threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """A connection as the engine's, with so many threads; None leaves them to DuckDB, as the engine does."""
    connection = files.connect()
    connection.execute("SET enable_progress_bar = false")
    connection.execute("RESET GLOBAL threads" if threads is None else f"SET GLOBAL threads = {threads}")
    return connection
