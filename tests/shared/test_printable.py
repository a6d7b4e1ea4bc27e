"""Printable text: nothing acts on what shows it, no language suffers, and a reader sees that something was there."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.printable import block, cell, hidden, json_text, line, quoted
from tests.hostile import HOSTILE, hostile_signs

# All of Unicode, lone surrogates too, and more often than chance the signs that act.
SIGNS = st.one_of(
    st.characters(), st.sampled_from("\n\r\t\x1b\x9b\u202e\u2066\u200b\u200d\ufe0f\ufeff\u2028=+-@'\"<&[\\ \U000e0041")
)
TEXTS = st.text(SIGNS, max_size=30)


@given(TEXTS)
def test_a_line_holds_nothing_that_acts(text):
    assert hostile_signs(line(text), allowed="") == set()
    assert len(line(text).splitlines()) <= 1


@given(TEXTS)
def test_a_line_that_was_shown_is_shown_alike_again(text):
    assert line(line(text)) == line(text)


@given(TEXTS)
def test_a_block_holds_line_breaks_and_tabs_and_nothing_else_that_acts(text):
    assert hostile_signs(block(text), allowed="\n\t") == set()


@given(TEXTS)
def test_every_line_of_a_quotation_has_its_bar(text):
    for each in quoted(text):
        assert each.startswith("  | ")
        assert hostile_signs(each, allowed="") == set()


@given(st.recursive(st.none() | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=8))
def test_json_for_a_terminal_is_the_same_json(value):
    raw = json.dumps(value, indent=2, ensure_ascii=False)
    shown = json_text(raw)
    assert hostile_signs(shown) == set()
    assert json.loads(shown) == json.loads(raw)


@given(TEXTS)
def test_no_cell_is_a_formula_or_acts(text):
    """OWASP, CSV injection: a cell that begins with one of these signs is computed; a number may begin with one."""
    shown = cell(text)
    assert hostile_signs(shown, allowed="") == set()
    if shown.lstrip(" ")[:1] in {"=", "+", "-", "@", "＝", "＋", "－", "＠"}:
        assert shown.strip(" ")[:1] in "+-"
        float(shown.strip(" %").replace(",", "").replace("." if shown.count(".") > 1 else "\0", "").rstrip("%"))


@pytest.mark.parametrize("number", ["-1", "+2.5", "-1e5", "-3,000.50", " -4 %", "0"])
def test_a_number_stays_a_number_in_a_cell(number):
    assert cell(number) == number


@pytest.mark.parametrize("value", [-1, 2.5, None])
def test_what_is_no_text_stays_what_it_is_in_a_cell(value):
    assert cell(value) == value


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "＝", "＋", "－", "＠", "  =", "-1+1 ="])
def test_a_formula_has_a_quote_before_it(start):
    assert cell(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize(
    "text",
    [
        "Zoë, Łódź, Ångström",
        "客户 葛\U000e0100城",  # a name whose ideograph has a variant of its own
        "שלום لام",
        "می‌خواهم",  # Persian, with a joiner that parts two letters
        "क्‍ष",  # a conjunct of Hindi, held open
        "👩‍👩‍👧 ❤️‍🔥 🇩🇪 1️⃣ 👍🏽",
        "1\u202f234,50\u00a0€ “quoted” – 5′",
        "ᠠ᠋",
    ],
)
def test_ordinary_text_of_the_world_passes_unharmed(text):
    assert line(text) == block(text) == text
    assert hidden(text) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nADMIT", r"a\nADMIT"),
        ("a\r\x1b[2KADMIT", r"a\r\u001b[2KADMIT"),
        ("\x9b31m", r"\u009b31m"),
        ("a\u202eb", r"a\u202eb"),
        ("ad\u200dmit", r"ad\u200dmit"),  # a joiner in Latin letters joins nothing
        ("x\ufe0f", r"x\ufe0f"),
        ("\ufeffx", r"\ufeffx"),
        ("\U000e0041", r"\udb40\udc41"),
        ("\ud800", r"\ud800"),
        ("\u3164\u115f\xad", r"\u3164\u115f\u00ad"),  # blanks that count as letters, and a hyphen that is none
    ],
)
def test_what_is_not_seen_is_shown_as_json_writes_it(text, shown):
    assert line(text) == shown


@pytest.mark.parametrize(
    ("text", "place", "name"),
    [("ab\x1b", 2, "U+001B, control character"), ("\u202e", 0, "U+202E, right-to-left override"),
     ("a\u200b", 1, "U+200B, zero width space")],
)  # fmt: skip
def test_a_hidden_character_is_named_with_its_place(text, place, name):
    assert hidden(text) == (place, name)


def test_line_breaks_and_tabs_are_no_hidden_characters():
    assert hidden("a\n\tb") is None
    assert hidden(HOSTILE) is not None
