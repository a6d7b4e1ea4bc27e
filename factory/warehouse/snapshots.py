"""Publishing: the warehouse's tables become a masked snapshot that the Lab may read.

A table that the Lab has of an earlier snapshot, with the same content and masking, is neither exported nor sent again.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import sqlalchemy as sa

from factory.state.room import open_factory
from factory.state.settings import read_settings
from factory.state.tables import exports, releases, snapshots
from factory.warehouse.mask import masked_sql, pseudonym_key
from factory.warehouse.masked_contract import masked_contract
from factory.warehouse.warehouse import contract_of, export, open_warehouse, require_contract, tables, versions
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.digests import canonical, digest_bytes, digest_file
from shared.core.errors import BadInput, Refused
from shared.core.faults import fault
from shared.core.files import locked
from shared.data.snapshot import (
    MANIFEST,
    LiveRelease,
    PublishedTable,
    SnapshotManifest,
    latest_id,
    open_snapshot,
    published_tables,
    snapshots_folder,
)
from shared.doors.door import ask
from shared.doors.requests import PointTo, TakeSnapshot
from shared.state.room import Room
from shared.state.workspace import Workspace

# The ledger's entry for a snapshot that is there for the first time.
PUBLISHED = "published"


@dataclass(frozen=True, slots=True)
class Published:
    """What was published.

    Attributes:
        snapshot: its name.
        rows: per table.
        shared: the tables that are one file with an earlier snapshot's.
        repeated: whether the same content had been published before, and is still there as it was.
        left_out: loaded tables that could not be published, with the reason; the others go on without them.
    """

    snapshot: str
    rows: dict[str, int]
    shared: tuple[str, ...]
    repeated: bool
    left_out: dict[str, str] = field(default_factory=dict)


def publish(workspace: Workspace, *, anew: bool = False) -> Published:
    """Writes a snapshot of every loaded table whose contract it keeps.

    Raises Refused where nothing has been loaded, and BadInput where no table could be published.

    A table that has not been loaded since its last export is not read, unless `anew` asks for it.
    """
    room, key = open_factory(workspace), pseudonym_key(workspace)
    with one_at_a_time(workspace):
        writing = _Writing(room, key, anew=anew)
        taken = ask(workspace, TakeSnapshot(), writing.pack)
        if taken.missing:  # what the Lab had of an earlier snapshot is no longer as it was
            writing = _Writing(room, key, anew=True)
            taken = ask(workspace, TakeSnapshot(), writing.pack)
        ask(workspace, PointTo(snapshot=taken.snapshot, at=_remember(room, writing)))
    rows = {name: table.rows for name, table in writing.manifest.tables.items()}
    reasons = {name: error.what for name, error in writing.left_out.items()}
    return Published(taken.snapshot, rows, taken.shared, taken.repeated, reasons)


def one_at_a_time(workspace: Workspace) -> AbstractContextManager[None]:
    """Nobody publishes or prunes meanwhile: what one of them counts on, the other could remove."""
    workspace.factory.mkdir(parents=True, exist_ok=True)
    return locked(workspace.factory / ".snapshots.lock")


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """What is known of one snapshot that was published.

    Attributes:
        at: when it was, RFC 3339.
        is_latest: whether it is the one that the Lab begins with.
        tables: each with its rows and digests; empty where it cannot be read, and `problem` says why.
    """

    snapshot: str
    at: str
    is_latest: bool
    tables: dict[str, PublishedTable]
    problem: str | None = None


def list_snapshots(workspace: Workspace, most: int) -> list[SnapshotFacts]:
    """The snapshots that were published last, the newest first."""
    newest = sa.select(snapshots).order_by(snapshots.c.at.desc(), snapshots.c.id).limit(most)
    with open_factory(workspace).read() as connection:
        rows = connection.execute(newest).all()
    try:
        latest = latest_id(workspace)
    except BadInput:  # nothing is the latest where the pointer says nothing
        latest = None
    return [_facts(workspace, row.id, row.at, is_latest=row.id == latest) for row in rows]


def _facts(workspace: Workspace, identity: str, at: str, *, is_latest: bool) -> SnapshotFacts:
    try:
        return SnapshotFacts(identity, at, is_latest, open_snapshot(workspace, identity).manifest.tables)
    except (BadInput, Refused) as error:
        return SnapshotFacts(identity, at, is_latest, {}, error.what)


class _Writing:
    """A snapshot on its way: its tables, each exported unless the Lab has it already.

    Attributes:
        manifest: of what was written.
        left_out: the tables that could not be written, with the reason.
        exported: what came of each table, to be remembered.
    """

    manifest: SnapshotManifest

    def __init__(self, room: Room, key: bytes, *, anew: bool) -> None:
        self.room, self.key, self.anew = room, key, anew
        self.earlier = published_tables(snapshots_folder(room.workspace))
        self.left_out: dict[str, BadInput] = {}
        self.exported: list[dict[str, str]] = []

    def pack(self, folder: Path) -> None:
        """Writes tables, contracts and manifest into a folder.

        Raises Refused where nothing has been loaded, and BadInput where no table could be written.
        """
        workspace, published = self.room.workspace, dict[str, PublishedTable]()
        # One connection from the first version to the last row: no load can come in between.
        with open_warehouse(workspace, read_only=True) as warehouse:
            names, loaded = tables(warehouse), versions(warehouse)
            if not names:
                raise Refused("nothing has been loaded yet", remedy="run `pilotplant factory load TABLE FILE` first")
            for name in names:
                try:
                    published[name] = self._table(warehouse, name, loaded.get(name, ""), folder)
                except BadInput as error:
                    self.left_out[name] = error
                except duckdb.Error as error:
                    if fault(error) is not None:
                        raise
                    said = f"table `{name}` cannot be written: {str(error).splitlines()[0]}"
                    self.left_out[name] = BadInput(said, remedy=f"look at it: pilotplant factory tables {name}")
        if not published:
            raise next(iter(self.left_out.values()))
        self.manifest = SnapshotManifest(
            workspace=workspace.id,
            mode=workspace.mode,
            tables=published,
            releases=tuple(_live(self.room)),
            holdout_frac=read_settings(workspace).holdout_frac,
        )
        (folder / MANIFEST).write_bytes(canonical(self.manifest.model_dump(mode="json")))

    def _table(self, warehouse: duckdb.DuckDBPyConnection, name: str, version: str, folder: Path) -> PublishedTable:
        contract = contract_of(self.room.workspace, name)
        require_contract(warehouse, contract)
        masked = folder / f"{name}.odcs.yaml"
        masked.write_text(masked_contract(self.room.workspace.configs / "contracts" / masked.name), encoding="utf-8")
        path, query = folder / f"{name}.parquet", masked_sql(contract, self.key)
        source = {"table": name, "version": version, "masking": digest_bytes(query.encode())}
        known = self.earlier.get(self._known(source) or "")
        if known is None:
            export(warehouse, query, path)
            rows, data = pq.read_metadata(path).num_rows, digest_file(path)
        else:
            rows, data = known.rows, known.data
        if version:
            self.exported.append({**source, "data": data})
        return PublishedTable(rows=rows, data=data, contract=digest_file(masked))

    def _known(self, source: dict[str, str]) -> str | None:
        """What this very version came to under this very masking."""
        if self.anew:
            return None
        query = sa.select(exports.c.data).where(*(exports.c[key] == value for key, value in source.items()))
        with self.room.read() as connection:
            return connection.execute(query).scalar()


def _live(room: Room) -> list[LiveRelease]:
    query = sa.select(releases).where(releases.c.state == "live").order_by(releases.c.name)
    with room.read() as connection:
        return [LiveRelease(name=row.name, pilot=row.pilot, arm=row.arm) for row in connection.execute(query)]


def _remember(room: Room, writing: _Writing) -> datetime:
    """Enters what was published into the Factory's books; returns when it was."""
    manifest = writing.manifest
    with room.transaction() as connection:
        now = room.moment(connection)
        at = rfc3339(now)
        known = connection.execute(sa.select(snapshots.c.at).where(snapshots.c.id == manifest.id)).first()
        if known is not None and parse_rfc3339(known.at) > now:
            # It was published under a clock that ran ahead, and is now published at its true time.
            connection.execute(snapshots.update().where(snapshots.c.id == manifest.id).values(at=at))
        if known is None:
            connection.execute(snapshots.insert().values(id=manifest.id, at=at))
            body = {"tables": {name: table.model_dump() for name, table in manifest.tables.items()},
                    "holdout_frac": str(manifest.holdout_frac)}  # fmt: skip
            room.write(connection, PUBLISHED, manifest.id, body)
        for row in writing.exported:
            connection.execute(sa.delete(exports).where(exports.c.table == row["table"]))
            connection.execute(exports.insert().values(row))
    return now
