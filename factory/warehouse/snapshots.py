"""Publishing: the warehouse's tables become a masked snapshot that the Lab may read.

A table that is in an earlier snapshot already, with the same content and masking, is not written again: both folders
name the same file (a hard link), so that a snapshot can go without harm to the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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
from shared.core.errors import BadInput, PilotPlantError, Refused
from shared.core.faults import fault
from shared.core.files import locked, scratch_in, settle_verified, write_atomically
from shared.data.snapshot import LATEST, MANIFEST, LiveRelease, PublishedTable, SnapshotManifest, open_snapshot
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
    root = snapshots_root(workspace)
    with one_at_a_time(workspace), scratch_in(root) as scratch:
        # One connection from the first version to the last row: no load can come in between.
        with open_warehouse(workspace, read_only=True) as warehouse:
            names = tables(warehouse)
            if not names:
                raise Refused("nothing has been loaded yet", remedy="run `pilotplant factory load TABLE FILE` first")
            writing = _Writing(room, warehouse, key, scratch, anew=anew)
            published, left_out = dict[str, PublishedTable](), dict[str, BadInput]()
            for name in names:
                try:
                    published[name] = writing.table(name)
                except BadInput as error:
                    left_out[name] = error
                except duckdb.Error as error:
                    if fault(error) is not None:
                        raise
                    said = f"table `{name}` cannot be written: {str(error).splitlines()[0]}"
                    left_out[name] = BadInput(said, remedy=f"look at it: pilotplant factory tables {name}")
            if not published:
                raise next(iter(left_out.values()))
        manifest = SnapshotManifest(
            workspace=workspace.id,
            mode=workspace.mode,
            tables=published,
            releases=tuple(_live(room)),
            holdout_frac=read_settings(workspace).holdout_frac,
        )
        (scratch / MANIFEST).write_bytes(canonical(manifest.as_json()))
        repeated = not settle_verified(scratch, root / manifest.id, lambda there: _is_intact(workspace, there))
        _remember(room, manifest, writing.exported)
    rows = {name: table.rows for name, table in published.items()}
    reasons = {name: error.what for name, error in left_out.items()}
    return Published(manifest.id, rows, tuple(writing.shared), repeated, reasons)


def snapshots_root(workspace: Workspace) -> Path:
    """Where snapshots lie."""
    return workspace.lab / "snapshots"


@contextmanager
def one_at_a_time(workspace: Workspace) -> Iterator[None]:
    """Nobody publishes or prunes meanwhile: what one of them counts on, the other could remove."""
    workspace.factory.mkdir(parents=True, exist_ok=True)
    with locked(workspace.factory / ".snapshots.lock"):
        yield


class _Writing:
    """Tables on their way into one snapshot, each exported or shared.

    Attributes:
        shared: the tables that lie in an earlier snapshot already.
        exported: what came of each table, to be remembered.
    """

    def __init__(
        self, room: Room, warehouse: duckdb.DuckDBPyConnection, key: bytes, folder: Path, *, anew: bool
    ) -> None:
        self.room, self.warehouse, self.key, self.folder, self.anew = room, warehouse, key, folder, anew
        self.versions = versions(warehouse)
        self.earlier = _files_by_digest(snapshots_root(room.workspace))
        self.shared: list[str] = []
        self.exported: list[dict[str, str]] = []

    def table(self, name: str) -> PublishedTable:
        """Puts a table and its contract into the folder."""
        contract = contract_of(self.room.workspace, name)
        require_contract(self.warehouse, contract)
        masked = self.folder / f"{name}.odcs.yaml"
        masked.write_text(masked_contract(self.room.workspace.configs / "contracts" / masked.name), encoding="utf-8")
        path, query = self.folder / f"{name}.parquet", masked_sql(contract, self.key)
        source = {"table": name, "version": self.versions.get(name, ""), "masking": digest_bytes(query.encode())}
        data = self._known(source)
        if data is None or not self._share(data, path):
            export(self.warehouse, query, path)
            data = digest_file(path)
            if self._share(data, path):
                self.shared.append(name)
        else:
            self.shared.append(name)
        if source["version"]:
            self.exported.append({**source, "data": data})
        return PublishedTable(rows=pq.read_metadata(path).num_rows, data=data, contract=digest_file(masked))

    def _known(self, source: dict[str, str]) -> str | None:
        """What this very version came to under this very masking."""
        if self.anew:
            return None
        query = sa.select(exports.c.data).where(*(exports.c[key] == value for key, value in source.items()))
        with self.room.read() as connection:
            return connection.execute(query).scalar()

    def _share(self, data: str, path: Path) -> bool:
        """Names an earlier snapshot's file here, in place of what was exported; False where that cannot be done."""
        named = path.with_suffix(".earlier")
        for earlier in self.earlier.get(data, ()):
            if earlier.is_file() and digest_file(earlier) == data:
                try:
                    named.hardlink_to(earlier)
                except OSError:
                    return False  # not every file system has links, and none has them without end
                named.replace(path)
                return True
        return False


def _files_by_digest(root: Path) -> dict[str, list[Path]]:
    """Where each table's content lies, by what the manifests say; whoever uses it looks whether that is so."""
    found: dict[str, list[Path]] = {}
    for path in root.glob(f"[!.]*/{MANIFEST}"):
        try:
            manifest = SnapshotManifest.model_validate_json(path.read_bytes())
        except (OSError, ValueError):
            continue
        for name, table in manifest.tables.items():
            found.setdefault(table.data, []).append(path.with_name(f"{name}.parquet"))
    return found


def _is_intact(workspace: Workspace, folder: Path) -> bool:
    try:
        snapshot = open_snapshot(workspace, folder.name)
        for name in snapshot.tables():
            snapshot.contract_file(name)
    except (PilotPlantError, OSError):
        return False
    return True


def _live(room: Room) -> list[LiveRelease]:
    query = sa.select(releases).where(releases.c.state == "live").order_by(releases.c.name)
    with room.read() as connection:
        return [LiveRelease(name=row.name, pilot=row.pilot, arm=row.arm) for row in connection.execute(query)]


def _remember(room: Room, manifest: SnapshotManifest, exported: list[dict[str, str]]) -> None:
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
        for row in exported:
            connection.execute(sa.delete(exports).where(exports.c.table == row["table"]))
            connection.execute(exports.insert().values(row))
    pointer = {"schema_version": 1, "id": manifest.id, "at": at}
    write_atomically(snapshots_root(room.workspace) / LATEST, json.dumps(pointer) + "\n")
