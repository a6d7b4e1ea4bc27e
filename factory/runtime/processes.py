"""Processes that the plant starts: each carries the plant's mark, so that none outlives it unseen."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from shared.core.errors import PilotPlantError, Refused
from shared.core.files import PRIVATE, locked

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


def start(
    name: str,
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    log: Path,
    inherits: Sequence[int] = (),
) -> Child:
    """Starts a process in a group of its own, its output appended to `log`; `inherits` are file descriptors it gets."""
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
            pass_fds=inherits,
        )
    return Child(name, process, log)


def stop(children: Sequence[Child], mark: str) -> None:
    """Ends children, the latest first, and whatever carries their mark; asks first, then insists."""
    end(children)
    stop_marked(mark)


def end(children: Sequence[Child]) -> None:
    """Ends children, the latest first, with their groups; asks first, then insists."""
    for child in reversed(children):
        _signal_group(child.process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.process.wait(STOP_WAIT_S)
        _signal_group(child.process.pid, signal.SIGKILL)
        child.process.wait()


def stop_marked(mark: str) -> int:
    """Ends every process with the mark; returns how many there were."""
    found = set(marked(mark))
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    give_up = time.monotonic() + STOP_WAIT_S
    while (left := set(marked(mark))) and time.monotonic() < give_up:
        time.sleep(POLL_S)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return len(found | left)


def marked(mark: str) -> list[psutil.Process]:
    """The running processes that carry the mark, this one aside."""
    # Of a process of other people, or one that has just ended, the environment is None.
    found = psutil.process_iter(["environ"])
    return [each for each in found if (each.info["environ"] or {}).get(MARK) == mark and each.pid != os.getpid()]


def last_lines(log: Path) -> str:
    """The end of a log, for an error message."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-LOG_LINES:])


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Holds the lock while the plant is up; raises Refused where another process holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(lock, timeout_s=LOOK_S))
        except TimeoutError as error:
            raise Refused(
                f"the Factory of this workspace is up already (process {lock.read_text().strip() or 'unknown'})",
                where=str(lock),
                remedy="look at its terminal, or stop it there with Ctrl-C first",
            ) from error
        lock.write_text(str(os.getpid()))
        yield


def _signal_group(number: int, kind: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(number, kind)
