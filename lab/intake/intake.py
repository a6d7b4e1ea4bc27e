"""Intake: exposures and outcomes come in from files; what conflicts is held back with its reason, and counted.

A file becomes a batch of Parquet parts, which count once the batch stands in the Lab's database: a crash in
between leaves parts that nobody reads and that the same command writes again.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb
import sqlalchemy as sa

from lab.intake.judgement import IN_THE_FUTURE, UNKNOWN_ARM, UNKNOWN_UNIT, USED_AGAIN, Judge, Judged
from lab.pilots.assignment import population_sql
from lab.pilots.personal_data import Guard
from lab.pilots.pilot import Pilot, last_look, locked_pilot, require_undecided
from lab.state import batches, open_lab
from shared.core.clock import rfc3339
from shared.core.crashpoints import Point, reach
from shared.core.digests import digest_file, short
from shared.core.errors import BadInput, Refused
from shared.core.files import scratch_in, settle
from shared.core.sql import file_literal, identifier, literal
from shared.core.times import date_time
from shared.data.contracts import Column, Contract
from shared.data.readers import ROW, read_raw
from shared.data.tabular import connect, require_columns, write_table
from shared.data.typed import typed_sql, unreadable
from shared.engines.placement import REHEARSED, SYNTHETIC, made_up_sql
from shared.engines.protocol import NOT_ASSIGNED
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.record import decisions

Kind = Literal["exposures", "outcomes", "both"]
PARTS = ("exposures", "outcomes", "conflicts")
# A file that was read again keeps what its earlier readings brought, each under its digest, this, and a number.
_EARLIER = "#"
EXPOSED_AT = "exposed_at"
# Of rows that are held back; under rules 1 only why they are.
_HELD = ("kind", "event_id", "unit", "reason", "arm", "assigned", "at", "said")

# In fewer exposures a few wrong arms say nothing of the whole file.
_ARMS_SEEN_MIN = 20
# Of so many rows not one is told by chance: it is the file that is wrong, and not its rows.
_UNTOLD_ROWS_MIN = 50

_EXPOSURE = [
    Column(name="event_id", type="string", required=True),
    Column(name="unit", type="string", required=True),
    Column(name="arm", type="string", required=True),
    Column(name="at", type="timestamp", required=True),
]
_ONLY_EXPOSURES = [Column(name="arm", type="string"), Column(name=EXPOSED_AT, type="timestamp")]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a file's rows.

    Attributes:
        duplicates: rows that had been taken before, word for word.
        conflicts: rows held back, by reason.
        early: outcomes of the pilot, from this file and all before, that lie before their unit's first exposure as
            known now; the analysis holds them back, unless an earlier exposure comes in until then.
        repeated: whether this very file had been recorded before, so that nothing was done.
        hashed: values that looked like personal data, and are kept as hashes.
        cleared: rows that other files had brought and were held back, and which are accepted now.
    """

    exposures: int
    outcomes: int
    duplicates: int
    conflicts: dict[str, int] = field(default_factory=dict)
    repeated: bool = False
    early: int = 0
    hashed: int = 0
    cleared: int = 0

    @property
    def in_vain(self) -> bool:
        """Whether every row was held back, so that nothing in the file counts."""
        return bool(self.conflicts) and not (self.exposures or self.outcomes or self.duplicates)


def record(workspace: Workspace, name: str, file: Path, kind: Kind | None = None) -> Recorded:
    """Takes a file in; the same file again takes what was held back of it and may count by now, and else nothing.

    An event that is accepted clears what was held back of it before: a corrected row is missing from nothing.

    Raises BadInput where the file cannot be read as declared, Refused past the pilot's end.
    """
    room = open_lab(workspace)
    with connect() as connection, locked_pilot(room, name) as pilot:
        contract = pilot.contract
        columns = read_raw(connection, file, "raw", [*contract.columns, *_ONLY_EXPOSURES])
        kind = kind or _kind_of(columns)
        digest = digest_file(file)
        before = _batch(room, name, kind, digest)
        if before is not None and not (before.conflicts and _takes_more(room, pilot)):
            return _repeated(before)
        pilot.require_open(room.now(), "data", late=True)
        require_undecided(room, pilot)
        _require_no_last_look(room, pilot)
        _require(file, columns, kind, contract)
        _require_real(connection, file, pilot, workspace.mode)
        hashed = Guard(room, pilot, connection, file, _kept(columns, kind, contract)).applied()
        intake = _Intake(room, pilot, connection, contract, hashed)
        if kind != "outcomes":
            intake.take_exposures(EXPOSED_AT if kind == "both" else "at")
        if kind != "exposures":
            intake.take_outcomes(columns, only_with_outcome=kind == "both")
        return intake.keep(kind, digest, before)


