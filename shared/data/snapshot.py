"""A snapshot: what the Factory publishes for the Lab, immutable and named by its content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, ValidationError

from shared.core.clock import parse_rfc3339
from shared.core.digests import digest_json, hex_of
from shared.core.errors import BadInput, Refused
from shared.core.exact import WorkspaceHoldout
from shared.core.frozen import FrozenModel
from shared.core.stamps import has_digest
from shared.core.times import date_time, day
from shared.data.contracts import Contract, load_contract
from shared.state.workspace import Mode, Workspace

MANIFEST = "manifest.json"
LATEST = "latest.json"
PRUNED = "pruned"
# What a snapshot that is being pruned is called meanwhile.
ASIDE = ".pruned."
ID_HEX = 16


class PublishedTable(FrozenModel):
    """One table: its rows, and the digests of its Parquet file and of its contract."""

    rows: int
    data: str
    contract: str


class LiveRelease(FrozenModel):
    """One release that runs in the Factory."""

    name: str
    pilot: str
    arm: str


class SnapshotManifest(FrozenModel):
    """What a snapshot holds.

    Attributes:
        holdout_frac: the share of all units that no pilot touches.
    """

    schema_version: Literal[1] = 1
    workspace: str
    mode: Mode
    tables: dict[str, PublishedTable]
    releases: tuple[LiveRelease, ...]
    holdout_frac: WorkspaceHoldout = Decimal(0)

    @property
    def id(self) -> str:
        """The snapshot's name: the first digits of its manifest's digest."""
        return hex_of(digest_json(self.model_dump(mode="json")))[:ID_HEX]


class Pruned(FrozenModel):
    """What is left of a snapshot that nobody needed any more."""

    schema_version: Literal[1] = 1
    id: str
    published: AwareDatetime
    pruned: AwareDatetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot on disk; each file it serves is held against its digest first.

    Attributes:
        memory: where the stamps of files with the right digest are remembered; None reads every byte each time.
    """

    folder: Path
    manifest: SnapshotManifest
    memory: Path | None = None

    @property
    def id(self) -> str:
        """Its name."""
        return self.manifest.id

    def table(self, name: str) -> Path:
        """A table's Parquet file; raises BadInput naming the tables there are, Refused for a changed file."""
        return self._unchanged(f"{name}.parquet", self._published(name).data)

    def tables(self) -> dict[str, Path]:
        """Every table's Parquet file by name."""
        return {name: self.table(name) for name in self.manifest.tables}

    def contract(self, name: str) -> Contract:
        """The contract of a table as it was at publication."""
        return load_contract(self.contract_file(name))

    def contract_file(self, name: str) -> Path:
        """Where that contract lies; raises like `table`."""
        return self._unchanged(f"{name}.odcs.yaml", self._published(name).contract)

    def _published(self, name: str) -> PublishedTable:
        if name not in self.manifest.tables:
            raise BadInput(
                f"the snapshot has no table `{name}`",
                where=f"snapshot {self.id}",
                expected="one of: " + ", ".join(sorted(self.manifest.tables)),
                remedy="ask marketing ops to load it (`pilotplant factory load`) and to publish again",
            )
        return self.manifest.tables[name]

    def _unchanged(self, name: str, digest: str) -> Path:
        path = self.folder / name
        if not path.is_file() or not has_digest(path, digest, self.memory):
            raise Refused(
                f"`{name}` of snapshot {self.id} was changed after it was published",
                where=str(path),
                expected=f"a file of digest {digest}",
                remedy="ask marketing ops to publish again (`pilotplant factory publish`)",
            )
        return path


def snapshots_folder(workspace: Workspace) -> Path:
    """Where the Lab keeps snapshots."""
    return workspace.lab / "snapshots"


def files_by_digest(root: Path) -> dict[str, list[Path]]:
    """Where each table's content lies, by what the manifests say; whoever uses it looks whether that is so."""
    found: dict[str, list[Path]] = {}
    for folder, manifest in _manifests(root):
        for name, table in manifest.tables.items():
            found.setdefault(table.data, []).append(folder / f"{name}.parquet")
    return found


def published_tables(root: Path) -> dict[str, PublishedTable]:
    """Every table's content that the manifests name, by its digest."""
    return {table.data: table for _, manifest in _manifests(root) for table in manifest.tables.values()}


def _manifests(root: Path) -> Iterator[tuple[Path, SnapshotManifest]]:
    """Each snapshot's folder with its manifest; one that cannot be read names nothing."""
    for path in root.glob(f"[!.]*/{MANIFEST}"):
        with suppress(OSError, ValueError):
            yield path.parent, SnapshotManifest.model_validate_json(path.read_bytes())


def latest_snapshot(workspace: Workspace) -> Snapshot:
    """The snapshot published last; raises Refused where there is none."""
    identity = latest_id(workspace)
    if identity is None:
        raise Refused(
            "the Lab has no snapshot yet",
            where=str(snapshots_folder(workspace)),
            remedy="ask marketing ops for `pilotplant factory load TABLE FILE` and `pilotplant factory publish`",
        )
    return open_snapshot(workspace, identity)


def latest_id(workspace: Workspace) -> str | None:
    """The name of the snapshot published last, if any; raises BadInput where the pointer to it is damaged."""
    pointer = snapshots_folder(workspace) / LATEST
    if not pointer.exists():
        return None
    try:
        return str(json.loads(pointer.read_bytes())["id"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            "the pointer to the latest snapshot is damaged", where=str(pointer), remedy="publish again"
        ) from error


def published_at(workspace: Workspace, identity: str) -> datetime | None:
    """When the snapshot that was published last was; None for another one, or where the pointer does not say it."""
    try:
        pointer = json.loads((snapshots_folder(workspace) / LATEST).read_bytes())
        return parse_rfc3339(pointer["at"]) if pointer["id"] == identity else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def open_snapshot(workspace: Workspace, identity: str, *, memory: Path | None = None) -> Snapshot:
    """A snapshot by its name; see `Snapshot` for `memory`.

    Raises BadInput where it is missing or its manifest was changed, Refused where it was pruned.
    """
    folder = snapshots_folder(workspace) / identity
    try:
        manifest = SnapshotManifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        if not folder.is_dir():
            _raise_if_pruned(workspace, identity)
        raise BadInput(
            f"snapshot {identity} is missing or damaged", where=str(folder), remedy="publish again"
        ) from error
    if manifest.id != identity:
        raise BadInput(f"the manifest of snapshot {identity} was changed", where=str(folder), remedy="publish again")
    return Snapshot(folder, manifest, memory)


def pruned_path(workspace: Workspace, identity: str) -> Path:
    """Where it is written that a snapshot was pruned."""
    return snapshots_folder(workspace) / PRUNED / f"{identity}.json"


def _raise_if_pruned(workspace: Workspace, identity: str) -> None:
    try:
        pruned = Pruned.model_validate_json(pruned_path(workspace, identity).read_bytes())
    except (OSError, ValidationError):
        return  # it is missing for another reason
    raise Refused(
        f"snapshot {identity} of {day(pruned.published)} was removed on {date_time(pruned.pruned)} by "
        "`pilotplant factory prune`: no open pilot read it any more",
        where=str(snapshots_folder(workspace) / identity),
        expected="a snapshot that a pilot without a decision reads",
        remedy="start a new pilot, which reads the latest snapshot; what was sealed of the old one is with the gate",
    )
