"""Analysis: the recorded parts become one dataset, its evidence, a report, and one MLflow run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import sqlalchemy as sa

from lab.analysis import report, tracking
from lab.analysis.pre_period import known_before, traits_sql
from lab.budget.accounts import account
from lab.intake.intake import PARTS, early_sql, part_columns, parts, rows_sql, standing_sql
from lab.pilots.looks import ANALYSED
from lab.pilots.pilot import LAST_LOOK, Pilot, last_look, locked_pilot
from lab.state import analyses, open_lab
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.digests import digest_file, short
from shared.core.errors import Refused
from shared.core.files import scratch_in, settle
from shared.core.jsonable import jsonable
from shared.core.sql import identifier, literal
from shared.core.times import date_time
from shared.data.tabular import connect
from shared.engines.protocol import EARLY, PilotData
from shared.evidence.compute import compute
from shared.evidence.model import Evidence
from shared.experiment.eligibility import ELIGIBLE, unchanged
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.candidate import DATA, EVIDENCE, MLFLOW_RUN, write_json


@dataclass(frozen=True, slots=True)
class Analysis:
    """A finished analysis.

    Attributes:
        folder: holds data, evidence, report, plot and the exported MLflow run.
        covers_until: the first moment whose data is not in it.
        interim: whether the pilot was still open then.
        repeated: whether the data were analysed before and have not changed since.
    """

    pilot: Pilot
    evidence: Evidence
    folder: Path
    mlflow_run: str
    covers_until: datetime
    interim: bool
    repeated: bool

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.folder / report.PAGE


def analyse(workspace: Workspace, name: str, *, final: bool = False) -> Analysis:
    """Analyses what has been recorded so far; the same data again is a no-op.

    Raises Refused where nothing has been recorded of a pilot that still takes data, and, unless it is to be `final`, of
    one that is over and takes late data: who has seen the result could choose what else comes in.
    """
    room = open_lab(workspace)
    with locked_pilot(room, name) as pilot:
        _require_no_late_data(room, pilot, room.now(), final=final)
        _note_last_look(room, pilot)
        home = pilot.folder / "analyses"
        with scratch_in(home) as scratch:
            _gather(room, pilot, scratch / DATA)
            now = room.now()
            interim, covers_until = now < pilot.ends, min(now, pilot.ends)
            evidence = compute(pilot.promise, PilotData.in_folder(scratch / DATA), covers_until)
            # Once it is over, nothing at all is its result, with which it can be stopped and taught from.
            if evidence.exposures == 0 and interim:
                raise Refused(
                    f"pilot {name} has no exposures yet, so there is nothing to analyse",
                    where=f"pilot {name}",
                    remedy=f"record them first: pilotplant lab record {name} FILE. If none will come, close it: "
                    f"pilotplant lab end {name} --reason TEXT; then analyse and submit that, for its owner to stop it "
                    "with what was learned",
                )
            folder = home / f"{short(evidence.digest)}{'-interim' if interim else ''}"
            known = _known(room, pilot, evidence, interim=interim)
            if known is not None:
                return known
            shutil.rmtree(folder, ignore_errors=True)  # of an analysis that was cut off before it was recorded
            write_json(scratch / EVIDENCE, evidence.as_json())
            with room.read() as connection:
                cost = account(connection, pilot).spent
            report.write(scratch, pilot, evidence, cost=cost, interim=interim, now=now)
            run = tracking.log(workspace, pilot, evidence, scratch, cost=cost, interim=interim)
            write_json(scratch / MLFLOW_RUN, jsonable(run))
            settle(scratch, folder)
        _remember(room, name, evidence, folder, run.run_id, now)
        return Analysis(pilot, evidence, folder, run.run_id, covers_until, interim, repeated=False)


def _require_no_late_data(room: Room, pilot: Pilot, now: datetime, *, final: bool) -> None:
    if final and now < pilot.ends:
        raise Refused(
            f"pilot {pilot.name} runs until {date_time(pilot.ends)}: no look before that is the last one",
            where="--final",
            remedy=f"leave --final away; or close the pilot for good: pilotplant lab end {pilot.name} --reason TEXT",
        )
    if not final and takes_late_data(room, pilot, now):
        raise Refused(
            f"pilot {pilot.name} takes late data until {date_time(pilot.closes)} (`record_until`)",
            where=f"pilot {pilot.name}",
            remedy=f"wait until then; or, if all is in, close it with: pilotplant lab analyse {pilot.name} --final",
        )


def takes_late_data(room: Room, pilot: Pilot, now: datetime) -> bool:
    """Whether its time box has ended and late reports of it are still taken: nobody has had the last look."""
    return pilot.ends <= now < pilot.closes and last_look(room, pilot) is None


def _note_last_look(room: Room, pilot: Pilot) -> None:
    """Says, before anybody can see a result, that no late data are taken any more."""
    if takes_late_data(room, pilot, room.now()):
        with room.transaction() as connection:
            room.write(connection, LAST_LOOK, pilot.name, {})


def latest(room: Room, pilot: Pilot) -> Analysis | None:
    """The analysis made last, or None."""
    return next(_analyses(room, pilot), None)


def _analyses(room: Room, pilot: Pilot) -> Iterator[Analysis]:
    """Every analysis, the last one first."""
    query = sa.select(analyses).where(analyses.c.pilot == pilot.name).order_by(analyses.c.at.desc())
    with room.read() as connection:
        rows = connection.execute(query).all()
    for row in rows:
        folder = pilot.folder / "analyses" / row.folder
        if not (folder / EVIDENCE).exists():
            continue  # somebody removed it: what is not there is made again
        evidence = Evidence.model_validate_json((folder / EVIDENCE).read_bytes())
        covers_until = min(parse_rfc3339(row.at), pilot.ends)
        interim = covers_until < pilot.ends
        yield Analysis(pilot, evidence, folder, row.mlflow_run, covers_until, interim, repeated=True)


def is_current(room: Room, pilot: Pilot, evidence: Evidence) -> bool:
    """Whether evidence was computed from all that has been recorded."""
    with scratch_in(pilot.folder / "analyses") as scratch:
        _gather(room, pilot, scratch)
        return {path.name: digest_file(path) for path in PilotData.in_folder(scratch).files} == evidence.data


def _gather(room: Room, pilot: Pilot, folder: Path) -> None:
    """The dataset: every accepted row of every batch, in the order of its key, so that equal content is equal bytes.

    Beside them, where the charter names any, who was eligible and the exposed units' traits, and all else that is
    published of those.
    An outcome before its unit's first exposure is none of the arm's doing: it becomes a conflict here, where all is in.
    What was held back and came once more, and counts, is missing from nothing, and is none any more.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told = "" if pilot.promise.rules == 1 else _said(pilot)
    with connect() as connection:
        for part in PARTS:
            rows = (
                standing_sql(room, pilot)
                if part == "conflicts"
                else rows_sql(parts(room, pilot, part), part_columns(part, pilot))
            )
            connection.execute(f"CREATE TEMP VIEW recorded_{part} AS {rows}")
        early = early_sql("recorded_exposures", "recorded_outcomes")
        connection.execute(f"CREATE TEMP TABLE early AS {early}")
        counted = {
            "exposures": "FROM recorded_exposures",
            "outcomes": "FROM recorded_outcomes ANTI JOIN early USING (event_id)",
            "conflicts": "FROM recorded_conflicts "
            f"UNION ALL SELECT 'outcomes', event_id, e.unit, {literal(EARLY)}{told} FROM early e "
            f"JOIN recorded_outcomes o USING (event_id)",
        }
        for part in PARTS:
            order = ", ".join(identifier(column.name) for column in part_columns(part, pilot))
            # Whether a column has a NULL decides how it is written. Of a table DuckDB knows that by its rows, of files
            # only where there is just one of them.
            connection.execute(f"CREATE TEMP TABLE {part} AS {counted[part]}")
            _copy(connection, part, order, folder)
        if pilot.eligible is not None:
            shutil.copyfile(unchanged(*pilot.eligible), folder / ELIGIBLE)
        for part, columns in known_before(room.workspace, pilot).items():
            known = traits_sql(connection, room.workspace, pilot, columns)
            connection.execute(f"CREATE TEMP TABLE {part} AS {known}")
            _copy(connection, part, "unit", folder)


