"""Eligibility: which units of a population may take part, by one SELECT that a play's audience may share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.state import read_settings
from shared.core.digests import digest_file, hex_of
from shared.core.errors import BadInput, Refused
from shared.core.files import scratch_in, write_atomically
from shared.core.sql import file_literal, identifier
from shared.core.yamlfile import read_text
from shared.data.contracts import Contract
from shared.data.snapshot import Snapshot
from shared.data.tabular import connect
from shared.experiment.charter import Charter, Eligible
from shared.experiment.eligibility import eligible_sql
from shared.sandbox import audience
from shared.state.workspace import Workspace
from shared.ui.console import counted


@dataclass(frozen=True, slots=True)
class Pool:
    """The units that a pilot may draw from: those of its population, of whom its charter calls eligible.

    Attributes:
        units: how many they are.
        sql: a relation of their rows, with all that the snapshot publishes of them.
    """

    units: int
    sql: str


def pool(snapshot: Snapshot, charter: Charter, eligible: Eligible | None, file: Path | None) -> Pool:
    """The pool of a charter; `file` holds the units of `eligible`, where the charter names a SELECT of them.

    Raises Refused where the file is not the one that was promised.
    """
    rows = f"read_parquet({file_literal(snapshot.table(charter.population))})"
    if eligible is None or file is None:
        return Pool(snapshot.manifest.tables[charter.population].rows, rows)
    key = identifier(snapshot.contract(charter.population).primary_key)
    return Pool(eligible.units, f"(SELECT * FROM {rows} WHERE {key} IN ({eligible_sql(eligible, file)}))")


def frozen_now(workspace: Workspace, snapshot: Snapshot, charter: Charter, sql: Path) -> tuple[Eligible, Path]:
    """Who is eligible by the SELECT today, and a file of them, which lies there until the pilot is launched.

    Raises as `select` does.
    """
    with scratch_in(workspace.lab) as scratch:
        out = scratch / "units.parquet"
        units = select(workspace, snapshot, charter, sql, out, what=f"`eligible: {charter.eligible}`")
        eligible = Eligible(units=units, digest=digest_file(out))
        return eligible, put_aside(workspace, charter.pilot, eligible, out)


def put_aside(workspace: Workspace, pilot: str, eligible: Eligible, file: Path) -> Path:
    """A copy of the list, of which none of another content takes the place."""
    kept = drafts_of(workspace, pilot) / f"{hex_of(eligible.digest)}.parquet"
    kept.parent.mkdir(parents=True, exist_ok=True)
    if not kept.exists():
        write_atomically(kept, file.read_bytes())
    return kept


def drafts_of(workspace: Workspace, pilot: str) -> Path:
    """The folder of the lists that were made for a pilot's draft."""
    return workspace.lab / "eligible" / pilot


def select(workspace: Workspace, snapshot: Snapshot, charter: Charter, sql: Path, out: Path, *, what: str) -> int:
    """Runs a SELECT of units over the snapshot, as the Factory will over its own tables; returns how many it selects.

    Raises Contained for SQL that may not run, Refused where it selects nobody, BadInput where it selects units that are
    not of the population.
    """
    where, sandbox = f"pilots/{charter.pilot}/{sql.name}", read_settings(workspace).sandbox
    policy = sandbox.without_landlock
    units = audience(
        read_text(sql), snapshot.tables(), out, where=where, limits=sandbox.limits, without_landlock=policy
    )
    if not units:
        raise Refused(
            f"{what} selects nobody today",
            where=where,
            remedy=f"correct its conditions: pilots of table `{charter.population}` need at least one unit",
        )
    if strangers := _strangers(snapshot, charter, out):
        raise BadInput(
            f"{what} selects {counted(strangers, 'unit')} not of table `{charter.population}`",
            where=where,
            expected=f"the key of `{charter.population}` AS unit",
        )
    return units


def key_of_units(contract: Contract) -> str | None:
    """The column whose values are the units; None where the table's key is no identifier."""
    return next(
        (c.name for c in contract.columns if (c.name,) == contract.key and c.classification == "identifier"), None
    )


def _strangers(snapshot: Snapshot, charter: Charter, units: Path) -> int:
    key = key_of_units(snapshot.contract(charter.population))
    if key is None:
        return 0  # an obstacle of its own: the table has no units at all
    known = f"SELECT {identifier(key)} FROM read_parquet({file_literal(snapshot.table(charter.population))})"
    with connect() as connection:
        row = connection.execute(
            f"SELECT count(*) FROM read_parquet({file_literal(units)}) WHERE unit NOT IN ({known})"
        ).fetchone()
    return int(row[0]) if row else 0
