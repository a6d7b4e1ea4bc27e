"""The types of a room's columns: what a database hands out is held against them, so that garbage is told as such.

SQLite keeps whatever somebody writes into a column. What no command of ours could have written raises Damaged where it
is read, in whichever command that is.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import sqlalchemy as sa

from shared.core.clock import parse_rfc3339
from shared.core.errors import Damaged
from shared.core.faults import RESTORE

SHOWN = 40


class _Checked(sa.types.TypeDecorator[Any]):
    """A type that says of each value whether it is one of its own."""

    impl: Any = sa.String
    cache_ok = True
    name = "a text"

    def process_result_value(self, value: Any, _dialect: sa.Dialect) -> Any:
        """The value; raises Damaged where it is none of the type's."""
        if value is not None and not self.holds(value):
            raise damaged(value, self.name)
        return value

    def holds(self, value: Any) -> bool:
        """Whether a value is one of the type's."""
        return isinstance(value, str)


class Text(_Checked):
    """Text."""

    cache_ok = True


class Moment(_Checked):
    """A moment, kept as RFC 3339 has it."""

    cache_ok = True
    name = "a moment"

    def holds(self, value: Any) -> bool:
        """Whether it is a moment."""
        try:
            parse_rfc3339(value)
        except (ValueError, TypeError, OverflowError, AttributeError):
            return False
        return True


class Amount(_Checked):
    """An amount of money, kept as the text of a decimal."""

    cache_ok = True
    name = "an amount"

    def holds(self, value: Any) -> bool:
        """Whether it is an amount."""
        try:
            return isinstance(value, str) and Decimal(value).is_finite()
        except InvalidOperation:
            return False


class Whole(_Checked):
    """A whole number."""

    impl = sa.Integer
    cache_ok = True
    name = "a whole number"

    def holds(self, value: Any) -> bool:
        """Whether it is a whole number."""
        return isinstance(value, int)


class Json(sa.types.TypeDecorator[Any]):
    """JSON: an object or a list."""

    impl = sa.JSON
    cache_ok = True

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any]:
        """Reads the text; raises Damaged where it is no JSON."""
        read = super().result_processor(dialect, coltype)

        def process(value: Any) -> Any:
            try:
                found = read(value) if read else value
            except (ValueError, TypeError, RecursionError) as error:
                raise damaged(value, "JSON") from error
            if found is not None and not isinstance(found, dict | list):
                raise damaged(value, "an object or a list")
            return found

        return process


def damaged(value: object, wanted: str) -> Damaged:
    """The error that says of a value that no command wrote it."""
    said = str(value) if isinstance(value, str) else f"{value!r}"
    shortened = said if len(said) <= SHOWN else said[:SHOWN] + "…"
    return Damaged(
        f"the database is damaged (it holds `{shortened}` where {wanted} should be)",
        remedy=RESTORE,
    )
