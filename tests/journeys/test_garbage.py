"""Garbage in a database: whichever column holds it, every command that reads it says so in words, and verify too."""

from __future__ import annotations

import shutil
import sqlite3

import pytest

from pilotplant.app import _exit_code
from tests.lab_makers import PILOT, stage_copy

pytestmark = pytest.mark.check

# What reads a room's tables; `status` reads them all.
LOOKS = {
    "lab": (("status",), ("lab", "list"), ("lab", "show", PILOT)),
    "promotion": (("status",), ("promote", "queue"), ("promote", "check", PILOT)),
    "factory": (("status",), ("factory", "tables"), ("factory", "log"), ("factory", "releases")),
}


@pytest.fixture
def workspace(request, tmp_path):
    return stage_copy(request, tmp_path / "workspace", "submitted")


def database(root, room):
    return root / "var" / room / f"{room}.db"


def cells(workspace, room):
    """Every table that holds anything, with each of its columns and the type that it was made with."""
    with sqlite3.connect(database(workspace.root, room)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if connection.execute(f'SELECT count(*) FROM "{table}"').fetchone() != (0,):
                for _, column, kind, *_ in connection.execute(f'PRAGMA table_info("{table}")'):
                    yield table, column, kind


def spoil(root, room, table, column, garbage):
    """Whether the database took the garbage: a ledger takes nothing, and a key of whole numbers nothing else."""
    try:
        with sqlite3.connect(database(root, room)) as connection:
            connection.execute(f'UPDATE OR IGNORE "{table}" SET "{column}" = ?', [garbage])
            [[changes]] = connection.execute("SELECT changes()")
    except sqlite3.Error:
        return False
    return changes > 0


@pytest.mark.parametrize("room", LOOKS)
@pytest.mark.parametrize(
    "garbage", ["garbage", pytest.param(b"\xff\xfe\x00", marks=pytest.mark.proof)], ids=["text", "bytes"]
)
def test_no_command_dies_of_garbage_in_a_column_and_verify_names_it(workspace, capsys, room, garbage, tmp_path):
    spoilt = 0
    for number, (table, column, kind) in enumerate(list(cells(workspace, room))):
        root = tmp_path / str(number)
        shutil.copytree(workspace.root, root)
        if spoil(root, room, table, column, garbage):
            spoilt += 1
            for words in LOOKS[room]:
                code = _exit_code(["--workspace", str(root), *words])
                said = capsys.readouterr()
                assert code in {0, 2, 3, 4}, (table, column, words, said.err)
                assert "Traceback" not in said.err, (table, column, words, said.err)
            # A text may say anything; what is no text, and what has a form of its own, is damage.
            formed = column == "at" or column.endswith("_at") or column in {"deadline", "reserved", "amount"}
            if (isinstance(garbage, bytes) and kind != "BLOB") or formed or kind in {"INTEGER", "JSON"}:
                assert _exit_code(["--workspace", str(root), "verify"]) in {3, 4}, (table, column)
                assert "damaged" in " ".join(" ".join(capsys.readouterr()).split()), (table, column)
        shutil.rmtree(root)
    assert spoilt > 1
