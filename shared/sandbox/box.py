"""The parent's side of the box: starts the child, kills it in time, and makes a value or an error of what happened."""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from shared.core import faults
from shared.core.errors import BadInput, Contained, PilotPlantError, Undecided
from shared.core.files import PRIVATE, scratch_in, sync_file
from shared.core.stamps import Witness, witness
from shared.sandbox import landlock

WithoutLandlock = Literal["refuse", "accept"]

MAX_ANSWER_BYTES = 64 * 2**20
# Nothing of the caller's environment enters the box. Two of these keep libraries from starting threads as they are
# imported, which would be older than the box's walls and stand outside them; the third lets Arrow reserve no 1 GiB.
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
_log = logging.getLogger(__name__)
_START_S = 15.0  # what an interpreter with its imports may take on a busy machine (0.3 s on an idle one)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one call may use.

    Attributes:
        seconds: Wall clock, from when the box is closed; the parent kills a child that outlives it.
        memory_mb: DuckDB's own limit, or a template's; the address space is larger by `child.*_OVERHEAD_MB`.
        disk_mb: The size of the sandbox's database, of any file that is written, and of what is spilled to disk.
        rows: The most rows of a result.
        setting: Where these limits are set, for those who have to raise them.
    """

    seconds: float = 30.0
    memory_mb: int = 1024
    disk_mb: int = 512
    rows: int = 5_000_000
    setting: str | None = None

    def remedy(self, advice: str) -> str:
        """The advice, and where the limit is set."""
        return advice + (f", or have {self.setting} raised" if self.setting else "")


@dataclass(frozen=True, slots=True)
class Box:
    """A private folder that is gone after the call; `own` is the one place in it where the child may write."""

    folder: Path
    without_landlock: WithoutLandlock = "refuse"

    @property
    def own(self) -> Path:
        """The child's folder."""
        return self.folder / "own"

    def run(self, task: str, job: dict[str, Any], *, where: str, limits: Limits) -> dict[str, Any]:
        """Do `task` in a fresh child and return its result; the job's `tables` and `rows` are all that it can read.

        Raises Contained where the SQL or template was refused, hit a limit, or brought the child down, BadInput where
        an input is not there, Undecided where the kernel cannot confine anything, PilotPlantError where the box broke.
        """
        if not ensure_available(self.without_landlock):
            _log.warning(
                "Not confined by the kernel, which has no Landlock; the configuration accepts that (%s).", where
            )
        inputs = [path for paths in job.get("tables", {}).values() for path in paths]
        inputs += [job["rows"]] if "rows" in job else []
        before = [_witness(Path(path), where) for path in inputs]
        job |= {"task": task, "limits": dataclasses.asdict(limits), "own": str(self.own), "parent": os.getpid()}
        job |= {"read": inputs, "without_landlock": self.without_landlock}
        (self.folder / "job").write_text(json.dumps(job), encoding="utf-8")
        exit_code = self._child(limits)
        if not all(found.agrees() for found in before):
            remedy = "run it again; if this comes back, find out who writes there"
            raise Contained("an input changed while the box was at work", where=where, remedy=remedy)
        return self._answer(exit_code, where, limits)

    def deliver(self, name: str, out: Path) -> None:
        """Put the child's file `name` in the place of `out` in one step, durably."""
        made = self.own / name
        found = made.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise PilotPlantError(f"the box left something that is no plain file as {name}", where=str(out))
        if found.st_dev != out.parent.stat().st_dev:
            made = Path(shutil.copyfile(made, out.with_name(f".{out.name}.{self.folder.name}")))
        sync_file(made)
        made.replace(out)

    def _child(self, limits: Limits) -> int | None:
        """The child's exit code, or None if it had to be killed; its whole process group is gone either way."""
        with (
            (self.folder / "job").open("rb") as job,
            (self.folder / "answer").open("wb") as answer,
            (self.folder / "errors").open("wb") as errors,
        ):
            child = subprocess.Popen(
                [sys.executable, "-I", "-m", "shared.sandbox.child"],
                stdin=job, stdout=answer, stderr=errors,
                env=ENVIRONMENT, cwd=self.own, start_new_session=True, umask=PRIVATE,
            )  # fmt: skip
        try:
            ended = _has_ended(child.pid, limits.seconds + _START_S)
        finally:
            os.killpg(child.pid, signal.SIGKILL)  # not yet waited for, so the number cannot be anybody else's
            exit_code = child.wait()
        return exit_code if ended else None

    def _answer(self, exit_code: int | None, where: str, limits: Limits) -> dict[str, Any]:
        if exit_code is None:
            raise _stopped("seconds", where, limits)
        if exit_code < 0:
            raise _stopped(_LIMIT_BY_SIGNAL.get(-exit_code, signal.Signals(-exit_code).name), where, limits)
        if exit_code > 0:
            last = (self.folder / "errors").read_bytes()[-4_000:].decode(errors="replace").strip().rpartition("\n")[2]
            if os.strerror(errno.ENOSPC) in last or faults.is_full(self.folder):
                raise faults.told("full", str(self.folder.parent))
            raise PilotPlantError(f"the box broke: {last}", where=where, remedy="this is a defect; please report it")
        file = self.folder / "answer"
        if file.stat().st_size > MAX_ANSWER_BYTES:
            raise _stopped("answer", where, limits)
        answer: dict[str, Any] = json.loads(file.read_bytes())
        if "full" in answer:
            raise faults.told("full", str(self.folder.parent))
        if "stopped" in answer:
            raise _stopped(answer["stopped"], where, limits)
        for kind in (Contained, BadInput):
            if told := answer.get(kind.__name__):
                place = ", ".join(filter(None, (where, told["where"])))
                remedy = told["remedy"] or (None if told["expected"] else "correct it there")
                raise kind(told["what"], where=place, expected=told["expected"], remedy=remedy)
        result: dict[str, Any] = answer["result"]
        return result