def _takes_more(room: Room, pilot: Pilot) -> bool:
    """Whether what was held back may still come to count."""
    return room.now() < pilot.closes and pilot.name not in decisions(room.workspace) and not last_look(room, pilot)


def _require_no_last_look(room: Room, pilot: Pilot) -> None:
    """Raises Refused once the result is known: whoever has seen it could choose what else is reported."""
    at = last_look(room, pilot)
    if at is not None:
        raise Refused(
            f"pilot {pilot.name} was analysed after its end, at {at}, and takes no more data",
            where=f"pilot {pilot.name}",
            expected="everything recorded before the last look",
            remedy=f"go on with what was in by then: pilotplant lab submit {pilot.name}",
        )


def _repeated(before: sa.Row[tuple[Any, ...]]) -> Recorded:
    return Recorded(before.exposures, before.outcomes, before.duplicates, before.conflicts, repeated=True)


def parts(room: Room, pilot: Pilot, part: str) -> list[Path]:
    """The Parquet files of one kind of every batch that counts; what a file was held back of counts as read last."""
    query = sa.select(batches.c.parts).where(batches.c.pilot == pilot.name).order_by(batches.c.id)
    if part == "conflicts":
        query = query.where(batches.c.file_digest.not_like(f"%{_EARLIER}%"))
    with room.read() as connection:
        return [pilot.folder / folder / f"{part}.parquet" for folder in connection.execute(query).scalars()]


def rows_sql(paths: list[Path], columns: list[Column]) -> str:
    """A query over parts, with the columns even where there is no part yet."""
    if not paths:
        return f"SELECT {typed_sql(columns, [])} WHERE false"
    names = ", ".join(identifier(column.name) for column in columns)
    return f"SELECT {names} FROM read_parquet([{', '.join(file_literal(path) for path in paths)}])"


def standing_sql(room: Room, pilot: Pilot) -> str:
    """A query for the rows held back whose event no later file has brought so that it was accepted.

    A row that several files brought, word for word, is one row.
    """

    def numbered(part: str, columns: str) -> str:
        found = [f"SELECT {columns}, {number} AS batch FROM read_parquet({file_literal(path)})"
                 for number, path in enumerate(parts(room, pilot, part))]  # fmt: skip
        return " UNION ALL ".join(found)

    names = ", ".join(identifier(column.name) for column in part_columns("conflicts", pilot))
    held = numbered("conflicts", names)
    if not held:
        return rows_sql([], part_columns("conflicts", pilot))
    accepted = " UNION ALL ".join(
        f"SELECT {literal(kind)} AS kind, * FROM ({numbered(kind, 'event_id')})" for kind in ("exposures", "outcomes")
    )
    return (
        f"SELECT {names} FROM ({held}) c WHERE reason = {literal(USED_AGAIN)} OR NOT EXISTS ("
        f"SELECT 1 FROM ({accepted}) a WHERE a.kind = c.kind AND a.event_id = c.event_id AND a.batch > c.batch) "
        f"QUALIFY event_id IS NULL OR batch = max(batch) OVER (PARTITION BY {names})"
    )


def part_columns(part: str, pilot: Pilot) -> list[Column]:
    """The columns of a part's Parquet file."""
    if part == "exposures":
        return _EXPOSURE
    if part == "outcomes":
        return list(pilot.contract.columns)
    return [Column(name=name, type="string") for name in _HELD[: 4 if pilot.promise.rules == 1 else None]]


def early_sql(exposures: str, outcomes: str) -> str:
    """A query for the outcomes that lie before their unit's first exposure: event_id, unit.

    What came first to the unit and what came first to the Lab are two things: only when all files are in is it known
    which outcomes an arm can have caused, so these rows are accepted, and set aside whenever the data is gathered.
    """
    return (
        f'SELECT o.event_id, o.unit FROM {outcomes} o JOIN (SELECT unit, min("at") AS first_at FROM {exposures} '
        f'GROUP BY unit) e ON e.unit = o.unit AND o."at" < e.first_at'
    )


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


