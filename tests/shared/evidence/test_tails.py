"""Tails: equal tail probabilities, by scipy's logarithms of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t

from shared.stats.tails import t_of, z_of


@pytest.mark.parametrize("df", [2, 5, 30.5, 1_000, 1e6])
@pytest.mark.parametrize("value", [0.0, 0.7, -1.96, 5, 12, -20, 35])
def test_z_has_the_same_tail_as_t(df, value):
    z = float(z_of(value, df))
    assert norm.logsf(abs(z)) == pytest.approx(t.logsf(abs(value), df), rel=1e-9)
    assert np.sign(z) == np.sign(value)


def test_where_doubles_end_z_goes_on_rising_without_a_jump():
    values = np.linspace(30, 60, 601)
    for df in (500, 5_000, 1e8):
        z = z_of(values, df)
        steps = np.diff(z)
        assert (steps > 0).all()
        assert np.abs(np.diff(steps)).max() < 0.02 * steps.min()
    assert z_of(1e4, np.inf) == pytest.approx(1e4)


@given(z=st.floats(-60, 60), df=st.floats(20, 1e9))
def test_there_and_back_is_the_same(z, df):
    assert z_of(t_of(z, df), df) == pytest.approx(z, abs=1e-6, rel=1e-6)


def test_what_is_no_number_stays_none():
    assert np.isnan(z_of([np.nan, 1.0], [5.0, np.nan])).all()
    assert np.isnan(t_of(np.nan, 5.0))
