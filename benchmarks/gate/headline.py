"""The headline benchmark: simulated pilots through a conventional stack and through this gate, and the adversary's."""

from __future__ import annotations

import os
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

import shared.evidence.compute
from benchmarks.gate import adversary, conventional, implied_by_day, shards
from benchmarks.gate.candidates import Judged, judged
from benchmarks.gate.classes import CLASSES, PilotClass
from benchmarks.gate.implied import DRAWS, admitted
from benchmarks.gate.picture import draw
from benchmarks.gate.shop import ALPHA, EFFECT, MARGIN, MINIMUM, NONCE_SEED, POWER, units_planned
from shared.state.workspace import create
from tests.promotion import cases
from tests.promotion.cases import LAUNCHED, Stage
from tests.suites import each_evidence_once

SEED, GOOD, BAD = 20260105, 2_000, 500
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


EVERY = {
    one.name: one for one in (*CLASSES, *(each.one for each in adversary.ATTACKS), adversary.REWORDED, adversary.UNTIDY)
}


@dataclass(frozen=True, slots=True)
class Untidy:
    """Winners as they are and the same ones with an untidy recording."""

    tidy: Result
    untidy: Result

    @property
    def admitted(self) -> tuple[int, int]:
        """Of the same pilots, how many are admitted tidy and untidy."""
        tidy = sum(found.verdict == "admit" for found in self.tidy.judged[: self.untidy.pilots])
        return tidy, self.untidy.count("admit")

    @property
    def holds(self) -> bool:
        """Whether untidiness costs no more than it may."""
        tidy, untidy = self.admitted
        return tidy - untidy <= adversary.UNTIDY_POINTS * self.untidy.pilots / 100


def prove() -> tuple[str, bool]:
    """The page, and whether every promise holds; draws the picture as well."""
    found = simulate([*EVERY.values()], kept=shards.Shards.of_this_gate())
    (DOCS / "gate.svg").write_text(draw(found[: len(CLASSES)]), encoding="utf-8")
    untidy = Untidy(found[0], found[-1])
    return page(found[: len(CLASSES)]) + adversarial(found[len(CLASSES) :], untidy), untidy.holds and all(
        result.holds for result in found[:-1]
    )


def pilots_of(one: PilotClass) -> int:
    """How many are simulated of a class."""
    if one is adversary.UNTIDY:
        return adversary.UNTIDY_PILOTS
    if one in CLASSES:
        return GOOD if one.promise == "as planned" else BAD
    return -(-adversary.PILOTS // one.together) * one.together


def simulate(
    classes: Sequence[PilotClass], pilots: int | None = None, kept: shards.Shards | None = None
) -> list[Result]:
    """Runs so many pilots of each of these classes, each from a seed of its own, on every core; progress on stderr.

    With `kept` it goes on from there after an interruption, as long as nothing of the gate was changed.
    """
    counts = {one.name: pilots or pilots_of(one) for one in classes}
    batches = [
        (one.name, start, min(start + one.together, counts[one.name]))
        for one in classes
        for start in range(0, counts[one.name], one.together)
    ]
    found = {batch: kept.read(batch) if kept else None for batch in batches}
    missing = [batch for batch, rows in found.items() if rows is None]
    with get_context("spawn").Pool(os.cpu_count()) as pool:
        for done, (batch, rows) in enumerate(pool.imap_unordered(run, missing), start=1):
            if kept:
                kept.write(batch, rows)
            found[batch] = rows
            sys.stderr.write(f"\r{done} of {len(missing)} workspaces")
    sys.stderr.write("\n")
    rows_of: dict[str, list[shards.Row]] = {one.name: [] for one in classes}
    for (name, _, _), rows in found.items():
        rows_of[name] += rows or ()
    return [Result(one, *zip(*rows_of[one.name], strict=True), _implied(one)) for one in classes]  # type: ignore[arg-type]


def _implied(one: PilotClass) -> float:
    return implied_by_day.admitted(one) if one.silent_days or one.late_days else admitted(one)


def run(batch: shards.Batch) -> tuple[shards.Batch, list[shards.Row]]:
    """The pilots of one class, numbered from one to before another, in a workspace of their own."""
    name, start, stop = batch
    return batch, list(_through_both(EVERY[name], range(start, stop)))


def _through_both(one: PilotClass, numbers: range) -> Iterator[tuple[bool, Judged]]:
    # Lab and gate compute the same evidence from the same files, which takes much of the time: once is enough here.
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        each_evidence_once(shared.evidence.compute, cases),
    ):
        workspace, _ = create(Path(folder) / "workspace", "rehearsal")
        workspace.clock.set(LAUNCHED)
        stage = Stage(workspace).with_factory()
        stage.seed(NONCE_SEED)
        for number in numbers:
            named = one.seeded_as or one.name
            rng = np.random.default_rng([SEED, zlib.crc32(named.encode()), number])
            pilot = one.pilot(rng, f"{named}-{number}")
            yield conventional.admits(pilot.customers), judged(stage, f"{named}-{number}", pilot)


