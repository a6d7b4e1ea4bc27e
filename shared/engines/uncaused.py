"""Outcomes that no arm can have caused: of units that were never exposed, and from before a unit's exposure.

They are alike in every arm. Where they are not, exposures or moments were chosen by what the units did.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import numpy as np
from numpy.typing import NDArray

from shared.core.sql import identifier, json_path, literal
from shared.engines.answers import EarlyOutcomes, Group, Uncaused
from shared.engines.exact import extents
from shared.engines.files import number, opened
from shared.engines.protocol import EARLY, PilotData
from shared.engines.unit_table import number_sql
from shared.experiment.draw import Draw
from shared.experiment.metrics import Metric


def uncaused(data: PilotData, draw: Draw | None, metrics: Mapping[str, Metric]) -> Uncaused:
    """Looks for such outcomes among those that were accepted and, of early ones, held back; units are drawn one by one.

    `draw` is None where arms come from elsewhere.
    """
    chosen = {name: metric for name, metric in metrics.items() if metric.adds_up}
    with opened(data) as connection:
        connection.execute(
            'CREATE TEMP TABLE first AS SELECT unit, arg_min(arm, row("at", arm)) AS arm, min("at") AS first_at '
            "FROM exposures GROUP BY unit"
        )
        return Uncaused(
            None if draw is None else _group(connection, _unexposed_sql(connection, data, draw), chosen),
            _group(connection, _early_sql(connection), chosen),
        )


def _group(connection: duckdb.DuckDBPyConnection, outcomes: str, metrics: Mapping[str, Metric]) -> Group:
    """Of outcomes with the `_arm` of their unit, what each unit comes to."""
    added = {name: _added(metric) for name, metric in metrics.items() if metric.kind == "mean"}
    known = dict(zip(added, extents(connection, f"({outcomes})", list(added.values())), strict=True))
    values = "".join(
        f", {known[name].total(added[name]) if name in added else _value(metric)} AS v{at}"
        for at, (name, metric) in enumerate(metrics.items())
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE of_units AS SELECT any_value(_arm) AS arm{values} FROM ({outcomes}) "
        "WHERE _arm IS NOT NULL GROUP BY unit"
    )
    units = dict(connection.execute("SELECT arm, count(*) FROM of_units GROUP BY arm ORDER BY arm").fetchall())
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for at, name in enumerate(metrics):
        rows = connection.execute(f"SELECT arm, v{at}, count(*) FROM of_units GROUP BY ALL ORDER BY ALL").fetchall()
        found[name] = {
            arm: np.repeat([float(value) for of, value, _ in rows if of == arm], [n for of, _, n in rows if of == arm])
            for arm in units
        }
    return Group(units, found)


def _unexposed_sql(connection: duckdb.DuckDBPyConnection, data: PilotData, draw: Draw) -> str:
    """Units whose exposures were held back are left aside: what became of those is told elsewhere.

    So are those who could not take part: their outcomes are alike in all arms, and would hide what is not.
    """
    held = "SELECT unit FROM conflicts WHERE unit IS NOT NULL" + (
        " AND kind = 'exposures'" if _told(connection) else ""
    )
    takes_part = draw.takes_part_sql("unit", able=data.able)
    return (
        f"SELECT *, {draw.drawn_sql('unit')} AS _arm FROM outcomes WHERE {takes_part} "
        f"AND unit NOT IN (SELECT unit FROM first UNION ALL {held})"
    )


def _early_sql(connection: duckdb.DuckDBPyConnection) -> str:
    """Those that were accepted, and those that were set aside with what they said."""
    accepted = 'SELECT o.*, f.arm AS _arm FROM outcomes o JOIN first f USING (unit) WHERE o."at" < f.first_at'
    if not _told(connection):
        return accepted
    columns = connection.execute("DESCRIBE outcomes").fetchall()
    said = ", ".join(
        identifier(name) if name in {"unit", "event_id"} else f"TRY_CAST({_text(name)} AS {kind}) AS {identifier(name)}"
        for name, kind, *_ in columns
    )
    return (
        f"{accepted} UNION ALL BY NAME SELECT {said}, f.arm AS _arm FROM conflicts c JOIN first f USING (unit) "
        f"WHERE c.kind = 'outcomes' AND c.reason = {literal(EARLY)}"
    )


def _text(name: str) -> str:
    return 'c."at"' if name == "at" else f"json_extract_string(c.said, {literal(json_path(name))})"


def _told(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether rows that were held back say more than why."""
    return {"kind", "said"} <= {name for name, *_ in connection.execute("DESCRIBE conflicts").fetchall()}


def _added(metric: Metric) -> str:
    """What an outcome adds to a metric; one that cannot be computed counts for nothing."""
    return f"coalesce({number_sql(metric.value, metric)}, 0)" if metric.value else "1"


def _value(metric: Metric) -> str:
    """What a unit's outcomes come to where they are counted."""
    value = _added(metric)
    return f"count_if({value} > 0)" if metric.kind == "count" else f"CAST(bool_or({value} > 0) AS INTEGER)"


def early_outcomes(data: PilotData, cluster: str | None = None) -> EarlyOutcomes:
    """Counts them in the sealed data: those that analysis set aside as conflicts, and any that it did not."""
    with opened(data) as connection:
        known = cluster is not None and data.traits is not None
        of = f"min(CAST({identifier(cluster or '')} AS VARCHAR))" if known else "unit"
        connection.execute(f"""
            CREATE TEMP VIEW groups AS
            SELECT unit, {of} AS drawn FROM {"traits" if known else "exposures"} GROUP BY unit
        """)
        connection.execute("""
            CREATE TEMP TABLE first AS SELECT e.*, g.drawn FROM (
                SELECT unit, any_value(arm) AS arm, min("at") AS "at" FROM exposures GROUP BY unit
                HAVING count(DISTINCT arm) = 1
            ) e JOIN groups g USING (unit) WHERE g.drawn IS NOT NULL
        """)
        connection.execute(f"""
            CREATE TEMP TABLE told AS
            SELECT unit, o."at" < f."at" AS before FROM outcomes o JOIN first f USING (unit)
            UNION ALL SELECT unit, true FROM conflicts JOIN first USING (unit) WHERE reason = {literal(EARLY)}
        """)
        counts = "SELECT arm, count(DISTINCT drawn) FROM first {} GROUP BY arm ORDER BY arm"
        return EarlyOutcomes(
            drawn=dict(connection.execute(counts.format("")).fetchall()),
            early=dict(
                connection.execute(counts.format("WHERE unit IN (SELECT unit FROM told WHERE before)")).fetchall()
            ),
            before=number(connection, "SELECT count(*) FROM told WHERE before"),
            after=number(connection, "SELECT count(*) FROM told WHERE NOT before"),
        )
