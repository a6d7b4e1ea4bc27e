"""What runs in the box: one job from stdin, every door closed, the job done, one JSON object to stdout."""

from __future__ import annotations

import ctypes
import errno
import json
import math
import os
import resource
import signal
import sys
import traceback
import zoneinfo
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # Arrow and DuckDB import NumPy wherever they find it, which would take longer than all the rest of the start.
    sys.modules["numpy"] = None  # type: ignore[assignment]

import duckdb
import pyarrow as pa

from shared.core.errors import BadInput, Contained
from shared.sandbox import landlock, tables
from shared.sandbox.statements import refusal_by_duckdb

MIB = 2**20
# What an interpreter with these libraries maps beside its data, measured at 1.0 GiB with DuckDB open and 0.3 GiB
# without; the rest is room for the arenas and stacks of its few threads.
SQL_OVERHEAD_MB = 2_048
TEMPLATE_OVERHEAD_MB = 512
_OPEN_FILES = 256
_PR_SET_PDEATHSIG = 1
# DuckDB asks the control groups how much memory there is, and aborts without an answer; time zones are for CSV.
_PUBLIC = ("/sys/fs/cgroup", "/proc/self/cgroup", "/usr/share/zoneinfo")

Job = dict[str, Any]
SQL: dict[str, Callable[[Job], Job]] = {
    "audience": tables.audience,
    "check_audience": tables.check_audience,
    "query": tables.query,
}


def main() -> None:
    """Do the job on stdin and answer on stdout; a defect of ours ends with a trace on stderr and no answer."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints gets into the answer
    job: Job = json.loads(sys.stdin.buffer.read())
    task, overhead_mb = _load(job["task"])
    _limit(job, overhead_mb)
    # The kernel is asked here again: where it can confine, no configuration keeps it from doing so.
    if landlock.available() or job["without_landlock"] != "accept":
        landlock.restrict(read=[Path(path) for path in (*job["read"], *_PUBLIC)], own=[Path(job["own"])])
    answer.write(json.dumps(_attempt(task, job)).encode())
    answer.close()


def _load(name: str) -> tuple[Callable[[Job], Job], int]:
    """A task and what it may map beside its data; its libraries import now what is out of reach on first use."""
    if name in SQL:
        task, overhead_mb = SQL[name], SQL_OVERHEAD_MB
    else:
        from shared.sandbox import templates  # with Jinja2, for which no query need wait

        templates.load()
        known = {"render": templates.render, "check_template": templates.check_template}
        task, overhead_mb = known[name], TEMPLATE_OVERHEAD_MB
    zoneinfo.ZoneInfo("UTC")
    sys.path.clear()  # Arrow looks for pandas, and is quicker without
    pa.scalar(0, pa.timestamp("us", "UTC")).as_py()
    return task, overhead_mb


def _limit(job: Job, overhead_mb: int) -> None:
    """Hand the kernel the limits on memory, processor time, files and the life of this process."""
    limits = job["limits"]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != job["parent"]:
        sys.exit("the parent is gone")
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, and the write would fail in DuckDB's middle
    processor_s = math.ceil(limits["seconds"] * tables.THREADS) + 1  # for when nobody is left to look at the clock
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_CPU, processor_s),
        (resource.RLIMIT_FSIZE, job.get("file_bytes", limits["disk_mb"] * MIB)),
        (resource.RLIMIT_AS, (limits["memory_mb"] + overhead_mb) * MIB),
    ):
        # One second later the kernel kills without saying why, hence the second value.
        resource.setrlimit(kind, (value, value + 1 if kind == resource.RLIMIT_CPU else value))
    signal.setitimer(signal.ITIMER_REAL, limits["seconds"])  # SIGALRM ends the process, deep in C or not


def _attempt(task: Callable[[Job], Job], job: Job) -> Job:
    """The task's result, or under the error's name why the SQL or template was refused, or which limit stopped it."""
    try:
        return {"result": task(job)}
    except (Contained, BadInput) as error:
        refusal: Contained | BadInput = error
    except RecursionError:
        refusal = Contained("it is nested too deeply", remedy="simplify it")
    except (MemoryError, duckdb.OutOfMemoryException) as error:
        return {"stopped": "disk" if "max_temp_directory_size" in str(error) else "memory"}
    except (duckdb.Error, pa.ArrowException) as error:
        if isinstance(error, duckdb.IOException) and os.strerror(errno.ENOSPC) in str(error):
            return {"full": True}
        refusal = refusal_by_duckdb(error)
    return {type(refusal).__name__: asdict(refusal.told)}


if __name__ == "__main__":
    try:
        main()
    except Exception:  # noqa: BLE001 -- the trace is this process' last word, whatever happened
        traceback.print_exc()
        sys.exit(1)