def _said(pilot: Pilot) -> str:
    """What an outcome said that is set aside, as columns beside why: arm, assigned, at and said."""
    valued = [column.name for column in pilot.contract.columns if column.name not in {"event_id", "unit", "at"}]
    texts = ", ".join(f"{literal(name)}, CAST(o.{identifier(name)} AS VARCHAR)" for name in valued)
    return f', NULL::VARCHAR, NULL::VARCHAR, CAST(o."at" AS VARCHAR), CAST(json_object({texts}) AS VARCHAR)'


def _copy(connection: duckdb.DuckDBPyConnection, part: str, order: str, folder: Path) -> None:
    target = literal(str(folder / f"{part}.parquet"))
    connection.execute(f"COPY (FROM {part} ORDER BY {order}) TO {target} (FORMAT parquet)")


def _known(room: Room, pilot: Pilot, evidence: Evidence, *, interim: bool) -> Analysis | None:
    """The analysis of these very data, if there is one; told by the data, since the last digits of a sum may differ."""
    for found in _analyses(room, pilot):
        if _identity(found.evidence) == _identity(evidence) and found.interim == interim:
            return found
    return None


def _identity(evidence: Evidence) -> tuple[object, ...]:
    return evidence.promise, evidence.data, evidence.software, evidence.until, evidence.standing


def _remember(room: Room, name: str, evidence: Evidence, folder: Path, run: str, now: datetime) -> None:
    with room.transaction() as connection:
        connection.execute(sa.delete(analyses).where(analyses.c.pilot == name, analyses.c.folder == folder.name))
        connection.execute(
            analyses.insert().values(
                pilot=name, evidence=evidence.digest, folder=folder.name, at=rfc3339(now), mlflow_run=run
            )
        )
        room.write(
            connection,
            ANALYSED,
            name,
            {"evidence": evidence.digest, "mlflow_run": run, "outcomes": evidence.outcomes},
        )