def _kept(columns: list[str], kind: Kind, contract: Contract) -> dict[str, Column]:
    """The columns of a file with what each holds."""
    known = {column.name: column for column in contract.columns} if kind != "exposures" else {}
    if kind != "outcomes":
        known |= {EXPOSED_AT if kind == "both" and each.name == "at" else each.name: each for each in _EXPOSURE}
    return {name: known[name] for name in columns}


_HOME_OF_MADE_UP = {
    SYNTHETIC: "record made-up events into a pilot whose charter says `synthetic: true`",
    REHEARSED: "rehearse in a rehearsal workspace, and record what really happened here",
}


def _require_real(connection: duckdb.DuckDBPyConnection, file: Path, pilot: Pilot, mode: str) -> None:
    """Raises Refused for made-up events of a pilot whose charter promises real ones, and for rehearsed ones."""
    marks = [*([] if pilot.charter.synthetic else [SYNTHETIC]), *([REHEARSED] if mode == "live" else [])]
    for mark in marks:
        row = connection.execute(f"SELECT min({ROW}) FROM raw WHERE {made_up_sql(mark)}").fetchone()
        if row and row[0] is not None:
            raise Refused(
                f"the events are made up (`event_id` begins with `{mark}`), and pilot {pilot.name} is of real units",
                where=f"{file}, row {row[0]}",
                expected="events of the system that exposed the units",
                remedy=_HOME_OF_MADE_UP[mark] + "; nothing was taken",
            )


def _batch(room: Room, pilot: str, kind: Kind, digest: str) -> sa.Row[tuple[Any, ...]] | None:
    """The last reading of a file, with what all of its readings brought; None where it was never read."""
    c = batches.c
    readings = sa.and_(
        c.pilot == pilot, c.kind == kind, sa.or_(c.file_digest == digest, c.file_digest.like(f"{digest}{_EARLIER}%"))
    )
    whole = [
        sa.select(sa.func.sum(n)).where(readings).scalar_subquery().label(n.name) for n in (c.exposures, c.outcomes)
    ]
    last = sa.select(c.id, c.duplicates, c.conflicts, *whole).where(readings, c.file_digest == digest)
    with room.read() as connection:
        return connection.execute(last).first()


