"""Measuring: the same work several times, each time in a process of its own, against a peer on the same machine."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

# A process that starts from nothing, so that none inherits another's memory or caches.
FRESH = get_context("spawn")
KIB_PER_MIB = 1024
_SAY_PEAK = "\nimport sys; sys.stderr.write(open('/proc/self/status').read())"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one piece of work took: wall-clock seconds of the call alone, and the process's peak memory in MiB.

    Work of several processes has no peak: it is None.
    """

    seconds: float
    peak_mib: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table.

    Attributes:
        what: what was measured.
        peer: what it is held against.
        ours, theirs: the medians.
        limit: the largest ratio of seconds that is accepted; None where it is only told.
        extra_mib: how much more memory than the peer's is accepted; None where it is only told.
    """

    what: str
    peer: str
    ours: Cost
    theirs: Cost
    limit: float | None = None
    extra_mib: float | None = None

    @property
    def ratio(self) -> float:
        return self.ours.seconds / self.theirs.seconds

    @property
    def holds(self) -> bool:
        ours, theirs = self.ours.peak_mib, self.theirs.peak_mib
        slim = self.extra_mib is None or (ours is not None and theirs is not None and ours - theirs <= self.extra_mib)
        return slim and (self.limit is None or self.ratio <= self.limit)

    def as_markdown(self) -> str:
        limit = "–" if self.limit is None else f"{self.limit:g}x"
        limit += "" if self.extra_mib is None else f", +{self.extra_mib:g} MiB"
        said = "" if self.limit is None else "holds" if self.holds else "**does not hold**"
        return (
            f"| {self.what} | {self.peer} | {self.ratio:.2f}x | {limit} | {_mib(self.ours)} | {_mib(self.theirs)} | "
            f"{said} |"
        )


HEAD = "| measured | against | ratio | limit | our peak memory | the peer's | |\n|---|---|---|---|---|---|---|"


def compared(
    what: str,
    ours: Callable[[int], tuple[Callable[..., Any], tuple[Any, ...]]],
    peer: str,
    theirs: Callable[[int], tuple[Callable[..., Any], tuple[Any, ...]]],
    *,
    repeats: int,
    limit: float | None = None,
    extra_mib: float | None = None,
) -> Line:
    """Ours and the peer's work in turns, so that a busy moment of the machine meets both; the medians of each.

    Both are given the number of the round, and return what to call in the fresh process.
    """
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for number in range(repeats):
        for each, found in zip((theirs, ours), costs[::-1], strict=True):
            work, arguments = each(number)
            found.append(cost_of(work, *arguments))
    return Line(what, peer, _median(costs[0]), _median(costs[1]), limit, extra_mib)


def cost_of(work: Callable[..., Any], *arguments: Any) -> Cost:
    """What the call costs in a process of its own, which has everything imported before the clock starts."""
    inbox, outbox = FRESH.Pipe(duplex=False)
    process = FRESH.Process(target=_child, args=(outbox, work, arguments))
    process.start()
    outbox.close()
    try:
        cost: Cost = inbox.recv()
    except EOFError as error:
        process.join()
        raise SystemExit(f"{work.__name__} ended with {process.exitcode}") from error
    process.join()
    return cost


def whole_process(code: str) -> Cost:
    """What a fresh interpreter costs, from its start to the last line that `code` prints; raises where it fails."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code + _SAY_PEAK], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - began
    return Cost(seconds, _kib(done.stderr) / KIB_PER_MIB)


def in_turns(codes: Sequence[str], repeats: int) -> list[Cost]:
    """The medians of whole processes that take turns, after a round that warms the machine up."""
    rounds = [[whole_process(code) for code in codes] for _ in range(repeats + 1)][1:]
    return [_median(list(costs)) for costs in zip(*rounds, strict=True)]


def _child(outbox: Any, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    began = time.perf_counter()
    work(*arguments)
    seconds = time.perf_counter() - began
    outbox.send(Cost(seconds, _peak_kib() / KIB_PER_MIB))


def _peak_kib() -> int:
    """This process's own high-water mark; `ru_maxrss` would begin at the parent's, which it was forked from."""
    return _kib(Path("/proc/self/status").read_text())


def _kib(status: str) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found, "Linux tells it"
    return int(found[1])


def _mib(cost: Cost) -> str:
    return "–" if cost.peak_mib is None else f"{cost.peak_mib:,.0f} MiB"


def _median(costs: list[Cost]) -> Cost:
    peaks = [cost.peak_mib for cost in costs if cost.peak_mib is not None]
    return Cost(median(cost.seconds for cost in costs), median(peaks) if peaks else None)
