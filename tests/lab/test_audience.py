"""Audiences without SQL: what is written selects what it says, is read back, and no value or name is ever SQL."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.charters.audience import Choosable, Condition, read, written
from shared.core.errors import BadInput

ORDERED = ("is", "is not", "at least", "at most", "between", "one of", "none of", "is empty", "is not empty")
ANY = ("is", "is not", "one of", "none of", "is empty", "is not empty")
KNOWN = (
    Choosable("recency", "integer", ORDERED, ""),
    Choosable("spent", "number", ORDERED, ""),
    Choosable("region", "string", ANY, ""),
    Choosable("since", "date", ORDERED, ""),
    Choosable("member", "boolean", ANY, ""),
    Choosable("Order", "string", ANY, ""),
)
ROWS = """(VALUES ('a', 1, 0.5, 'north', DATE '2026-01-01', TRUE, 'x'),
('b', 5, 20.0, 'south', DATE '2026-02-01', FALSE, 'y'),
('c', NULL, NULL, NULL, NULL, NULL, NULL), ('d', 12, -3.25, 'O''Hara; "x"', DATE '2026-03-01', TRUE, 'x'))
customers(customer_id, recency, spent, region, since, member, "Order")"""


def chosen(*conditions) -> list[str]:
    """Who is selected, by DuckDB."""
    sql = written("customers", "customer_id", conditions, KNOWN)
    return [unit for (unit,) in duckdb.sql(f"WITH customers AS (FROM {ROWS}) {sql}").fetchall()]


@pytest.mark.parametrize(
    ("condition", "who"),
    [
        (Condition("recency", "at most", ("5",)), "ab"),
        (Condition("recency", "at least", ("5",)), "bd"),
        (Condition("spent", "between", ("-3.25", "0.5")), "ad"),
        (Condition("spent", "is not", ("20",)), "ad"),
        (Condition("region", "is", ('O\'Hara; "x"',)), "d"),
        (Condition("region", "one of", ("north", "south")), "ab"),
        (Condition("region", "none of", ("north",)), "bd"),
        (Condition("region", "is empty"), "c"),
        (Condition("since", "at least", ("2026-02-01",)), "bd"),
        (Condition("member", "is", ("true",)), "ad"),
        (Condition("Order", "is not empty"), "abd"),
    ],
)
def test_a_condition_selects_what_it_says_and_is_read_back(condition, who):
    assert chosen(condition) == list(who)
    text = written("customers", "customer_id", [condition], KNOWN, "-- who gets it\n")
    assert read(text, "customers", "customer_id", KNOWN) == (condition,)


def test_all_conditions_hold_and_none_selects_everybody():
    assert chosen() == list("abcd")
    both = Condition("recency", "at least", ("1",)), Condition("member", "is", ("true",))
    assert chosen(*both) == ["a", "d"]
    assert read(written("customers", "customer_id", both, KNOWN), "customers", "customer_id", KNOWN) == both
    assert read(written("customers", "customer_id", (), KNOWN), "customers", "customer_id", KNOWN) == ()


@pytest.mark.parametrize(
    "value", ["'; DROP TABLE customers; --", "' OR ''='", "\\'", "a'--", "x' UNION SELECT 'y", "%", "🎄"]
)
def test_a_value_is_never_sql(value):
    assert chosen(Condition("region", "is", (value,))) == []
    assert chosen(Condition("region", "none of", (value,))) == ["a", "b", "d"]


@given(st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn")), min_size=1, max_size=30))
def test_any_text_comes_back_as_it_was_typed(value):
    try:
        text = written("customers", "customer_id", [Condition("region", "is", (value,))], KNOWN)
    except BadInput:
        return  # a character that nobody can see
    assert read(text, "customers", "customer_id", KNOWN) == (Condition("region", "is", (value,)),)
    row = duckdb.sql(f"SELECT {text.partition('WHERE region = ')[2]}").fetchall()
    assert row == [(value,)]


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (Condition("email", "is", ("a@example.com",)), "no column `email`"),
        (Condition('recency" = 1 OR "recency', "is", ("1",)), "no column"),
        (Condition("region", "at least", ("north",)), "cannot be compared"),
        (Condition("recency", "is", ("1; DROP TABLE x",)), "no whole number"),
        (Condition("recency", "is", ("1.5",)), "no whole number"),
        (Condition("spent", "is", ("1e3",)), "no number"),
        (Condition("spent", "is", ("NaN",)), "no number"),
        (Condition("since", "is", ("yesterday",)), "no day"),
        (Condition("member", "is", ("maybe",)), "neither true nor false"),
        (Condition("recency", "between", ("1",)), "takes 2 values"),
        (Condition("recency", "is", ()), "takes 1 value"),
        (Condition("region", "one of", tuple(map(str, range(201)))), "takes 1 to 200"),
        (Condition("region", "is", ("nor\u202eth",)), "nobody can see"),
        (Condition("region", "is", ("a\nb",)), "nobody can see"),
    ],
)
def test_what_is_no_condition_is_refused(condition, told):
    with pytest.raises(BadInput, match=told):
        written("customers", "customer_id", [condition], KNOWN)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT customer_id AS unit FROM customers WHERE recency <= 5",
        "SELECT customer_id AS unit\nFROM customers\nWHERE recency <= 5 OR TRUE\n",
        "SELECT customer_id AS unit\nFROM customers\nWHERE recency <= 5 -- and more\n",
        "SELECT customer_id AS unit\nFROM customers\nWHERE email = 'a@example.com'\n",
        "SELECT customer_id AS unit\nFROM customers\nWHERE recency <= 05\n",
        "SELECT customer_id AS unit\nFROM customers\n  AND recency <= 5\n",
        "SELECT customer_id AS unit\nFROM customers\nWHERE region = 'a' 'b'\n",
        "SELECT customer_id AS unit\nFROM customers\nWHERE region LIKE 'a%'\n",
        "SELECT customer_id AS unit\nFROM customers\nLIMIT 5\n",
        "SELECT other AS unit\nFROM customers\n",
        "",
    ],
)
def test_any_other_select_is_not_taken_for_conditions(sql):
    assert read(sql, "customers", "customer_id", KNOWN) is None


def test_the_comment_above_stays():
    text = written("customers", "customer_id", [], KNOWN, "-- Who gets it.\n-- Ask Jo before changing it.\n\n")
    assert text.startswith("-- Who gets it.\n-- Ask Jo before changing it.\n\nSELECT ")
    assert read(text, "customers", "customer_id", KNOWN) == ()
