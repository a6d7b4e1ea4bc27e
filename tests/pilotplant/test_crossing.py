"""Three ledgers, each held against what the other two have seen of it, by a pilot that went through the rooms."""

from __future__ import annotations

import json
import shutil
import sqlite3

import pytest

from factory.state.room import open_factory
from lab.state import open_lab
from pilotplant.app import _exit_code
from pilotplant.witnesses import verify
from promotion.audit.checkpoint import heads, take
from promotion.state import open_promotion
from shared.core.errors import Refused
from shared.state.anchors import anchors, head_of
from shared.state.chain import Entry, Head
from shared.state.workspace import open_workspace
from tests import forgery


@pytest.fixture
def workspace(whole, tmp_path):
    return open_workspace(shutil.copytree(whole.root, tmp_path / "workspace"))


def database(workspace, room):
    connection = sqlite3.connect(workspace.root / "var" / room / f"{room}.db")
    for name in ("update", "delete", "replace"):
        connection.execute(f"DROP TRIGGER IF EXISTS ledger_no_{name}")
    return connection


def rewrite(workspace, room, seq):
    """A forger changes one entry's time and computes every hash after it anew."""
    connection = database(workspace, room)
    forgery.rewrite(connection, lambda number, _: "2020-01-01T00:00:00Z" if number == seq else None)
    connection.close()


def test_the_rooms_have_written_down_each_others_heads(whole):
    seen = {
        (of, witness.by)
        for name, opened in (("lab", open_lab), ("promotion", open_promotion), ("factory", open_factory))
        for of, found in anchors(name, opened(whole).entries()).items()
        for witness in found
    }
    kinds = {(of, by.split("(")[1].split(")")[0], by.split(" of ")[1]) for of, by in seen}
    assert kinds == {
        ("promotion", "launched", "lab"),
        ("lab", "registered", "promotion"),
        ("lab", "decided", "promotion"),
        ("lab", "admitted", "factory"),
        ("promotion", "admitted", "factory"),
    }


def test_three_sound_ledgers_are_said_to_be(workspace):
    found = verify(workspace)
    assert (found.problems, found.unread) == ([], [])
    told = [line for line in found.verified if "ledger: " in line]
    assert [line.split(":")[0] for line in told] == ["the lab ledger", "the factory ledger", "the promotion ledger"]
    assert "the other rooms have seen it up to entry" in told[0]


@pytest.mark.parametrize(("room", "seq"), [("lab", 2), ("promotion", 2)])
def test_a_ledger_that_was_written_anew_is_found_by_what_the_others_have_seen(workspace, room, seq):
    rewrite(workspace, room, seq)
    # Neither of the two rooms has a problem of its own.
    assert {"lab": open_lab, "promotion": open_promotion}[room](workspace).problems() == []
    found = [problem for problem in verify(workspace).problems if problem.startswith(f"the {room} ledger: entry ")]
    assert found
    assert all("is not the one that was witnessed" in problem for problem in found)
    other = {"lab": "promotion", "promotion": "factory"}[room]
    assert any(f"of the {other} ledger" in problem for problem in found)


@pytest.mark.parametrize("room", ["lab", "promotion"])
def test_a_ledger_cut_at_its_end_is_found_by_what_the_others_have_seen(workspace, room):
    connection = database(workspace, room)
    with connection:
        connection.execute("DELETE FROM ledger WHERE seq > 2")
    connection.close()
    assert any(f"the {room} ledger: entry " in problem for problem in verify(workspace).problems)


def test_the_factorys_ledger_is_witnessed_by_a_checkpoint_and_by_the_gate_that_took_it(workspace, tmp_path):
    seen, unread = heads(workspace)
    done = take(workspace, seen, tmp_path / "checkpoint.json", passphrase=None)
    assert (unread, set(done.checkpoint.ledgers)) == ({}, {"lab", "promotion", "factory"})
    assert verify(workspace, done.file).problems == []
    connection = database(workspace, "factory")
    with connection:
        connection.execute(f"DELETE FROM ledger WHERE seq = {seen['factory'].seq}")
    connection.close()
    assert open_factory(workspace).problems() == []
    found = verify(workspace).problems
    # What the entry had admitted is missed as well, by the receipt that followed from it.
    assert ["(witnessed) of the promotion ledger" in p for p in found if "receipt" not in p] == [True], found
    assert any("by the checkpoint of" in problem for problem in verify(workspace, done.file).problems)


def test_a_ledger_that_does_not_verify_gets_no_checkpoint(workspace):
    connection = database(workspace, "factory")
    with connection:
        connection.execute("UPDATE ledger SET at = at || ' ' WHERE seq = 1")
    connection.close()
    with pytest.raises(Refused, match="the factory ledger: entry 1 "):
        heads(workspace)


