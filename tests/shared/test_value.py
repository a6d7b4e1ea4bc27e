from decimal import Decimal

import pytest
from pydantic import ValidationError

from shared.experiment.charter import Promise
from shared.experiment.value import Value
from tests.makers import make_charter

VALUE = {"worth": 2.5, "units_per_month": 1_000, "running": {"media": 100, "ai": 20.25}, "set_up": 60, "months": 12}


def test_money_is_exact_to_the_cent():
    value = Value.model_validate(VALUE)
    # 100 + 20.25 + 60 / 12, and 0.013 x 1,000 x 2.5.
    assert (value.cost_per_month, value.per_month(0.013)) == (Decimal("125.25"), Decimal("32.50"))
    assert value.break_even == pytest.approx(125.25 / 2_500)


@pytest.mark.parametrize(
    "changes",
    [{"worth": 0}, {"worth": "0.001"}, {"units_per_month": 0}, {"running": {"media": -1}}, {"set_up": -1},
     {"months": 0}, {"months": 37}, {"profit": 1}],
)  # fmt: skip
def test_what_can_be_no_value_is_refused(changes):
    with pytest.raises(ValidationError):
        Value.model_validate(VALUE | changes)


def test_running_costs_have_to_be_said():
    with pytest.raises(ValidationError, match="running"):
        Value.model_validate({"worth": 1, "units_per_month": 1})


def test_a_charter_without_a_value_keeps_its_digest_and_one_with_it_carries_it_through():
    silent, said = (Promise(charter=make_charter(**more), metrics={}, files={}) for more in ({}, {"value": VALUE}))
    assert "value" not in silent.as_json()["charter"]
    assert Promise.model_validate(said.as_json()) == said
    assert silent.digest != said.digest
