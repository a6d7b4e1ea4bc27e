"""The ledger as it leaves the house."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sqlite3

import pytest
import rfc8785

from pilotplant.app import _exit_code
from promotion.audit.log import COLUMNS, Log, read_log
from shared.state.chain import Entry
from tests.hostile import WRITTEN, hostile_signs
from tests.promotion.cases import Stage


@pytest.fixture(scope="module")
def decided(prepared, tmp_path_factory):
    """A workspace in which a pilot was stopped for a reason that a spreadsheet would compute."""
    stage = Stage(prepared).copy(tmp_path_factory.mktemp("logged") / "workspace")
    stage.submit()
    stage.decide("stop", reason='=cmd|" /C calc"!A1 and more, "quoted"')
    return stage


def said(stage, capsys, *options):
    code = _exit_code(["--workspace", str(stage.workspace.root), "promote", "log", *options])
    return code, capsys.readouterr()


@pytest.mark.parametrize("options", [["--json"], ["--format", "json"], ["--format", "json", "--json"]])
def test_json_holds_every_entry_with_its_version_and_hash(decided, capsys, options):
    code, told = said(decided, capsys, *options)
    found = json.loads(told.out)
    assert (code, found["schema_version"], found["problems"]) == (0, 1, [])
    assert [entry["kind"] for entry in found["entries"]] == ["opened", *["enrolled"] * 3, "registered", "decided"]
    for entry in found["entries"]:
        assert entry.pop("schema_version") == 1
        # Whoever has the export can compute each hash anew, by RFC 8785 and SHA-256.
        body = "sha256:" + hashlib.sha256(rfc8785.dumps(entry["body"])).hexdigest()
        hashed = entry.pop("hash")
        assert hashed == "sha256:" + hashlib.sha256(rfc8785.dumps({**entry, "body": body})).hexdigest()


def test_csv_has_one_row_per_entry_and_reads_back(decided, capsys):
    code, told = said(decided, capsys, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(told.out)))
    entries = read_log(decided.workspace).entries
    assert (code, tuple(rows[0])) == (0, COLUMNS)
    assert [(int(row["seq"]), row["kind"], row["hash"], row["schema_version"]) for row in rows] == [
        (entry.seq, entry.kind, entry.hash, "1") for entry in entries
    ]
    assert [json.loads(row["body"]) for row in rows] == [entry.body for entry in entries]


def test_no_cell_of_the_log_is_a_formula_or_acts(decided, capsys):
    """A reason stands inside the body's JSON; a subject, like a person's name, is a cell of its own."""
    _, told = said(decided, capsys, "--format", "csv")
    for row in csv.reader(io.StringIO(told.out)):
        assert not any(value.startswith(("=", "+", "-", "@", "\t", "\r")) for value in row)
    assert hostile_signs(told.out) == set()


def test_nor_is_any_whatever_an_entry_says():
    """A subject that a spreadsheet would compute, and words that act, as an earlier build may have taken them in."""
    entry = Entry(1, "2026-01-05T09:00:00Z", "decided", "=cmd|' /C calc'!A1", {"reason": WRITTEN}, "", "")
    text = Log((entry,), ()).as_csv()
    _, row = csv.reader(io.StringIO(text))
    assert row[COLUMNS.index("subject")] == f"'{entry.subject}"
    assert hostile_signs(text) == set()


def test_one_pilots_entries_leave_the_others_out(decided, capsys):
    _, told = said(decided, capsys, "spring-email", "--json")
    assert [entry["kind"] for entry in json.loads(told.out)["entries"]] == ["registered", "decided"]


@pytest.mark.parametrize("options", [["--format", "xml"], ["--format", "csv", "--json"]])
def test_a_format_that_there_is_not_is_bad_input(decided, capsys, options):
    assert said(decided, capsys, *options)[0] == 2


def test_what_was_changed_is_named_in_every_format_and_hides_nothing_else(decided, capsys, tmp_path):
    stage = decided.copy(tmp_path / "workspace")
    with sqlite3.connect(stage.workspace.promotion / "promotion.db") as connection:
        connection.execute("DROP TRIGGER ledger_no_update")
        connection.execute("UPDATE ledger SET body = 'no json' WHERE seq = 2")
        connection.execute("UPDATE ledger SET body = '{}', at = 'once' WHERE kind = 'decided'")
    connection.close()
    named = "the promotion ledger: entry 2 (enrolled) was changed after it was written"
    for form, place in (("text", "out"), ("json", "out"), ("csv", "err")):
        code, told = said(stage, capsys, "--format", form)
        assert code == 0
        assert named in " ".join(getattr(told, place).split())
        assert "spring-email" in told.out
    assert "registered" in said(stage, capsys)[1].out