def ensure_available(without_landlock: WithoutLandlock = "refuse") -> bool:
    """Whether the kernel can confine untrusted code, or False where it cannot and the operator accepts that.

    Raises Undecided where it cannot, so that SQL and templates from the Lab are not run at all.
    """
    if landlock.available():
        return True
    if without_landlock == "accept":
        return False
    raise Undecided(
        "this kernel cannot confine SQL and templates written in the Lab, so they are not run",
        expected="Linux 5.13 or later with Landlock enabled",
        remedy="run this where /sys/kernel/security/lsm names landlock; whoever runs this machine may accept the risk "
        "with `without_landlock: accept`, below `sandbox` in configs/lab.yaml and in configs/factory.yaml",
    )


@contextmanager
def opened(beside: Path | None, without_landlock: WithoutLandlock = "refuse") -> Iterator[Box]:
    """A box whose folder lies in `beside`, so that what it makes can be moved there in one step."""
    made = scratch_in(beside) if beside else tempfile.TemporaryDirectory(prefix=".box-", ignore_cleanup_errors=True)
    with made as folder:
        box = Box(Path(folder).resolve(), without_landlock)
        box.own.mkdir()
        yield box


_LIMIT_BY_SIGNAL: dict[int, str] = {
    signal.SIGALRM: "seconds",
    signal.SIGXCPU: "seconds",
    signal.SIGXFSZ: "output",
    signal.SIGKILL: "memory",  # nobody else kills it before its time but the kernel, short of memory
}


def _has_ended(pid: int, seconds: float) -> bool:
    """Whether the process ends within `seconds`; it is not waited for, and keeps its number."""
    handle = os.pidfd_open(pid)
    try:
        watch = select.poll()
        watch.register(handle, select.POLLIN)
        return bool(watch.poll(seconds * 1000))
    finally:
        os.close(handle)


def _stopped(limit: str, where: str, limits: Limits) -> Contained:
    reasons = {
        "seconds": f"it was stopped after {limits.seconds:g} s",
        "memory": f"it was stopped: it needed more than {limits.memory_mb} MB of memory",
        "disk": f"it was stopped: it spilled more than {limits.disk_mb} MB from memory to disk",
        "output": f"it was stopped: it wrote more than {limits.disk_mb} MB",
        "answer": f"it was stopped: it returned more than {MAX_ANSWER_BYTES // 2**20} MB to show",
    }
    what = reasons.get(limit, f"it brought its process down ({limit})")
    return Contained(what, where=where, remedy=limits.remedy("make it ask for less"))


def _witness(path: Path, where: str) -> Witness:
    try:
        return witness(path)
    except OSError as error:
        raise BadInput(f"{path.name} cannot be read: {error.strerror}", where=where) from error
