"""Measuring: a metric that the outcomes cannot answer is said before the launch."""

from __future__ import annotations

import pytest

from lab.charters.drafts import check
from lab.launch.metric_columns import unmeasurable, unwatched
from lab.pilots.promise import freeze
from shared.data.contracts import load_contract
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
    """Measures `name` as secondary metric, with more in the catalogue; returns what speaks against it."""

    def of(entries, name="extra"):
        metrics = loaded.configs / "metrics.yaml"
        metrics.write_text(metrics.read_text() + entries)
        draft(loaded, PILOT, (CARD, ""), ("secondary: [conversion]", f"secondary: [{name}]"))
        frozen = freeze(loaded, PILOT)
        outcomes = load_contract(frozen.files["contracts/outcomes.odcs.yaml"])
        return list(unmeasurable(frozen.promise, outcomes, "the contract"))

    return of


@pytest.mark.parametrize("name", ["basket", "big", "orders", "high"])
def test_every_kind_that_the_outcomes_can_answer_may_be_launched(measured, name):
    assert measured(RATIO, name) == []


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
    [problem] = measured(f"  extra: {{{content}, unit: USD}}\n")
    assert problem.what.startswith("metric `extra` ")
    assert what in problem.what
    assert problem.where == "configs/metrics.yaml"
    assert problem.expected or problem.remedy


def killing(workspace, name, looks, rules=2):
    """What speaks against a charter with a kill criterion on that metric."""
    metrics = workspace.configs / "metrics.yaml"
    metrics.write_text(metrics.read_text() + RATIO)
    kill = f"secondary: [{name}]\nkill_criteria: [{{metric: {name}, worse_than: -0.5}}]"
    draft(workspace, PILOT, (CARD, ""), ("secondary: [conversion]", kill),
          ("units_per_arm: 150", f"units_per_arm: 150, looks: {{method: {looks}}}"))  # fmt: skip
    frozen = freeze(workspace, PILOT, rules=rules)
    outcomes = load_contract(frozen.files["contracts/outcomes.odcs.yaml"])
    return list(unmeasurable(frozen.promise, outcomes, "the contract"))


def test_a_kill_criterion_that_no_look_could_ask_is_an_obstacle(loaded):
    [problem] = killing(loaded, "high", "always_valid")
    assert problem.what == "the kill criterion on `high` could not be asked: a quantile is not computed day by day"
    assert problem.where == f"pilots/{PILOT}/charter.yaml"


@pytest.mark.parametrize(("name", "looks", "rules"), [("high", "fixed", 2), ("orders", "always_valid", 2),
                                                      ("high", "always_valid", 1)])  # fmt: skip
def test_one_that_can_be_asked_or_was_promised_before_is_none(loaded, name, looks, rules):
    assert killing(loaded, name, looks, rules) == []


def late(workspace, days, *changes):
    """The problems of a draft one of whose metrics counts so many days."""
    metrics = workspace.configs / "metrics.yaml"
    entry = f"  late: {{kind: mean, column: spend, window_days: {days}, unit: USD}}\n"
    metrics.write_text(metrics.read_text() + entry)
    draft(workspace, PILOT, (CARD, ""), ("secondary: [conversion]", "secondary: [late]"), *changes)
    return check(workspace, PILOT).problems


def enrolling(day):
    return "end: 2026-01-19}", f"end: 2026-01-19, enrol_until: {day}}}"


@pytest.mark.parametrize("changes", [(), (enrolling("2026-01-13"),)])
def test_a_window_that_ends_after_the_time_box_is_an_obstacle_which_names_the_day_that_fits(loaded, changes):
    """Fourteen days, of which seven are the metric's: whoever begins on the 12th or later has fewer."""
    [problem] = late(loaded, 7, *changes)
    assert "metric `late` counts 7 days after a unit's first exposure, and units begin until" in problem.what
    assert problem.remedy.startswith("say `enrol_until: 2026-01-12` under `time_box`")


@pytest.mark.parametrize("day", ["2026-01-12", "2026-01-07"])
def test_an_enrolment_that_leaves_every_unit_its_window_may_be_launched(loaded, day):
    assert late(loaded, 7, enrolling(day)) == []


def test_a_window_as_long_as_the_time_box_needs_a_longer_one(loaded):
    [problem] = late(loaded, 14)
    assert problem.what.endswith("and the time box has 14")
    assert problem.remedy.startswith("end it on 2026-01-26 or later")


def test_a_promise_of_an_earlier_build_keeps_its_window(loaded):
    metrics = loaded.configs / "metrics.yaml"
    metrics.write_text(metrics.read_text() + "  late: {kind: mean, column: spend, window_days: 7, unit: USD}\n")
    draft(loaded, PILOT, (CARD, ""), ("secondary: [conversion]", "secondary: [late]"))
    assert list(unwatched(freeze(loaded, PILOT, rules=1).promise)) == []
