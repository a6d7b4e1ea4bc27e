"""Measuring: a metric that the outcomes cannot answer is said before the launch."""

from __future__ import annotations

import pytest

from lab.drafts import check
from tests.lab_makers import CARD, PILOT, draft

RATIO = """\
  basket:
    kind: ratio
    column: spend
    denominator: conversion
    unit: USD per order
  big:
    kind: proportion
    expression: spend > 50 AND conversion = 1
    unit: share of customers
  orders:
    kind: count
    column: conversion
    unit: orders per customer
    window_days: 7
"""


@pytest.fixture
def measured(loaded):
    """Makes a draft that measures `name` as secondary metric, with more in its catalogue."""

    def check_with(entries, name="extra", part="secondary: [conversion]", said="secondary: [{}]"):
        metrics = loaded.configs / "metrics.yaml"
        metrics.write_text(metrics.read_text() + entries)
        draft(loaded, PILOT, (CARD, ""), (part, said.format(name)))
        return check(loaded, PILOT)

    return check_with


@pytest.mark.parametrize("name", ["basket", "big", "orders"])
def test_every_kind_that_the_outcomes_can_answer_may_be_launched(measured, name):
    found = measured(RATIO, name)
    assert (found.problems, found.notes) == ([], [])


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("kind: mean, column: unit", "reads column `unit`, which the outcomes do not have as a number"),
        ("kind: mean, expression: spend - shipping", "reads column `shipping`, which the outcomes do not have"),
        ("kind: ratio, column: spend, denominator: clicks", "reads column `clicks`, which the outcomes do not have"),
        ("kind: mean, expression: 'CASE WHEN visit = 1 THEN unit ELSE unit END'", "it is of type VARCHAR"),
        ("kind: mean, expression: spend + unit", "cannot be computed: Binder Error"),
        ("kind: mean, column: spend, source: shop", "reads the outcomes `shop`, and this pilot records `outcomes`"),
    ],
)
def test_a_metric_that_the_outcomes_cannot_answer_is_an_obstacle(measured, content, what):
    [problem] = measured(f"  extra: {{{content}, unit: USD}}\n").problems
    assert problem.what.startswith("metric `extra` ")
    assert what in problem.what
    assert problem.where == "configs/metrics.yaml"
    assert problem.expected or problem.remedy


QUANTILE = "  extra: {kind: quantile, column: spend, quantile: 0.9, unit: USD}\n"


def test_a_quantile_may_be_looked_at_and_is_said_to_show_no_effect(measured):
    found = measured(QUANTILE)
    assert found.problems == []
    assert found.notes == [
        "metric `extra` will show no effect: effects on quantiles cannot be evaluated by this release"
    ]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("{metric: visit, minimum_effect: 0.05}", "{{metric: {}, minimum_effect: 0.05}}"),
        ("{metric: spend, margin: -2.0}", "{{metric: {}, margin: -2.0}}"),
    ],
)
def test_a_quantile_may_not_decide(measured, part, said):
    [problem] = measured(QUANTILE, part=part, said=said).problems
    assert problem.what == ("metric `extra` is to decide, and effects on quantiles cannot be evaluated by this release")


def test_a_window_that_no_unit_can_fill_is_noted(measured):
    found = measured("  extra: {kind: mean, column: spend, window_days: 14, unit: USD}\n")
    assert found.problems == []
    [note] = found.notes
    assert "counts 14 days after a unit's first exposure, and the time box of 14 days ends before" in note
