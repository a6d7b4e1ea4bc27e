"""Rooms: state and record change together, and a ledger belongs to one workspace in one mode."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from shared.core.errors import Refused
from shared.state.chain import Head
from shared.state.ledger import ledger_table
from shared.state.room import open_room
from shared.state.workspace import MARK, create, open_workspace
from shared.trust import clock_correction
from tests.makers import open_database


def opened(workspace):
    metadata = sa.MetaData()
    ledger_table(metadata)
    sa.Table("things", metadata, sa.Column("name", sa.String))
    return open_room("lab", workspace, "sqlite:///var/lab/lab.db", metadata, version=1, corrections=clock_correction)


@pytest.fixture
def room(tmp_path):
    return opened(create(tmp_path / "team", "rehearsal")[0])


def things(room):
    return sa.table("things", sa.column("name"))


def test_the_first_entry_says_which_workspace_and_mode_it_is_of(room):
    [first] = room.entries()
    assert (first.kind, first.body) == ("opened", {"workspace": room.workspace.id, "mode": "rehearsal"})


def test_opening_again_adds_no_entry(room):
    assert len(opened(room.workspace).entries()) == 1


def test_entry_and_state_are_kept_together(room):
    with room.transaction() as connection:
        connection.execute(things(room).insert().values(name="a"))
        room.write(connection, "made", "a", {})
    with room.transaction() as connection:
        kept = connection.execute(sa.select(things(room))).all()
    assert (len(kept), len(room.entries("a"))) == (1, 1)


def test_entry_and_state_are_lost_together(room):
    with pytest.raises(ZeroDivisionError), room.transaction() as connection:  # noqa: PT012 - the crash is inside
        connection.execute(things(room).insert().values(name="a"))
        room.write(connection, "made", "a", {})
        raise ZeroDivisionError
    with room.transaction() as connection:
        kept = connection.execute(sa.select(things(room))).all()
    assert (len(kept), len(room.entries("a"))) == (0, 0)


def test_an_entry_is_stamped_by_the_workspaces_clock(room):
    room.workspace.clock.set(datetime(2030, 1, 1, tzinfo=UTC))
    with room.transaction() as connection:
        room.write(connection, "made", "a", {})
    assert room.entries("a")[0].at.startswith("2030-01-01T00:00:0")


def test_the_head_is_the_last_entry(room):
    with room.transaction() as connection:
        written = room.write(connection, "made", "a", {})
    with room.transaction() as connection:
        assert room.head(connection) == written


def test_a_room_that_was_left_alone_has_no_problem(room):
    assert room.problems() == []


def test_a_problem_names_the_room(room):
    assert room.problems((Head(9, "sha256:0"),))[0].startswith("the lab ledger: entry 9")


def test_a_workspace_whose_mark_was_edited_to_live_is_refused(room):
    mark = room.workspace.root / MARK
    mark.write_text(json.dumps({**json.loads(mark.read_text()), "mode": "live"}))
    with pytest.raises(Refused, match="begun in another workspace or mode"):
        opened(open_workspace(room.workspace.root))


def test_the_database_of_another_workspace_is_refused(room, tmp_path):
    other = create(tmp_path / "other", "rehearsal")[0]
    other.lab.mkdir(parents=True)
    with (
        closing(sqlite3.connect(room.workspace.lab / "lab.db")) as source,
        closing(sqlite3.connect(other.lab / "lab.db")) as target,
    ):
        source.backup(target)
    with pytest.raises(Refused, match="begun in another workspace or mode"):
        opened(other)


@pytest.mark.parametrize("how", ["deleted", "no bytes", "no tables", "no rows"])
def test_a_database_that_was_emptied_is_not_begun_anew(room, how):
    path = room.workspace.lab / "lab.db"
    if how == "deleted":
        path.unlink()
    elif how == "no bytes":
        path.write_bytes(b"")
    else:
        path.unlink()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE other (id)")
            connection.execute("DROP TABLE other")
        if how == "no rows":
            open_database("sqlite:///var/lab/lab.db", room.workspace.root, room.entries_table.metadata, version=1)
    before = path.read_bytes() if path.exists() else None
    for _ in range(2):
        with pytest.raises(Refused, match="the lab database was emptied") as refusal:
            opened(room.workspace)
        assert "restore it from a backup" in refusal.value.remedy
    if how in {"deleted", "no bytes"}:
        assert (path.read_bytes() if path.exists() else None) == before


def test_a_database_of_an_earlier_build_that_was_emptied_is_known_by_what_the_room_left(room):
    (room.workspace.lab / "ledger.json").unlink()
    (room.workspace.lab / "lab.db").unlink()
    (room.workspace.lab / "pilots" / "spring-mail").mkdir(parents=True)
    with pytest.raises(Refused, match="the lab database was emptied"):
        opened(room.workspace)


def test_a_database_that_was_replaced_by_a_newer_beginning_is_named(room):
    (room.workspace.lab / "lab.db").unlink()
    mark = room.workspace.lab / "ledger.json"
    kept = mark.read_bytes()
    mark.unlink()
    opened(room.workspace)
    mark.write_bytes(kept)
    with pytest.raises(Refused, match="the lab database was replaced"):
        opened(room.workspace)


def test_a_room_of_an_earlier_build_gets_its_mark_when_it_is_opened(room):
    mark = room.workspace.lab / "ledger.json"
    was = mark.read_bytes()
    mark.unlink()
    opened(room.workspace)
    assert mark.read_bytes() == was
