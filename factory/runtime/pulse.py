"""The plant's pulse: whether it is up, and since when not, for whoever was not there.

While it is up it holds a lock, which the kernel lifts even after a kill, and renews a file's date every few seconds.
Its time is the machine's, as Prefect's schedules are, whatever clock a rehearsal shows.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel

from shared.core.clock import rfc3339
from shared.core.files import write_atomically
from shared.core.times import date_time
from shared.state.workspace import Workspace

State = Literal["never started", "up", "failing", "silent", "stopped", "failed", "killed"]
# The pulse is renewed every few seconds; a round that deploys many releases may take a minute.
SILENT_AFTER = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Pulse:
    """How the plant is.

    Attributes:
        state: `failing` where its rounds fail, `silent` where its process is there and does nothing; `failed` where an
            error has ended it, and `killed` where it ended without a word.
        since: when it was started, or was last known to be at work; None where it never was.
        reason: the error.
    """

    state: State
    since: datetime | None = None
    reason: str | None = None

    @property
    def is_up(self) -> bool:
        """Whether schedules are kept."""
        return self.state == "up"

    def __str__(self) -> str:
        """For people, as the end of a sentence that begins with the Factory."""
        since = date_time(self.since) if self.since else ""
        return {
            "never started": "was never started",
            "up": f"is up since {since}" if since else "is starting",
            "failing": f"is up, and what it does fails since {since}: {self.reason}",
            "silent": f"is silent since {since}: its process is there and does nothing",
            "stopped": f"is DOWN since {since}: it was stopped",
            "failed": f"is DOWN since {since}: {self.reason}",
            "killed": f"is DOWN since {since}: its process was killed, or the machine went down",
        }[self.state]


def home(workspace: Workspace) -> Path:
    """Where the plant keeps what is its own."""
    return workspace.factory / "prefect"


def lock_path(workspace: Workspace) -> Path:
    """What the plant holds while it is up."""
    return home(workspace) / "plant.lock"


def begin(workspace: Workspace, url: str | None = None) -> None:
    """The plant is up from now on; `url` is where people look at its Prefect."""
    _write(workspace, "up", url=url)


def address(workspace: Workspace) -> str | None:
    """Where people look at the plant's Prefect; None while it is not up."""
    return _said(_path(workspace)).url if _held(workspace) else None


def beat(workspace: Workspace) -> None:
    """The plant is at work, and its last round went well."""
    _renew(workspace, "up")


def stumble(workspace: Workspace, reason: str) -> None:
    """A round of the plant has failed; the first of several says since when."""
    _renew(workspace, "failing", reason)


def end(workspace: Workspace, error: BaseException | None = None) -> None:
    """The plant goes down: in order, or by an error."""
    if error is None or isinstance(error, KeyboardInterrupt | GeneratorExit):
        _write(workspace, "stopped")
    else:
        _write(workspace, "failed", str(error).splitlines()[0] if str(error) else type(error).__name__)


def read(workspace: Workspace) -> Pulse:
    """How the plant is now; a file that cannot be read says no more than that it was there once."""
    path = _path(workspace)
    try:
        seen = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return Pulse("up" if _held(workspace) else "never started")
    said = _said(path)
    since = said.since or seen
    if _held(workspace):
        if abs(datetime.now(UTC) - seen) > SILENT_AFTER:  # a date ahead of now is of a clock that was put back since
            return Pulse("silent", seen)
        return Pulse("failing", since, said.reason) if said.state == "failing" else Pulse("up", since)
    if said.state in {"stopped", "failed"}:
        return Pulse(said.state, since, said.reason)
    return Pulse("killed", seen)


def _path(workspace: Workspace) -> Path:
    return home(workspace) / "plant.json"


def _renew(workspace: Workspace, state: State, reason: str | None = None) -> None:
    """Says it once, and from then on renews the file's date."""
    path = _path(workspace)
    said = _said(path)
    if (said.state, said.reason) == (state, reason):
        os.utime(path)
    else:
        _write(workspace, state, reason, said.url)


def _write(workspace: Workspace, state: State, reason: str | None = None, url: str | None = None) -> None:
    said = {"schema_version": 1, "process": os.getpid(), "state": state, "since": rfc3339(datetime.now(UTC))}
    more = {"reason": reason, "url": url}
    write_atomically(_path(workspace), json.dumps(said | {key: each for key, each in more.items() if each}) + "\n")


class _Said(BaseModel):
    """What the plant's file says, as far as it can be read."""

    state: State | None = None
    since: AwareDatetime | None = None
    reason: str | None = None
    url: str | None = None


def _said(path: Path) -> _Said:
    try:
        return _Said.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return _Said()


def _held(workspace: Workspace) -> bool:
    try:
        with lock_path(workspace).open("r") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
