"""Multiplicity: the powers and error rates of several tests together."""

from __future__ import annotations

import pytest

from shared.evidence.multiplicity import corrected_power


def test_the_power_of_each_test_leaves_room_for_every_guardrail():
    # Schultzberg et al. 2024: with power .8 and three guardrails each test may miss one time in twenty.
    assert corrected_power(0.8, 3) == pytest.approx(0.95)
    assert corrected_power(0.8, 0) == pytest.approx(0.8)
