"""Who needs a snapshot: the Lab says so in a file per pilot before it launches it, and the Factory reads it.

The rooms do not import each other, and on two machines they share no database. So the Lab writes, under its own root,
which snapshot a pilot reads and until when silence decides on it; a signed decision ends that earlier. The file comes
first and is kept for ever: whatever is unclear speaks for keeping the snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, ValidationError

from shared.core.files import write_atomically
from shared.core.frozen import FrozenModel
from shared.state.workspace import Workspace
from shared.trust.record import decisions

FOLDER = "snapshot-users"


class SnapshotUser(FrozenModel):
    """A pilot that reads a snapshot, until it is decided and at the latest until its deadline."""

    schema_version: Literal[1] = 1
    pilot: str
    snapshot: str
    deadline: AwareDatetime


@dataclass(frozen=True, slots=True)
class Usage:
    """Which snapshots are needed now.

    Attributes:
        users: the undecided pilots of each snapshot that has any.
        unclear: what could not be read; with anything here, any snapshot may be needed.
    """

    users: dict[str, list[SnapshotUser]]
    unclear: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a snapshot that the Factory published.

    Attributes:
        shared: the tables that are one file with an earlier snapshot's.
        repeated: whether the same content had been published before, and is still there as it was.
        missing: the tables that did not come and that no earlier snapshot has; then it was not taken in.
    """

    snapshot: str
    shared: tuple[str, ...] = ()
    repeated: bool = False
    missing: tuple[str, ...] = ()


def declare(workspace: Workspace, user: SnapshotUser) -> None:
    """Writes down what a pilot reads, in place of what was said of it before."""
    write_atomically(workspace.lab / FOLDER / f"{user.pilot}.json", user.model_dump_json() + "\n")


def usage(workspace: Workspace, now: datetime) -> Usage:
    """Which snapshots undecided pilots read, or submitted and wait for a decision on."""
    decided, users, unclear = decisions(workspace), dict[str, list[SnapshotUser]](), list[str]()
    silent = {folder.name for folder in (workspace.lab / "pilots").glob("[!.]*") if folder.is_dir()} - set(decided)
    for path in sorted((workspace.lab / FOLDER).glob("[!.]*.json")):
        silent.discard(path.stem)
        try:
            user = SnapshotUser.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            unclear.append(f"{path} cannot be read; `pilotplant lab launch {path.stem}` writes it again")
            continue
        if user.pilot not in decided and now < user.deadline:
            users.setdefault(user.snapshot, []).append(user)
    unclear += [
        f"nothing says which snapshot pilot {pilot} reads; `pilotplant lab launch {pilot}` writes it down again"
        for pilot in sorted(silent)
    ]
    return Usage(users, tuple(unclear))
