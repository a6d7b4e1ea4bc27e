import numpy as np
import pytest
from scipy.stats import ttest_ind

from tests.promotion.cases import levels

HISTORY = {"covariates": ["history"]}
ALIKE = levels("n % 7", "history")
APART = levels("n % 7 + CASE arm WHEN 'letter' THEN 1 ELSE 0 END", "history")
P = ttest_ind(np.arange(200) % 7 + 1, np.arange(200) % 7, equal_var=False).pvalue


def test_arms_that_were_alike_pass(stage, ask):
    [found] = ask("pre_period_balance", stage.case(charter=HISTORY, traits=ALIKE))
    assert found.outcome == "passed"
    assert found.reason.startswith("the arms were alike in history before the pilot began (least p ")


def test_arms_that_differed_before_fail_by_scipys_p(stage, ask):
    [found] = ask("pre_period_balance", stage.case(charter=HISTORY, traits=APART))
    assert found.outcome == "failed"
    assert found.measured == {"letter history": pytest.approx(P, rel=1e-9)}
    assert "a new draw" in found.remedy


def test_p_above_its_threshold_passes_and_below_it_fails(stage, ask):
    case = stage.case(charter=HISTORY, traits=APART)
    assert [ask("pre_period_balance", case, p_min=P * factor)[0].outcome for factor in (0.99, 1.01)] == [
        "passed", "failed",
    ]  # fmt: skip


def test_without_covariates_there_is_nothing_to_ask_unless_the_policy_requires_some(stage, ask):
    case = stage.case()
    [found] = ask("pre_period_balance", case)
    assert (found.outcome, found.reason.startswith("nothing declared")) == ("passed", True)
    assert ask("pre_period_balance", case, required=True)[0].outcome == "unevaluable"


@pytest.mark.parametrize("traits", [levels("1", "history"), None])
def test_a_declared_covariate_that_says_nothing_is_unevaluable(stage, ask, traits):
    [found] = ask("pre_period_balance", stage.case(charter=HISTORY, traits=traits))
    assert (found.outcome, "history cannot be compared" in found.reason) == ("unevaluable", True)
