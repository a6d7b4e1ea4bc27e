"""Attribution: which arm each unit was assigned, whatever became of it, and what of it did not count."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime

import duckdb
import numpy as np

from shared.core.clock import rfc3339
from shared.core.sql import identifier, json_path, literal
from shared.engines.by_arm import Scope
from shared.engines.files import number
from shared.engines.protocol import EARLY, IN_TWO_ARMS, NOT_ASSIGNED, Question
from shared.experiment.draw import AFTER_ENROLMENT, AFTER_THE_END, CLUSTERLESS, HELD_OUT, NOT_SAMPLED, OUTSIDE_SLICE
from shared.experiment.metrics import Metric

# Whom the pilot leaves alone is no loss of it.
NO_PART = (HELD_OUT, CLUSTERLESS, OUTSIDE_SLICE, NOT_SAMPLED)
# As improbable as arms of the wrong size (Fabijan et al. 2019).
LATER_P_MIN = 0.001
CROSSED = (IN_TWO_ARMS, NOT_ASSIGNED)
SEEN_TWICE = "units seen in two arms"
_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE"}
_SAID = ("kind", "event_id", "unit", "reason", "arm", "assigned", "at", "said")


def attribute(connection: duckdb.DuckDBPyConnection, question: Question, scope: Scope) -> None:
    """Makes `held` (rows held back), `attributed` (unit, entity, arm, first_at) and `lost` (what, entity, unit, arm).

    An entity is a unit's cluster, where these were drawn, and else the unit. It keeps the arm of its first accepted
    exposure; without one, the arm that was drawn for it, or, where arms come from elsewhere, that of the first exposure
    that was held back. A time that cannot be read, or lies outside the time box, is not believed: the unit then has
    been there from the beginning.
    """
    connection.execute(_held(connection, scope))
    left = "SELECT count(*) FROM (SELECT unit FROM held UNION ALL SELECT unit FROM left_out)"
    tidy = question.cluster is None and not question.everything and not number(connection, left)
    connection.execute(_AS_COUNTED if tidy else _attributed(question, scope))
    if not _is_later_uneven(connection):
        connection.execute("DELETE FROM held WHERE later")
    connection.execute(_lost(scope))


def everything(connection: duckdb.DuckDBPyConnection, question: Question, scope: Scope) -> None:
    """Makes the table `units` of all that were assigned an arm, and the view `all_outcomes` with those held back."""
    whole = "SELECT a.unit, a.arm, a.first_at, k.* EXCLUDE (unit) FROM attributed a LEFT JOIN known k USING (unit)"
    connection.execute(f"CREATE TEMP TABLE units AS {whole}")
    read = [*_read_columns(connection, question.metrics)]
    columns = "".join(f", {identifier(name)}" for name, _ in read)
    values = "".join(f", {value} AS {identifier(name)}" for name, value in _values(connection, read))
    connection.execute(f"""
        CREATE TEMP VIEW all_outcomes AS
        SELECT unit, "at"{columns}, false AS held FROM outcomes
        UNION ALL SELECT h.unit, coalesce({_believed("h", scope)}, u.first_at){values}, true
        FROM held h JOIN units u USING (unit)
        WHERE kind = 'outcomes' AND (reason <> {literal(EARLY)} OR "at" IS NOT NULL)
    """)


def unattributed_sql(connection: duckdb.DuckDBPyConnection, question: Question, scope: Scope) -> str:
    """A query for the outcomes held back of which no arm can be told, with what the metrics read of them."""
    read = [*_read_columns(connection, question.metrics)]
    values = "".join(f", {value} AS {identifier(name)}" for name, value in _values(connection, read))
    return (
        f"SELECT 1 AS one{values} FROM held h WHERE kind = 'outcomes' AND NOT later AND unit IS NULL "
        f"AND {_said('h', scope)} IS NULL"
    )


def unread_sql(connection: duckdb.DuckDBPyConnection, metrics: Mapping[str, Metric]) -> str:
    """A query by arm for the outcomes held back of attributed units: per metric, those that lack a value it reads."""
    values = dict(_values(connection, [*_read_columns(connection, metrics)]))
    counts = []
    for metric in metrics.values():
        read = {name.casefold() for part in metric.reads for name in part.columns}
        gaps = " OR ".join(f"{value} IS NULL" for name, value in values.items() if name.casefold() in read)
        counts.append(f"count_if({gaps or 'false'})")
    return (
        f"SELECT a.arm, {', '.join(counts)} FROM held h JOIN attributed a USING (unit) WHERE kind = 'outcomes' "
        f"AND reason <> {literal(EARLY)} AND NOT later GROUP BY a.arm ORDER BY a.arm"
    )


def _held(connection: duckdb.DuckDBPyConnection, scope: Scope) -> str:
    """What was held back, at an early look until then; where only the reason was sealed, the rest is not known."""
    there = {name for name, *_ in connection.execute("DESCRIBE conflicts").fetchall()}
    said = {name: f"CAST({identifier(name)} AS VARCHAR)" if name in there else "NULL::VARCHAR" for name in _SAID}
    crossed = ", ".join(map(literal, CROSSED))
    said["kind"] = f"coalesce({said['kind']}, CASE WHEN reason IN ({crossed}) THEN 'exposures' ELSE 'outcomes' END)"
    said["at"] = f"TRY_CAST({said['at']} AS TIMESTAMPTZ)"
    columns = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in said.items())
    ends, closes = map(_moment, (scope.ends, scope.closes))
    early = f'AND ("at" IS NULL OR "at" < {ends})' if scope.ends < scope.closes else ""
    later = f'(reason = {literal(AFTER_THE_END)} AND coalesce("at" >= {closes}, false))'
    return f"""
    CREATE TEMP TABLE held AS
    SELECT *, {later} AS later, row_number() OVER () AS n
    FROM (SELECT {columns} FROM conflicts)
    WHERE NOT {_no_part(scope)} AND NOT ({later} AND kind <> 'outcomes') {early};
    """


def _no_part(scope: Scope) -> str:
    """SQL of whether a row is of a unit that the pilot leaves alone; who came too late is believed by the time only."""
    left_alone = f"reason IN ({_texts(NO_PART)})"
    if scope.enrolled is None:
        return left_alone
    came_late = f"reason = {literal(AFTER_ENROLMENT)} AND kind = 'exposures' AND coalesce(\"at\" >= {{}}, false)"
    return f"({left_alone} OR ({came_late.format(_moment(scope.enrolled))}))"


def _is_later_uneven(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether what is said to have happened after the time box is not as much of every arm as what happened in it.

    Later outcomes are no part of the pilot. But a report that has its own time in the place of the event's would take
    outcomes away from one arm alone: then the effect is computed once more with them, and has to stay what it is.
    """
    if not number(connection, "SELECT count(*) FROM held WHERE later"):
        return False
    from scipy.stats import chi2_contingency  # half a second, for which nobody should wait who has no such rows

    rows = connection.execute(
        """
        SELECT arm, count(DISTINCT unit) FILTER (later), count(DISTINCT unit) FILTER (NOT later) FROM (
            SELECT a.arm, a.unit, true AS later FROM held h JOIN attributed a USING (unit) WHERE h.later
            UNION ALL SELECT a.arm, a.unit, false FROM outcomes o JOIN attributed a USING (unit)
        ) GROUP BY arm ORDER BY arm
        """
    ).fetchall()
    counts = np.array([row[1:] for row in rows if any(row[1:])])
    comparable = len(counts) > 1 and bool(counts.any(axis=0).all())
    return comparable and float(chi2_contingency(counts).pvalue) < LATER_P_MIN


