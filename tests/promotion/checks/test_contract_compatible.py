from __future__ import annotations

import pytest

from tests.promotion.cases import TRIED
from tests.promotion.preflights import CONTRACT


def change(severity, column="zip_code"):
    return {"column": column, "severity": severity, "told": "its type is integer, and was string"}


def compared(*changes, **said):
    customers = {"table": "customers", "sealed": CONTRACT, "present": CONTRACT, "changes": changes, **said}
    return {"at": TRIED, "compatibility": [customers, {"table": "outcomes", "sealed": CONTRACT, "present": CONTRACT}]}


@pytest.fixture
def found(ask_of):
    def one(preflight, **rule):
        [finding] = ask_of("contract_compatible", preflight, **rule)
        return finding

    return one


def test_unchanged_contracts_pass(found):
    assert found(compared()).outcome == "passed"


def test_a_breaking_change_fails_and_is_named(found):
    finding = found(compared(change("breaking"), change("safe")))
    assert finding.outcome == "failed"
    assert "customers.zip_code: its type is integer, and was string" in finding.reason


def test_a_risky_change_passes_by_name_unless_the_policy_forbids_it(found):
    finding = found(compared(change("risky", None)))
    assert finding.outcome == "passed"
    assert "risky: customers: its type" in finding.reason
    assert found(compared(change("risky")), allow_risky=False).outcome == "failed"
    assert found(compared(change("safe")), allow_risky=False).outcome == "passed"


def test_the_high_tier_forbids_risky_changes(stage):
    assert stage.judge(tier="standard", preflight=compared(change("risky"))).verdict == "admit"
    assert stage.judge(tier="high", preflight=compared(change("risky"))).verdict == "refuse"


def test_a_contract_that_could_not_be_compared_is_unevaluable(found):
    finding = found(compared(problem="there is no contract for a table `customers`", present=None))
    assert finding.outcome == "unevaluable"
    assert "no contract" in finding.reason


def test_a_breaking_change_beside_a_gap_is_still_a_no(found):
    assert found(compared(change("breaking"), problem="half of it")).outcome == "failed"


@pytest.mark.parametrize("left", [[], ["customers"], ["outcomes"]])
def test_a_contract_that_was_not_compared_at_all_is_unevaluable(found, left):
    report = compared()
    report["compatibility"] = [each for each in report["compatibility"] if each["table"] in left]
    finding = found(report)
    assert finding.outcome == "unevaluable"
    assert "not compared" in finding.reason
