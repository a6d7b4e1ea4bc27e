"""The catalogue: each kind of metric has its parts, and no other."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.experiment.metrics import Metric


def metric(**content):
    return Metric.model_validate({"unit": "USD", **content})


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "proportion", "column": "visit"},
        {"kind": "proportion", "expression": "spend > 50"},
        {"kind": "mean", "column": "spend", "cap": 500},
        {"kind": "mean", "expression": "spend - 2 * conversion", "cap_quantile": 0.99, "window_days": 7},
        {"kind": "count"},
        {"kind": "count", "column": "conversion", "source": "outcomes"},
        {"kind": "ratio", "column": "spend", "denominator": "conversion"},
        {"kind": "quantile", "column": "spend", "quantile": 0.9},
    ],
)
def test_each_kind_can_be_written(content):
    assert metric(**content).kind == content["kind"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"kind": "mean"}, "a mean reads a column"),
        ({"kind": "proportion"}, "a proportion reads a column"),
        ({"kind": "mean", "column": "spend", "expression": "spend"}, "not both"),
        ({"kind": "ratio", "column": "spend"}, "a ratio has a `denominator:`"),
        ({"kind": "mean", "column": "spend", "denominator": "visit"}, "`denominator:` belongs to a ratio only"),
        ({"kind": "quantile", "column": "spend"}, "a quantile has a `quantile:`"),
        ({"kind": "mean", "column": "spend", "quantile": 0.5}, "`quantile:` belongs to a quantile only"),
        ({"kind": "proportion", "column": "visit", "cap": 1}, "a proportion has no `cap:`"),
        ({"kind": "mean", "column": "spend", "cap": 0}, "greater than 0"),
        ({"kind": "mean", "column": "spend", "cap_quantile": 0.4}, "greater than 0.5"),
        ({"kind": "mean", "column": "spend", "cap_quantile": 0.9, "cap": 5}, "not both"),
        ({"kind": "mean", "column": "spend", "window_days": 0}, "greater than or equal to 1"),
        ({"kind": "mean", "expression": "sum(spend)"}, "may not use sum()"),
        ({"kind": "ratio", "column": "spend", "denominator": "(SELECT 1)"}, "may not use SUBQUERY"),
    ],
)
def test_what_does_not_fit_its_kind_is_refused(content, told):
    with pytest.raises(ValidationError) as error:
        metric(**content)
    assert told in str(error.value)


def test_a_column_may_have_a_name_that_sql_keeps_for_itself():
    assert metric(kind="mean", column="order").value.sql == '"order"'


def test_every_column_that_is_read_is_known():
    ratio = metric(kind="ratio", expression="spend - cost", denominator="visit + 1")
    assert [part.columns for part in ratio.reads] == [("cost", "spend"), ("visit",)]
