"""Measuring: a metric that the outcomes cannot answer is said before the launch."""

from __future__ import annotations

import pytest

from lab.drafts import check
from lab.freezing import freeze
from lab.measuring import remarks, unmeasurable
from shared.contracts import load_contract
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
  high:
    kind: quantile
    column: spend
    quantile: 0.9
    unit: USD
"""


@pytest.fixture
def measured(loaded):
    """Measures `name` as secondary metric, with more in the catalogue; returns problems and remarks."""

    def of(entries, name="extra"):
        metrics = loaded.configs / "metrics.yaml"
        metrics.write_text(metrics.read_text() + entries)
        draft(loaded, PILOT, (CARD, ""), ("secondary: [conversion]", f"secondary: [{name}]"))
        frozen = freeze(loaded, PILOT)
        outcomes = load_contract(frozen.files["contracts/outcomes.odcs.yaml"])
        return list(unmeasurable(frozen.promise, outcomes, "the contract")), list(remarks(frozen.promise))

    return of


@pytest.mark.parametrize("name", ["basket", "big", "orders", "high"])
def test_every_kind_that_the_outcomes_can_answer_may_be_launched(measured, name):
    assert measured(RATIO, name) == ([], [])


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
    [problem], _ = measured(f"  extra: {{{content}, unit: USD}}\n")
    assert problem.what.startswith("metric `extra` ")
    assert what in problem.what
    assert problem.where == "configs/metrics.yaml"
    assert problem.expected or problem.remedy


def test_a_window_that_no_unit_can_fill_is_noted_and_a_metric_that_cannot_be_is_an_obstacle(loaded):
    metrics = loaded.configs / "metrics.yaml"
    metrics.write_text(
        metrics.read_text()
        + "  late: {kind: mean, column: spend, window_days: 14, unit: USD}\n"
        + "  lost: {kind: mean, column: basket, unit: USD}\n"
    )
    draft(loaded, PILOT, (CARD, ""), ("secondary: [conversion]", "secondary: [late, lost]"))
    found = check(loaded, PILOT)
    [problem], [note] = found.problems, found.notes
    assert problem.what == "metric `lost` reads column `basket`, which the outcomes do not have as a number"
    assert "counts 14 days after a unit's first exposure, and the time box of 14 days ends before" in note