def _moment(at: datetime) -> str:
    return f"TIMESTAMPTZ '{rfc3339(at)}'"


# Where nobody was left out, and nothing held back, who counts is everybody.
_AS_COUNTED = """
CREATE TEMP VIEW attributed AS SELECT unit, coalesce(cluster, unit) AS entity, arm, first_at FROM units
"""


def _attributed(question: Question, scope: Scope) -> str:
    held = "(kind = 'exposures' AND unit IS NOT NULL)"
    drawn = "" if question.cluster is None else "WHERE cluster IS NOT NULL"
    arm = "assigned" if scope.drawn else f"coalesce(assigned, {_planned('arm', scope)})"
    return f"""
    CREATE TEMP TABLE attributed AS
    WITH seen AS (
        SELECT unit, arm, "at", "at" AS believed, false AS held FROM exposures
        UNION ALL SELECT unit, {arm}, "at", {_believed("held", scope)}, true FROM held WHERE {held}
    ), placed AS (
        SELECT s.*, coalesce(k.cluster, s.unit) AS entity FROM seen s LEFT JOIN known k USING (unit) {drawn}
    ), arms AS (
        SELECT entity, arg_min(arm, row(held, coalesce("at", 'infinity'::TIMESTAMPTZ), arm)) AS arm
        FROM placed WHERE arm IS NOT NULL GROUP BY entity
    )
    SELECT unit, entity, any_value(a.arm) AS arm,
        coalesce(min(believed), TIMESTAMPTZ '{rfc3339(scope.starts)}') AS first_at
    FROM placed p JOIN arms a USING (entity) GROUP BY unit, entity;
    """


