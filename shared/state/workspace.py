"""A workspace: a team's own folder, `live` or `rehearsal` for ever."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Literal, get_args

from shared.core.clock import Clock, parse_rfc3339, rfc3339
from shared.core.errors import BadInput, Refused
from shared.core.files import write_atomically

Mode = Literal["live", "rehearsal"]
MARK = "workspace.json"
# What a team's repository should not hold: the rooms' data, and lists of units or customers with their arms.
IGNORED = ("var/", "*arms.csv", "addressed*.csv")
# What follows `?` in a path is taken for options, `\\` for a folder's end, `[` and `*` for patterns, and what stands on
# both sides of `=` for a column and its value in all files below.
_MISREAD = ("?", "\\", "[", "*", "=")


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where everything of one team is found.

    Attributes:
        root: the folder.
        id: drawn at creation; every ledger and attestation carries it.
        mode: `live` or `rehearsal`; the rooms' ledgers hold it from their first entry, so that editing
            the mark does not change it.
        created: when, by the clock of that moment.
    """

    root: Path
    id: str
    mode: Mode
    created: datetime

    @property
    def clock(self) -> Clock:
        """The one clock; settable only in a rehearsal."""
        return Clock(self.root / "var" / "rehearsal-clock.json" if self.mode == "rehearsal" else None)

    @property
    def configs(self) -> Path:
        """The team's settings, as YAML."""
        return self.root / "configs"

    @property
    def pilots(self) -> Path:
        """Charters with their templates and SQL, one folder each."""
        return self.root / "pilots"

    @property
    def lab(self) -> Path:
        """The Lab's data root."""
        return self.root / "var" / "lab"

    @property
    def promotion(self) -> Path:
        """The gate's data root."""
        return self.root / "var" / "promotion"

    @property
    def factory(self) -> Path:
        """The Factory's data root."""
        return self.root / "var" / "factory"

    @property
    def private_keys(self) -> Path:
        """Where private keys lie: outside the workspace, but for a rehearsal, whose keys are unencrypted."""
        if self.mode == "rehearsal":
            return self.root / "var" / "rehearsal-keys"
        from platformdirs import user_config_path

        base = os.environ.get("PILOTPLANT_KEYS")
        return (Path(base) if base else user_config_path("pilotplant") / "keys") / self.id

    def genesis(self) -> dict[str, str]:
        """What the first entry of every room's ledger says."""
        return {"workspace": self.id, "mode": self.mode}


def create(root: Path, mode: Mode) -> tuple[Workspace, bool]:
    """The workspace in `root`, made if need be, and whether it was made now.

    Raises Refused where one of the other mode is there, BadInput where the folder holds something else.
    """
    root = root.resolve()
    _require_name(root)
    if (root / MARK).exists():
        found = open_workspace(root)
        if found.mode != mode:
            raise Refused(
                f"this is a {found.mode} workspace, and stays one for ever",
                where=str(root),
                remedy=f"choose another folder for a {mode} workspace",
            )
        return found, False
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise BadInput("the folder is not empty", where=str(root), remedy="choose a new or an empty folder")
    created = Clock().now()
    identity = secrets.token_hex(8)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    defaults = resources.files("configs")
    with resources.as_file(defaults) as folder:
        shutil.copytree(folder, root / "configs", ignore=shutil.ignore_patterns("__*", "templates"), dirs_exist_ok=True)
    for place in ("pilots", "configs/trusted_keys", "var"):
        (root / place).mkdir(parents=True, exist_ok=True)
    for path in root.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    write_atomically(root / ".gitignore", "".join(f"{pattern}\n" for pattern in IGNORED))
    mark = {"schema_version": 1, "id": identity, "mode": mode, "created": rfc3339(created)}
    # The mark comes last: a folder without it is not yet a workspace, and is refused until it is emptied.
    write_atomically(root / MARK, json.dumps(mark, indent=2) + "\n")
    return open_workspace(root), True


def _require_name(root: Path) -> None:
    """Raises BadInput for a folder in which DuckDB would write its files under other names."""
    if sign := next((sign for sign in _MISREAD if sign in str(root)), None):
        raise BadInput(
            f"the folder has `{sign}` in its name, or in that of one above it, which DuckDB takes for something else",
            where=str(root),
            expected=f"a path without {' '.join(_MISREAD)}",
            remedy="choose another folder, or rename this one",
        )


def open_workspace(root: Path) -> Workspace:
    """The workspace in `root`; raises BadInput where there is none."""
    mark = root / MARK
    _require_name(root.resolve())
    try:
        content = json.loads(mark.read_text(encoding="utf-8"))
        if content["schema_version"] != 1 or content["mode"] not in get_args(Mode):
            raise ValueError("unknown schema_version or mode")
        return Workspace(root.resolve(), str(content["id"]), content["mode"], parse_rfc3339(content["created"]))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadInput(
            "there is no workspace here",
            where=str(root),
            remedy="make one with `pilotplant init DIR`, or name one with `--workspace DIR`",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput("the workspace's mark is damaged", where=str(mark), remedy="restore it from a backup") from error


def find_workspace(given: Path | None) -> Workspace:
    """The workspace named by option or PILOTPLANT_WORKSPACE, else the one that holds this folder."""
    named = given or (Path(os.environ["PILOTPLANT_WORKSPACE"]) if os.environ.get("PILOTPLANT_WORKSPACE") else None)
    if named is not None:
        return open_workspace(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / MARK).exists():
            return open_workspace(folder)
    return open_workspace(here)
