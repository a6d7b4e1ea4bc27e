"""Databases: SQLite under several processes, versions, and URLs that cannot be used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from shared.core.errors import BadInput, Fault, PilotPlantError
from shared.state.db import connect, is_empty, reading, writing
from tests.makers import open_database

PROJECT = Path(__file__).parents[2]
PROCESSES, INCREMENTS = 4, 200
OPEN = """
import sys
from pathlib import Path
import sqlalchemy as sa
from shared.state.db import connect, make_tables, writing
metadata = sa.MetaData()
counter = sa.Table("counter", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer))
print("ready", flush=True)
sys.stdin.readline()
engine = connect("sqlite:///a/b.db", Path(sys.argv[1]))
with writing(engine) as connection:
    make_tables(connection, metadata, version=1)
"""
# Reads, then writes one more: what loses updates where a transaction does not hold its lock from the start.
INCREMENT = """
for _ in range(int(sys.argv[2])):
    with engine.begin() as connection:
        n = connection.execute(sa.select(counter.c.n)).scalar_one()
        connection.execute(counter.update().values(n=n + 1))
"""
COMMIT = """
for number in range(1, 100_000):
    with engine.begin() as connection:
        connection.execute(counter.insert().values(id=1000 + number, n=number))
    print(number, flush=True)
"""


def tables():
    metadata = sa.MetaData()
    counter = sa.Table("counter", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer))
    return metadata, counter


def opened(root):
    metadata, counter = tables()
    return open_database("sqlite:///a/b.db", root, metadata, version=1), counter


def started(code, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", OPEN + code, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


def release(processes):
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.communicate()[1] for process in processes]


@pytest.mark.check
def test_four_processes_lose_none_of_two_hundred_increments_each(tmp_path):
    engine, counter = opened(tmp_path)
    with engine.begin() as connection:
        connection.execute(counter.insert().values(id=1, n=0))
    errors = release([started(INCREMENT, tmp_path, INCREMENTS) for _ in range(PROCESSES)])
    with engine.begin() as connection:
        counted = connection.execute(sa.select(counter.c.n)).scalar_one()
    assert (counted, errors) == (PROCESSES * INCREMENTS, [""] * PROCESSES)


@pytest.mark.check
def test_processes_that_open_a_new_database_at_once_all_succeed(tmp_path):
    assert release([started("", tmp_path) for _ in range(6)]) == [""] * 6


def test_kill_9_loses_no_commit_that_was_reported(tmp_path):
    engine, counter = opened(tmp_path)
    process = started(COMMIT, tmp_path)
    process.stdin.write("go\n")
    process.stdin.flush()
    reported = [process.stdout.readline() for _ in range(20)]
    os.kill(process.pid, signal.SIGKILL)
    rest = process.communicate()[0].split()
    last = int((rest or reported)[-1])
    with engine.begin() as connection:
        kept = set(connection.execute(sa.select(counter.c.n)).scalars())
    assert set(range(1, last + 1)) <= kept


def test_a_transaction_that_fails_leaves_nothing(tmp_path):
    engine, counter = opened(tmp_path)
    with pytest.raises(ZeroDivisionError), engine.begin() as connection:  # noqa: PT012 - the crash is inside
        connection.execute(counter.insert().values(id=1, n=0))
        raise ZeroDivisionError
    with engine.begin() as connection:
        assert connection.execute(sa.select(counter)).all() == []


@pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)])
def test_every_connection_is_set_to_keep_what_it_commits(tmp_path, pragma, value):
    engine, _ = opened(tmp_path)
    with engine.begin() as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


def test_what_reads_writes_nothing(tmp_path):
    engine, counter = opened(tmp_path)
    with pytest.raises(Fault), reading(engine) as connection:
        connection.execute(counter.insert().values(id=1, n=0))
    with writing(engine) as connection:
        assert connection.execute(sa.select(counter)).all() == []


def test_what_reads_waits_for_nobody_and_sees_one_moment_of_what_was_committed(tmp_path):
    engine, counter = opened(tmp_path)
    with writing(engine) as writer:
        writer.execute(counter.insert().values(id=1, n=0))
        with reading(engine) as before:
            assert before.execute(sa.select(counter.c.n)).all() == []
    with reading(engine) as reader:
        assert reader.execute(sa.select(counter.c.n)).scalar_one() == 0
        with writing(engine) as writer:
            writer.execute(counter.update().values(n=1))
        assert reader.execute(sa.select(counter.c.n)).scalar_one() == 0
    with reading(engine) as after:
        assert after.execute(sa.select(counter.c.n)).scalar_one() == 1


def test_a_file_that_is_not_there_is_not_made_by_asking(tmp_path):
    assert is_empty(connect("sqlite:///b.db", tmp_path))
    assert not (tmp_path / "b.db").exists()


def test_a_relative_file_lies_under_the_root(tmp_path):
    opened(tmp_path)
    assert (tmp_path / "a" / "b.db").is_file()


def test_opening_again_keeps_what_is_there(tmp_path):
    engine, counter = opened(tmp_path)
    with engine.begin() as connection:
        connection.execute(counter.insert().values(id=1, n=7))
    again, counter = opened(tmp_path)
    with again.begin() as connection:
        assert connection.execute(sa.select(counter.c.n)).scalar_one() == 7


def test_a_database_of_another_version_is_refused(tmp_path):
    opened(tmp_path)
    with pytest.raises(PilotPlantError, match="schema version 1, this release reads version 2"):
        open_database("sqlite:///a/b.db", tmp_path, tables()[0], version=2)


def test_a_database_of_another_version_gets_no_new_tables(tmp_path):
    opened(tmp_path)
    metadata, _ = tables()
    sa.Table("later", metadata, sa.Column("id", sa.Integer))
    with pytest.raises(PilotPlantError):
        open_database("sqlite:///a/b.db", tmp_path, metadata, version=2)
    assert "later" not in sa.inspect(opened(tmp_path)[0]).get_table_names()


@pytest.mark.parametrize(
    "url", ["", "nonsense", "sqlite://", "sqlite:///", "oracle9://x/y", "oracle://x/y", "sqlite+other:///x.db"]
)
def test_a_url_that_cannot_be_used_is_bad_input(tmp_path, url):
    with pytest.raises(BadInput, match="is not a database URL"):
        open_database(url, tmp_path, tables()[0], version=1)


def test_a_driver_that_is_not_installed_is_bad_input_that_names_it(tmp_path):
    with pytest.raises(BadInput, match="needs a driver that is not installed: pysqlcipher3"):
        open_database("sqlite+pysqlcipher:///x.db", tmp_path, tables()[0], version=1)


@pytest.mark.parametrize("url", ["oracle+oracledb://user:secret@host/d", "postgresql+other://user:secret@host/d"])
def test_a_password_in_a_url_is_not_repeated_in_the_error(tmp_path, url):
    with pytest.raises(BadInput) as caught:
        open_database(url, tmp_path, tables()[0], version=1)
    assert "secret" not in str(caught.value)