def test_a_room_that_cannot_be_reached_is_told_and_never_counts_as_verified(workspace, capsys):
    path = workspace.configs / "lab.yaml"
    text = path.read_text()
    path.write_text(text.replace("sqlite:///var/lab/lab.db", "postgresql://lab@127.0.0.1:1/lab"))
    assert _exit_code(["--workspace", str(workspace.root), "verify", "--json"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert told["problems"] == []
    assert told["unread"][0].startswith("the lab ledger: it cannot be read (the database is not reachable")
    assert not any("lab ledger" in line for line in told["verified"])
    assert heads(workspace)[1]["lab"].startswith("the database is not reachable")


def test_the_command_says_which_room(workspace, capsys):
    assert _exit_code(["--workspace", str(workspace.root), "verify"]) == 0
    connection = database(workspace, "lab")
    with connection:
        connection.execute("UPDATE ledger SET subject = 'other' WHERE seq = 2")
    connection.close()
    assert _exit_code(["--workspace", str(workspace.root), "verify"]) == 3
    assert "PROBLEM     the lab ledger: entry 2 (" in capsys.readouterr().out


def test_a_database_that_is_none_is_a_problem_of_its_room(workspace):
    for path in workspace.factory.glob("factory.db*"):
        path.unlink()
    (workspace.factory / "factory.db").write_bytes(b"no database" * 500)
    assert any("the factory ledger: it cannot be read" in problem for problem in verify(workspace).problems)


def test_what_is_no_head_is_left_out():
    entry = Entry(1, "", "k", "s", {"lab": {"seq": "1", "hash": "h"}, "gate": 3, "ledgers": []}, "", "")
    assert anchors("x", [entry]) == {"lab": [], "promotion": [], "factory": []}
    assert head_of({"seq": 1, "hash": "h", "at": "now"}) == Head(1, "h")
    assert head_of(None) is None


def noise(path, start):
    content = path.read_bytes()
    path.write_bytes(content[:start] + b"\xa5" * (len(content) - start))


def test_verify_says_what_is_sound_inside(workspace):
    told = verify(workspace).verified
    for part in ("the lab database", "the promotion database", "the factory database", "the Lab's notebook"):
        assert f"{part}: sound inside" in told
    assert "the warehouse: as it was loaded" in told
    assert "the releases' packages: as they were attested" in told
    assert "snapshots: 1 snapshot, each as published" in told


# The middle of a database holds pages that no ledger is read from: indices, other tables, free ones.
@pytest.mark.parametrize("room", ["lab", "promotion", "factory"])
def test_verify_finds_a_page_that_is_noise_though_the_ledger_can_be_read(workspace, room):
    path = workspace.root / "var" / room / f"{room}.db"
    with sqlite3.connect(path) as connection:
        page = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_ledger_2'"
        ).fetchone()[0]
    connection.close()
    with path.open("r+b") as stream:
        stream.seek((page - 1) * 4096 + 8)
        stream.write(b"\xa5" * 200)
    found = verify(workspace).problems
    assert any(problem.startswith(f"the {room} database is damaged inside (") for problem in found), found
    assert _exit_code(["--workspace", str(workspace.root), "verify"]) == 3


@pytest.mark.parametrize("room", ["lab", "promotion", "factory"])
def test_verify_names_a_database_that_is_noise_as_damaged_and_one_that_was_emptied_as_emptied(workspace, room):
    path = workspace.root / "var" / room / f"{room}.db"
    sound = path.read_bytes()
    noise(path, 100)
    told = [problem for problem in verify(workspace).problems if problem.startswith(f"the {room} ")]
    assert any("damaged" in problem for problem in told), told
    path.write_bytes(b"")
    told = [problem for problem in verify(workspace).problems if problem.startswith(f"the {room} ")]
    assert any("emptied" in problem for problem in told), told
    assert not any("damaged" in problem for problem in told), told
    path.write_bytes(sound)
    assert verify(workspace).problems == []


def test_verify_finds_the_notebook_the_warehouse_and_a_snapshot_damaged_or_gone(workspace):
    notebook, warehouse = workspace.lab / "mlflow.db", workspace.factory / "warehouse.duckdb"
    (snapshot,) = workspace.lab.glob("snapshots/*/customers.parquet")
    kept = {path: path.read_bytes() for path in (notebook, warehouse, snapshot)}
    noise(notebook, 4096)
    noise(warehouse, 12_288)
    snapshot.write_bytes(kept[snapshot][:-1] + b"x")
    found = verify(workspace).problems
    assert any(problem.startswith("the Lab's notebook is damaged inside (") for problem in found), found
    assert any(problem.startswith("the warehouse: the database is damaged (") for problem in found), found
    assert any("`customers.parquet` of snapshot" in problem for problem in found), found
    for path, content in kept.items():
        path.write_bytes(content)
    warehouse.unlink()
    assert (
        "the warehouse was emptied: customers were loaded, and warehouse.duckdb is gone" in verify(workspace).problems
    )


def test_verify_finds_a_release_that_its_table_has_lost(workspace):
    with sqlite3.connect(workspace.factory / "factory.db") as connection:
        connection.execute("DELETE FROM releases")
    connection.close()
    (problem,) = verify(workspace).problems
    assert "the ledger has it, and the table of releases has not" in problem


@pytest.mark.parametrize("file", ["message.txt", "promise.json", "attestation.json", None])
def test_verify_finds_a_release_whose_copy_in_the_inbox_was_changed_or_is_gone(workspace, file):
    """The gate's own candidate is whole; what runs is the copy."""
    (package,) = (workspace.factory / "inbox").glob("[!.]*")
    if file is None:
        shutil.rmtree(package)
    else:
        path = next(package.rglob(file))
        path.write_bytes(path.read_bytes()[:-2])
    found = verify(workspace)
    told = [problem for problem in found.problems if problem.startswith("release spring-mail-letter: ")]
    assert any((file or "").removesuffix(".json") in problem for problem in told), found.problems
    assert not any(line.startswith("the releases' packages") for line in found.verified)
    assert _exit_code(["--workspace", str(workspace.root), "verify"]) == 3
