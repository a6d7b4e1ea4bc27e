"""Messages of a running pilot: what each unit would get, with its address, for whoever sends them.

The Lab has no addresses and the Factory runs no pilots, so a pilot's mail goes out by the team's own mail tool. This
writes what that tool needs, by the charter that the gate registered: its audience, its words, and its arms.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from factory.state.room import open_factory
from factory.state.settings import limits, read_settings
from factory.state.states import stopped
from factory.warehouse.warehouse import contract_of, export_masked, identities, open_warehouse, tables
from shared.core.digests import digest_bytes, digest_file
from shared.core.errors import BadInput, Refused
from shared.core.files import scratch_in
from shared.core.printable import cell
from shared.core.sql import file_literal, identifier, literal
from shared.data.contracts import Contract
from shared.data.snapshot import open_snapshot
from shared.data.tabular import connect, csv_text
from shared.doors.door import asked
from shared.doors.requests import LaunchedPilot
from shared.experiment.charter import Arm, Eligible, Promise
from shared.experiment.draw import Draw
from shared.experiment.eligibility import ELIGIBLE, eligible_sql
from shared.sandbox import audience, render
from shared.state.workspace import Workspace
from shared.trust.keys import GATE, read_public
from shared.trust.record import receipt_path
from shared.trust.registration import KIND, Registration
from shared.trust.signed import parse

WRITTEN = "pilot_messages"
BATCH_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Launched:
    """A launched pilot as the Lab froze it.

    Attributes:
        files: each file of the promise with where it lies.
        snapshot: the one that its units are from.
        eligible: who may take part, and the file of them; None where all of the population may.
    """

    promise: Promise
    files: Mapping[str, Path]
    snapshot: str
    eligible: tuple[Eligible, Path] | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        per_arm: messages by arm.
        address: the column whose value stands beside each id; None without one.
        outside: units with an arm that the arm's audience does not select today, by arm: they get nothing.
    """

    per_arm: dict[str, int]
    address: str | None
    outside: dict[str, int]


@contextmanager
def launched(workspace: Workspace, name: str) -> Iterator[Launched]:
    """A running pilot as the Lab gives it, its files there until the context ends; raises what the Lab raises."""
    with asked(workspace, LaunchedPilot(pilot=name)) as (found, folder):
        promise = Promise.stored(found.promise)
        eligible = None if found.eligible is None else (found.eligible, folder / ELIGIBLE)
        yield Launched(promise, {file: folder / file for file in promise.files}, found.snapshot, eligible)


def write_messages(
    workspace: Workspace, pilot: Launched, out: Path, *, arm: str | None = None, address: str | None = None
) -> Written:
    """Writes `id`, address, `unit`, `arm`, `subject` and `body` of each unit that would get a message, to one file.

    Raises Refused where the gate has not registered the pilot's promise, a file is not as it was frozen, or arms are
    drawn elsewhere; BadInput for an arm or a column that is not there; Contained or Undecided as a run does.
    """
    charter = pilot.promise.charter
    _require_out(workspace, out)
    _require_not_stopped(workspace)
    chosen = _arms(pilot.promise, arm)
    registration = _registered(workspace, pilot.promise)
    column = _address(contract_of(workspace, charter.population), address)
    with scratch_in(workspace.factory / "scratch") as scratch, connect() as connection:
        _drawn(connection, workspace, pilot, registration)
        found = [_of_arm(connection, workspace, pilot, each, scratch) for each in chosen]
        known = identities(workspace, charter.population, scratch)
        _addresses(connection, workspace, charter.population, column, known, scratch)
        beside = f", k.{identifier(column)}" if column else ""
        every = " UNION ALL ".join(
            f"SELECT {literal(each.name)} AS arm, * FROM read_parquet({file_literal(rendered)})"
            for each, (rendered, _) in zip(chosen, found, strict=True)
        )
        query = f"SELECT k.id{beside}, m.unit, m.arm, m.subject, m.body FROM ({every}) m JOIN known k USING (unit)"
        _require_not_stopped(workspace)
        counts = _write(connection.execute(f"{query} ORDER BY m.arm, k.id"), out)
    per_arm = {each.name: counts[each.name] for each in chosen}
    outside = {each.name: left for each, (_, left) in zip(chosen, found, strict=True) if left}
    room = open_factory(workspace)
    with room.transaction() as written:
        room.write(written, WRITTEN, charter.pilot, {"promise": pilot.promise.digest, "messages": per_arm,
                                                     "file": digest_file(out)})  # fmt: skip
    return Written(per_arm, column, outside)


