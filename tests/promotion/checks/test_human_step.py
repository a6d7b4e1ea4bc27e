import pytest

from tests.makers import OWNER, make_charter

REQUESTER = "requester@example.com"


def charter(**play):
    return make_charter(play=play, guardrails=[{"metric": "spend", "margin": -0.5}], assignment="source")


def test_the_frozen_words_of_a_campaign_are_looked_at_by_whoever_signs(stage, ask):
    [found] = ask("human_step", stage.case())
    assert (found.outcome, found.arm) == ("passed", "letter")
    assert found.reason.startswith("it writes to customers: its words are frozen")


@pytest.mark.parametrize("action", ["pricing", "regulated_claim"])
@pytest.mark.parametrize(
    ("review", "outcome"),
    [
        (None, "failed"),
        ({"by": OWNER}, "passed"),
        ({"by": OWNER, "before": "release"}, "passed"),
        ({"by": REQUESTER}, "failed"),
        ({"by": "nobody@example.com"}, "failed"),
    ],
)
def test_prices_and_regulated_claims_need_a_known_reviewer_who_does_not_ask(stage, ask, action, review, outcome):
    case = stage.case(charter=charter(actions=[action], review=review))
    [found] = ask("human_step", case)
    assert (found.outcome, found.remedy is None) == (outcome, outcome == "passed")


@pytest.mark.parametrize("by", [REQUESTER.upper(), "Requester@Example.com", "requester@EXAMPLE.com"])
def test_who_asks_is_no_other_person_in_capitals(stage, ask, by):
    [found] = ask("human_step", stage.case(charter=charter(actions=["pricing"], review={"by": by})))
    assert (found.outcome, "is who asks for it" in found.reason) == ("failed", True)


@pytest.mark.parametrize("by", [OWNER.upper(), "Owner@Example.com", "owner@EXAMPLE.com"])
def test_a_reviewer_in_capitals_is_known(stage, ask, by):
    [found] = ask("human_step", stage.case(charter=charter(actions=["pricing"], review={"by": by})))
    assert found.outcome == "passed"


def test_the_policy_says_for_what_and_whether_the_requester_may_look(stage, ask):
    plain = stage.case()
    [found] = ask("human_step", plain, reviewed=["outbound"])
    assert (found.outcome, found.reason) == ("failed", "it writes to customers, and nobody is named who looks before")
    own = stage.case(charter=charter(actions=["pricing"], review={"by": REQUESTER}))
    assert [one.outcome for one in ask("human_step", own, separate_requester=False)] == ["passed"]


def test_people_that_cannot_be_read_are_unevaluable(stage, ask):
    case = stage.case(charter=charter(actions=["pricing"], review={"by": OWNER}))
    (stage.workspace.configs / "people.yaml").write_text("people: nobody\n")
    [found] = ask("human_step", case)
    assert found.outcome == "unevaluable"
