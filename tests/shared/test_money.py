"""Money: exact to the cent, in one currency."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.core.errors import BadInput
from shared.core.money import Money, parse_amount

amounts = st.decimals(-(10**12), 10**12, places=2, allow_nan=False, allow_infinity=False)


def usd(amount):
    return Money(amount=amount, currency="USD")


def test_a_float_from_yaml_is_the_decimal_its_author_wrote():
    assert usd(12.1).amount == Decimal("12.10")


def test_one_tenth_and_two_tenths_are_three_tenths():
    assert usd(0.1) + usd(0.2) == usd("0.30")


@given(one=amounts, other=amounts)
def test_adding_and_taking_away_leaves_what_was_there(one, other):
    assert usd(one) + usd(other) - usd(other) == usd(one)


@given(amount=amounts)
def test_money_survives_its_json_form(amount):
    assert Money.model_validate_json(usd(amount).model_dump_json()) == usd(amount)


@pytest.mark.parametrize("amount", ["0.001", 0.1 + 0.2, "1e-3"])
def test_an_amount_below_the_cent_is_refused(amount):
    with pytest.raises(ValidationError, match="at most two decimals"):
        usd(amount)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "sNaN", "1e30", float("nan"), float("inf"), 1e300, True, "x"])
def test_what_no_money_can_be_counted_in_is_refused(amount):
    with pytest.raises(ValidationError):
        usd(amount)


@pytest.mark.parametrize("currency", ["usd", "US", "USDX", "U$D", "", "ÄÖÜ"])
def test_a_currency_that_is_no_iso_code_is_refused(currency):
    with pytest.raises(ValidationError, match="ISO 4217"):
        Money(amount=1, currency=currency)


@pytest.mark.parametrize("combine", [Money.__add__, Money.__sub__])
def test_two_currencies_never_meet(combine):
    with pytest.raises(BadInput, match="USD and EUR"):
        combine(usd(1), Money(amount=1, currency="EUR"))


def test_people_read_money_with_thousands_and_cents():
    assert str(usd("1234567.5")) == "1,234,567.50 USD"


def test_json_carries_the_amount_as_text():
    assert usd("12.5").as_json() == {"amount": "12.50", "currency": "USD"}


def test_an_amount_on_the_command_line_is_kept_to_the_cent():
    assert str(parse_amount("120.5")) == "120.50"


@pytest.mark.parametrize("text", ["0", "-1", "0.00", "1.005", "1,000", "ten", "", "NaN", "inf", "1e40"])
def test_what_is_no_cost_is_refused_on_the_command_line(text):
    with pytest.raises(BadInput):
        parse_amount(text)
