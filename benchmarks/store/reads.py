"""Two readers beside one writer, all processes of their own, on one SQLite file.

The writer adds entries to the Lab's ledger without a pause, five in each transaction: it then holds its lock for about
1.6 ms, which is the median of what the commands of a first pilot take (1.7 ms). Each reader asks for the entries of one
pilot, over and over; measured is the time until both have asked so many times. The peer asks the same in transactions
that hold the writer's lock, as every read did before there was `room.read()`.
"""

from __future__ import annotations

import time
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Literal

from benchmarks.measure import Cost, Line
from lab.state import open_lab
from shared.state import ledger
from shared.state.workspace import create, open_workspace

REPEATS = 5
READERS, READS = 2, 200
LIMIT = 0.2
ENTRIES, IN_A_TRANSACTION = 20, 5
SUBJECT = "spring-mail"
PROCESSES = get_context("spawn")
How = Literal["read", "transaction"]


def run(repeats: int = REPEATS) -> list[Line]:
    costs: dict[How, list[float]] = {"transaction": [], "read": []}
    # On the disk, where a commit waits for it.
    with TemporaryDirectory(dir="/var/tmp") as folder:
        root = Path(folder) / "workspace"
        room = open_lab(create(root, "rehearsal")[0])
        for _ in range(ENTRIES):
            with room.transaction() as connection:
                room.write(connection, "noted", SUBJECT, {})
        for _ in range(repeats):
            for how, found in costs.items():
                found.append(_seconds(root, how))
    ours, theirs = (Cost(median(costs[how]), None) for how in ("read", "transaction"))
    rate = f"{READERS * READS / ours.seconds:,.0f} reads per second, none failed"
    before = f"the same with the writer's lock: {READERS * READS / theirs.seconds:,.0f} per second"
    return [Line(rate, before, ours, theirs, LIMIT)]


def _seconds(root: Path, how: How) -> float:
    """How long both readers take beside the writer; raises where one of the three fails."""
    stop, begin = PROCESSES.Event(), PROCESSES.Barrier(READERS + 2)
    writer = PROCESSES.Process(target=_write, args=(root, begin, stop))
    readers = [PROCESSES.Process(target=_read, args=(root, how, begin)) for _ in range(READERS)]
    for process in (writer, *readers):
        process.start()
    begin.wait()
    began = time.perf_counter()
    for process in readers:
        process.join()
    seconds = time.perf_counter() - began
    stop.set()
    writer.join()
    codes = [process.exitcode for process in (writer, *readers)]
    if any(codes):
        raise SystemExit(f"writer and readers ended with {codes}")
    return seconds


def _write(root: Path, begin: object, stop: object) -> None:
    room = open_lab(open_workspace(root))
    begin.wait()  # type: ignore[attr-defined]
    while not stop.is_set():  # type: ignore[attr-defined]
        with room.transaction() as connection:
            for _ in range(IN_A_TRANSACTION):
                room.write(connection, "noted", "another", {})


def _read(root: Path, how: How, begin: object) -> None:
    room = open_lab(open_workspace(root))
    begin.wait()  # type: ignore[attr-defined]
    for _ in range(READS):
        with room.read() if how == "read" else room.transaction() as connection:
            found = ledger.entries(connection, room.entries_table, subject=SUBJECT)
        assert len(found) == ENTRIES
