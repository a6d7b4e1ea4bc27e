"""Publishing: the warehouse's tables become a masked snapshot that the Lab may read."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import sqlalchemy as sa

from factory.state import open_factory, read_settings, releases, snapshots
from factory.warehouse import export_masked, open_warehouse, tables
from shared.clock import rfc3339
from shared.digests import canonical, digest_file
from shared.errors import PilotPlantError, Refused
from shared.files import scratch_in, settle_verified, write_atomically
from shared.room import Room
from shared.snapshot import LATEST, MANIFEST, LiveRelease, PublishedTable, SnapshotManifest, open_snapshot
from shared.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Published:
    """What was published.

    Attributes:
        snapshot: its name.
        rows: per table.
        repeated: whether the same content had been published before, and is still there as it was.
    """

    snapshot: str
    rows: dict[str, int]
    repeated: bool


def publish(workspace: Workspace) -> Published:
    """Writes a snapshot of every loaded table; raises Refused where nothing has been loaded."""
    room = open_factory(workspace)
    with open_warehouse(workspace, read_only=True) as connection:
        names = tables(connection)
    if not names:
        raise Refused("nothing has been loaded yet", remedy="run `pilotplant factory load TABLE FILE` first")
    root = workspace.lab / "snapshots"
    with scratch_in(root) as scratch:
        manifest = _write(workspace, room, names, scratch)
        repeated = not settle_verified(scratch, root / manifest.id, lambda there: _is_intact(workspace, there))
    _remember(workspace, room, manifest)
    return Published(manifest.id, {name: table.rows for name, table in manifest.tables.items()}, repeated)


def _is_intact(workspace: Workspace, folder: Path) -> bool:
    try:
        snapshot = open_snapshot(workspace, folder.name)
        for name in snapshot.tables():
            snapshot.contract_file(name)
    except (PilotPlantError, OSError):
        return False
    return True


def _write(workspace: Workspace, room: Room, names: list[str], folder: Path) -> SnapshotManifest:
    paths = export_masked(workspace, names, folder)
    published = {}
    for name, path in paths.items():
        contract = folder / f"{name}.odcs.yaml"
        shutil.copyfile(workspace.configs / "contracts" / contract.name, contract)
        rows = pq.read_metadata(path).num_rows
        published[name] = PublishedTable(rows=rows, data=digest_file(path), contract=digest_file(contract))
    manifest = SnapshotManifest(
        workspace=workspace.id,
        mode=workspace.mode,
        tables=published,
        releases=tuple(_live(room)),
        holdout_frac=read_settings(workspace).holdout_frac,
    )
    (folder / MANIFEST).write_bytes(canonical(manifest.as_json()))
    return manifest


def _live(room: Room) -> list[LiveRelease]:
    query = sa.select(releases).where(releases.c.state == "live").order_by(releases.c.name)
    with room.transaction() as connection:
        return [LiveRelease(name=row.name, pilot=row.pilot, arm=row.arm) for row in connection.execute(query)]


def _remember(workspace: Workspace, room: Room, manifest: SnapshotManifest) -> None:
    at = rfc3339(room.now())
    with room.transaction() as connection:
        known = connection.execute(sa.select(snapshots.c.id).where(snapshots.c.id == manifest.id)).first()
        if known is None:
            connection.execute(snapshots.insert().values(id=manifest.id, at=at))
            body = {"tables": {name: table.model_dump() for name, table in manifest.tables.items()},
                    "holdout_frac": str(manifest.holdout_frac)}  # fmt: skip
            room.write(connection, "published", manifest.id, body)
    pointer = {"schema_version": 1, "id": manifest.id, "at": at}
    write_atomically(workspace.lab / "snapshots" / LATEST, json.dumps(pointer) + "\n")