def _lost(scope: Scope) -> str:
    """Of an outcome that was held back, a unit that was never exposed has lost nothing."""
    early, crossed = literal(EARLY), ", ".join(map(literal, CROSSED))
    what = f"CASE WHEN reason IN ({crossed}) THEN {literal(SEEN_TWICE)} ELSE kind || ': ' || reason END"
    return f"""
    CREATE TEMP TABLE lost AS
    SELECT {what} AS what, coalesce(a.entity, h.n::VARCHAR) AS entity, a.unit,
        coalesce(a.arm, CASE WHEN h.unit IS NULL THEN {_said("h", scope)} END) AS arm
    FROM held h LEFT JOIN attributed a USING (unit)
    WHERE reason <> {early} AND NOT later AND NOT (kind = 'outcomes' AND h.unit IS NOT NULL AND a.unit IS NULL)
    UNION ALL SELECT {literal(SEEN_TWICE)}, entity, unit, arm FROM attributed WHERE unit IN (SELECT unit FROM left_out)
    UNION ALL SELECT {early}, a.entity, a.unit, a.arm FROM outcomes o JOIN attributed a USING (unit)
    WHERE o."at" < a.first_at
    UNION ALL SELECT {early}, a.entity, a.unit, a.arm FROM held JOIN attributed a USING (unit) WHERE reason = {early};
    """


def _said(table: str, scope: Scope) -> str:
    return f"coalesce({table}.assigned, {_planned(f'{table}.arm', scope)})"


def _planned(arm: str, scope: Scope) -> str:
    return f"CASE WHEN {arm} IN ({_texts(scope.arms)}) THEN {arm} END"


def _believed(table: str, scope: Scope) -> str:
    at, opens = f'{table}."at"', f"TIMESTAMPTZ '{rfc3339(scope.starts)}'"
    return f"CASE WHEN {at} >= {opens} THEN {at} END"


def _read_columns(connection: duckdb.DuckDBPyConnection, metrics: Mapping[str, Metric]) -> Iterator[tuple[str, str]]:
    """The columns of outcomes that any metric reads, with their types."""
    read = {name.casefold() for metric in metrics.values() for part in metric.reads for name in part.columns}
    for name, kind, *_ in connection.execute("DESCRIBE outcomes").fetchall():
        if name.casefold() in read:
            yield name, kind


def _values(connection: duckdb.DuckDBPyConnection, read: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Each column's value in a row that was held back, as SQL; NULL where it cannot be read.

    A number counts for no more, and no less, than any that was accepted: a slip of the pen that is rightly held back
    would else outweigh all others.
    """
    ranges = ", ".join(f"min({identifier(name)}), max({identifier(name)})" for name, _ in read)
    [row] = connection.execute(f"SELECT {ranges or '1'} FROM outcomes").fetchall()
    for at, (name, kind) in enumerate(read):
        said = f"json_extract_string(h.said, {literal(json_path(name))})"
        value = f"TRY_CAST({said} AS {kind})"
        if kind not in _NUMBERS:
            yield name, value
            continue
        ends = [f"CAST({literal(str(end))} AS {kind})" for end in (row[2 * at], row[2 * at + 1]) if _known(end)]
        if len(ends) == 2:  # noqa: PLR2004 - both ends
            value = f"least(greatest({value}, {ends[0]}), {ends[1]})"
        # A cast alone would round 1.5 to 2 where whole numbers are expected; and of nothing, an end of the range.
        same = f"TRY_CAST({said} AS {kind}) = TRY_CAST({said} AS DOUBLE)"
        yield name, f"CASE WHEN {same} THEN CAST({value} AS {kind}) END"


def _known(end: object) -> bool:
    return end is not None and not (isinstance(end, float) and math.isnan(end))


def _texts(values: tuple[str, ...]) -> str:
    return ", ".join(map(literal, values))
