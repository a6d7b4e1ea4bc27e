from __future__ import annotations

import pytest

from tests.promotion.cases import TRIED
from tests.promotion.preflights import breach, quality


def tables(present=None, sealed=None, **said):
    reports = {"present": present or quality(), "sealed": sealed or quality()}
    return {"at": TRIED, "quality": [{"table": "customers", "contract": name, "report": report, **said}
                                     for name, report in reports.items()]}  # fmt: skip


@pytest.fixture
def found(ask_of):
    def one(preflight, **rule):
        [finding] = ask_of("factory_table", preflight, **rule)
        return finding

    return one


def test_a_table_that_keeps_both_contracts_passes_with_the_rules_counted(found):
    finding = found(tables())
    assert finding.outcome == "passed"
    assert "24 rules of 2 contracts" in finding.reason


@pytest.mark.parametrize("contract", ["present", "sealed"])
def test_a_broken_rule_of_either_contract_fails_and_is_named(found, contract):
    finding = found(tables(**{contract: quality(breaches=(breach("recency must be between 1 and 12"),))}))
    assert finding.outcome == "failed"
    assert "recency must be between 1 and 12 (3 rows)" in finding.reason


# What Great Expectations itself calls a success: an empty suite, and a table of zero rows.
@pytest.mark.parametrize(
    "report",
    [
        quality(rows=0), quality(expected=0, evaluated=0), quality(evaluated=11), quality(rows=9, minimum_rows=10),
        quality(problems=("recency could not be read",)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("contract", ["present", "sealed"])
def test_what_was_not_evaluated_in_full_is_unevaluable(found, report, contract):
    assert found(tables(**{contract: report})).outcome == "unevaluable"


def test_fewer_rows_than_the_policy_asks_for_are_unevaluable(found):
    assert found(tables(), rows_min=200).outcome == "passed"
    assert found(tables(), rows_min=201).outcome == "unevaluable"


def test_a_suite_that_could_not_be_run_is_unevaluable_with_the_reason(found):
    finding = found(tables(report=None, problem="table `customers` has not been loaded"))
    assert finding.outcome == "unevaluable"
    assert "has not been loaded" in finding.reason


def test_a_report_without_tables_or_without_one_contract_is_unevaluable(found):
    assert found({"at": TRIED, "quality": []}).outcome == "unevaluable"
    half = tables()
    half["quality"].pop()
    assert found(half).outcome == "unevaluable"
