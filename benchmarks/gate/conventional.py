"""The conventional stack: a dashboard that is looked at every day, and an owner who ships what is significant."""

from __future__ import annotations

import math

import numpy as np

from benchmarks.gate.shop import DAY_S, Customers

DAYS = 14
P_MAX = 0.05


def admits(customers: Customers) -> bool:
    """Whether it ships the arm."""
    return first_significant(customers) is not None


def first_significant(customers: Customers) -> int | None:
    """The first day at whose end a test of two shares at 5 %, made for one look, says that the arm wins; or None."""
    for day in range(1, DAYS + 1):
        reached = customers.exposed < day * DAY_S
        visited = customers.visited < day * DAY_S
        arms = [reached & customers.treated, reached & ~customers.treated]
        counts = [(int((visited & arm).sum()), int(arm.sum())) for arm in arms]
        if wins(*counts):
            return day
    return None


def wins(treated: tuple[int, int], control: tuple[int, int]) -> bool:
    """Whether the share (count, of) of the arm is significantly larger, by the pooled z-test of two shares."""
    if not (treated[1] and control[1]):
        return False
    pooled = (treated[0] + control[0]) / (treated[1] + control[1])
    se = math.sqrt(pooled * (1 - pooled) * (1 / treated[1] + 1 / control[1]))
    difference = treated[0] / treated[1] - control[0] / control[1]
    return bool(se > 0 and difference > 0 and math.erfc(np.abs(difference) / se / math.sqrt(2)) <= P_MAX)
