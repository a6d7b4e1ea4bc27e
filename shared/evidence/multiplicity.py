"""Multiplicity: what several tests of one decision do to each of them."""

from __future__ import annotations


def corrected_power(power: float, guardrails: int) -> float:
    """The power that every test is planned with, so that all of them together succeed with `power`.

    The decision misses a good arm where any of its tests does: beta / (guardrails + 1) for each (Schultzberg, Ankargren
    and Frånberg 2024, "Risk-aware product decisions in A/B tests with multiple metrics", sect. 3).
    """
    return 1 - (1 - power) / (guardrails + 1)
