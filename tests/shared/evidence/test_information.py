"""The information at looks: from rows to boundaries."""

from __future__ import annotations

import numpy as np
import pytest

from shared.core.clock import parse_rfc3339
from shared.evidence.compute import compute
from shared.stats.alpha_spending import Schedule
from tests.shared.pilot_data import pilot_data, promised

RNG = np.random.default_rng(20260109)
UNITS = 2_000
AT = (0.5, 1.0)
AGREED = {"units_per_arm": 10, "looks": {"method": "group_sequential", "at": AT, "spending": "pocock"}}
END = parse_rfc3339("2026-01-19T00:00:00Z")


def last_boundary(folder, exposed_late, again):
    """Units that spend after they are exposed, all but a share of them at once, and if `again`, once more as much."""
    exposures, outcomes = [], []
    for number in range(UNITS):
        day = "15" if number >= UNITS * (1 - exposed_late) else "05"
        unit, arm = f"u{number}", ("control", "letter")[number % 2]
        exposures.append((unit, arm, f"2026-01-{day} 09:00:00+00"))
        days = (day, "16") if again else (day,)
        outcomes += [(unit, f"2026-01-{each} 10:00:00+00", 1, float(RNG.normal(10, 2))) for each in days]
    evidence = compute(promised(sample=AGREED, secondary=[]), pilot_data(folder, exposures, outcomes), END)
    return evidence.looks[-1].effects[0].boundary


def of_two_looks(ratio):
    return float(Schedule(AT, (ratio, 1.0), "pocock").boundaries(0.05)[-1])


@pytest.mark.proof
def test_where_units_have_their_outcomes_at_once_looks_go_together_by_their_units(tmp_path):
    assert last_boundary(tmp_path, 0.5, again=False) == pytest.approx(of_two_looks(0.5), abs=0.02)


@pytest.mark.proof
def test_where_units_are_exposed_early_and_go_on_spending_looks_are_as_unlike_as_their_sums(tmp_path):
    # A tenth comes late; everybody spends twice in the end, so that the first look saw .9 / 2 of the sum's variance.
    assert last_boundary(tmp_path, 0.1, again=True) == pytest.approx(of_two_looks(0.45), abs=0.02)
    assert of_two_looks(0.45) - of_two_looks(0.9) > 0.15


@pytest.mark.parametrize(("believed", "least", "most"), [(0.9, 0.06, 0.07), (0.45, 0.045, 0.055)])
def test_sums_that_grow_keep_alpha_by_their_variance_and_not_by_their_units(believed, least, most):
    # Of 100,000 pilots without an effect, in which the first look saw 45 % of the variance and 90 % of the units.
    first = RNG.normal(size=100_000)
    z = np.column_stack([first, np.sqrt(0.45) * first + np.sqrt(0.55) * RNG.normal(size=100_000)])
    crossed = (np.abs(z) >= Schedule(AT, (believed, 1.0), "pocock").boundaries(0.05)).any(axis=1)
    assert least < crossed.mean() < most
