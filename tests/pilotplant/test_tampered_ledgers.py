"""Tampering in the database: every column of every row of every ledger, on SQLite and on PostgreSQL.

The attacker owns the file, and drops the triggers first, or owns the PostgreSQL tables. Nothing here is a sample.
"""

from __future__ import annotations

import shutil

import pytest
import sqlalchemy as sa

from factory.state.room import open_factory
from lab.state import open_lab
from pilotplant.witnesses import verify
from promotion.audit.checkpoint import heads, take
from promotion.state import open_promotion
from shared.state.db import connect
from shared.state.workspace import open_workspace
from tests.postgres import OWNER, on_postgres

pytestmark = pytest.mark.proof

ROOMS = {"lab": open_lab, "promotion": open_promotion, "factory": open_factory}
COLUMNS = ("seq", "at", "kind", "subject", "body", "prev", "hash")
KEEP = "ALTER TABLE ledger RENAME TO kept"


class House:
    """Three rooms, and for each the connection of somebody who owns its database."""

    def __init__(self, workspace, owners):
        self.workspace, self.owners = workspace, owners
        self.rooms = {name: opened(workspace) for name, opened in ROOMS.items()}

    def tamper(self, room, *statements, **values):
        with self.owners[room].begin() as connection:
            for statement in statements:
                connection.execute(sa.text(statement), values)

    def rows(self, room):
        with self.owners[room].begin() as connection:
            return [dict(row) for row in connection.execute(sa.text("SELECT * FROM ledger ORDER BY seq")).mappings()]

    def problems(self, room):
        return self.rooms[room].problems()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def house(request, whole, tmp_path_factory):
    """The ledgers of a pilot that went the whole way, as their rooms wrote them, on either database.

    Each test puts back what it changed.
    """
    workspace = open_workspace(shutil.copytree(whole.root, tmp_path_factory.mktemp(request.param) / "workspace"))
    if request.param == "sqlite":
        owners = {name: connect(f"sqlite:///var/{name}/{name}.db", workspace.root) for name in ROOMS}
        for engine in owners.values():
            with engine.begin() as connection:
                for what in ("update", "delete", "replace"):
                    connection.exec_driver_sql(f"DROP TRIGGER ledger_no_{what}")
        return House(workspace, owners)
    server = request.getfixturevalue("postgres")
    before = {name: opened(workspace) for name, opened in ROOMS.items()}
    names = on_postgres(workspace, server)
    owners = {name: connect(server.url(database, OWNER), workspace.root) for name, database in names.items()}
    for name, room in before.items():
        _copy(room.engine, owners[name], room.entries_table.metadata)
    return House(workspace, owners)


def _copy(source, target, metadata):
    """Every row of every table, so that the room goes on there."""
    with source.begin() as old, target.begin() as new:
        for table in metadata.sorted_tables:
            if table.name != "schema":
                rows = [dict(row) for row in old.execute(sa.select(table)).mappings()]
                if rows:
                    new.execute(table.insert(), rows)


def changed(value):
    """The same value but for one character in its middle, or the number but for one."""
    if isinstance(value, int):
        return value + 1_000
    middle = len(value) // 2
    return value[:middle] + ("x" if value[middle] != "x" else "y") + value[middle + 1 :]


def test_whole_ledgers_have_no_problem(house):
    for room in ROOMS:
        assert house.problems(room) == []
        assert len(house.rows(room)) >= 3
    found = verify(house.workspace)
    assert (found.problems, found.unread) == ([], [])


def test_a_change_in_any_column_of_any_row_of_any_ledger_is_found_and_named(house, record_property):
    tried = 0
    for room in ROOMS:
        for row in house.rows(room):
            for column in COLUMNS:
                values = {"new": changed(row[column]), "seq": row["seq"]}
                house.tamper(room, f"UPDATE ledger SET {column} = :new WHERE seq = :seq", **values)
                found = house.problems(room)
                named = f"the {room} ledger: entry {row['seq']} "
                assert any(problem.startswith(named) for problem in found), (room, row["seq"], column, found)
                where = values["new"] if column == "seq" else row["seq"]
                house.tamper(room, f"UPDATE ledger SET {column} = :old WHERE seq = :at", old=row[column], at=where)
                tried += 1
    record_property("changed columns", tried)
    assert tried == sum(len(house.rows(room)) for room in ROOMS) * len(COLUMNS)
    assert verify(house.workspace).problems == []


def test_a_change_in_any_column_is_told_by_the_command_that_verifies_the_gate(house):
    for row in house.rows("promotion"):
        for column in COLUMNS:
            values = {"new": changed(row[column]), "seq": row["seq"]}
            house.tamper("promotion", f"UPDATE ledger SET {column} = :new WHERE seq = :seq", **values)
            found = verify(house.workspace).problems
            assert any(f"the promotion ledger: entry {row['seq']} " in problem for problem in found), (row, column)
            where = values["new"] if column == "seq" else row["seq"]
            house.tamper("promotion", f"UPDATE ledger SET {column} = :old WHERE seq = :at", old=row[column], at=where)