def _require_out(workspace: Workspace, out: Path) -> None:
    """Raises BadInput for a file that cannot be written, or that would bring addresses into another room."""
    if out.suffix not in {".csv", ".jsonl"}:
        raise BadInput(f"`{out}` has no type that can be written", expected="a name ending in .csv or .jsonl")
    if not out.parent.is_dir():
        raise BadInput("there is no such folder", where=str(out.parent), remedy="create it first")
    place, root = out.resolve(), workspace.root.resolve()
    if place.is_relative_to(root) and not place.is_relative_to(workspace.factory.resolve()):
        raise BadInput(
            "addresses are for the Factory alone, and this folder is read by others",
            where=str(out),
            remedy="name a file outside the workspace",
        )


def _require_not_stopped(workspace: Workspace) -> None:
    with open_factory(workspace).read() as connection:
        why = stopped(workspace, connection)
    if why is not None:
        raise Refused(
            f"everything is stopped: {why}", where="the Factory", remedy="lift it: pilotplant factory resume --all"
        )


def _write(found: duckdb.DuckDBPyConnection, out: Path) -> Counter[str]:
    """Writes the rows for a machine to read, whole texts as they are, and in full or not at all; how many by arm."""
    names = [name for name, *_ in found.description or ()]
    counts = Counter[str]()
    scratch = out.with_name(f".{out.name}.partial")
    try:
        with scratch.open("w", encoding="utf-8", newline="") as file:
            scratch.chmod(0o600)
            if out.suffix == ".csv":
                file.write(csv_text(names, (), verbatim=True))
            while batch := found.fetchmany(BATCH_ROWS):
                counts.update(arm for *_, arm, _subject, _body in batch)
                if out.suffix == ".csv":
                    for row in batch:
                        _require_no_formula(row)
                    file.write(csv_text(batch[0], batch[1:], verbatim=True))
                else:
                    for row in batch:
                        file.write(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n")
        scratch.replace(out)
    finally:
        scratch.unlink(missing_ok=True)
    return counts


def _require_no_formula(row: Sequence[object]) -> None:
    """Raises BadInput for a text that a spreadsheet would compute: changed it would be another message."""
    for value in row:
        if isinstance(value, str) and cell(value).startswith("'"):
            raise BadInput(
                "a text begins like a formula, which a spreadsheet would compute",
                where=f"the message to {row[0]}",
                remedy="write a .jsonl file, which no spreadsheet opens; or change the words",
            )


def _arms(promise: Promise, arm: str | None) -> list[Arm]:
    charter = promise.charter
    if charter.assignment == "source":
        raise Refused(
            f"pilot {charter.pilot} takes its arms from the system that exposes (assignment: source)",
            remedy="have that system send what its arms say",
        )
    chosen = [each for each in charter.treatments if arm in {None, each.name}]
    if not chosen:
        raise BadInput(
            f"arm `{arm}` says nothing" + (": it is the control" if arm == charter.control.name else ""),
            where="--arm",
            expected="one of: " + ", ".join(each.name for each in charter.treatments),
        )
    return chosen


def _registered(workspace: Workspace, promise: Promise) -> Registration:
    """What the gate signed of the promise: nobody's words go out that the gate has not taken in."""
    path, pilot = receipt_path(workspace, promise.digest), promise.charter.pilot
    if not path.exists():
        raise Refused(
            f"the gate has signed no receipt for what pilot {pilot} promises",
            where=str(path),
            expected="a pilot that was launched, and a receipt with the gate's signature",
            remedy="have ops run: pilotplant promote countersign, which signs what waits",
        )
    signed = parse(path.read_bytes(), KIND, where=str(path))
    trusted = [key for key in read_public(workspace.configs / "trusted_keys") if key.name == GATE]
    said = Registration.model_validate(signed.content)
    if not signed.verified_by(trusted) or (said.promise, said.workspace) != (promise.digest, workspace.id):
        raise Refused(
            f"the receipt of pilot {pilot} is not signed by a gate that this Factory trusts",
            where=str(path),
            remedy="look: pilotplant promote verify; a new key is trusted with `pilotplant factory trust gate`",
        )
    return said


def _address(contract: Contract, asked: str | None) -> str | None:
    """The column of addresses: the one that was named, else the personal one that is called like it."""
    personal = [column.name for column in contract.columns if column.classification == "personal"]
    if asked is not None:
        if asked not in personal:
            raise BadInput(
                f"table `{contract.table}` has no personal column `{asked}`",
                where="--address",
                expected="one of: " + (", ".join(personal) or "none is personal"),
            )
        return asked
    return next((name for name in personal if "mail" in name.lower()), None)


def _drawn(
    connection: duckdb.DuckDBPyConnection, workspace: Workspace, pilot: Launched, registration: Registration
) -> None:
    """A table `drawn` of `unit` and `arm` of everybody who takes part, by the nonce that the gate signed."""
    charter, snapshot = pilot.promise.charter, open_snapshot(workspace, pilot.snapshot)
    draw = Draw.of(pilot.promise, workspace.id, registration.nonce)
    key = identifier(snapshot.contract(charter.population).primary_key)
    cluster = f", CAST({identifier(charter.cluster)} AS VARCHAR) AS cluster" if charter.cluster else ""
    able = None if pilot.eligible is None else eligible_sql(*pilot.eligible)
    units = f"SELECT {key} AS unit{cluster} FROM read_parquet({file_literal(snapshot.table(charter.population))})"
    connection.execute(
        f"CREATE TEMP TABLE drawn AS SELECT unit, {draw.drawn_sql('unit')} AS arm FROM ({units}) "
        f"WHERE {draw.takes_part_sql('unit', able=able)}"
    )


def _of_arm(
    connection: duckdb.DuckDBPyConnection, workspace: Workspace, pilot: Launched, arm: Arm, scratch: Path
) -> tuple[Path, int]:
    """Renders an arm's messages; returns where, and how many of its units are not in its audience today."""
    promise, play = pilot.promise, pilot.promise.charter.play(arm.name)
    population, home = promise.charter.population, scratch / f"arm-{arm.name}"
    home.mkdir()
    sql = _frozen(pilot, play.audience)
    paths = export_masked(workspace, _read_by(workspace, sql, population), home / "tables")
    policy, allowed = read_settings(workspace).without_landlock, limits(workspace)
    where = f"pilot {promise.charter.pilot}, {play.audience}"
    selected, rows, rendered = home / "audience.parquet", home / "rows.parquet", home / "rendered.parquet"
    audience(sql, paths, selected, where=where, limits=allowed, without_landlock=policy)
    key = identifier(contract_of(workspace, population).primary_key)
    fields = "".join(f", p.{identifier(name)}" for name in play.fields if name != "unit")
    mine = f"SELECT unit FROM drawn WHERE arm = {literal(arm.name)}"
    connection.execute(
        f"COPY (SELECT a.unit{fields} FROM read_parquet({file_literal(selected)}) a "
        f"JOIN read_parquet({file_literal(paths[population])}) p ON p.{key} = a.unit WHERE a.unit IN ({mine}) "
        f"ORDER BY a.unit) TO {literal(str(rows))} (FORMAT parquet)"
    )
    template = _frozen(pilot, play.template)
    where = f"pilot {promise.charter.pilot}, {play.template}"
    reached = render(template, play.subject, rows, rendered, where=where, limits=allowed, without_landlock=policy)
    row = connection.execute(f"SELECT count(*) FROM ({mine})").fetchone()
    return rendered, (int(row[0]) if row else 0) - reached


def _frozen(pilot: Launched, name: str) -> str:
    """A frozen file; raises Refused where it is not what was promised."""
    path = pilot.files[name]
    content = path.read_bytes()
    if digest_bytes(content) != pilot.promise.files[name]:
        raise Refused(
            f"`{name}` was changed after it was frozen",
            where=str(path),
            remedy="restore the pilot's folder from a backup",
        )
    return content.decode()


def _read_by(workspace: Workspace, sql: str, population: str) -> Sequence[str]:
    """The loaded tables that the SQL may mean; the box still refuses every other name."""
    with open_warehouse(workspace, read_only=True) as connection:
        loaded = tables(connection)
    return [name for name in loaded if name == population or name.casefold() in sql.casefold()]


def _addresses(
    connection: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    population: str,
    column: str | None,
    known: Path,
    scratch: Path,
) -> None:
    """A view `known` of everybody's `unit` and `id`, and the address where there is a column of it."""
    source = f"read_parquet({file_literal(known)})"
    if column is None:
        connection.execute(f"CREATE TEMP VIEW known AS FROM {source}")
        return
    key, path = identifier(contract_of(workspace, population).primary_key), scratch / "addresses.parquet"
    with open_warehouse(workspace, read_only=True) as warehouse:
        warehouse.execute(
            f"COPY (SELECT CAST({key} AS VARCHAR) AS id, {identifier(column)} FROM {identifier(population)}) "
            f"TO {literal(str(path))} (FORMAT parquet)"
        )
    connection.execute(
        f"CREATE TEMP VIEW known AS SELECT * FROM {source} AS i JOIN read_parquet({file_literal(path)}) AS a USING (id)"
    )
