"""Who on this machine may read and write a workspace: the account that it belongs to, and no other.

Folders of the rooms are 0700 and their files 0600, whatever the umask was. Where the rooms work as different accounts
of one group, the folders by which they hand over to each other are 2770 and their files 0660; `shared.core.files`
writes what lies below a folder with the setgid bit accordingly. Each command begins with this, and with removing what
killed commands left.
"""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from shared.core.errors import BadInput, PilotPlantError
from shared.core.files import SCRATCH, remove_abandoned
from shared.core.frozen import FrozenModel
from shared.core.yamlfile import read_yaml
from shared.state.workspace import Workspace

FILE = "access.yaml"
ROOMS = ("lab", "promotion", "factory")
# What a room publishes: it alone writes there, and the others read.
PUBLISHED = (
    "lab/snapshots",
    "promotion/attestations",
    "promotion/receipts",
    "promotion/keys",
    "promotion/corrections",
    "factory/receipts",
    "factory/keys",
)
# Where the others lay requests to a room, with the files that belong to them.
SPOOLS = ("lab/spool", "promotion/spool", "factory/spool")
# The modes of a folder, and of a file in it, that are the group's as well.
_READ, _WRITE = (0o2750, 0o640), (0o2770, 0o660)
_SHARED = {**dict.fromkeys(PUBLISHED, _READ), **dict.fromkeys(SPOOLS, _WRITE)}
# What each start looks at besides the folders: if these are closed, a walk through everything can wait.
_TELLING = (
    "lab/lab.db",
    "lab/mlflow.db",
    "promotion/promotion.db",
    "factory/factory.db",
    "factory/warehouse.duckdb",
    "factory/pseudonym.key",
)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_THROUGH = 0o710  # a member of the group may pass, and see nothing


class AccessSettings(FrozenModel):
    """`configs/access.yaml`.

    Attributes:
        group: the group of accounts that the rooms work as; without one, one account does everything.
    """

    schema_version: Literal[1]
    group: str | None = None


@dataclass(slots=True)
class Mended:
    """What was open to other accounts of this machine.

    Attributes:
        closed: what is closed now.
        left: what belongs to another account, and is open still.
        looks: whether nothing is changed, and `closed` is what would be.
    """

    closed: list[Path] = field(default_factory=list)
    left: list[Path] = field(default_factory=list)
    looks: bool = False

    def lines(self, root: Path) -> list[str]:
        """What people should hear of it; nothing where nothing was open."""
        said = []
        if self.closed:
            said.append(f"Other accounts of this machine could reach {_named(self.closed, root)}; that is mended.")
        if self.left:
            said.append(
                f"Other accounts of this machine can reach {_named(self.left, root)}; only its owner can close that."
            )
        return said


def close(workspace: Workspace, *, everything: bool = False) -> Mended:
    """Closes what other accounts could read, or in the team's own files could write.

    Looks at the folders and the databases; at all files only where one of these was open, or `everything` is asked.
    Raises BadInput where `configs/access.yaml` cannot be read or names no group of this machine.
    """
    return _closed(workspace, Mended(), everything=everything)


def exposed(workspace: Workspace) -> list[Path]:
    """What other accounts could read, or in the team's own files could write; nothing is changed. Raises as `close`."""
    found = _closed(workspace, Mended(looks=True), everything=True)
    return list(dict.fromkeys((*found.closed, *found.left)))


def _closed(workspace: Workspace, mended: Mended, *, everything: bool) -> Mended:
    group = group_of(workspace)
    for path, shared in _places(workspace, group, make=not mended.looks):
        through = _is_way(workspace, path)
        modes = (_THROUGH, _THROUGH) if through and group is not None else shared
        _close(path, mended, group=group if modes else None, modes=modes, follow=through)
    # Where somebody who could write might let anything run: the settings, the trusted keys, the charters.
    own = (path for path in workspace.root.iterdir() if path.is_file())
    for path in (workspace.root, *own, workspace.pilots, *_below(workspace.configs)):
        _keep_from_others(path, mended)
    if everything or mended.closed:
        _close_all(workspace, group, mended)
    return mended


def _close_all(workspace: Workspace, group: int | None, mended: Mended) -> None:
    var = workspace.root / "var"
    shared = {var / name: modes for name, modes in _SHARED.items()} if group is not None else {}
    # A room may lie on another disk, behind a link that the walk does not follow.
    for top in (var, *(var / room for room in ROOMS if (var / room).is_symlink())):
        for path in _below(top):
            if _is_way(workspace, path):
                continue  # closed already
            modes = next((shared[each] for each in (path, *path.parents) if each in shared), None)
            _close(path, mended, group=group if modes else None, modes=modes)
    for path in _below(workspace.pilots):
        _keep_from_others(path, mended)


