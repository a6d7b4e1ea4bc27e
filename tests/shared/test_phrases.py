"""Wording: numbers as people read them."""

from __future__ import annotations

import pytest

from shared.evidence.model import Effect
from shared.experiment.metrics import Metric
from shared.ui import phrases
from tests.shared.pilot_data import SPEND, VISIT


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [(VISIT, 0.0766, "+7.66 pp"), (VISIT, -0.01, "-1.00 pp"), (SPEND, 0.77, "+0.770"), (SPEND, None, "–")],
)
def test_a_difference_has_its_sign_and_unit(metric, value, text):
    assert phrases.number(metric, value) == text


@pytest.mark.parametrize(("metric", "text"), [(VISIT, "10.62 %"), (SPEND, "0.1062")])
def test_a_mean_has_its_unit(metric, text):
    assert phrases.level(metric, 0.1062) == text


@pytest.mark.parametrize(
    ("metric", "low", "high", "text"),
    [
        (VISIT, 0.07, 0.0832, "[7.00, 8.32]"),
        (SPEND, -0.485, 1.055, "[-0.485, 1.055]"),
        (SPEND, None, 1.0, "–"),
        (SPEND, 1.0, None, "–"),
    ],
)
def test_an_interval_is_its_two_ends(metric, low, high, text):
    assert phrases.interval(metric, low, high) == text


def test_an_effect_is_its_estimate_and_interval():
    found = Effect(arm="mens", metric="visit", part="primary", estimate=0.0766, low=0.07, high=0.0832)
    assert phrases.effect(VISIT, found) == "+7.66 pp [7.00, 8.32]"


def test_an_effect_that_cannot_be_evaluated_says_why_and_no_number():
    found = Effect(arm="mens", metric="visit", part="primary", problem="the control arm has 0 units")
    assert phrases.effect(VISIT, found) == "cannot be evaluated: the control arm has 0 units"


@pytest.mark.parametrize(
    ("p", "text"), [(None, "–"), (0.02016, "0.0202"), (0.0001, "0.0001"), (0.00009, "< 0.0001"), (0.0, "< 0.0001")]
)
def test_a_p_value_is_never_printed_as_zero(p, text):
    assert phrases.p_value(p) == text


@pytest.mark.parametrize(("value", "text"), [(0.70732, "+70.7 %"), (-0.035, "-3.5 %"), (None, "–")])
def test_a_lift_is_in_per_cent_with_its_sign(value, text):
    assert phrases.share(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0004, "+0.00040"), (-0.0123, "-0.012"), (0.0, "+0.000"), (1e-12, "+0.000000000")]
)
def test_a_small_ratio_does_not_read_as_zero(value, text):
    ratio = Metric(kind="ratio", column="spend", denominator="visit", unit="USD per visit")
    assert phrases.number(ratio, value) == text


def test_the_ends_of_an_interval_have_the_same_places():
    assert phrases.interval(SPEND, -0.0004, 1.5) == "[-0.00040, 1.50000]"


@pytest.mark.parametrize(
    ("metric", "estimate", "low", "high", "text"),
    [
        (
            VISIT,
            0.02,
            0.01,
            0.03,
            "went rose by 2.0 points; the data fit a true difference between +1.00 pp and +3.00 pp",
        ),
        (
            SPEND,
            -0.5,
            -1.0,
            0.25,
            "went fell by 0.500 USD per customer; the data fit a true difference between -1.000 and +0.250",
        ),
    ],
)
def test_an_effect_is_said_in_words_and_that_it_may_be_none(metric, estimate, low, high, text):
    found = Effect(arm="letter", metric="went", part="primary", estimate=estimate, low=low, high=high)
    may_be_none = ", so it may be none at all" if low < 0 else ""
    assert phrases.in_words(metric, found, "95 %") == f"{text} (95 % interval){may_be_none}"


def test_an_effect_that_is_none_says_why():
    found = Effect(arm="letter", metric="visit", part="primary", problem="one arm is empty")
    assert phrases.in_words(VISIT, found, "95 %") == "visit cannot be evaluated: one arm is empty"
