import pytest


# The charter's budget is 10.00 USD.
@pytest.mark.parametrize(
    ("costs", "outcome"),
    [
        ([], "passed"),
        ([("10.00", "USD")], "passed"),
        ([("9.99", "USD"), ("0.01", "USD")], "passed"),
        ([("9.99", "USD"), ("0.02", "USD")], "failed"),
    ],
)
def test_the_whole_budget_may_be_spent_and_not_a_cent_more(stage, ask, costs, outcome):
    [found] = ask("budget_kept", stage.case(costs=costs))
    assert (found.outcome, found.threshold) == (outcome, {"amount": "10.00", "currency": "USD"})


def test_a_failure_names_both_amounts(stage, ask):
    [found] = ask("budget_kept", stage.case(costs=[("12.50", "USD")]))
    assert found.reason == "the pilot cost 12.50 USD, more than its budget of 10.00 USD"
    assert found.remedy == "stop, or revise with a budget that fits"


def test_costs_in_another_currency_are_unevaluable(stage, ask):
    [found] = ask("budget_kept", stage.case(costs=[("1.00", "EUR")]))
    assert (found.outcome, "cannot be added" in found.reason) == ("unevaluable", True)


def test_costs_that_cannot_be_read_are_unevaluable(stage, ask):
    [found] = ask("budget_kept", stage.case(alter=lambda folder: (folder / "spend.json").unlink()))
    assert (found.outcome, found.remedy) == ("unevaluable", "submit the pilot again")
