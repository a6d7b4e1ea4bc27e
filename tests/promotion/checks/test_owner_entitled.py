import pytest

from tests.makers import OWNER

REQUESTER = {"email": "requester@example.com"}


def owner(**decides):
    limit = {"amount": "10.00", "currency": "USD"}
    return {"email": OWNER, "decides": {"tiers": ["standard"], "up_to": limit, **decides}}


def test_an_entitled_owner_passes(stage, ask):
    [found] = ask("owner_entitled", stage.case())
    assert (found.outcome, found.measured["owner"]) == ("passed", OWNER)


# The pilot's budget is 10.00 USD, its tier standard.
@pytest.mark.parametrize(
    ("decides", "outcome"),
    [
        ({}, "passed"),
        ({"up_to": None}, "passed"),
        ({"up_to": {"amount": "9.99", "currency": "USD"}}, "failed"),
        ({"up_to": {"amount": "99.00", "currency": "EUR"}}, "failed"),
        ({"tiers": ["low", "high"]}, "failed"),
    ],
)
def test_tier_and_amount_bound_what_an_owner_decides(stage, ask, decides, outcome):
    stage.people(owner(**decides), REQUESTER)
    [found] = ask("owner_entitled", stage.case())
    assert (found.outcome, found.remedy is None) == (outcome, outcome == "passed")


@pytest.mark.parametrize(
    ("persons", "reason"),
    [
        ([REQUESTER], "is not in configs/people.yaml"),
        ([REQUESTER, {"email": OWNER}], "not entitled to decide anything"),
    ],
)
def test_an_owner_who_may_decide_nothing_fails(stage, ask, persons, reason):
    stage.people(*persons)
    [found] = ask("owner_entitled", stage.case())
    assert (found.outcome, reason in found.reason) == ("failed", True)


@pytest.mark.parametrize("requester", [OWNER, OWNER.upper()])
def test_nobody_decides_on_their_own_request(stage, ask, requester):
    [found] = ask("owner_entitled", stage.case(charter={"requester": requester}))
    assert (found.outcome, found.remedy) == ("failed", "revise with another owner")


def test_a_policy_may_let_them(stage, ask):
    [found] = ask("owner_entitled", stage.case(charter={"requester": OWNER}), separate_requester=False)
    assert found.outcome == "passed"


def test_people_who_cannot_be_read_are_unevaluable(stage, ask):
    (stage.workspace.configs / "people.yaml").unlink()
    [found] = ask("owner_entitled", stage.case())
    assert found.outcome == "unevaluable"
