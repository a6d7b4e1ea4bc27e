"""The rule that decides: what each number must be, and that what is no number never passes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from shared.stats.decision_rule import Shortfall, harm_ruled_out, shortfall
from shared.stats.multiplicity import holm

GOOD = {"estimate": 0.03, "interval": (0.01, 0.05), "p_adjusted": 0.01, "p_worthwhile": 0.01}


def lacks(*, sign=1, worthwhile="estimate", **changes):
    given = {**GOOD, **changes}
    return Shortfall(
        int(
            shortfall(
                given["estimate"], given["interval"], given["p_adjusted"], given["p_worthwhile"],
                sign=sign, alpha=0.05, minimum=0.02, worthwhile=worthwhile,
            )
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Shortfall.NONE),
        ({"worthwhile": "lower_bound"}, Shortfall.NONE),
        ({"estimate": -0.03, "interval": (-0.05, -0.01)}, Shortfall.WRONG_WAY),
        ({"estimate": -0.03, "interval": (-0.05, -0.01), "sign": -1}, Shortfall.NONE),
        ({"estimate": 0.0}, Shortfall.WRONG_WAY),
        ({"p_adjusted": 0.0501}, Shortfall.CHANCE),
        ({"p_adjusted": 0.05}, Shortfall.NONE),
        ({"estimate": 0.0199}, Shortfall.TOO_SMALL),
        ({"interval": (0.0, 0.06)}, Shortfall.TOO_SMALL),
        ({"worthwhile": "lower_bound", "p_worthwhile": 0.026}, Shortfall.LOWER_BOUND_TOO_LOW),
        ({"worthwhile": "lower_bound", "p_worthwhile": 0.025}, Shortfall.NONE),
    ],
)
def test_the_first_thing_lacking_is_named(changes, expected):
    assert lacks(**changes) == expected


@pytest.mark.parametrize("worthwhile", ["estimate", "lower_bound"])
@pytest.mark.parametrize("name", ["estimate", "p_adjusted", "low", "p_worthwhile"])
def test_what_is_no_number_never_passes(name, worthwhile):
    changes = {"interval": (math.nan, 0.05)} if name == "low" else {name: math.nan}
    read = {"estimate": {"estimate", "p_adjusted", "low"}, "lower_bound": {"estimate", "p_adjusted", "p_worthwhile"}}
    assert (lacks(worthwhile=worthwhile, **changes) != Shortfall.NONE) == (name in read[worthwhile])


def test_harm_is_ruled_out_at_alpha_and_never_by_what_is_no_number():
    assert harm_ruled_out(np.array([0.01, 0.05, 0.051, math.nan]), 0.05).tolist() == [True, True, False, False]


def test_holm_of_rows_is_holm_of_each():
    rows = np.random.default_rng(3).random((50, 4))
    assert holm(rows).tolist() == [holm(row).tolist() for row in rows]
