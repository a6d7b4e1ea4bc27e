"""The shop of the simulated pilots: its customers, the plan that fits them, and what they do in each arm."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

import numpy as np

from promotion.registry.nonces import drawn_nonce
from shared.experiment.assignment import boundaries, bucket, pilot_salt
from shared.stats.multiplicity import corrected_power
from shared.stats.power import Baseline, units_to_detect, units_to_rule_out

ALPHA, POWER, EFFECT, MINIMUM, MARGIN = 0.05, 0.8, 0.05, 0.02, -0.02
ARM, CONTROL = "letter", "control"
# The seed of the workspaces in which the pilots are judged, so that their arms are known beforehand.
NONCE_SEED = "benchmark"
WEIGHTS = {CONTROL: Fraction(1), ARM: Fraction(1)}
PLACES = ("Rural", "Suburban", "Urban")
DAY_S = 86_400
# Customers are reached in the first of two weeks, and what they do within seven days of it counts; the novelty check
# compares the two halves of these.
EXPOSED_S, HALF_S = 7 * DAY_S, 7 * DAY_S // 2
# So many standard deviations more than planned that chance leaves neither arm short of its units.
SLACK = 4.5


@dataclass(frozen=True, slots=True)
class Habits:
    """What the customers of an arm do, as shares of them.

    Attributes:
        early, late: who visits in the first and in the second half-week after the exposure.
        buy: who buys as well; buyers are visitors.
    """

    early: float
    late: float
    buy: float

    @property
    def visit(self) -> float:
        return self.early + self.late

    def moved(self, early: float = 0.0, late: float = 0.0, buy: float = 0.0) -> Habits:
        return Habits(self.early + early, self.late + late, self.buy + buy)


USUAL = Habits(0.05, 0.05, 0.05)


@cache
def units_planned() -> int:
    """Units in each arm with which both the effect is found and harm ruled out, together with the planned power."""
    each = corrected_power(POWER, 1)
    visit, buy = (Baseline(share, share * (1 - share), "share") for share in (USUAL.visit, USUAL.buy))
    found = units_to_detect(visit, EFFECT, ALPHA, each), units_to_rule_out(buy, MARGIN, ALPHA, each)
    return max(units or 0 for units in found)


def customers_needed(per_arm: int) -> int:
    """How many a coin must deal out so that both arms get their units."""
    return math.ceil(2 * per_arm + SLACK * math.sqrt(2 * per_arm))


@dataclass(frozen=True, slots=True)
class Customers:
    """Who was reached and what they did, one entry per customer.

    Attributes:
        unit: their pseudonyms.
        treated: whether they are recorded in the arm with the letter.
        place: where they live, an index of `PLACES`.
        exposed, visited: seconds since the time box began; no visit is infinity.
        bought: whether that visit ended in a purchase.
    """

    unit: np.ndarray
    treated: np.ndarray
    place: np.ndarray
    exposed: np.ndarray
    visited: np.ndarray
    bought: np.ndarray

    def __len__(self) -> int:
        return len(self.unit)

    def kept(self, chosen: np.ndarray) -> Customers:
        """Only some of them."""
        return Customers(*(getattr(self, name)[chosen] for name in self.__slots__))

    def until(self, moment: float) -> Customers:
        """As it stood at a moment."""
        seen = self.kept(self.exposed < moment)
        late = seen.visited >= moment
        return replace(seen, visited=np.where(late, np.inf, seen.visited), bought=seen.bought & ~late)


def drawn(rng: np.random.Generator, pilot: str, count: int, treated: tuple[Habits, ...]) -> Customers:
    """So many customers, in the arms that the gate's nonce deals them; `treated` are an arm's habits by place."""
    unit = np.array([f"u{number}" for number in range(count)])
    # `assign` would reckon the bounds anew for each customer.
    salt, begins = pilot_salt(pilot, drawn_nonce(pilot, NONCE_SEED)), dict(boundaries(WEIGHTS))[CONTROL]
    arm = np.array([bucket(salt, str(each)) >= begins for each in unit])
    place = rng.integers(0, len(PLACES), count)
    habits = [[USUAL] * len(PLACES), treated]
    early, visit, buy = (
        np.array([[getattr(each, name) for each in row] for row in habits])[arm.astype(int), place]
        for name in ("early", "visit", "buy")
    )
    exposed = rng.integers(0, EXPOSED_S, count).astype(float)
    chance = rng.random(count)
    half = (chance >= early).astype(float)
    visited = np.where(chance < visit, exposed + 1 + (half + rng.random(count) * 0.999) * HALF_S, np.inf)
    bought = np.isfinite(visited) & (rng.random(count) < buy / visit)
    return Customers(unit, arm, place, exposed, visited, bought)
