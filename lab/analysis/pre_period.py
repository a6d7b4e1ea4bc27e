"""Traits: what was known of a pilot's units before it began, as the charter's columns of the frozen snapshot."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from lab.pilots.pilot import Pilot
from lab.pilots.promise import Frozen, charter_place
from shared.core.errors import BadInput, Refused
from shared.core.sql import file_literal, identifier
from shared.data.contracts import Column
from shared.data.snapshot import open_snapshot
from shared.data.tabular import connect
from shared.state.workspace import Workspace

# A group needs units in every arm, and every effect is shown in every group: more than these is no grouping.
GROUPS_MAX = 50
# What a cluster is told by: a text, or a whole number, which is written in one way only.
_CLUSTER_TYPES = {"string", "integer"}
_NUMBERS = {"integer", "number"}


def known_before(workspace: Workspace, pilot: Pilot) -> dict[str, tuple[str, ...]]:
    """By the name of a sealed file, the columns of the population that it holds of the exposed units.

    `traits` are those that the charter names, for the evidence. `pre_period` are all that are published, so that the
    gate can see whether the arms were alike in what the charter does not name; a pilot of the first rules has none.
    """
    charter = pilot.charter
    told = open_snapshot(workspace, pilot.snapshot).contract(charter.population).told
    named = {"traits": charter.traits} if charter.traits else {}
    return named if pilot.promise.rules == 1 else named | {"pre_period": told}


def traits_sql(
    connection: duckdb.DuckDBPyConnection, workspace: Workspace, pilot: Pilot, columns: tuple[str, ...]
) -> str:
    """A query for `unit` and these columns of the population: one row per known unit of `exposures`.

    From rules 2 on there are also those of `conflicts` whose exposure was held back.

    The snapshot is the one that the pilot was launched on. It was there when the gate took the charter in, and no
    exposure counts from before that, so no trait can be the doing of an arm. What it publishes is masked.

    Raises Refused where its file is not the published one, or has a unit twice.
    """
    snapshot = open_snapshot(workspace, pilot.snapshot)
    table = pilot.charter.population
    key, rows = identifier(snapshot.contract(table).primary_key), f"read_parquet({file_literal(snapshot.table(table))})"
    twice = connection.execute(f"SELECT {key} FROM {rows} GROUP BY {key} HAVING count(*) > 1 LIMIT 1").fetchone()
    if twice:
        raise Refused(
            f"unit `{twice[0]}` is more than once in table `{table}`, so its traits are not known",
            where=f"snapshot {snapshot.id}",
            expected="one row per unit",
            remedy="ask marketing ops to load and publish the table anew, and start a new pilot",
        )
    said = "".join(f", {identifier(name)}" for name in columns)
    held = "" if pilot.promise.rules == 1 else " UNION ALL SELECT unit FROM conflicts WHERE kind = 'exposures'"
    return f"SELECT {key} AS unit{said} FROM {rows} WHERE {key} IN (SELECT unit FROM exposures{held})"


def unusable(frozen: Frozen) -> Iterator[BadInput]:
    """Each column that the charter names as a trait and that cannot be one."""
    charter = frozen.promise.charter
    contract = frozen.snapshot.contract(charter.population)
    columns = {column.name: column for column in contract.columns if _is_trait(column, contract.primary_key)}
    for said, names, rule in (
        ("cluster", (charter.cluster,), _no_cluster),
        ("covariates", charter.covariates, _no_covariate),
        ("segments", charter.segments, _no_group),
        ("strata", (charter.strata,), _no_group),
    ):
        for name in filter(None, names):
            allowed = [each for each, column in columns.items() if said == "cluster" or column.printable]
            if name not in allowed:
                yield BadInput(
                    f"`{said}` names column `{name}`, which table `{charter.population}` does not publish",
                    where=charter_place(charter),
                    expected="one of: " + ", ".join(allowed),
                )
            elif problem := rule(frozen, said, columns[name]):
                yield problem


def _is_trait(column: Column, key: str) -> bool:
    """Whether a column says something of a unit; a pseudonym of something else says what belongs together."""
    told = column.printable or column.classification == "identifier"
    return told and column.name != key and column.name.lower() != "unit"


def _no_cluster(frozen: Frozen, _: str, column: Column) -> BadInput | None:
    if column.type in _CLUSTER_TYPES:
        return None
    return BadInput(
        f"`cluster` names column `{column.name}`, which is a {column.type}",
        where=charter_place(frozen.promise.charter),
        expected="a column of texts or of whole numbers: what a cluster's arm is drawn by is written in one way only",
    )


def _no_covariate(frozen: Frozen, _: str, column: Column) -> BadInput | None:
    if column.type in _NUMBERS:
        return None
    contract = frozen.snapshot.contract(frozen.promise.charter.population)
    numeric = [each.name for each in contract.columns if each.printable and each.type in _NUMBERS]
    return BadInput(
        f"covariate `{column.name}` is no number",
        where=charter_place(frozen.promise.charter),
        expected="one of: " + ", ".join(numeric),
        remedy="name it under `segments` instead, if its groups matter",
    )


def _no_group(frozen: Frozen, said: str, column: Column) -> BadInput | None:
    charter = frozen.promise.charter
    with connect() as connection:
        row = connection.execute(f"SELECT count(DISTINCT {identifier(column.name)}) FROM {frozen.pool.sql}").fetchone()
    groups = row[0] if row else 0
    if groups <= GROUPS_MAX:
        return None
    return BadInput(
        f"`{said}` names column `{column.name}`, which makes {groups:,} groups",
        where=charter_place(charter),
        expected=f"at most {GROUPS_MAX} groups, so that each has units in every arm",
        remedy="name a column of bands" + (", or name it under `covariates`" if column.type in _NUMBERS else ""),
    )