def _places(workspace: Workspace, group: int | None, *, make: bool) -> Iterator[tuple[Path, tuple[int, int] | None]]:
    """What each start looks at, with the modes of what is the group's as well; folders of the group may be made."""
    var = workspace.root / "var"
    for path in (var, *(var / name for name in (*ROOMS, *_TELLING))):
        yield path, None
    for name, modes in _SHARED.items():
        folder = var / name
        room = folder.parent
        if make and group is not None and not folder.exists() and room.is_dir() and _may_change(room.stat()):
            folder.mkdir()
        yield folder, modes if group is not None else None
    keys = workspace.private_keys
    for path in (keys, *keys.glob("*.pem")):
        yield path, None


def _below(top: Path) -> Iterator[Path]:
    """A folder, and everything below it that can be listed; links are not followed."""
    if not top.is_dir():
        return
    yield top
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            yield Path(folder) / name


def _is_way(workspace: Workspace, path: Path) -> bool:
    """Whether the group's accounts pass through a folder to reach what is theirs."""
    var = workspace.root / "var"
    return path == var or (path.parent == var and path.name in ROOMS)


def _close(
    path: Path, mended: Mended, *, group: int | None, modes: tuple[int, int] | None, follow: bool = False
) -> None:
    with suppress(FileNotFoundError, PermissionError):
        # What any other link points to is not ours to close.
        found = path.stat() if follow else path.lstat()
        if stat.S_ISLNK(found.st_mode) or stat.S_ISSOCK(found.st_mode):
            return
        is_folder, mode = stat.S_ISDIR(found.st_mode), stat.S_IMODE(found.st_mode)
        of_group = modes and modes[0 if is_folder else 1]
        wanted = of_group or mode & ~_OTHERS & ~(stat.S_ISGID | stat.S_ISUID)
        if mode != wanted or group not in {None, found.st_gid}:
            _give(path, found, wanted, group, mended)


def _give(path: Path, found: os.stat_result, wanted: int, group: int | None, mended: Mended) -> None:
    open_before = found.st_mode & _OTHERS & ~wanted
    if mended.looks:
        mended.closed += [path] if open_before else []
        return
    if not _may_change(found):
        if open_before:
            mended.left.append(path)
        return
    if group is not None and found.st_gid != group:
        os.chown(path, -1, group)
    path.chmod(wanted)
    if open_before:
        mended.closed.append(path)


def _keep_from_others(path: Path, mended: Mended) -> None:
    """Takes from strangers the right to write; who of the team may read and write is the team's own matter."""
    with suppress(FileNotFoundError, PermissionError):
        found = path.lstat()
        if not stat.S_ISLNK(found.st_mode) and found.st_mode & stat.S_IWOTH:
            _give(path, found, stat.S_IMODE(found.st_mode) & ~stat.S_IWOTH, None, mended)


def _may_change(found: os.stat_result) -> bool:
    return os.geteuid() in {0, found.st_uid}


def group_of(workspace: Workspace) -> int | None:
    """The group of the accounts that the rooms work as; None where one account does everything. Raises as `close`."""
    path = workspace.configs / FILE
    if not path.exists():
        return None
    name = read_yaml(path, AccessSettings).group
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise BadInput(
            f"this machine has no group `{name}`",
            where=str(path),
            expected="the group of the accounts that the rooms work as",
            remedy="make it, or leave `group` out where one account does everything",
        ) from error


def _named(paths: list[Path], root: Path) -> str:
    """The first one by name, and how many more."""
    first = paths[0].relative_to(root) if paths[0].is_relative_to(root) else paths[0]
    place = str(first) if str(first) != "." else str(root)
    return place if len(paths) == 1 else f"{place} and {len(paths) - 1:,} more"


# Where work in progress lies: in a room, in one of its folders, beside a pilot's, or with a draft.
_PLACES = ("var/*", "var/*/*", "var/lab/*/*", "var/lab/pilots/*/*", "pilots")


def tidied(workspace: Workspace, *, everything: bool = False) -> list[str]:
    """What people should hear of it; nothing where all was well. It never keeps a command from its work."""
    said: list[str] = []
    # A disk that cannot be written, and another account's folders, are left as they are.
    with suppress(OSError):
        try:
            said += close(workspace, everything=everything).lines(workspace.root)
        except PilotPlantError as error:
            said.append(f"Who may reach this workspace was not checked: {error}")
    with suppress(OSError):
        left = {found.parent for place in _PLACES for found in workspace.root.glob(f"{place}/{SCRATCH}*")}
        for parent in left:
            remove_abandoned(parent)
    return said
