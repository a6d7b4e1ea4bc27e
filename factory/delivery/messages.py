"""Messages: who gets which words at one occurrence; Lab-written SQL and templates run in the box, on masked tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import duckdb

from factory.delivery.channels.file import Message, outgoing, write_partial
from factory.delivery.sent import leave_alone
from factory.state.settings import limits, read_settings
from factory.warehouse.warehouse import contract_of, export_masked, identities, open_warehouse, tables
from shared.core.digests import digest_file
from shared.core.sql import file_literal, identifier, literal
from shared.data.tabular import connect
from shared.experiment.assignment import held_out_sql, within_sql, workspace_holdout_salt
from shared.sandbox import audience, render
from shared.state.workspace import Workspace
from shared.trust.package import Sealed, Verified

# A campaign has one step; ladders of several come later, and the key of a message has room for them.
STEP = "1"
BATCH_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """Messages on the disk that nobody can see yet.

    Attributes:
        audience: units selected.
        held_out: of these, units left alone, for the release's holdout or the workspace's.
        strangers: of these, units that are not in the population's table, to whom nothing can be sent.
        capped: of these, units that had got enough from all releases by then, see `factory.delivery.sent`.
        digest: the digest of `partial`.
    """

    partial: Path
    digest: str
    audience: int
    held_out: int
    strangers: int
    capped: int
    messages: int

    @property
    def remark(self) -> str:
        """What else people should know."""
        said = f"; {self.strangers} units are not in the population's table and were left out" if self.strangers else ""
        return said + (f"; {self.capped} units had got enough messages and were left out" if self.capped else "")


@dataclass(frozen=True, slots=True)
class Selection:
    """Who would be written to, on the disk: one row per unit, with the fields that the templates print.

    Attributes:
        tables: the masked tables that the SQL was run over.
        selected: the `unit`s of the audience, on the disk: all of them.
        audience: how many these are.
        held_out: of these, units left alone, for the release's holdout or the workspace's.
        capped: of these, units that have got enough by the occurrence that was asked for.
    """

    rows: Path
    tables: dict[str, Path]
    selected: Path
    audience: int
    held_out: int
    capped: int = 0


@dataclass(frozen=True, slots=True)
class Composed:
    """What would be written, on the disk: one rendered row per unit, and every unit's own id."""

    selection: Selection
    rendered: Path
    known: Path
    messages: int

    @property
    def strangers(self) -> int:
        """Units of the audience that are not in the population's table."""
        return self.selection.audience - self.selection.held_out - self.selection.capped - self.messages


def select(workspace: Workspace, package: Sealed, scratch: Path, occurrence: datetime | None = None) -> Selection:
    """Runs the audience over the masked tables and leaves the holdouts alone; raises Contained or Undecided.

    With an occurrence that is about to be run it leaves alone whoever has got enough by then, too.
    """
    play, population = package.play, package.promise.charter.population
    sql = package.text(play.audience)
    paths = export_masked(workspace, _tables_for(workspace, sql, population), scratch / "tables")
    selected, rows = scratch / "audience.parquet", scratch / "rows.parquet"
    policy = read_settings(workspace).without_landlock
    where = f"release {package.release}, {play.audience}"
    count = audience(sql, paths, selected, where=where, limits=limits(workspace), without_landlock=policy)
    with connect() as connection:
        key = identifier(contract_of(workspace, population).primary_key)
        connection.execute(f"CREATE TEMP VIEW audience AS SELECT unit FROM read_parquet({file_literal(selected)})")
        connection.execute(
            f"CREATE TEMP VIEW population AS SELECT * FROM read_parquet({file_literal(paths[population])})"
        )
        is_held_out = _held_out_sql(workspace, package)
        held_out = _count(connection, f"SELECT count(*) FROM audience a WHERE {is_held_out}")
        connection.execute(
            f"CREATE TEMP TABLE reached AS SELECT a.unit FROM audience a JOIN population p ON p.{key} = a.unit "
            f"WHERE NOT {is_held_out}"
        )
        capped = leave_alone(connection, workspace, package.release, occurrence, units="reached") if occurrence else 0
        fields = "".join(f", p.{identifier(name)}" for name in play.fields if name != "unit")
        connection.execute(
            f"COPY (SELECT r.unit{fields} FROM reached r JOIN population p ON p.{key} = r.unit ORDER BY r.unit) "
            f"TO {literal(str(rows))} (FORMAT parquet)"
        )
    return Selection(rows, paths, selected, count, held_out, capped)


def compose(workspace: Workspace, package: Sealed, scratch: Path, occurrence: datetime | None = None) -> Composed:
    """Selects and renders, and writes nothing outside `scratch`; a run and its rehearsal differ only in what follows.

    Raises Contained or Undecided.
    """
    play, rendered = package.play, scratch / "rendered.parquet"
    selection = select(workspace, package, scratch, occurrence)
    template, place = package.text(play.template), f"release {package.release}, {play.template}"
    policy = read_settings(workspace).without_landlock
    allowed = limits(workspace)
    messages = render(
        template, play.subject, selection.rows, rendered, where=place, limits=allowed, without_landlock=policy
    )
    known = identities(workspace, package.promise.charter.population, scratch)
    return Composed(selection, rendered, known, messages)


def prepare(workspace: Workspace, package: Verified, occurrence: datetime, scratch: Path) -> Prepared:
    """Composes the messages and writes the hidden file; raises Contained or Undecided."""
    composed = compose(workspace, package, scratch, occurrence)
    final = outgoing(workspace, package.release, occurrence)
    with connect() as connection:
        lines = _messages(connection, composed.rendered, composed.known)
        partial = write_partial(final, package.release, occurrence, STEP, lines)
    selection = composed.selection
    return Prepared(
        partial,
        digest_file(partial),
        selection.audience,
        selection.held_out,
        composed.strangers,
        selection.capped,
        composed.messages,
    )


def _held_out_sql(workspace: Workspace, package: Sealed) -> str:
    """The condition under which `a.unit` is left alone: by this release, or by the workspace as it is set today."""
    salt, share = workspace_holdout_salt(workspace.id), Fraction(read_settings(workspace).holdout_frac)
    own = held_out_sql(package.release, "a.unit", package.play.holdout, package.nonce)
    return f"({own} OR {within_sql(salt, 'a.unit', Fraction(0), share)})"


def _tables_for(workspace: Workspace, sql: str, population: str) -> list[str]:
    """The loaded tables that the SQL may mean; the box still refuses every other name."""
    with open_warehouse(workspace, read_only=True) as connection:
        loaded = tables(connection)
    return [name for name in loaded if name == population or name.casefold() in sql.casefold()]


def _messages(connection: duckdb.DuckDBPyConnection, rendered: Path, known: Path) -> Iterator[Message]:
    found = connection.execute(
        f"SELECT r.unit, k.id, r.subject, r.body FROM read_parquet({file_literal(rendered)}) r "
        f"JOIN read_parquet({file_literal(known)}) k USING (unit) ORDER BY r.unit"
    )
    while batch := found.fetchmany(BATCH_ROWS):
        for row in batch:
            yield Message(*row)


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
