"""Money: a Decimal with its currency, never a float."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from shared.core.errors import BadInput
from shared.core.frozen import FrozenModel

CENT = Decimal("0.01")
# ISO 4217 codes are three capitals; a currency without minor unit is still kept to the cent here.
CURRENCY_LENGTH = 3


def _exact(value: Any) -> Any:
    # YAML reads 12.50 as a float; its shortest repr is what the author wrote.
    return str(value) if isinstance(value, float) else value


def _cents(value: Decimal) -> Decimal:
    try:
        cents = value.quantize(CENT)
    except InvalidOperation as error:
        raise ValueError("an amount is a number that money can be counted in") from error
    if value != cents:
        raise ValueError("an amount has at most two decimals")
    return cents


Amount = Annotated[Decimal, BeforeValidator(_exact), AfterValidator(_cents)]


def _currency(code: str) -> str:
    if len(code) != CURRENCY_LENGTH or not code.isascii() or not code.isalpha() or not code.isupper():
        raise ValueError("a currency is its ISO 4217 code, like EUR or USD")
    return code


Currency = Annotated[str, AfterValidator(_currency)]


class Money(FrozenModel):
    """An amount in a currency; sums only with its own kind."""

    amount: Amount
    currency: Currency

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(amount=self.amount + other.amount, currency=self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(amount=self.amount - other.amount, currency=self.currency)

    def __str__(self) -> str:
        """As people read it: `1,234.50 USD`."""
        return f"{self.amount:,.2f} {self.currency}"

    def as_json(self) -> dict[str, str]:
        """`{"amount": "12.50", "currency": "EUR"}`."""
        return {"amount": str(self.amount), "currency": self.currency}

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise BadInput(
                f"{self.currency} and {other.currency} cannot be added",
                expected=f"amounts in {self.currency}",
                remedy="convert the amount first and record the converted one",
            )


def parse_amount(text: str) -> Decimal:
    """A positive amount typed on a command line; raises BadInput."""
    try:
        value = _cents(Decimal(text))
    except (InvalidOperation, ValueError) as error:
        raise BadInput(
            f"`{text}` is not an amount of money",
            where="AMOUNT",
            expected="a number with at most two decimals, like 120.50",
        ) from error
    if value <= 0:
        raise BadInput(f"`{text}` is not a cost", where="AMOUNT", expected="an amount above zero")
    return value