def page(results: Sequence[Result]) -> str:
    """The tables, as Markdown."""
    head = (
        "# The gate against a conventional stack\n\n`make proof`, or `python -m benchmarks.gate` for the tables alone; "
        f"seed {SEED}. Every pilot is drawn customer by customer, sealed as a candidate and put before the gate with "
        "its default policy; [gate/](gate/) holds what was said of each. The conventional stack looks at a dashboard "
        "every day, tests two shares at 5 % as if for one look, and ships on the first day on which the arm wins.\n\n"
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


def adversarial(results: Sequence[Result], untidy: Untidy) -> str:
    """What follows of the adversary's classes, and of untidy winners."""
    *attacks, reworded, _ = results
    rows, last = "", ""
    for attack, result in zip(adversary.ATTACKS, attacks, strict=True):
        what = "" if attack.one.what == last else attack.one.what
        found = sum(attack.check in (*each.against, *each.warned) for each in result.judged)
        others = ", ".join(
            name for name, count in result.against if name != attack.check and count > result.pilots / 20
        )
        said = f"{_share(found, result.pilots)} | {others or 'none'} | {_promised(result)} | {_holds(result.holds)}"
        rows += f"| {what} | {attack.size} | {result.pilots} | {_share(result.count('admit'), result.pilots)} "
        rows += f"| `{attack.check}` | {said} |\n"
        last = attack.one.what
    tidy, mess = (count / untidy.untidy.pilots for count in untidy.admitted)
    return (
        "\n## What an adversary or an accident makes of a pilot\n\nNone of these deserves to be scaled. The power of a "
        "check is the share of the pilots against which it stood, or of which it warned. Where the fault makes an "
        "effect that the record cannot tell from a true one, *implied* is the share that no test of that power finds.\n"
        "\n| what | size | pilots | admitted | check | its power | other checks, in 5 % and more | promised | |\n"
        f"|---|---|---|---|---|---|---|---|---|\n{rows}\n"
        f"Nobody could find a successor of other words and another audience: of {reworded.pilots} without an effect "
        f"{_share(reworded.count('admit'), reworded.pilots)} were admitted, as of all pilots without one "
        f"({_promised(reworded)}; {_holds(reworded.holds)}). Nor an outage, or harm, that is too short or too small "
        "for the units there are: the table says how often.\n\n## Untidy winners\n\nRows held back (0.5 %), units "
        "reported in two arms (0.3 %), lateness (5 % of the outcomes by up to a day), a gap of six hours, in both arms "
        f"alike, and ten published columns: of {untidy.untidy.pilots:,} winners {100 * mess:.1f} % are admitted, and "
        f"{100 * tidy:.1f} % of the same ones without any of it. Promised: at most {adversary.UNTIDY_POINTS:g} points "
        f"less; {_holds(untidy.holds)}. Against the untidy ones stood: {_against(untidy.untidy)}.\n"
    )


def _promised(result: Result) -> str:
    promise = {
        "never": "never",
        "at most": f"at most {100 * result.limit:.2f} %",
        "as planned": f"{100 * result.limit:.2f} %, as implied",
    }[result.one.promise]
    return f"{promise}, as implied" if result.one.promise == "at most" and result.one.limit is None else promise


def _holds(holds: bool) -> str:
    return "holds" if holds else "**does not hold**"


def _row(result: Result) -> str:
    counts = [sum(result.shipped), *(result.count(verdict) for verdict in ("admit", "refuse", "undecided"))]
    shares = " | ".join(_share(count, result.pilots) for count in counts)
    return f"| {result.one.name} | {result.pilots:,} | {shares} | {_promised(result)} | {_holds(result.holds)} |\n"


def _share(count: int, of: int) -> str:
    low, high = binomtest(count, of).proportion_ci(0.95, "exact")
    return f"{100 * count / of:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _against(result: Result) -> str:
    return ", ".join(f"`{check}` {100 * count / result.pilots:.1f} %" for check, count in result.against) or "none"
