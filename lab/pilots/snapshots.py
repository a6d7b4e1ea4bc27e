"""The Lab's snapshots: taken in from the Factory, set aside when it prunes them, and given back to who needs one.

A table that lies in an earlier snapshot already is not kept twice: both folders name the same file (a hard link), so
that a snapshot can go without harm to the others.
"""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path

from shared.core.clock import rfc3339
from shared.core.digests import digest_file
from shared.core.errors import BadInput, PilotPlantError
from shared.core.files import settle_verified, sync_folder, write_atomically
from shared.data.snapshot import (
    ASIDE,
    LATEST,
    MANIFEST,
    Pruned,
    SnapshotManifest,
    files_by_digest,
    open_snapshot,
    pruned_path,
    snapshots_folder,
)
from shared.state.workspace import Workspace
from shared.trust.usage import Taken, usage


def take_in(workspace: Workspace, folder: Path) -> Taken:
    """Puts a snapshot under its name, whole or not at all; the same once more changes nothing.

    A table may be left out of the folder where an earlier snapshot has its content. Where none has it any more the
    answer says which are missing, and nothing is taken in. Raises BadInput where a file is not what the manifest says.
    """
    manifest = SnapshotManifest.model_validate_json((folder / MANIFEST).read_bytes())
    earlier = files_by_digest(snapshots_folder(workspace))
    tables = {name: folder / f"{name}.parquet" for name in manifest.tables}
    shared = [name for name, path in tables.items() if _share(earlier, manifest.tables[name].data, path)]
    missing = tuple(name for name, path in tables.items() if not path.exists())
    if missing:
        return Taken(manifest.id, shared=tuple(shared), missing=missing)
    for name, path in tables.items():
        if name not in shared and digest_file(path) != manifest.tables[name].data:
            raise BadInput(f"table `{name}` is not what its snapshot says", remedy="publish again")
    target = snapshots_folder(workspace) / manifest.id
    repeated = not settle_verified(folder, target, lambda there: _is_intact(workspace, there))
    return Taken(manifest.id, shared=tuple(shared), repeated=repeated)


def point_to(workspace: Workspace, snapshot: str, at: datetime) -> None:
    """Makes a snapshot the latest: new pilots read it."""
    pointer = {"schema_version": 1, "id": snapshot, "at": rfc3339(at)}
    write_atomically(snapshots_folder(workspace) / LATEST, json.dumps(pointer) + "\n")


def set_aside(workspace: Workspace, pruned: Pruned) -> bool:
    """Takes a snapshot's name away, and says whether nobody needs it; else it is there again as it was.

    What is written down first is read only where the snapshot itself is gone. A launch in this moment either finds it
    gone and stops, or has said before that it needs it, and is found here.
    """
    there, aside = _places(workspace, pruned.id)
    write_atomically(pruned_path(workspace, pruned.id), pruned.model_dump_json() + "\n")
    if there.exists():
        there.rename(aside)
        sync_folder(aside.parent)
    needed = usage(workspace, workspace.clock.now())
    if needed.unclear or pruned.id in needed.users:
        bring_back(workspace, pruned.id)
        return False
    return True


def bring_back(workspace: Workspace, snapshot: str) -> None:
    """Gives a snapshot that was set aside its name again."""
    there, aside = _places(workspace, snapshot)
    aside.rename(there)
    sync_folder(there.parent)
    pruned_path(workspace, snapshot).unlink(missing_ok=True)


def discard(workspace: Workspace, snapshot: str) -> None:
    """Removes what was set aside."""
    shutil.rmtree(_places(workspace, snapshot)[1])


def _places(workspace: Workspace, snapshot: str) -> tuple[Path, Path]:
    root = snapshots_folder(workspace)
    return root / snapshot, root / f"{ASIDE}{snapshot}"


def _share(earlier: dict[str, list[Path]], data: str, path: Path) -> bool:
    """Names an earlier snapshot's file here, in place of what came; False where that cannot be done."""
    named = path.with_suffix(".earlier")
    for each in earlier.get(data, ()):
        if each.is_file() and digest_file(each) == data:
            try:
                named.hardlink_to(each)
            except OSError:
                return False  # not every file system has links, and none has them without end
            named.replace(path)
            return True
    return False


def _is_intact(workspace: Workspace, folder: Path) -> bool:
    try:
        snapshot = open_snapshot(workspace, folder.name)
        for name in snapshot.tables():
            snapshot.contract_file(name)
    except (PilotPlantError, OSError):
        return False
    return True
