"""The terminal's edge: whatever is printed, one string is one line of it, and only colours are ours."""

from __future__ import annotations

import io
import json
import re

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from shared.core.errors import BadInput, PilotPlantError
from shared.ui import console
from shared.ui.console import crashed, emit, fail, progress, require_seen, styled, table
from tests.hostile import HOSTILE, forged_lines, hostile_signs

TEXTS = st.text(st.one_of(st.characters(), st.sampled_from("\n\r\x1b\x9b\u202e[]/<")), max_size=20)


def printed(capsys, print_):
    print_()
    told = capsys.readouterr()
    return told.out + told.err


@pytest.mark.parametrize(
    "print_",
    [
        lambda: emit(False, {}, HOSTILE),
        lambda: emit(False, {}, styled(HOSTILE)),
        lambda: emit(False, {}, table(HOSTILE, "b", rows=[(HOSTILE, styled(HOSTILE, "red")), (None, 1)])),
        lambda: emit(True, {HOSTILE: [HOSTILE]}),
        lambda: progress(HOSTILE),
        lambda: fail(BadInput(HOSTILE, where=HOSTILE, expected=HOSTILE, remedy=HOSTILE), as_json=False),
        lambda: fail(BadInput(HOSTILE, where=HOSTILE, expected=HOSTILE, remedy=HOSTILE), as_json=True),
        lambda: crashed(ValueError(HOSTILE)),
    ],
    ids=["line", "styled", "table", "json", "progress", "error", "error as json", "trace"],
)
def test_nothing_that_is_printed_acts_on_a_terminal_or_forges_a_line(capsys, print_):
    told = printed(capsys, print_)
    assert "ADMIT" in told
    assert hostile_signs(told) == set()
    assert forged_lines(told) == []
    assert "[bold red]" in told, "markup of the terminal's library is text like any other"


def test_json_holds_the_very_text(capsys):
    emit(True, {"said": HOSTILE})
    assert json.loads(capsys.readouterr().out) == {"said": HOSTILE}


@given(TEXTS)
def test_one_string_is_one_line(text):
    stream = io.StringIO()
    console._print(Console(file=stream, width=120, soft_wrap=True, highlight=False), styled(text))
    assert stream.getvalue().count("\n") == 1
    assert hostile_signs(stream.getvalue()) == set()


def test_what_goes_on_below_a_long_line_begins_with_a_mark():
    """Whoever counts the letters of a terminal's width cannot have the next line begin with words of theirs."""
    stream = io.StringIO()
    narrow = Console(file=stream, width=40, force_terminal=True, color_system=None, highlight=False)
    console._print(narrow, styled("  Because " + "x" * 30 + " letter: ADMIT " + "y " * 30))
    first, *rest = stream.getvalue().splitlines()
    assert first.startswith("  Because")
    assert rest
    assert all(re.match(r"    ↳ ", line) for line in rest)
    assert all(len(line) <= 40 for line in (first, *rest))


def test_what_went_on_below_an_error_is_quoted(capsys):
    fail(PilotPlantError("it ended by itself:\nwhat to do: nothing", remedy="read the log"), as_json=False)
    assert capsys.readouterr().err.splitlines() == [
        "it ended by itself:", "  | what to do: nothing", "  what to do: read the log",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["a\x1b[31m", "\u202eabc", "a\u200bb"])
def test_a_text_that_hides_something_is_refused_by_name(text):
    with pytest.raises(BadInput, match=r"a character that nobody can see \(U\+") as caught:
        require_seen(text, "--reason")
    assert caught.value.where == "--reason"


@pytest.mark.parametrize("text", ["SELECT 1,\n\t2", "Zoë 客户 👩‍👧"])
def test_a_text_of_which_every_character_shows_is_taken(text):
    assert require_seen(text, "--reason") == text


def test_an_answer_that_hides_something_is_asked_again(monkeypatch):
    answers = iter(["why\u202e", "why"])
    monkeypatch.setattr("typer._click.termui.visible_prompt_func", lambda _: next(answers), raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: next(answers), raising=False)
    try:
        assert console.ask("Why") == "why"
    except typer.Abort:  # pragma: no cover - where typer reads its answers elsewhere
        pytest.fail("the answer was not read")
