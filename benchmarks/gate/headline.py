"""The headline benchmark: simulated pilots of twelve classes through a conventional stack and through this gate."""

from __future__ import annotations

import os
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from benchmarks.gate import conventional
from benchmarks.gate.candidates import Judged, judged
from benchmarks.gate.classes import CLASSES, PilotClass
from benchmarks.gate.implied import DRAWS, admitted
from benchmarks.gate.picture import draw
from benchmarks.gate.shop import ALPHA, EFFECT, MARGIN, MINIMUM, NONCE_SEED, POWER, units_planned
from shared.workspace import create
from tests.promotion.cases import LAUNCHED, Stage

SEED, GOOD, BAD = 20260105, 2_000, 500
# A case reads all of its workspace's ledger, so a workspace holds so many pilots and no more.
PER_WORKSPACE = 25
ERRORS_MAX = 3
DOCS = Path(__file__).parent.parent.parent / "docs" / "proof"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a class's pilots.

    Attributes:
        shipped: whether the conventional stack shipped each.
        judged: what the gate said of each.
        implied: the share that the rules let through by the plan.
    """

    one: PilotClass
    shipped: tuple[bool, ...]
    judged: tuple[Judged, ...]
    implied: float

    @property
    def pilots(self) -> int:
        return len(self.judged)

    def count(self, verdict: str) -> int:
        return sum(found.verdict == verdict for found in self.judged)

    @property
    def limit(self) -> float:
        """The promised rate."""
        return 0.0 if self.one.promise == "never" else self.implied if self.one.limit is None else self.one.limit

    @property
    def holds(self) -> bool:
        """Whether the promise holds, within three standard errors of the promised rate."""
        rate, reach = (
            self.count("admit") / self.pilots,
            ERRORS_MAX * (self.limit * (1 - self.limit) / self.pilots) ** 0.5,
        )
        return rate <= self.limit + reach and (self.one.promise != "as planned" or rate >= self.limit - reach)

    @property
    def against(self) -> list[tuple[str, int]]:
        """The checks that stood against pilots which were not admitted, the most frequent first."""
        return Counter(check for found in self.judged for check in found.against).most_common()


def prove() -> tuple[str, bool]:
    """The page, and whether every promise holds; draws the picture as well."""
    results = simulate(CLASSES)
    (DOCS / "gate.svg").write_text(draw(results), encoding="utf-8")
    return page(results), all(result.holds for result in results)


def simulate(classes: Sequence[PilotClass], pilots: Mapping[str, int] | None = None) -> list[Result]:
    """Runs the pilots of these classes, each from a seed of its own, on every core; progress on stderr."""
    counts = pilots or {one.name: GOOD if one.promise == "as planned" else BAD for one in classes}
    batches = [
        (one.name, start, min(start + PER_WORKSPACE, counts[one.name]))
        for one in classes
        for start in range(0, counts[one.name], PER_WORKSPACE)
    ]
    found: dict[str, list[tuple[bool, Judged]]] = {one.name: [] for one in classes}
    with get_context("spawn").Pool(os.cpu_count()) as pool:
        for done, (name, rows) in enumerate(pool.imap(run, batches), start=1):
            found[name] += rows
            sys.stderr.write(f"\r{done} of {len(batches)} workspaces")
    sys.stderr.write("\n")
    return [
        Result(one, *zip(*found[one.name], strict=True), admitted(one))  # type: ignore[arg-type]
        for one in classes
    ]


def run(batch: tuple[str, int, int]) -> tuple[str, list[tuple[bool, Judged]]]:
    """The pilots of one class, numbered from one to before another, in a workspace of their own."""
    name, start, stop = batch
    [one] = [each for each in CLASSES if each.name == name]
    return name, list(_through_both(one, range(start, stop)))


def _through_both(one: PilotClass, numbers: range) -> Iterator[tuple[bool, Judged]]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        workspace, _ = create(Path(folder) / "workspace", "rehearsal")
        workspace.clock.set(LAUNCHED)
        stage = Stage(workspace).with_factory()
        stage.seed(NONCE_SEED)
        for number in numbers:
            rng = np.random.default_rng([SEED, zlib.crc32(one.name.encode()), number])
            pilot = one.pilot(rng, f"{one.name}-{number}")
            yield conventional.admits(pilot.customers), judged(stage, f"{one.name}-{number}", pilot)


def page(results: Sequence[Result]) -> str:
    """The tables, as Markdown."""
    head = (
        "# The gate against a conventional stack\n\n`make proof`, or `python -m benchmarks.gate` for the tables alone; "
        f"seed {SEED}. Every pilot is drawn customer by customer, sealed as a candidate and put before the gate with "
        "its default policy. The conventional stack looks at a dashboard every day, tests two shares at 5 % as if for "
        "one look, and ships on the first day on which the arm wins.\n\n"
        f"The plan of every pilot: visits up by {100 * EFFECT:g} points from 10 %, worth scaling from "
        f"{100 * MINIMUM:g} points on; purchases, 5 %, may not fall by {-100 * MARGIN:g} points; alpha {ALPHA:g}, "
        f"power {POWER:g} for both together, so {units_planned():,} units in each arm; two weeks, three places as "
        "segments.\n\nBrackets hold the exact 95 % interval (Clopper and Pearson 1934). A promise holds within "
        f"{ERRORS_MAX} standard errors of the promised rate. *Implied* is the share that the rules let through by the "
        f"plan, from {DRAWS:,} draws of counts with tests written down from SciPy's distributions; for a fault that "
        "only chance can hide, it is what no test of that power would find.\n"
    )
    rows = "".join(_row(result) for result in results)
    table = (
        "\n| class | pilots | shipped by the conventional stack | admitted by the gate | refused | undecided "
        f"| promised | |\n|---|---|---|---|---|---|---|---|\n{rows}"
    )
    why = "".join(f"| {r.one.name} | {_against(r)} |\n" for r in results)
    classes = "".join(f"- **{r.one.name}**: {r.one.what}.\n" for r in results)
    return (
        f"{head}{table}\n## What the classes are\n\n{classes}\n## Which checks stood against them\n\nThe share of a "
        f"class's pilots; several checks may stand against one.\n\n| class | checks |\n|---|---|\n{why}"
    )


def _row(result: Result) -> str:
    promise = {
        "never": "never",
        "at most": f"at most {100 * result.limit:.2f} %",
        "as planned": f"{100 * result.limit:.2f} %, as implied",
    }[result.one.promise]
    if result.one.promise == "at most" and result.one.limit is None:
        promise += ", as implied"
    said = "holds" if result.holds else "**does not hold**"
    counts = [sum(result.shipped), *(result.count(verdict) for verdict in ("admit", "refuse", "undecided"))]
    shares = " | ".join(_share(count, result.pilots) for count in counts)
    return f"| {result.one.name} | {result.pilots:,} | {shares} | {promise} | {said} |\n"


def _share(count: int, of: int) -> str:
    low, high = binomtest(count, of).proportion_ci(0.95, "exact")
    return f"{100 * count / of:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _against(result: Result) -> str:
    return ", ".join(f"`{check}` {100 * count / result.pilots:.1f} %" for check, count in result.against) or "none"
