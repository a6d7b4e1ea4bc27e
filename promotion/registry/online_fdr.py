"""Online false-discovery control: the level of each of a stream of tests, so that few of the discoveries are false.

LORD++ (Ramdas, Yang, Wainwright and Jordan 2017, "Online control of the false discovery rate with decaying memory",
eq. 9), and for tests that overlap in time LORD* (Zrnic, Ramdas and Jordan 2021, "Asynchronous online testing of
multiple hypotheses", sect. 3): a level depends only on discoveries that were made before its test began. All levels
together never exceed the bound times the discoveries, which bounds the expected share of false ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

# j^-1.6 over its sum, Riemann's zeta(1.6): the default of onlineFDR's SAFFRON (Robertson et al. 2019). Most of the
# wealth goes to the tests that come next: a team makes tens of pilots, not thousands.
GAMMA_EXPONENT, GAMMA_SCALE = 1.6, 0.4374901658

Gamma = Callable[[int], float]


def gamma(place: int) -> float:
    """The share of a reward that the test so many places after it gets; over all places they sum to 1."""
    return GAMMA_SCALE * math.pow(place, -GAMMA_EXPONENT)


def level(place: int, known: Sequence[int], *, bound: float, initial: float | None = None, by: Gamma = gamma) -> float:
    """The level of the test at a place, counted from 1.

    `known` holds, for each discovery that was made before this test began, how many tests had begun by then, in the
    order of the discoveries. `initial` is the wealth to begin with, half of the bound unless it is said.
    """
    begun = bound / 2 if initial is None else initial
    rewards = [bound - begun if number == 0 else bound for number in range(len(known))]
    gained = sum(reward * by(place - then) for reward, then in zip(rewards, known, strict=True))
    return begun * by(place) + gained


def wealth(levels: Sequence[float], discoveries: int, bound: float) -> float:
    """What is left to be spent: the initial half of the bound, and what discoveries brought, less every level."""
    gained = bound / 2 + bound * (discoveries - 1) if discoveries else 0.0
    return bound / 2 + gained - sum(levels)
