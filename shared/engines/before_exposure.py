"""Outcomes from before their unit's first exposure, by arm: what no arm can have caused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.core.sql import identifier, literal
from shared.engines.files import number, opened
from shared.engines.protocol import EARLY, PilotData


@dataclass(frozen=True, slots=True)
class EarlyOutcomes:
    """How much came before.

    Attributes:
        drawn: units (or clusters, where these were drawn) per arm, without those seen in two.
        early: of these, such as have an outcome from before the first exposure; of a cluster any of its units.
        before, after: outcomes of these.
    """

    drawn: Mapping[str, int]
    early: Mapping[str, int]
    before: int
    after: int


def early_outcomes(data: PilotData, cluster: str | None = None) -> EarlyOutcomes:
    """Counts them in the sealed data: those that analysis set aside as conflicts, and any that it did not."""
    with opened(data) as connection:
        known = cluster is not None and data.traits is not None
        of = f"any_value(CAST({identifier(cluster or '')} AS VARCHAR))" if known else "any_value(unit)"
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
