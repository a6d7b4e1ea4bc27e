"""What a plan implies where one arm's outcomes of some days are missing: counts by day, and tests from SciPy.

An outage is found by what docs/evidence.md says of it: in no run of up to seven days may an arm have so few outcomes
that chance explains it by none of three yardsticks.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import binom, hypergeom

from benchmarks.gate import conventional
from benchmarks.gate.classes import SILENT_FROM, SILENT_UNTIL, PilotClass
from benchmarks.gate.implied import shows
from benchmarks.gate.shop import USUAL, customers_needed, units_planned

DRAWS, SEED = 4_000, 20260105
DAYS, LONGEST, STREAMS, ARMS = conventional.DAYS, 7, 3, 2
P_MIN, MISSING_MIN = 0.001, 1 / 3
RUNS = [(start, start + length) for length in range(1, LONGEST + 1) for start in range(DAYS - length + 1)]


def admitted(one: PilotClass, draws: int = DRAWS) -> float:
    """The share that both effects let through and no test of this kind finds."""
    rng, visits, reached = np.random.default_rng(SEED), _visits_by_day(), customers_needed(units_planned())
    passed = 0
    for _ in range(draws):
        n = rng.binomial(reached, 0.5)
        sizes = np.array([n, reached - n])
        counts = np.stack([rng.multinomial(size, [*(USUAL.visit * visits), 1 - USUAL.visit])[:-1] for size in sizes])
        bought = rng.binomial(counts, USUAL.buy / USUAL.visit)
        for stream in (counts, bought):
            stream[1, _lost_days(rng, one)] = 0
        passed += bool(shows(*_did(counts, bought, sizes))[0]) and not _found(counts, bought, sizes)
    return passed / draws


def _visits_by_day() -> np.ndarray:
    """Of all visits: reached evenly over a week, and visiting evenly over the week after (a sum of two uniforms)."""
    edges = np.linspace(0, 2, DAYS + 1)
    return np.diff(np.where(edges <= 1, edges**2 / 2, 1 - (2 - edges) ** 2 / 2))


def _lost_days(rng: np.random.Generator, one: PilotClass) -> slice:
    if one.late_days:
        return slice(DAYS - one.late_days, DAYS)
    start = int(rng.integers(SILENT_FROM, SILENT_UNTIL - one.silent_days))
    return slice(start, start + one.silent_days)


def _did(counts: np.ndarray, bought: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    """Per arm one draw of `implied`'s counts, where nobody tells early visits from late ones."""
    visits, buys = counts.sum(axis=1), bought.sum(axis=1)
    return [np.array([[buys[arm], visits[arm] - buys[arm], 0, 0, sizes[arm] - visits[arm]]]) for arm in range(ARMS)]


def _found(counts: np.ndarray, bought: np.ndarray, sizes: np.ndarray) -> bool:
    """Whether the control's days are too few by all three yardsticks, or its data end too early."""
    tests = len(RUNS) * STREAMS * ARMS
    risk = np.outer(sizes, np.minimum(np.arange(1, DAYS + 1), 7) / 7)
    return _ends_early(counts, sizes) or any(
        few * tests < P_MIN and seen <= (1 - MISSING_MIN) * expected
        for stream in (counts, bought)
        for seen, expected, few in (_few(stream, risk, start, stop) for start, stop in RUNS)
    )


def _few(stream: np.ndarray, risk: np.ndarray, start: int, stop: int) -> tuple[int, float, float]:
    (other, own), (other_in, seen) = stream.sum(axis=1), stream[:, start:stop].sum(axis=1)
    time = risk[1, start:stop].sum() / risk[1].sum()
    level = risk[1, start:stop].sum() / risk[:, start:stop].sum()
    rest = own - seen
    expected = (
        other_in * rest / (other - other_in) if other > other_in else 0.0,
        rest * time / (1 - time) if time < 1 else 0.0,
        other_in * level / (1 - level),
    )
    chances = (
        hypergeom.cdf(seen, own + other, own, seen + other_in),
        binom.cdf(seen, own, time),
        binom.cdf(seen, seen + other_in, level),
    )
    return int(seen), min(expected), float(max(chances))


def _ends_early(counts: np.ndarray, sizes: np.ndarray) -> bool:
    """Whether all that came in since the control's last whole day is the other arm's, beyond chance."""
    days = np.flatnonzero(counts[1])
    if not len(days):
        return True
    since = int(counts[0, days[-1] + 1 :].sum())
    share = min(counts[1].sum() / counts.sum(), sizes[1] / sizes.sum())
    return bool((1 - share) ** since * ARMS < P_MIN)
