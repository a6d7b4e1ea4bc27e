"""What commands say on a terminal of eighty columns: nothing is cut, no name is broken, and no line is longer."""

from __future__ import annotations

import io
import re
from random import Random

import pytest
from rich.console import Console

from pilotplant import app
from shared.ui import console
from shared.ui.console import emit, table
from tests.lab_makers import PILOT, draft, stage_copy

COLUMNS = 80
LISTINGS = [
    ["lab", "list"], ["lab", "remind"], ["lab", "check", PILOT], ["lab", "insights"],
    ["promote", "queue"], ["promote", "check", PILOT, "--passed"], ["promote", "portfolio"], ["promote", "log"],
    ["promote", "checks"], ["promote", "remind"], ["factory", "tables"], ["factory", "log"], ["factory", "status"],
    ["status"],
]  # fmt: skip


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of so many columns, and what is on it."""
    shown = io.StringIO()

    def opened():
        return Console(file=shown, width=COLUMNS, force_terminal=True, color_system=None, highlight=False)

    monkeypatch.setattr(console, "stdout", opened)
    return shown


def too_wide(text):
    """The lines that are wider than the terminal, but for a path, which has no place to be broken."""
    lines = [line.rstrip() for line in text.splitlines()]
    return [line for line in lines if len(line) > COLUMNS and len(max(line.split(), key=len)) < COLUMNS - 4]


@pytest.fixture
def workspace(request, tmp_path):
    found = stage_copy(request, tmp_path / "workspace", "submitted")
    draft(found, "autumn-mail-to-everybody-who-has-not-been-here-for-long")
    return found


@pytest.mark.parametrize("words", LISTINGS, ids=" ".join)
def test_a_listing_fits(workspace, terminal, words):
    assert app._exit_code(["--workspace", str(workspace.root), *words]) in {0, 3, 4}
    said = terminal.getvalue()
    assert said
    assert too_wide(said) == []
    # Digests are told by their first digits, and `mean: …` is for the reader to fill in.
    assert "…" not in re.sub(r"[0-9a-f]{8,}…|(mean|sd): …", "", said)


def test_the_list_of_pilots_has_every_name_and_address_whole(workspace, terminal):
    assert app._exit_code(["--workspace", str(workspace.root), "lab", "list"]) == 0
    words = terminal.getvalue().split()
    assert {PILOT, "autumn-mail-to-everybody-who-has-not-been-here-for-long", "owner@example.com"} <= set(words)


def test_short_cells_stay_on_one_line_and_a_sentence_takes_what_is_left(terminal):
    sentence = "a sentence of so many words that it cannot stand beside the others on one line"
    emit(False, {}, table("pilot", "units needed per arm", "why", rows=[("spring-mail", 12_447, sentence)]))
    lines = [line.rstrip() for line in terminal.getvalue().splitlines()]
    assert lines[0].split() == ["units", "needed"]
    [row] = [line for line in lines if line.startswith("spring-mail")]
    assert row.split()[:2] == ["spring-mail", "12447"]
    assert max(map(len, lines)) <= COLUMNS


def test_a_table_that_is_too_wide_becomes_a_block_for_each_row(terminal):
    columns = [f"column {number}" for number in range(8)]
    emit(False, {}, table(*columns, rows=[[f"value-of-{n}-and-{row}" for n in range(8)] for row in range(2)]))
    lines = terminal.getvalue().splitlines()
    assert lines[:2] == ["value-of-0-and-0", "  column 1: value-of-1-and-0"]
    assert len(lines) == 2 * 8


@pytest.mark.parametrize("columns", [2, 5, 6, 9])
@pytest.mark.parametrize("lengths", [(3, 20), (19, 20), (20, 60), (60, 200)])
def test_no_word_of_a_table_is_lost_however_wide_it_is(terminal, columns, lengths):
    """Cells of some words each, longer ones in every other column; no word is longer than those that stay whole."""
    rng = Random(columns)
    cells = [[sentence(rng, lengths[column % 2]) for column in range(columns)] for _ in range(3)]
    names = [f"a header of column {number}" for number in range(columns)]
    emit(False, {}, table(*names, rows=cells))
    said = terminal.getvalue()
    assert max(len(line.rstrip()) for line in said.splitlines()) <= COLUMNS
    assert [word for row in cells for cell in row for word in cell.split() if word not in said.split()] == []


def sentence(rng, length):
    words = ""
    while len(words) < length:
        words += f" {''.join(rng.choice('abcdefgh') for _ in range(rng.randint(2, 12)))}"
    return words[1 : length + 1].strip()


def test_a_path_is_never_broken(terminal):
    path = "/" + "/".join(["a-folder-of-somebody"] * 8)
    emit(False, {}, f"The report of the pilot lies here, where everybody can read it: {path}")
    assert path in terminal.getvalue()
