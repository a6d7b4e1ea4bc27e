import pytest

from promotion.gate.policy import read_settings
from tests.makers import make_charter

ROLLOUT = {
    "steps": ["0.05", "0.25", "1"],
    "watched": ["visit", "spend"],
    "rollback": [{"metric": "visit", "worse_than": -0.01}],
}


def charter(**changes):
    return make_charter(
        play={"rollout": ROLLOUT | changes}, guardrails=[{"metric": "spend", "margin": -0.5}], assignment="source"
    )


def test_a_rollout_is_told_step_by_step(stage, ask):
    [found] = ask("rollout_declared", stage.case(charter=charter()))
    assert (found.outcome, found.arm) == ("passed", "letter")
    assert found.reason == "declared: 5 % -> 25 % -> 100 %, taken back where visit is worse than -0.01"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"steps": ["0.11", "1"]}, "its first step reaches 11 % of the audience at once"),
        ({"steps": ["1"]}, "its first step reaches 100 % of the audience at once"),
        ({"watched": ["visit"]}, "guardrail spend is not watched"),
        (
            {"watched": ["visit", "spend", "opens"], "rollback": [{"metric": "opens", "worse_than": -0.1}]},
            "it is taken back by opens, which the pilot did not measure",
        ),
    ],
)
def test_one_that_reaches_too_many_at_once_or_is_not_watched_fails(stage, ask, changes, told):
    [found] = ask("rollout_declared", stage.case(charter=charter(**changes)))
    assert (found.outcome, found.reason) == ("failed", told)


def test_the_policy_says_how_large_the_first_step_may_be(stage, ask):
    case = stage.case(charter=charter(steps=["0.5", "1"]))
    assert [one.outcome for one in ask("rollout_declared", case, first_max="0.5")] == ["passed"]


def test_without_one_only_a_policy_that_requires_it_cannot_say(stage, ask):
    case = stage.case()
    [found] = ask("rollout_declared", case)
    assert (found.outcome, found.reason.startswith("not asked")) == ("passed", True)
    assert [one.outcome for one in ask("rollout_declared", case, required=True)] == ["unevaluable"]
    settings = read_settings(stage.workspace)
    required = [settings.policy(tier).rules["rollout_declared"].required for tier in ("low", "standard", "high")]
    assert required == [False, False, True]
