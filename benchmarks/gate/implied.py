"""What a plan implies: how often the rules let a class through, from counts drawn by the million.

Nothing here is the gate's: counts are drawn instead of customers, and every test is written down from SciPy's
distributions.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2, norm, t

from benchmarks.gate.classes import PilotClass
from benchmarks.gate.shop import ALPHA, MARGIN, MINIMUM, PLACES, USUAL, Habits, customers_needed, units_planned

DRAWS, SEED = 400_000, 20260105
RATIO_P_MIN, RATIO_FLOOR, NOVELTY_P = 0.001, 0.001, 0.01
# What one customer may have done: visited early with and without buying, late likewise, or nothing.
EARLY, LATE, BOUGHT = [0, 1], [2, 3], [0, 2]


def admitted(one: PilotClass, draws: int = DRAWS) -> float:
    """The share of a class's pilots that every rule lets through, were all of them kept to the letter."""
    rng = np.random.default_rng(SEED)
    arms = _counts(rng, one, draws)
    treated, control = (arm.sum(axis=1) for arm in arms)
    passed = shows(treated, control) & _ratio(treated, control)
    passed &= _reasonable(control) & ~_wears_off(treated, control) & ~_harmed(*arms)
    if one.kill_at is not None:
        passed &= ~_killed(treated, control, one.kill_at)
    return float(passed.mean())


def _counts(rng: np.random.Generator, one: PilotClass, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Customers of arm and control by draw, place and what they did."""
    loss = rng.uniform(*one.lost, draws)
    reached = np.array([customers_needed(round(units_planned() * one.share / (1 - each))) for each in loss])
    dealt = rng.multinomial(reached, [1 / (2 * len(PLACES))] * (2 * len(PLACES)))
    sides = dealt[:, : len(PLACES)], dealt[:, len(PLACES) :]
    habits = one.treated, (USUAL,) * len(PLACES)
    treated, control = (
        np.stack([rng.multinomial(side[:, p], _shares(of[p])) for p in range(len(PLACES))], axis=1)
        for side, of in zip(sides, habits, strict=True)
    )
    treated[:, :, -1] -= rng.binomial(treated[:, :, -1], loss[:, None])
    return treated, control


def _shares(habits: Habits) -> list[float]:
    buy = habits.buy / habits.visit
    did = [habits.early * buy, habits.early * (1 - buy), habits.late * buy, habits.late * (1 - buy)]
    return [*did, 1 - habits.visit]


def _difference(x: np.ndarray, n: np.ndarray, y: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, ...]:
    """Difference of two shares, its standard error and degrees of freedom, by Welch (1947)."""
    p, q = x / n, y / m
    parts = p * (1 - p) / (n - 1), q * (1 - q) / (m - 1)
    se2 = parts[0] + parts[1]
    with np.errstate(all="ignore"):
        return p - q, np.sqrt(se2), se2**2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1))


def shows(treated: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Whether the arm wins, and harm beyond the margin is ruled out; counts by draw and what customers did."""
    return _primary(treated, control) & _guardrail(treated, control)


def _primary(treated: np.ndarray, control: np.ndarray) -> np.ndarray:
    n, m = treated.sum(axis=1), control.sum(axis=1)
    d, se, df = _difference(n - treated[:, -1], n, m - control[:, -1], m)
    return np.asarray((2 * t.sf(np.abs(d) / se, df) <= ALPHA) & (d >= MINIMUM))


def _guardrail(treated: np.ndarray, control: np.ndarray) -> np.ndarray:
    n, m = treated.sum(axis=1), control.sum(axis=1)
    d, se, df = _difference(treated[:, BOUGHT].sum(axis=1), n, control[:, BOUGHT].sum(axis=1), m)
    return np.asarray(t.sf((d - MARGIN) / se, df) <= ALPHA)


def _killed(treated: np.ndarray, control: np.ndarray, at: float) -> np.ndarray:
    """Whether the whole interval of what buys lies on the bad side of what would close the pilot."""
    n, m = treated.sum(axis=1), control.sum(axis=1)
    d, se, df = _difference(treated[:, BOUGHT].sum(axis=1), n, control[:, BOUGHT].sum(axis=1), m)
    return np.asarray(d + t.isf(ALPHA / 2, df) * se < at)


def _reasonable(control: np.ndarray) -> np.ndarray:
    """Whether the margin is at most half of what the control may buy, up to the end of its 95 % interval."""
    m = control.sum(axis=1)
    p = control[:, BOUGHT].sum(axis=1) / m
    return np.asarray(p + norm.isf(ALPHA / 2) * np.sqrt(p * (1 - p) / (m - 1)) >= -2 * MARGIN)


def _ratio(treated: np.ndarray, control: np.ndarray) -> np.ndarray:
    n, m = treated.sum(axis=1), control.sum(axis=1)
    p = chi2.sf((n - m) ** 2 / (n + m), 1)
    return np.asarray((p >= RATIO_P_MIN) | (np.abs(n / (n + m) - 0.5) < RATIO_FLOOR))


def _wears_off(treated: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Whether the effect falls from the first half of a customer's week to the second, by a paired change per unit."""
    change, variance, level = [], [], []
    for arm in (treated, control):
        n = arm.sum(axis=1)
        early, late = arm[:, EARLY].sum(axis=1) / n, arm[:, LATE].sum(axis=1) / n
        change.append(late - early)
        variance.append((early + late - (late - early) ** 2) / (n - 1))
        level.append(early)
    d, se2 = change[0] - change[1], variance[0] + variance[1]
    n, m = treated.sum(axis=1) - 1, control.sum(axis=1) - 1
    df = se2**2 / (variance[0] ** 2 / n + variance[1] ** 2 / m)
    return np.asarray((2 * t.sf(np.abs(d) / np.sqrt(se2), df) < NOVELTY_P) & ((level[0] - level[1]) * d < 0))


def _harmed(treated: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Whether any place is significantly worse, after Benjamini and Hochberg (1995) over all places."""
    n, m = treated.sum(axis=2), control.sum(axis=2)
    d, se, df = _difference(n - treated[:, :, -1], n, m - control[:, :, -1], m)
    p = 2 * t.sf(np.abs(d) / se, df)
    order = np.argsort(p, axis=1)
    ranked = np.take_along_axis(p, order, axis=1) * len(PLACES) / np.arange(1, len(PLACES) + 1)
    fallen = np.minimum.accumulate(ranked[:, ::-1], axis=1)[:, ::-1]
    adjusted = np.empty_like(fallen)
    np.put_along_axis(adjusted, order, fallen, axis=1)
    return np.asarray(((adjusted <= ALPHA) & (d < 0)).any(axis=1))
