"""Intake: exposures and outcomes come in from files; what conflicts is held back with its reason, and counted.

A file becomes a batch of Parquet parts, which count once the batch stands in the Lab's database: a crash in
between leaves parts that nobody reads and that the same command writes again.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import duckdb
import sqlalchemy as sa

from lab.assigning import population_sql
from lab.pilots import Pilot, locked_pilot
from lab.state import batches, open_lab
from shared.assignment import assign_sql, pilot_salt
from shared.clock import rfc3339
from shared.contracts import Column, Contract
from shared.digests import digest_file, short
from shared.engines.duckdb import IN_TWO_ARMS, MADE_UP, NOT_ASSIGNED, SYNTHETIC
from shared.errors import BadInput, Refused
from shared.files import scratch_in, settle
from shared.quality import quarantine_reasons
from shared.room import Room
from shared.sql import file_literal, identifier, literal
from shared.tabular import ROW, connect, read_raw, require_columns, typed_sql, unreadable_sql
from shared.workspace import Workspace

Kind = Literal["exposures", "outcomes", "both"]
PARTS = ("exposures", "outcomes", "conflicts")
EXPOSED_AT = "exposed_at"

_EXPOSURE = [
    Column(name="event_id", type="string", required=True),
    Column(name="unit", type="string", required=True),
    Column(name="arm", type="string", required=True),
    Column(name="at", type="timestamp", required=True),
]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a file's rows.

    Attributes:
        duplicates: rows that had been taken before, word for word.
        conflicts: rows held back, by reason.
        repeated: whether this very file had been recorded before, so that nothing was done.
    """

    exposures: int
    outcomes: int
    duplicates: int
    conflicts: dict[str, int] = field(default_factory=dict)
    repeated: bool = False

    @property
    def in_vain(self) -> bool:
        """Whether every row was held back, so that nothing in the file counts."""
        return bool(self.conflicts) and not (self.exposures or self.outcomes or self.duplicates)


def record(workspace: Workspace, name: str, file: Path, kind: Kind | None = None) -> Recorded:
    """Takes a file in; the same file again is a no-op.

    Raises BadInput where the file cannot be read as declared, Refused past the pilot's end.
    """
    room = open_lab(workspace)
    with connect() as connection, locked_pilot(room, name) as pilot:
        columns = read_raw(connection, file, "raw")
        kind = kind or _kind_of(columns)
        digest = digest_file(file)
        before = _batch(room, name, kind, digest)
        if before is not None:
            return Recorded(before.exposures, before.outcomes, before.duplicates, before.conflicts, repeated=True)
        pilot.require_open(room.now(), "data")
        contract = pilot.contract
        _require(file, columns, kind, contract)
        _require_real(connection, file, pilot)
        intake = _Intake(room, pilot, connection, contract, columns)
        if kind != "outcomes":
            intake.take_exposures(EXPOSED_AT if kind == "both" else "at")
        if kind != "exposures":
            intake.take_outcomes(only_with_outcome=kind == "both")
        return intake.keep(kind, digest)


def parts(room: Room, pilot: Pilot, part: str) -> list[Path]:
    """The Parquet files of one kind of every batch that counts."""
    with room.transaction() as connection:
        folders = connection.execute(
            sa.select(batches.c.parts).where(batches.c.pilot == pilot.name).order_by(batches.c.id)
        ).scalars()
        return [pilot.folder / folder / f"{part}.parquet" for folder in folders]


def rows_sql(paths: list[Path], columns: list[Column]) -> str:
    """A query over parts, with the columns even where there is no part yet."""
    if not paths:
        return f"SELECT {typed_sql(columns, [])} WHERE false"
    names = ", ".join(identifier(column.name) for column in columns)
    return f"SELECT {names} FROM read_parquet([{', '.join(file_literal(path) for path in paths)}])"


def part_columns(part: str, contract: Contract) -> list[Column]:
    """The columns of a part's Parquet file."""
    if part == "exposures":
        return _EXPOSURE
    if part == "outcomes":
        return list(contract.columns)
    return [Column(name=name, type="string") for name in ("kind", "event_id", "unit", "reason")]


def _kind_of(columns: list[str]) -> Kind:
    if EXPOSED_AT in columns:
        return "both"
    return "exposures" if "arm" in columns else "outcomes"


def _require(file: Path, columns: list[str], kind: Kind, contract: Contract) -> None:
    outcomes = [column.name for column in contract.columns]
    exposures = [column.name for column in _EXPOSURE]
    required = {
        "exposures": exposures,
        "outcomes": [column.name for column in contract.columns if column.required],
        "both": ["event_id", "unit", "arm", EXPOSED_AT, *(c for c in outcomes if c not in {"event_id", "unit"})],
    }[kind]
    require_columns(file, columns, required, [c for c in outcomes if kind == "outcomes" and c not in required])


