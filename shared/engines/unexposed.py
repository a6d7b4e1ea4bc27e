"""Outcomes of units that were never exposed: nobody caused them, so that they are alike in every arm that was drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

from shared.draw import Draw
from shared.engines.files import opened
from shared.engines.protocol import PilotData
from shared.engines.unit_table import number_sql
from shared.metrics import Metric


@dataclass(frozen=True, slots=True)
class Unexposed:
    """Units with an outcome that was accepted, and no exposure on record, by the arm that was drawn for them.

    Attributes:
        units: how many of each arm.
        values: of each metric that adds up, by arm, what each of these units comes to.
    """

    units: Mapping[str, int]
    values: Mapping[str, Mapping[str, NDArray[np.float64]]]


def unexposed(data: PilotData, draw: Draw, metrics: Mapping[str, Metric]) -> Unexposed:
    """Compares whose outcomes there are with who was exposed; the units are drawn one by one, not by cluster."""
    chosen = {name: metric for name, metric in metrics.items() if metric.adds_up}
    values = ", ".join(f"{_value(metric)} AS v{at}" for at, metric in enumerate(chosen.values()))
    with opened(data) as connection:
        connection.execute(f"""
            CREATE TEMP TABLE strangers AS
            SELECT {draw.drawn_sql("unit")} AS arm{", " if values else ""}{values} FROM outcomes
            WHERE {draw.takes_part_sql("unit")} AND unit NOT IN (
                SELECT unit FROM exposures UNION ALL SELECT unit FROM ({_held(connection)}) WHERE unit IS NOT NULL)
            GROUP BY unit
        """)
        units = dict(connection.execute("SELECT arm, count(*) FROM strangers GROUP BY arm ORDER BY arm").fetchall())
        found: dict[str, dict[str, NDArray[np.float64]]] = {}
        for at, name in enumerate(chosen):
            rows = connection.execute(
                f"SELECT arm, v{at}, count(*) FROM strangers GROUP BY ALL ORDER BY ALL"
            ).fetchall()
            found[name] = {
                arm: np.repeat(
                    [float(value) for of, value, _ in rows if of == arm], [n for of, _, n in rows if of == arm]
                )
                for arm in units
            }
    return Unexposed(units, found)


def _held(connection: duckdb.DuckDBPyConnection) -> str:
    """A query for the units whose exposures were held back: what became of those is told elsewhere."""
    there = {name for name, *_ in connection.execute("DESCRIBE conflicts").fetchall()}
    return "SELECT unit FROM conflicts" + (" WHERE kind = 'exposures'" if "kind" in there else "")


def _value(metric: Metric) -> str:
    """What a unit's outcomes come to; one that cannot be computed counts for nothing."""
    value = f"coalesce({number_sql(metric.value, metric)}, 0)" if metric.value else "1"
    if metric.kind == "mean":
        return f"sum({value})"
    return f"count_if({value} > 0)" if metric.kind == "count" else f"CAST(bool_or({value} > 0) AS INTEGER)"
