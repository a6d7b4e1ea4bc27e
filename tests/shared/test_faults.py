"""Faults: what the machine refuses is named for what it is, and nothing else is taken for it."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing

import duckdb
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from pilotplant.app import _exit_code
from shared.core.errors import BadInput, Damaged, Fault, PilotPlantError, Refused
from shared.core.faults import fault
from shared.state.db import open_sqlite
from tests.makers import open_database
from tests.walls import fill, remount, small_disk

FULL, READ_ONLY = "the disk is full", "the disk cannot be written: it is mounted read-only"


def raised(work):
    with pytest.raises(Exception) as error:
        work()
    return error.value


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (errno.ENOSPC, FULL),
        (errno.EDQUOT, FULL),
        (errno.EROFS, READ_ONLY),
        (errno.EACCES, "this account may not read or write here"),
        (errno.EPERM, "this account may not read or write here"),
        (errno.EIO, "the disk does not read or write as it should"),
    ],
)
def test_what_the_kernel_says_is_named_with_its_place(number, what):
    found = fault(OSError(number, os.strerror(number), "/var/factory/factory.db"))
    assert (found.what, found.where, found.exit_code) == (what, "/var/factory/factory.db", 4)
    assert found.remedy


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file or directory", "charter.yaml"),
        ValueError("No space left on device"),
        sqlite3.IntegrityError("append only"),
        BadInput("the file is damaged"),
        PilotPlantError("a command was started without its front door"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
    ],
)
def test_what_is_not_the_machines_is_left_as_it_is(error):
    assert fault(error) is None


def test_a_defect_that_a_full_disk_was_the_cause_of_is_a_full_disk():
    cause = OSError(errno.ENOSPC, "No space left on device", "/var/lab")
    assert fault(caused(PilotPlantError("the box broke"), cause)).what == FULL


def test_a_refusal_stays_one_whatever_it_came_from():
    cause = OSError(errno.EACCES, "Permission denied")
    assert fault(caused(Refused("its key is not here"), cause)) is None


@pytest.fixture
def table():
    metadata = sa.MetaData()
    return sa.Table("counted", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.String))


def noise(path, start):
    content = path.read_bytes()
    path.write_bytes(content[:start] + b"\xa5" * (len(content) - start))


@pytest.mark.parametrize("start", [0, 100, 4096], ids=["header", "schema", "table"])
def test_a_database_whose_pages_are_noise_is_damaged_wherever_they_are(tmp_path, table, start):
    engine = open_database("sqlite:///a.db", tmp_path, table.metadata, version=1)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"id": n, "text": "x" * 200} for n in range(200)])
    noise(tmp_path / "a.db", start)

    def read():
        with open_database("sqlite:///a.db", tmp_path, table.metadata, version=1).begin() as connection:
            connection.execute(sa.select(table)).all()

    found = fault(raised(read), str(tmp_path / "a.db"))
    assert isinstance(found, Damaged)
    assert found.what.startswith("the database is damaged (")
    assert found.where == str(tmp_path / "a.db")


@pytest.mark.parametrize("start", [0, 4096, 12_288])
def test_a_warehouse_whose_blocks_are_noise_is_damaged(tmp_path, start):
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE t AS SELECT i, md5(i::VARCHAR) AS x FROM range(20000) r(i)")
    noise(path, start)

    def read():
        with duckdb.connect(str(path), read_only=True) as connection:
            connection.execute("SELECT max(hash(COLUMNS(*))) FROM t").fetchall()

    assert isinstance(fault(raised(read), str(path)), Damaged)


def test_a_parquet_file_that_was_cut_is_damaged(tmp_path):
    path = tmp_path / "part.parquet"
    duckdb.execute(f"COPY (SELECT * FROM range(100)) TO '{path}' (FORMAT parquet)")
    assert pq.read_table(path).num_rows == 100
    path.write_bytes(path.read_bytes()[:-40])
    found = fault(raised(lambda: duckdb.execute(f"FROM '{path}'").fetchall()))
    assert isinstance(found, Damaged)


def test_a_folder_in_the_place_of_a_database_is_damage_and_not_a_full_disk(tmp_path):
    (tmp_path / "a.db").mkdir()
    assert isinstance(fault(raised(lambda: open_sqlite(tmp_path / "a.db")), str(tmp_path / "a.db")), Damaged)


def test_postgresqls_full_disk_and_damaged_pages_are_told_by_their_codes():
    from psycopg import errors

    assert fault(errors.DiskFull("could not extend file")).what == FULL
    assert fault(errors.ReadOnlySqlTransaction("cannot execute INSERT")).what == READ_ONLY
    assert isinstance(fault(errors.DataCorrupted("invalid page in block 3")), Damaged)
    assert fault(errors.UniqueViolation("duplicate key")) is None


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", 4) as folder:
        yield folder


@pytest.mark.parametrize("condition", ["full", "read-only"])
def test_a_database_still_answers_on_a_disk_that_takes_nothing_and_says_why_it_does_not(disk, table, condition):
    engine = open_database("sqlite:///a.db", disk, table.metadata, version=1)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"id": 1, "text": "kept"}])
    if condition == "full":
        fill(disk)
    else:
        remount(disk, writable=False)
    engine = open_database("sqlite:///a.db", disk, table.metadata, version=1)
    with engine.begin() as connection:
        assert connection.execute(sa.select(table.c.text)).scalars().all() == ["kept"]

    def write():
        with engine.begin() as connection:
            connection.execute(table.insert(), [{"id": 2, "text": "new"}])

    found = fault(raised(write), str(disk / "a.db"))
    assert (found.what, isinstance(found, Damaged)) == (FULL if condition == "full" else READ_ONLY, False)


def test_a_database_is_not_read_past_the_log_that_holds_its_last_entries(disk, table):
    engine = open_database("sqlite:///a.db", disk, table.metadata, version=1)
    with closing(open_sqlite(disk / "a.db")) as holding:
        holding.execute("BEGIN IMMEDIATE")
        holding.execute("INSERT INTO counted VALUES (1, 'in the log')")
        holding.execute("COMMIT")
        copies = {name: (disk / name).read_bytes() for name in ("a.db", "a.db-wal")}
    for name, content in copies.items():
        (disk / name).write_bytes(content)
    (disk / "a.db-shm").unlink(missing_ok=True)
    remount(disk, writable=False)

    def read():
        with engine.begin() as connection:
            connection.execute(sa.select(table)).all()

    assert fault(raised(read), str(disk / "a.db")).what == READ_ONLY
    remount(disk, writable=True)
    with engine.begin() as connection:
        assert connection.execute(sa.select(table.c.text)).scalars().all() == ["in the log"]


def test_a_command_answers_a_full_disk_with_exit_code_4_and_one_thing_to_do(disk, capsys):
    fill(disk)
    assert _exit_code(["init", str(disk / "team"), "--rehearsal"]) == 4
    said = capsys.readouterr().err
    assert said.startswith(FULL)
    assert "make room there" in said
    assert "defect" not in said


def test_fault_is_an_undecided(tmp_path):
    assert isinstance(fault(OSError(errno.ENOSPC, "No space left on device")), Fault)
