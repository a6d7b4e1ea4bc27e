"""Breaches: a contract's rules as SQL conditions, for files of millions of rows that come in at any time.

The rules and their words are those of `shared/data/quality.py`, where Great Expectations says what each means. It takes
seconds to load, so intake asks DuckDB directly, a test holds the two to the same answers, and the gate runs the
library itself over all that was sealed.
"""

from __future__ import annotations

from typing import Any

from shared.core.sql import identifier, literal
from shared.data.contracts import Column, Value
from shared.data.quality import PATTERN, Rule, column_rules


def breaches_sql(column: Column) -> dict[str, str]:
    """Each rule of a typed column, in words, with the condition under which its value breaks it.

    Uniqueness is not among them: other rows decide that.
    """
    found = {rule.text: _condition(rule, identifier(column.name)) for rule in column_rules(column)}
    return {text: condition for text, condition in found.items() if condition is not None}


def _condition(rule: Rule, column: str) -> str | None:
    given = rule.arguments
    match rule.expectation:
        case "ExpectColumnValuesToBeInTypeList" | "ExpectColumnValuesToBeUnique":
            return None
        case "ExpectColumnValuesToNotBeNull":
            return f"{column} IS NULL"
        case "ExpectColumnValuesToBeBetween":
            return _outside(column, given["min_value"], given["max_value"])
        case "ExpectColumnValueLengthsToBeBetween":
            return _outside(f"length({column})", given["min_value"], given["max_value"])
        case "ExpectColumnValuesToBeInSet":
            return f"{column} NOT IN ({', '.join(_value(value) for value in given['value_set'])})"
        case _ if rule.expectation == PATTERN:
            return f"NOT regexp_matches({column}, {literal(given['pattern'])})"
    raise NotImplementedError(rule.expectation)  # a rule that only the library knows must not be skipped in silence


def _outside(measured: str, lowest: Any, highest: Any) -> str:
    below = None if lowest is None else f"{measured} < {_value(lowest)}"
    above = None if highest is None else f"{measured} > {_value(highest)}"
    return " OR ".join(filter(None, (below, above)))


def _value(value: Value) -> str:
    if isinstance(value, str):
        return literal(value)
    return f"CAST('{value!r}' AS DOUBLE)" if isinstance(value, float) else str(value)
