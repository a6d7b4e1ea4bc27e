"""Treatments beside each other, against scipy's own test of two samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from shared.evidence.compute import compute
from shared.evidence.model import Between
from shared.ui import phrases
from tests.shared.pilot_data import EARLY, LATE, SPEND, VISIT, pilot_data, promised, with_traits

RNG = np.random.default_rng(20261130)
SPENT = {"control": RNG.normal(5, 2, 150), "letter": RNG.normal(6, 2, 120), "card": RNG.normal(7, 3, 90)}


def arms(*names):
    given = promised().charter.model_dump(mode="json")["arms"]
    return [given[0], *({**given[1], "name": name} for name in names)]


def data(folder, spent=SPENT):
    rows = [(arm, value) for arm, values in spent.items() for value in values.tolist()]
    return pilot_data(
        folder,
        [(f"u{number}", arm, EARLY) for number, (arm, _) in enumerate(rows)],
        [(f"u{number}", LATE, int(value > 5), value) for number, (_, value) in enumerate(rows)],
    )


def test_two_treatments_differ_as_by_scipy_and_the_control_plays_no_part(tmp_path):
    [found] = compute(promised(arms=arms("letter", "card")), data(tmp_path)).between
    expected = stats.ttest_ind(SPENT["card"], SPENT["letter"], equal_var=False).confidence_interval(0.95)
    assert (found.arm, found.other, found.metric) == ("card", "letter", "spend")
    assert found.estimate == pytest.approx(SPENT["card"].mean() - SPENT["letter"].mean(), rel=1e-9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_three_treatments_are_three_pairs_whose_intervals_hold_together(tmp_path):
    spent = {**SPENT, "call": RNG.normal(6, 2, 100)}
    found = compute(promised(arms=arms("letter", "card", "call")), data(tmp_path, spent)).between
    assert [(one.arm, one.other) for one in found] == [("card", "letter"), ("call", "letter"), ("call", "card")]
    for one in found:
        expected = stats.ttest_ind(spent[one.arm], spent[one.other], equal_var=False).confidence_interval(1 - 0.05 / 3)
        assert (one.low, one.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_covariates_narrow_the_difference(tmp_path):
    history = np.concatenate(list(SPENT.values())) + RNG.normal(0, 0.5, 360)
    known = with_traits(data(tmp_path), unit=[f"u{number}" for number in range(360)], history=history.tolist())
    plain, adjusted = (
        compute(promised(arms=arms("letter", "card"), covariates=named), known).between[0]
        for named in ((), ["history"])
    )
    assert adjusted.high - adjusted.low < 0.6 * (plain.high - plain.low)


def test_every_primary_metric_is_compared_and_no_other(tmp_path):
    both = [{"metric": "spend", "minimum_effect": 0.01}, {"metric": "visit", "minimum_effect": 0.01}]
    charter = {"primary": both[0], "co_primary": [both[1]], "secondary": []}
    found = compute(promised(arms=arms("letter", "card"), **charter), data(tmp_path)).between
    assert [one.metric for one in found] == ["spend", "visit"]
    expected = stats.ttest_ind(SPENT["card"], SPENT["letter"], equal_var=False).confidence_interval(1 - 0.05 / 2)
    assert found[0].low == pytest.approx(expected.low, rel=1e-9)


def test_one_treatment_has_nobody_beside_it(tmp_path):
    found = compute(promised(), data(tmp_path, {arm: SPENT[arm] for arm in ("control", "letter")}))
    assert found.between == ()
    assert "between" not in found.as_json()


def test_what_was_promised_before_keeps_its_evidence(tmp_path):
    before = promised(arms=arms("letter", "card")).model_copy(update={"rules": 2})
    assert "between" not in compute(before, data(tmp_path)).as_json()


@pytest.mark.parametrize(
    ("spent", "problem"),
    [
        ({**SPENT, "card": np.array([])}, "arm card"),
        ({**SPENT, "card": np.array([7.0])}, "arm card"),
    ],
)
def test_what_cannot_be_compared_says_why(tmp_path, spent, problem):
    [found] = compute(promised(arms=arms("letter", "card")), data(tmp_path, spent)).between
    assert found.estimate is None
    assert problem in found.problem


@pytest.mark.parametrize(
    ("metric", "low", "high", "told"),
    [
        (VISIT, -0.01, 0.03, "card against letter: visit +1.00 pp [-1.00, 3.00], so neither is shown to be the better"),
        (VISIT, 0.01, 0.03, "so card is better than letter"),
        (VISIT, -0.03, -0.01, "so letter is better than card"),
        (SPEND, 0.0, 1.0, "so neither is shown to be the better one"),
        (SPEND.model_copy(update={"direction": "decrease"}), 0.1, 1.0, "so letter is better than card"),
    ],
)
def test_the_better_one_is_named_or_that_neither_is(metric, low, high, told):
    found = Between(arm="card", other="letter", metric="visit", estimate=(low + high) / 2, low=low, high=high)
    assert told in phrases.between(metric, found)


def test_what_cannot_be_compared_is_said_in_words():
    found = Between(arm="card", other="letter", metric="visit", problem="arm card has no outcome at all")
    assert (
        phrases.between(VISIT, found)
        == "card against letter cannot be compared in visit: arm card has no outcome at all"
    )