def _require_real(connection: duckdb.DuckDBPyConnection, file: Path, pilot: Pilot) -> None:
    """Raises Refused for made-up events of a pilot whose charter promises real ones."""
    if pilot.charter.synthetic:
        return
    row = connection.execute(f"SELECT min({ROW}) FROM raw WHERE {MADE_UP}").fetchone()
    if row and row[0] is not None:
        raise Refused(
            f"the events are made up (`event_id` begins with `{SYNTHETIC}`), and pilot {pilot.name} is of real units",
            where=f"{file}, row {row[0]}",
            expected="events of the system that exposed the units",
            remedy="record made-up events into a pilot whose charter says `synthetic: true`; nothing was taken",
        )


def _batch(room: Room, pilot: str, kind: Kind, digest: str) -> sa.Row[tuple[object, ...]] | None:
    query = sa.select(batches).where(batches.c.pilot == pilot, batches.c.kind == kind, batches.c.file_digest == digest)
    with room.transaction() as connection:
        return connection.execute(query).first()


class _Intake:
    """One file on its way in: rows are staged, judged rule by rule, and kept as parts."""

    def __init__(
        self,
        room: Room,
        pilot: Pilot,
        connection: duckdb.DuckDBPyConnection,
        contract: Contract,
        present: list[str],
    ) -> None:
        self.room, self.pilot, self.connection, self.contract, self.present = room, pilot, connection, contract, present
        self.duplicates = 0
        connection.execute("CREATE TEMP TABLE conflicts (kind VARCHAR, event_id VARCHAR, unit VARCHAR, reason VARCHAR)")
        connection.execute(f"CREATE TEMP VIEW population AS {population_sql(room.workspace, pilot)}")
        for part in PARTS:
            known = rows_sql(parts(room, pilot, part), part_columns(part, contract))
            connection.execute(f"CREATE TEMP VIEW known_{part} AS {known}")
            connection.execute(f"CREATE TEMP TABLE new_{part} AS SELECT * FROM known_{part} WHERE false")

    def take_exposures(self, at: str) -> None:
        """Judges the rows as exposures; `at` names the column of their time."""
        source = f'(SELECT {ROW}, event_id, unit, arm, {identifier(at)} AS "at" FROM raw)'
        self._stage("exposures", _EXPOSURE, source, ["event_id", "unit", "arm", "at"])
        self._hold_outsiders("exposures")
        arms = ", ".join(literal(arm) for arm in self.pilot.charter.weights)
        self._hold("exposures", "unknown arm", f"arm NOT IN ({arms})")
        if self.pilot.charter.assignment == "pilotplant":
            drawn = assign_sql(pilot_salt(self.pilot.name), "staged.unit", self.pilot.charter.weights)
            self._hold("exposures", NOT_ASSIGNED, f"arm <> {drawn}")
        self._drop_duplicates("exposures", ["unit", "arm", "at"])
        self.connection.execute("""
            CREATE OR REPLACE TEMP TABLE first_arm AS
            SELECT unit, arg_min(arm, (_row)) AS arm FROM (
                SELECT unit, arm, -1 AS _row FROM known_exposures UNION ALL SELECT unit, arm, _row FROM staged
            ) GROUP BY unit""")
        other = "EXISTS (SELECT 1 FROM first_arm f WHERE f.unit = staged.unit AND f.arm <> staged.arm)"
        self._hold("exposures", IN_TWO_ARMS, other)
        self._accept("exposures")

    def take_outcomes(self, *, only_with_outcome: bool) -> None:
        """Judges the rows as outcomes by the frozen contract; of combined rows only those that have one."""
        names = [column.name for column in self.contract.columns if column.name in self.present]
        said = ", ".join(identifier(name) for name in names if name not in {"event_id", "unit"})
        source = f"(SELECT * FROM raw WHERE coalesce({said}) IS NOT NULL)" if only_with_outcome else "raw"
        self._stage("outcomes", list(self.contract.columns), source, names)
        self._hold_outsiders("outcomes")
        self._drop_duplicates("outcomes", [name for name in names if name != "event_id"])
        self._hold_breaches()
        self._accept("outcomes")

    def keep(self, kind: Kind, digest: str) -> Recorded:
        """Writes the parts and then, in one transaction, the batch that makes them count."""
        folder = self.pilot.folder / "events" / f"{short(digest)}-{kind}"
        with scratch_in(folder.parent) as scratch:
            for part in PARTS:
                target = literal(str(scratch / f"{part}.parquet"))
                self.connection.execute(f"COPY new_{part} TO {target} (FORMAT parquet)")
            # Parts of a record that was cut off do not count, and another file may have come in since.
            shutil.rmtree(folder, ignore_errors=True)
            settle(scratch, folder)
        counts = {part: self._count(f"new_{part}") for part in PARTS}
        reasons = dict(
            self.connection.execute(
                "SELECT reason, count(*) FROM new_conflicts GROUP BY 1 ORDER BY 2 DESC, 1"
            ).fetchall()
        )
        result = Recorded(counts["exposures"], counts["outcomes"], self.duplicates, reasons)
        with self.room.transaction() as connection:
            connection.execute(
                batches.insert().values(
                    pilot=self.pilot.name,
                    kind=kind,
                    file_digest=digest,
                    at=rfc3339(self.room.now()),
                    parts=str(folder.relative_to(self.pilot.folder)),
                    exposures=result.exposures,
                    outcomes=result.outcomes,
                    duplicates=result.duplicates,
                    conflicts=reasons,
                )
            )
            body = {"kind": kind, "file": digest, "exposures": result.exposures, "outcomes": result.outcomes,
                    "duplicates": result.duplicates, "conflicts": reasons}  # fmt: skip
            self.room.write(connection, "recorded", self.pilot.name, body)
        return result

    def _stage(self, kind: str, columns: list[Column], source: str, present: list[str]) -> None:
        run = self.connection.execute
        run(f"CREATE OR REPLACE TEMP TABLE source AS SELECT * FROM {source}")
        run(f"CREATE OR REPLACE TEMP TABLE staged AS SELECT {ROW}, {typed_sql(columns, present)} FROM source")
        run(f"CREATE OR REPLACE TEMP TABLE unreadable AS {unreadable_sql(columns, present, 'source')}")
        run("INSERT INTO unreadable SELECT * FROM (" + " UNION ALL ".join(
            f"SELECT {ROW}, {literal(c.name + ' is missing')} FROM source WHERE {identifier(c.name)} IS NULL"
            for c in columns if c.required and c.name in present) + ")")  # fmt: skip
        self._hold(kind, None, f"{ROW} IN (SELECT row FROM unreadable)")

    def _hold(self, kind: str, reason: str | None, condition: str) -> None:
        """Moves rows that meet a condition out of `staged`; without a reason, each for its first in `unreadable`."""
        text = literal(reason) if reason else f"(SELECT min(reason) FROM unreadable u WHERE u.row = staged.{ROW})"
        # What is not a unit of the snapshot may be a customer's own id, which the Lab does not keep.
        unit = "CASE WHEN unit IN (SELECT unit FROM population) THEN unit END"
        self.connection.execute(
            f"INSERT INTO new_conflicts SELECT {literal(kind)}, event_id, {unit}, {text} FROM staged WHERE {condition}"
        )
        self.connection.execute(f"DELETE FROM staged WHERE {condition}")

    def _hold_outsiders(self, kind: str) -> None:
        pilot = self.pilot
        self._hold(kind, "unknown unit", "unit NOT IN (SELECT unit FROM population)")
        opens, ends, deposited, now = (
            f"TIMESTAMPTZ '{rfc3339(moment)}'"
            for moment in (pilot.charter.time_box.starts, pilot.ends, pilot.deposited_at, self.room.now())
        )
        self._hold(kind, "outside the time box", f'"at" < {opens} OR "at" >= {ends}')
        self._hold(kind, "before the gate took in the charter", f'"at" < {deposited}')
        self._hold(kind, "in the future", f'"at" >= {now}')

    def _drop_duplicates(self, kind: str, content: list[str]) -> None:
        """An event taken before is dropped where it says the same, and held back where it does not."""
        names = ", ".join(identifier(name) for name in content)
        self.connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE first_said AS
            SELECT event_id, min(_row) AS row, arg_min(hash({names}), _row) AS said FROM (
                SELECT event_id, {names}, -1 AS _row FROM known_{kind}
                UNION ALL SELECT event_id, {names}, _row FROM staged
            ) GROUP BY event_id""")
        before = f"EXISTS (SELECT 1 FROM first_said f WHERE f.event_id = staged.event_id AND f.row <> staged.{ROW}"
        self._hold(kind, "event id used again with other content", f"{before} AND f.said <> hash({names}))")
        self.duplicates += self._count(f"staged WHERE {before})")
        self.connection.execute(f"DELETE FROM staged WHERE {before})")

    def _hold_breaches(self) -> None:
        if not self._count("staged"):
            return
        with scratch_in(self.pilot.folder / "events") as scratch:
            path = scratch / "staged.parquet"
            self.connection.execute(f"COPY staged TO {literal(str(path))} (FORMAT parquet)")
            breaches = quarantine_reasons(self.contract, path, ROW)  # noqa: F841 - DuckDB reads it by its name
            self.connection.execute("CREATE OR REPLACE TEMP TABLE unreadable AS SELECT row, reason FROM breaches")
        self._hold("outcomes", None, f"{ROW} IN (SELECT row FROM unreadable)")

    def _accept(self, kind: str) -> None:
        self.connection.execute(f"INSERT INTO new_{kind} SELECT * EXCLUDE ({ROW}) FROM staged")

    def _count(self, what: str) -> int:
        row = self.connection.execute(f"SELECT count(*) FROM {what}").fetchone()
        return int(row[0]) if row else 0


def require_some_kind(given: str | None) -> Kind | None:
    """The kind named on a command line; raises BadInput for another word."""
    if given is None or given in {"exposures", "outcomes", "both"}:
        return given  # type: ignore[return-value]
    raise BadInput(f"`{given}` is not a kind of record", where="--kind", expected="exposures, outcomes or both")