@dataclass
class _Intake:
    """One file on its way in: its rows are judged, and kept as parts."""

    room: Room
    pilot: Pilot
    connection: duckdb.DuckDBPyConnection
    contract: Contract
    hashed: int
    judged: dict[str, Judged] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.connection.execute(f"CREATE TEMP VIEW population AS {population_sql(self.room.workspace, self.pilot)}")
        for part in PARTS:
            known = rows_sql(parts(self.room, self.pilot, part), part_columns(part, self.pilot))
            self.connection.execute(f"CREATE TEMP VIEW known_{part} AS {known}")

    @property
    def judge(self) -> Judge:
        return Judge(self.room, self.pilot, self.connection)

    def take_exposures(self, at: str) -> None:
        """Judges the rows as exposures; `at` names the column of their time."""
        source = f'(SELECT {ROW}, event_id, unit, arm, {identifier(at)} AS "at" FROM raw)'
        self.judged["exposures"] = self.judge.exposures(_EXPOSURE, source, at)

    def take_outcomes(self, columns: list[str], *, only_with_outcome: bool) -> None:
        """Judges the rows as outcomes; of combined rows only those that have one."""
        present = [column.name for column in self.contract.columns if column.name in columns]
        said = ", ".join(identifier(name) for name in present if name not in {"event_id", "unit"})
        source = f"(SELECT * FROM raw WHERE coalesce({said}) IS NOT NULL)" if only_with_outcome else "raw"
        self.judged["outcomes"] = self.judge.outcomes(list(self.contract.columns), source, present)

    def keep(self, kind: Kind, digest: str, before: sa.Row[tuple[Any, ...]] | None) -> Recorded:
        """Writes the parts and then, in one transaction, the batch that makes them count.

        `before` is what the same file came to earlier; what was accepted of it then stays where it came, so that it
        clears nothing that was held back after it.
        """
        home = self.pilot.folder / "events"
        folder = home / f"{short(digest)}-{kind}"
        if before is not None:
            folder = home / f"{folder.name}-{sum(1 for _ in home.glob(f'{folder.name}*'))}"
        with scratch_in(home) as scratch:
            counts = {part: write_table(self.connection, self._part_sql(part), scratch / f"{part}.parquet")
                      for part in PARTS}  # fmt: skip
            if before is not None and not counts["exposures"] + counts["outcomes"]:
                return _repeated(before)
            reasons = self._reasons(scratch / "conflicts.parquet")
            self._require_its_time(counts, reasons)
            self._require_its_draw(counts)
            self._require_known(counts, reasons)
            early = self._early(scratch)
            reach(Point.RECORD_COPIED)
            # Parts of a record that was cut off do not count, and another file may have come in since.
            shutil.rmtree(folder, ignore_errors=True)
            settle(scratch, folder)
        reach(Point.RECORD_KEPT)
        duplicates = sum(judged.duplicates for judged in self.judged.values())
        with self.room.transaction() as connection:
            if before is not None:
                earlier = sa.update(batches).where(batches.c.id == before.id)
                connection.execute(earlier.values(file_digest=f"{digest}{_EARLIER}{before.id}", conflicts={}))
            result = Recorded(counts["exposures"], counts["outcomes"], duplicates, reasons, early=early,
                              hashed=self.hashed, cleared=self._clear(connection))  # fmt: skip
            connection.execute(
                batches.insert().values(
                    pilot=self.pilot.name, kind=kind, file_digest=digest, at=rfc3339(self.room.now()),
                    parts=str(folder.relative_to(self.pilot.folder)), exposures=result.exposures,
                    outcomes=result.outcomes, duplicates=duplicates, conflicts=reasons,
                )
            )  # fmt: skip
            body = {"kind": kind, "file": digest, "exposures": result.exposures, "outcomes": result.outcomes,
                    "duplicates": result.duplicates, "conflicts": reasons}  # fmt: skip
            body |= {"hashed": self.hashed} if self.hashed else {}
            body |= {"again": True} if before is not None else {}
            body |= {"cleared": result.cleared} if result.cleared else {}
            self.room.write(connection, "recorded", self.pilot.name, body)
            reach(Point.RECORD_WRITTEN)
        reach(Point.RECORD_RECORDED)
        return result

    def _clear(self, connection: sa.Connection) -> int:
        """Takes what was held back of other files, and is accepted now, off their account; returns how many rows."""
        accepted = " UNION ALL ".join(
            f"SELECT {literal(kind)} AS kind, event_id FROM judged_{kind} WHERE _reason IS NULL" for kind in self.judged
        )
        cleared = 0
        for row in connection.execute(sa.select(batches).where(batches.c.pilot == self.pilot.name)).all():
            if not row.conflicts:
                continue
            held = file_literal(self.pilot.folder / row.parts / "conflicts.parquet")
            gone = dict(
                self.connection.execute(
                    f"SELECT reason, count(*) FROM read_parquet({held}) SEMI JOIN ({accepted}) USING (kind, event_id) "
                    f"WHERE reason <> {literal(USED_AGAIN)} GROUP BY 1"
                ).fetchall()
            )
            left = {why: n - gone.get(why, 0) for why, n in row.conflicts.items() if n > gone.get(why, 0)}
            if gone:
                connection.execute(sa.update(batches).where(batches.c.id == row.id).values(conflicts=left))
                cleared += sum(gone.values())
        return cleared

    def _require_its_time(self, counts: dict[str, int], reasons: dict[str, int]) -> None:
        """Raises Refused where a file is nothing but early: it is right, and will be taken once its time has come."""
        taken = counts["exposures"] + counts["outcomes"] + sum(judged.duplicates for judged in self.judged.values())
        if taken or set(reasons) != {IN_THE_FUTURE}:
            return
        latest = " UNION ALL ".join(f'SELECT "at" FROM judged_{kind}' for kind in self.judged)
        row = self.connection.execute(f'SELECT max("at") FROM ({latest})').fetchone()
        last = row[0].astimezone(UTC) if row and row[0] else self.room.now()
        raise Refused(
            f"everything in this file lies in the future ({reasons[IN_THE_FUTURE]:,} rows), and nothing was kept",
            where=f"pilot {self.pilot.name}",
            expected=f"times before {rfc3339(self.room.now())}",
            remedy=f"record it again after {date_time(last)}"
            + (f"; in this rehearsal: pilotplant clock {rfc3339(last + timedelta(minutes=1))}"
               if self.room.workspace.mode == "rehearsal" else ", or mend the clock that wrote it"),
        )  # fmt: skip

    def _require_known(self, counts: dict[str, int], reasons: dict[str, int]) -> None:
        """Raises BadInput for a file of which no row can be told: ids of nobody, or values that are none.

        Kept aside its rows would count as lost for ever where the right file calls its events otherwise.
        """
        taken = counts["exposures"] + counts["outcomes"] + sum(judged.duplicates for judged in self.judged.values())
        rows = sum(reasons.values())
        untold = {UNKNOWN_UNIT, *(unreadable(column) for kind in self.judged.values() for column in kind.columns)}
        told = {why: count for why, count in reasons.items() if why in untold}
        if taken or rows < _UNTOLD_ROWS_MIN or sum(told.values()) < rows:
            return
        why, count = max(told.items(), key=lambda each: each[1])
        raise BadInput(
            f"no row of this file can be told ({why}: {count:,} of {rows:,}), and nothing was kept",
            where=f"pilot {self.pilot.name}",
            expected="the units that `lab assign` writes in a column `unit`, and times like 2026-12-01T15:34:00Z",
            remedy="where the column `unit` holds customers' own ids, call it `id`; else correct the values, and "
            "record the file again",
        )

    def _require_its_draw(self, counts: dict[str, int]) -> None:
        """Raises Refused where some rows of a file would count whose arms are not those of this pilot's draw.

        Arms that were drawn by something else agree with the draw for some units by chance. Were these rows taken,
        they would count, and their event ids would stand against the right file. The bound is half of the share of
        units that would disagree if the file's arms had nothing to do with the draw.
        """
        if "exposures" not in self.judged or not counts["exposures"] + counts["outcomes"]:
            return
        misplaced = f"_reason IN ({literal(UNKNOWN_ARM)}, {literal(NOT_ASSIGNED)})"
        row = self.connection.execute(
            f"SELECT count(*) FILTER ({misplaced}), count(*) FILTER ({misplaced} OR coalesce(_reason, '') = ''), "
            f"min({ROW}) FILTER ({misplaced}) FROM judged_exposures"
        ).fetchone()
        wrong, seen, first = row or (0, 0, None)
        shares = [weight / sum(self.pilot.charter.weights.values()) for weight in self.pilot.charter.weights.values()]
        by_chance = 1 - sum(share**2 for share in shares)
        if seen < _ARMS_SEEN_MIN or wrong <= seen * by_chance / 2:
            return
        name = self.pilot.name
        raise Refused(
            f"{wrong:,} of {seen:,} exposures name another arm than the one that {name} has for their unit, "
            "and nothing was kept",
            where=f"pilot {name}, first in row {first}",
            expected=f"the arms that `pilotplant lab assign {name}` writes",
            remedy="look whether the file is another pilot's, or whether the system that exposes the units draws arms "
            "by itself; a pilot whose arms are drawn there says `assignment: source` in its charter",
        )

    def _part_sql(self, part: str) -> str:
        if part == "conflicts":
            return " UNION ALL ".join(f"({judged.conflicts_sql})" for judged in self.judged.values())
        judged = self.judged.get(part)
        return judged.accepted_sql if judged else f"SELECT * FROM known_{part} WHERE false"

    def _reasons(self, conflicts: Path) -> dict[str, int]:
        query = f"SELECT reason, count(*) FROM read_parquet({file_literal(conflicts)}) GROUP BY 1 ORDER BY 2 DESC, 1"
        return dict(self.connection.execute(query).fetchall())

    def _early(self, scratch: Path) -> int:
        """How many outcomes of the pilot, these among them, lie before their unit's first exposure by now."""
        kinds = {part: f"(FROM known_{part} UNION ALL FROM read_parquet({file_literal(scratch / f'{part}.parquet')}))"
                 for part in ("exposures", "outcomes")}  # fmt: skip
        row = self.connection.execute(f"SELECT count(*) FROM ({early_sql(**kinds)})").fetchone()
        return int(row[0]) if row else 0


def require_some_kind(given: str | None) -> Kind | None:
    """The kind named on a command line; raises BadInput for another word."""
    if given is None or given in {"exposures", "outcomes", "both"}:
        return given  # type: ignore[return-value]
    raise BadInput(f"`{given}` is not a kind of record", where="--kind", expected="exposures, outcomes, both or costs")
