"""The certificate: its numbers follow from its counts, or it is none."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from scipy import stats

from shared.trust.aa_certificate import AaCertificate, each_confidence, interval, verdict


def certificate(false=50, times=1_000, **changes):
    """One of one metric, as JSON."""
    rate, low, high = interval(false, times, 0.99)
    counts = [times // 20] * 20
    found = {"metric": "visit", "units": 500, "false_positives": false, "rate": rate, "low": low, "high": high,
             "p_counts": counts, "verdict": verdict(low, 0.05), "reason": "counted"}  # fmt: skip
    asked = {"workspace": "w", "mode": "rehearsal", "source": {"kind": "pilot", "name": "p", "data": {"x": "y"}},
             "definitions": {"visit": "sha256:1"}, "alpha": 0.05, "times": times, "seed": 1, "treated_frac": 0.5,
             "software": "pilotplant"}  # fmt: skip
    return {"schema_version": 1, "made": "2026-01-01T00:00:00Z", "asked": asked, "metrics": [found | changes]}


def read(content):
    return AaCertificate.model_validate_json(json.dumps(content))


@pytest.mark.parametrize("found", [0, 1, 50, 999, 1_000])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_the_interval_is_scipys_clopper_pearson(found, confidence):
    expected = stats.binomtest(found, 1_000).proportion_ci(confidence, "exact")
    assert interval(found, 1_000, confidence) == pytest.approx((found / 1_000, expected.low, expected.high), rel=1e-9)


def test_the_intervals_of_many_metrics_are_wider_so_that_all_hold_together():
    assert each_confidence(1) == pytest.approx(0.99)
    assert each_confidence(5) == pytest.approx(0.998)


@pytest.mark.parametrize(("false", "said"), [(0, "holds"), (50, "holds"), (67, "holds"), (71, "fails"), (400, "fails")])
def test_a_test_fails_only_where_more_than_chance_stands_against_it(false, said):
    # By hand: 2.58 standard errors at 6.9 % of 1,000 splits are 2.06 points, so the edge lies between 6.7 % and 7.1 %.
    assert read(certificate(false)).metrics[0].verdict == said


@pytest.mark.parametrize(
    "lie",
    [
        {"verdict": "holds"},
        {"rate": 0.05},
        {"low": 0.04},
        {"high": 0.9},
        {"false_positives": 50},
        {"false_positives": None},
        {"p_counts": []},
        {"rate": None},
        {"metric": "spend"},
        {"verdict": "unevaluable"},
    ],
)
def test_numbers_that_do_not_follow_from_the_counts_make_it_unreadable(lie):
    honest = certificate(100)
    assert read(honest).metrics[0].verdict == "fails"
    with pytest.raises(ValidationError):
        read(certificate(100, **lie))


def test_a_metric_is_answered_for_by_its_definition_alone():
    found = read(certificate())
    assert found.of("visit", "sha256:1") == found.metrics[0]
    assert found.of("visit", "sha256:2") is None
    assert found.of("spend", "sha256:1") is None
