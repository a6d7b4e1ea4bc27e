"""Judging: what a file says of exposures or outcomes, row by row but never one row at a time.

One pass types every value and gives each row the first reason that speaks against it; a second looks for what only
other rows can tell (an event said before, a unit in two arms), and touches no more than the rows concerned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from lab.pilots.pilot import Pilot
from shared.core.clock import rfc3339
from shared.core.errors import Undecided
from shared.core.sql import identifier, literal
from shared.data.breaches import breaches_sql
from shared.data.contracts import Column
from shared.data.readers import ROW
from shared.data.typed import typed_sql, unreadable, value_sql
from shared.engines.protocol import IN_TWO_ARMS, NOT_ASSIGNED
from shared.experiment.draw import AFTER_ENROLMENT, AFTER_THE_END
from shared.state.room import Room

# Says nothing against a row but when it came: the same row may be taken later.
IN_THE_FUTURE = "in the future"
USED_AGAIN = "event id used again with other content"
UNKNOWN_ARM = "unknown arm"
UNKNOWN_UNIT = "unknown unit"
# Never a conflict's reason: a row that says what was said before, word for word.
_DUPLICATE = ""
# What a row is told by; everything else of it are its values.
_KEYS = {"event_id", "unit", "at"}
# A unit's cluster, where arms are drawn by that: looked up while a row is judged, and not kept.
_CLUSTER = "_cluster"


@dataclass(frozen=True, slots=True)
class Judged:
    """A temporary table of typed rows with `_reason`: NULL where a row is accepted.

    Attributes:
        kind: exposures or outcomes, also the name of the table with `judged_` before it.
        columns: the rows' own columns.
        duplicates: rows that had been taken before.
        said: what a row that is held back said, as the columns `arm`, `assigned`, `at` and `said` over the judged table
            `j` and the file's own `r`; empty under rules that keep the reason only.
    """

    connection: duckdb.DuckDBPyConnection
    kind: str
    columns: list[Column]
    duplicates: int
    said: str

    @property
    def accepted_sql(self) -> str:
        """The rows that count, in the file's order."""
        names = ", ".join(identifier(column.name) for column in self.columns)
        return f"SELECT {names} FROM judged_{self.kind} WHERE _reason IS NULL ORDER BY {ROW}"

    @property
    def conflicts_sql(self) -> str:
        """The rows held back: kind, event_id, unit, reason, and what they said."""
        # What is not a unit of the snapshot may be a customer's own id, which the Lab does not keep.
        return (
            f"SELECT {literal(self.kind)} AS kind, j.event_id, CASE WHEN j._known THEN j.unit END AS unit, "
            f"j._reason AS reason{self.said} FROM judged_{self.kind} j JOIN raw r USING ({ROW}) "
            f"WHERE j._reason <> {literal(_DUPLICATE)} ORDER BY {ROW}"
        )


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the rows of one file for one pilot.

    The connection has the file as table `raw`, a view `population` of `unit` (and its `cluster`, where arms are drawn
    by that), and one of what was accepted before, `known_exposures` and `known_outcomes`.
    """

    room: Room
    pilot: Pilot
    connection: duckdb.DuckDBPyConnection

    def exposures(self, columns: list[Column], source: str, at: str) -> Judged:
        """The rows of `source` as exposures; `at` names the file's column of their time."""
        names = [column.name for column in columns]
        self._judge_alone("exposures", columns, source, names, {**self._outside(), **self._misplaced()})
        duplicates = self._judge_repeated("exposures", names)
        if self.pilot.charter.assignment == "source":  # elsewhere an accepted row has the one arm that was drawn
            self._judge_two_arms()
        self._judge_enrolment()
        return Judged(self.connection, "exposures", columns, duplicates, self._said(Column(at, "timestamp"), None))

    def outcomes(self, columns: list[Column], source: str, present: list[str]) -> Judged:
        """The rows of `source` as outcomes by the frozen contract; a column that is not `present` is NULL in all."""
        breaches = {text: rule for column in columns for text, rule in breaches_sql(column).items()}
        self._judge_alone("outcomes", columns, source, present, {**self._outside(), **breaches})
        duplicates = self._judge_repeated("outcomes", present)
        for column in columns:
            if column.unique and column.name in present and column.name != "event_id":
                self._judge_unique(column.name)
        valued = [column for column in columns if column.name in present and column.name not in _KEYS]
        at = next(column for column in columns if column.name == "at")
        return Judged(self.connection, "outcomes", columns, duplicates, self._said(at, valued))

    def _said(self, at: Column, valued: list[Column] | None) -> str:
        """What rows that are held back said: their arm and time, and of outcomes the values of these columns."""
        if self.pilot.promise.rules == 1:
            return ""
        there = {name for name, *_ in self.connection.execute("DESCRIBE raw").fetchall()}
        arms = ", ".join(literal(arm) for arm in self.pilot.charter.weights)
        arm = f"CASE WHEN r.arm IN ({arms}) THEN r.arm END" if "arm" in there else "NULL"
        when = f"CAST({value_sql(at, f'r.{identifier(at.name)}')} AS VARCHAR)" if at.name in there else "NULL"
        texts = ", ".join(f"{literal(column.name)}, {_kept(column)}" for column in valued or ())
        values = "NULL" if valued is None else f"json_object({texts})"
        said = {"arm": arm, "assigned": self._assigned(), "at": when, "said": values}
        return "".join(f", CAST({sql} AS VARCHAR) AS {identifier(name)}" for name, sql in said.items())

    def _assigned(self) -> str:
        """The arm that was drawn for a row's unit; NULL where none was, or where arms come from elsewhere.

        Units that are not eligible have one too: who is exposed off the list is compared between the arms.
        """
        if self.pilot.charter.assignment == "source":
            return "NULL"
        draw = self.pilot.draw(self.room.workspace)
        cluster = "(SELECT p.cluster FROM population p WHERE p.unit = j.unit)"
        parts = draw.takes_part_sql("j.unit", cluster)
        return f"CASE WHEN j._known AND {parts} THEN {draw.drawn_sql('j.unit', cluster)} END"

    def _judge_alone(
        self, kind: str, columns: list[Column], source: str, present: list[str], rules: Mapping[str, str]
    ) -> None:
        """Types each row and gives it the first reason that its own values give."""
        gaps = {column.name: identifier(f"_no_{column.name}") for column in columns if column.name in present}
        flags = "".join(f", {identifier(name)} IS NULL AS {gap}" for name, gap in gaps.items())
        aside = list(gaps.values())
        if kind == "exposures" and self.pilot.charter.cluster is not None:
            flags += f", (SELECT p.cluster FROM population p WHERE p.unit = _said.unit) AS {_CLUSTER}"
            aside.append(_CLUSTER)
        cases = " ".join(
            f"WHEN {rule} THEN {literal(why)}" for why, rule in {**_unreadable(columns, gaps), **rules}.items()
        )
        self._run(
            f"CREATE OR REPLACE TEMP TABLE judged_{kind} AS "
            f"SELECT * EXCLUDE ({', '.join(aside)}), CASE {cases} END AS _reason FROM ("
            f"SELECT {ROW}, {typed_sql(columns, present)}{flags}, "
            f"coalesce(unit IN (SELECT unit FROM population), false) AS _known FROM {source} AS _said)"
        )

    def _outside(self) -> dict[str, str]:
        """What may not be: who it is of, and when it was."""
        pilot = self.pilot
        opens, ends, deposited, now = (
            f"TIMESTAMPTZ '{rfc3339(moment)}'"
            for moment in (pilot.charter.time_box.starts, pilot.ends, pilot.deposited_at, self.room.now())
        )
        # Reports that may come in late go on where the time box does not; others have nothing to do there.
        outside = {"outside the time box": f'"at" < {opens} OR "at" >= {ends}'}
        if pilot.closes > pilot.ends:
            outside = {"outside the time box": f'"at" < {opens}', AFTER_THE_END: f'"at" >= {ends} AND "at" < {now}'}
        return {
            UNKNOWN_UNIT: "NOT _known",
            **outside,
            "before the gate took in the charter": f'"at" < {deposited}',
            IN_THE_FUTURE: f'"at" >= {now}',
        }

    def _misplaced(self) -> dict[str, str]:
        """What may not be of an exposure: its arm, or that there is one at all."""
        draw = self.pilot.draw(self.room.workspace)
        arms = ", ".join(literal(arm) for arm in self.pilot.charter.weights)
        hindrances = draw.hindrances_sql("unit", _CLUSTER, self.pilot.able)
        rules = {UNKNOWN_ARM: f"arm NOT IN ({arms})", **hindrances}
        if self.pilot.charter.assignment == "pilotplant":
            rules[NOT_ASSIGNED] = f"arm IS DISTINCT FROM {draw.drawn_sql('unit', _CLUSTER)}"
        return rules

    def _judge_repeated(self, kind: str, names: list[str]) -> int:
        """An event said before is a duplicate where it says the same, and a conflict where not; returns duplicates."""
        said = "hash(" + ", ".join(identifier(name) for name in names if name != "event_id") + ")"
        self._run(f"""
            CREATE OR REPLACE TEMP TABLE repeated AS
            SELECT event_id FROM (
                SELECT event_id FROM known_{kind} UNION ALL
                SELECT event_id FROM judged_{kind} WHERE _reason IS NULL
            ) GROUP BY event_id HAVING count(*) > 1""")
        if not self._count("repeated"):
            return 0
        self._run(f"""
            CREATE OR REPLACE TEMP TABLE first_said AS
            SELECT event_id, min({ROW}) AS _first, arg_min(_said, {ROW}) AS _said FROM (
                SELECT event_id, {said} AS _said, -1 AS {ROW} FROM known_{kind} UNION ALL
                SELECT event_id, {said}, {ROW} FROM judged_{kind} WHERE _reason IS NULL
            ) SEMI JOIN repeated USING (event_id) GROUP BY event_id""")
        self._run(f"""
            UPDATE judged_{kind} AS j
            SET _reason = CASE WHEN f._said = {said} THEN {literal(_DUPLICATE)} ELSE {literal(USED_AGAIN)} END
            FROM first_said f WHERE f.event_id = j.event_id AND f._first <> j.{ROW} AND _reason IS NULL""")
        return self._count(f"judged_{kind} WHERE _reason = {literal(_DUPLICATE)}")

    def _judge_two_arms(self) -> None:
        """A unit keeps the arm that it was first said to have, and every other is a conflict."""
        self._run(f"""
            CREATE OR REPLACE TEMP TABLE first_arm AS
            SELECT unit, arg_min(arm, {ROW}) AS arm FROM (
                SELECT unit, arm, -1 AS {ROW} FROM known_exposures UNION ALL
                SELECT unit, arm, {ROW} FROM judged_exposures WHERE _reason IS NULL
            ) GROUP BY unit HAVING min(arm) <> max(arm)""")
        self._run(f"""
            UPDATE judged_exposures AS j SET _reason = {literal(IN_TWO_ARMS)}
            FROM first_arm f WHERE f.unit = j.unit AND f.arm <> j.arm AND _reason IS NULL""")

    def _judge_enrolment(self) -> None:
        """Once the enrolment has ended no unit begins; one that had begun may be exposed again."""
        until = self.pilot.charter.time_box.enrolled
        if until is None:
            return
        late = f"""TIMESTAMPTZ '{rfc3339(until)}'"""
        self._run(f"""
            UPDATE judged_exposures SET _reason = {literal(AFTER_ENROLMENT)}
            WHERE _reason IS NULL AND "at" >= {late} AND unit NOT IN (
                SELECT unit FROM known_exposures WHERE "at" < {late} UNION ALL
                SELECT unit FROM judged_exposures WHERE _reason IS NULL AND "at" < {late})""")

    def _judge_unique(self, name: str) -> None:
        """Nothing says which of two equal values is right: all rows that came in now are in breach."""
        column = identifier(name)
        self._run(f"""
            UPDATE judged_outcomes SET _reason = {literal(f"{name} must be unique")}
            WHERE _reason IS NULL AND {column} IN (
                SELECT {column} FROM (
                    SELECT {column} FROM known_outcomes UNION ALL
                    SELECT {column} FROM judged_outcomes WHERE _reason IS NULL
                ) GROUP BY {column} HAVING count(*) > 1)""")

    def _run(self, sql: str) -> None:
        try:
            self.connection.execute(sql)
        except duckdb.Error as error:
            raise Undecided(
                f"the rows cannot be judged: {str(error).splitlines()[0]}",
                where=f"pilot {self.pilot.name}",
                remedy="nothing was taken from this file; mend the contract (its patterns first) or the file",
            ) from error

    def _count(self, what: str) -> int:
        row = self.connection.execute(f"SELECT count(*) FROM {what}").fetchone()
        return int(row[0]) if row else 0


def _kept(column: Column) -> str:
    """What is kept of a column's text in a row that is held back, as SQL over the file's table `r`.

    A text that does not read as a value may be anything, and nothing counts it.
    """
    text = f"r.{identifier(column.name)}"
    if column.type == "string":
        return text
    if column.type in {"integer", "number"}:
        return f"CASE WHEN TRY_CAST({text} AS DOUBLE) IS NOT NULL THEN {text} END"
    return f"CAST({value_sql(column, text)} AS VARCHAR)"


def _unreadable(columns: list[Column], gaps: Mapping[str, str]) -> dict[str, str]:
    """A value that is not of its column's type is NULL by now, and was not before."""
    rules = {}
    for column in columns:
        if column.name in gaps:
            name = identifier(column.name)
            if column.type != "string":
                rules[unreadable(column)] = f"{name} IS NULL AND NOT {gaps[column.name]}"
            if column.required:
                rules[f"{column.name} is missing"] = f"{name} IS NULL"
    return rules
