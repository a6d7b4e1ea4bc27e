"""Error rates of the rule that decides: how often pilots pass that should not, and how often intervals cover."""

from dataclasses import dataclass

import numpy as np

from shared.evidence.estimates import difference, holm
from shared.evidence.model import Moments

SEED, PILOTS, ALPHA = 20260101, 20_000, 0.05
# A proportion of zeros like the e-mail test's spend, and a heavy right tail beyond it.
BUYERS, BASKET_SHAPE, BASKET_SCALE = 0.05, 2.0, 50.0


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    promised: str
    found: int
    limit: float
    at_most: bool

    @property
    def rate(self) -> float:
        return self.found / PILOTS

    @property
    def error(self) -> float:
        """One Monte-Carlo standard error at the limit."""
        return (self.limit * (1 - self.limit) / PILOTS) ** 0.5

    @property
    def holds(self) -> bool:
        if self.at_most:
            return self.rate <= self.limit + 3 * self.error
        return abs(self.rate - self.limit) <= 3 * self.error

    def line(self) -> str:
        verdict = "holds" if self.holds else "**does not hold**"
        return f"| {self.what} | {self.promised} | {100 * self.rate:.2f} % ± {100 * self.error:.2f} | {verdict} |"


def prove() -> tuple[str, bool]:
    rng = np.random.default_rng(SEED)
    rows = [
        Row("no effect in either of two arms: any arm passes (Holm)", "at most 5 %", _nulls(rng), ALPHA, at_most=True),
        Row("harm exactly at the guardrail's margin: it passes", "at most 5 %", _at_margin(rng), ALPHA, at_most=True),
        Row("a share, 2,000 units per arm: the 95 % interval covers", "95 %", _shares(rng), 1 - ALPHA, at_most=False),
    ]
    head = (
        f"# Error rates\n\n`make proof`; seed {SEED}, {PILOTS:,} simulated pilots per line, alpha {ALPHA}. "
        "± is one Monte-Carlo standard error; a line holds within three of them.\n\n"
        "| simulated | promised | found | |\n|---|---|---|---|\n"
    )
    return head + "\n".join(row.line() for row in rows) + "\n", all(row.holds for row in rows)


def _nulls(rng: np.random.Generator) -> int:
    """Three arms with the same share of 10 per cent; at least one treatment passes the adjusted test."""
    counts = rng.binomial(2_000, 0.1, (PILOTS, 3))
    return sum(_any_passes([_share(2_000, int(c)) for c in row]) for row in counts)


def _any_passes(arms: list[Moments]) -> bool:
    found = [difference(arm, arms[0]) for arm in arms[1:]]
    return min(holm([1.0 if isinstance(d, str) else d.p() for d in found])) <= ALPHA


def _at_margin(rng: np.random.Generator) -> int:
    """Spend with many zeros and a tail; the treatment is worse by exactly the margin of 0.50."""
    passed = 0
    for _ in range(PILOTS):
        control, treated = (_spend(rng, 4_000) for _ in range(2))
        found = difference(_moments(treated - 0.5), _moments(control))
        passed += not isinstance(found, str) and found.p_beyond(-0.5, 1) <= ALPHA
    return passed


def _shares(rng: np.random.Generator) -> int:
    counts = rng.binomial(2_000, [0.10, 0.13], (PILOTS, 2))
    covered = 0
    for control, treated in counts:
        found = difference(_share(2_000, int(treated)), _share(2_000, int(control)))
        if not isinstance(found, str):
            low, high = found.interval(ALPHA)
            covered += low <= 0.03 <= high
    return covered


def _spend(rng: np.random.Generator, units: int) -> np.ndarray:
    return np.where(rng.random(units) < BUYERS, rng.gamma(BASKET_SHAPE, BASKET_SCALE, units), 0.0)


def _share(units: int, hits: int) -> Moments:
    return Moments(n=units, mean=hits / units, m2=hits * (1 - hits / units))


def _moments(values: np.ndarray) -> Moments:
    return Moments(n=len(values), mean=float(values.mean()), m2=float(((values - values.mean()) ** 2).sum()))
