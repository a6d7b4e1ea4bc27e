"""Error rates at one look: how often each method errs, covers and finds, in its domain and outside of it.

Every line simulates its pilots from a seed of its own, so that one can be run alone; a test runs fewer of them.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from tests.proof.error_rate_lines import ALPHA, Line, lines

SEED, PILOTS = 20260101, 20_000
SECTIONS = {
    "false positives": "No effect: how often the two-sided test at 5 % finds one",
    "coverage": "An effect: how often the 95 % interval covers it",
    "power": "What the plan promised: how often an effect is found, and harm ruled out",
    "several": "Several questions at once, and guardrails at their margin",
    "outside": "Outside the domain: what cannot be evaluated says so, and what is not promised",
}


@dataclass(frozen=True, slots=True)
class Row:
    line: Line
    found: int
    known: int
    pilots: int

    @property
    def rate(self) -> float:
        return self.found / max(self.known, 1)

    @property
    def error(self) -> float:
        """One Monte-Carlo standard error at the limit."""
        return (self.line.limit * (1 - self.line.limit) / max(self.known, 1)) ** 0.5

    @property
    def holds(self) -> bool:
        if self.line.section == "outside":
            return self.line.promise == "none" or self.known == 0
        if self.known < self.pilots / 2:
            return False
        reach = 3 * self.error
        above, below = self.rate <= self.line.limit + reach, self.rate >= self.line.limit - reach
        return {"at most": above, "at least": below, "none": True}[self.line.promise]

    def text(self) -> str:
        said = {"none": "nothing"}.get(self.line.promise, f"{self.line.promise} {100 * self.line.limit:g} %")
        found = f"{100 * self.rate:.2f} % ± {100 * self.error:.2f}" if self.known else "no number"
        if self.line.section == "outside":
            said = "nothing" if self.line.promise == "none" else "no number without a warning"
        verdict = "shown" if said == "nothing" else "holds" if self.holds else "**does not hold**"
        return f"| {self.line.what} | {said} | {found} | {100 * self.known / self.pilots:.4g} % | {verdict} |"


def prove() -> tuple[str, bool]:
    rows = [simulate(line, PILOTS) for line in lines()]
    page = (
        f"# Error rates\n\n`make proof`; {PILOTS:,} simulated pilots per line, each line from its own seed, alpha "
        f"{ALPHA}. ± is one Monte-Carlo standard error; a line holds within three of them. The rate is among the "
        "pilots that could be evaluated, whose share the fourth column has. `a : b` are the units (or clusters) of the "
        "treatment and of the control. What a method promises, and from where on, stands in the lines; the last "
        "section shows what happens outside.\n"
    )
    for section, title in SECTIONS.items():
        chosen = [row.text() for row in rows if row.line.section == section]
        page += (
            f"\n## {title}\n\n| simulated | promised | found | evaluable | |\n|---|---|---|---|---|\n"
            + "\n".join(chosen)
            + "\n"
        )
    return page, all(row.holds for row in rows)


def simulate(line: Line, pilots: int) -> Row:
    """A line's pilots, from its own seed."""
    rng = np.random.default_rng([SEED, zlib.crc32(f"{line.section}: {line.what}".encode())])
    found = line.run(rng, pilots)
    known = np.broadcast_to(found.known, found.happened.shape)
    return Row(line, int((found.happened & known).sum()), int(known.sum()), known.size)