def test_a_dropped_row_is_named_and_the_last_one_by_a_checkpoint(house, tmp_path):
    seen, _ = heads(house.workspace)
    done = take(house.workspace, seen, tmp_path / "checkpoint.json", passphrase=None)
    for room in ROOMS:
        rows = house.rows(room)
        for row in rows:
            house.tamper(room, "DELETE FROM ledger WHERE seq = :seq", seq=row["seq"])
            found = house.problems(room)
            if row is rows[-1]:
                # Nobody inside the room can know; whoever kept the checkpoint does.
                assert found == []
                told = verify(house.workspace, done.file).problems
                assert any(
                    f"the {room} ledger: entry {row['seq']} is not the one that was witnessed by the checkpoint" in text
                    for text in told
                )
            else:
                assert f"the {room} ledger: entry {row['seq']} is missing" in found
            put_back(house, room, row)


def test_a_ledger_cut_anywhere_is_named_by_a_checkpoint(house, tmp_path):
    seen, _ = heads(house.workspace)
    done = take(house.workspace, seen, tmp_path / "checkpoint.json", passphrase=None)
    for room in ROOMS:
        rows = house.rows(room)
        for kept in range(1, len(rows)):
            house.tamper(room, "DELETE FROM ledger WHERE seq > :kept", kept=kept)
            assert house.problems(room) == []
            named = f"the {room} ledger: entry {len(rows)} is not the one that was witnessed by the checkpoint"
            assert any(named in problem for problem in verify(house.workspace, done.file).problems), (room, kept)
            for row in rows[kept:]:
                put_back(house, room, row)
    assert verify(house.workspace, done.file).problems == []


def test_any_two_neighbours_that_changed_places_are_named(house):
    for room in ROOMS:
        for row in house.rows(room)[:-1]:
            swap(house, room, row["seq"])
            assert any(f"the {room} ledger: entry {row['seq']} " in problem for problem in house.problems(room))
            swap(house, room, row["seq"])
        assert house.problems(room) == []


def test_a_row_that_is_there_twice_is_named(house):
    """The table is made anew without its keys, which would refuse it."""
    for room in ROOMS:
        rows = house.rows(room)
        for row in rows:
            for as_seq in (row["seq"], len(rows) + 1):
                house.tamper(room, KEEP, "CREATE TABLE ledger AS SELECT * FROM kept", *access(house))
                put_back(house, room, row | {"seq": as_seq})
                found = house.problems(room)
                assert any(f"entry {as_seq} " in problem for problem in found), (room, row["seq"], as_seq, found)
                house.tamper(room, "DROP TABLE ledger", "ALTER TABLE kept RENAME TO ledger")
        assert house.problems(room) == []


def test_an_old_state_of_any_room_is_found_by_a_checkpoint_and_by_nothing_inside_the_room(house, tmp_path):
    for room, opened in ROOMS.items():
        house.tamper(room, "CREATE TABLE backup AS SELECT * FROM ledger")
        with house.rooms[room].transaction() as connection:
            house.rooms[room].write(connection, "noted", "later", {"number": 1})
        seen, _ = heads(house.workspace)
        done = take(house.workspace, seen, tmp_path / f"{room}.json", passphrase=None)
        after = house.rows(room)
        house.tamper(room, "DELETE FROM ledger", "INSERT INTO ledger SELECT * FROM backup")
        assert opened(house.workspace).problems() == []
        assert any(
            f"the {room} ledger: entry {after[-1]['seq']} is not the one that was witnessed by the checkpoint" in text
            for text in verify(house.workspace, done.file).problems
        )
        for row in after[len(house.rows(room)) :]:
            put_back(house, room, row)
        house.tamper(room, "DROP TABLE backup")
        assert verify(house.workspace, done.file).problems == []


def put_back(house, room, row):
    columns = ", ".join(COLUMNS)
    house.tamper(room, f"INSERT INTO ledger ({columns}) VALUES ({', '.join(':' + name for name in COLUMNS)})", **row)


def swap(house, room, seq):
    house.tamper(
        room,
        "UPDATE ledger SET seq = -1 WHERE seq = :seq",
        "UPDATE ledger SET seq = :seq WHERE seq = :seq + 1",
        "UPDATE ledger SET seq = :seq + 1 WHERE seq = -1",
        seq=seq,
    )


def access(house):
    """On PostgreSQL a new table is its owner's alone."""
    return ["GRANT SELECT ON ledger TO PUBLIC"] if house.owners["lab"].dialect.name == "postgresql" else []
