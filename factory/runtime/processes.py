"""Processes that the plant starts: each carries the plant's mark, so that none outlives it unseen."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shared.core.errors import PilotPlantError, Refused
from shared.core.files import PRIVATE

# Handed down from parent to child, into sessions of their own as well, which a process group is not.
MARK = "PILOTPLANT_PLANT"
STOP_WAIT_S = 10.0
POLL_S = 0.1
LOG_LINES = 15
LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Child:
    """A process of ours, the first of its own group."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def require_alive(self) -> None:
        """Raises PilotPlantError with the last lines of its log where it has ended."""
        code = self.process.poll()
        if code is not None:
            raise PilotPlantError(
                f"{self.name} ended by itself (exit code {code}):\n" + last_lines(self.log),
                where=str(self.log),
                remedy="read the log, remove the cause, and run `pilotplant factory up` again; nothing is lost",
            )


def start(name: str, command: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path) -> Child:
    """Starts a process in a group of its own, its output appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            umask=PRIVATE,
        )
    return Child(name, process, log)


def stop(children: Sequence[Child], mark: str) -> None:
    """Ends children, the latest first, and whatever they started; asks first, then insists."""
    for child in reversed(children):
        _signal_group(child.process.pid, signal.SIGTERM)
        give_up = time.monotonic() + STOP_WAIT_S
        while child.process.poll() is None and time.monotonic() < give_up:
            time.sleep(POLL_S)
        _signal_group(child.process.pid, signal.SIGKILL)
        child.process.wait()
    stop_marked(mark)


def stop_marked(mark: str) -> int:
    """Ends every process with the mark; returns how many there were."""
    found = set(marked(mark))
    for number in found:
        _signal(number, signal.SIGTERM)
    give_up = time.monotonic() + STOP_WAIT_S
    while (left := set(marked(mark))) and time.monotonic() < give_up:
        time.sleep(POLL_S)
    for number in left:
        _signal(number, signal.SIGKILL)
    return len(found | left)


def marked(mark: str) -> list[int]:
    """The ids of running processes that carry the mark, this one aside; none where there is no /proc."""
    entry = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        # Processes of other people cannot be read, and any may end while we look.
        with suppress(OSError):
            if entry in (folder / "environ").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def last_lines(log: Path) -> str:
    """The end of a log, for an error message."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-LOG_LINES:])


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Holds the lock while the plant is up; raises Refused where another process holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as stream:
        try:
            _lock(stream)
        except BlockingIOError as error:
            stream.seek(0)
            raise Refused(
                f"the Factory of this workspace is up already (process {stream.read().strip() or 'unknown'})",
                where=str(lock),
                remedy="look at its terminal, or stop it there with Ctrl-C first",
            ) from error
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield


def _lock(stream: IO[str]) -> None:
    """Takes the lock; whoever only looks whether it is held has it for a moment."""
    give_up = time.monotonic() + LOOK_S
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise
            time.sleep(POLL_S)
        else:
            return


def _signal_group(number: int, kind: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(number, kind)


def _signal(number: int, kind: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(number, kind)
