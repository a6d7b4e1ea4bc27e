"""What looks like personal data: the table of the documentation holds, and DuckDB says what Python says."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.data.contracts import Column
from shared.data.personal_data import ADDRESS, TELEPHONE, kept_sql, personal, personal_sql

PAGE = Path(__file__).parents[2] / "docs" / "personal-data.md"
ROWS = re.findall(
    r"^\| `(.+?)`.*? \| (an e-mail address|a telephone number|nothing) \|$", PAGE.read_text(), re.MULTILINE
)
# Digits and what parts them, so that numbers come about; letters and signs of addresses; and all of Unicode.
PIECES = st.sampled_from(
    ["0", "1", "2", "9", "01", "20", "30", "49", "170", "555", "1234", "2026", "11", "29", "+", "00", " ", "-", ".",
     "/", "(", ")", ":", "T", "Z", "e", "x", "a", "@", "%40", "＠", "＋", "example", ".com", "\u00a0", "\u2011", "_",
     "\n", "~", "550e8400-e29b-41d4-a716-446655440000", "é", "客"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=12).map("".join) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def by_duckdb(expression, texts):
    """What an expression over `said` makes of texts."""
    rows = duckdb.execute(f"SELECT {expression} FROM (SELECT unnest(?::VARCHAR[]) AS said)", [texts]).fetchall()
    return [row[0] for row in rows]


def test_the_page_has_a_row_for_either_and_for_near_misses():
    assert {taken for _, taken in ROWS} == {ADDRESS, TELEPHONE, "nothing"}
    assert len(ROWS) == PAGE.read_text().count("\n| `")


@pytest.mark.parametrize(("text", "taken"), ROWS)
def test_a_text_is_taken_for_what_the_page_says(text, taken):
    assert (personal(text) or "nothing") == taken


def test_duckdb_takes_each_for_the_same():
    assert [found or "nothing" for found in by_duckdb(personal_sql("said"), [text for text, _ in ROWS])] == [
        taken for _, taken in ROWS
    ]


@pytest.mark.check
@settings(max_examples=300)
@given(st.lists(TEXTS.map(lambda text: text.replace("\0", "")), min_size=1, max_size=20))
def test_duckdb_and_python_give_the_same_answer(texts):
    assert by_duckdb(personal_sql("said"), texts) == [personal(text) for text in texts]


@pytest.mark.parametrize("around", ["{}", "x {} y", "({})", "<{}>", "ref:{}", "{}, then", "\n{}\n"])
@pytest.mark.parametrize("text", ["anna@example.com", "+49 170 1234567", "0170 1234567", "555-123-4567"])
def test_it_is_found_wherever_it_stands(around, text):
    assert personal(around.format(text)) is not None


@pytest.mark.parametrize(
    ("column", "given", "found"),
    [
        (Column(name="said", type="string"), "555-123-4567", True),
        # What a pattern or a list allows was meant; what breaks them is held back, and kept.
        (Column(name="said", type="string", pattern="^[0-9]{3}-[0-9]{3}-[0-9]{4}$"), "555-123-4567", False),
        (Column(name="said", type="string", pattern="^[a-z]+$"), "555-123-4567", True),
        (Column(name="said", type="string", valid_values=("a@example.com",)), "a@example.com", False),
        (Column(name="said", type="string", valid_values=("a", "b")), "a@example.com", True),
        (Column(name="said", type="number"), "12.5", False),
        (Column(name="said", type="number"), "a@example.com", True),
        (Column(name="said", type="timestamp"), "2026-01-05T10:00:00+01:00", False),
        (Column(name="said", type="timestamp"), "+49 170 1234567", True),
    ],
)
def test_a_column_is_asked_where_its_own_rules_do_not_say_what_may_stand_there(column, given, found):
    [answer] = by_duckdb(kept_sql("said", column), [given])
    assert (answer is not None) == found
