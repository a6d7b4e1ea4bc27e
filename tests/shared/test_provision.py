"""Provision on a real PostgreSQL server: what the application's role may and may not do, and who is refused."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import psutil
import psycopg
import pytest
import sqlalchemy as sa

from shared.core.errors import BadInput, Fault, PilotPlantError, Refused
from shared.state import ledger
from shared.state.provision import provision
from shared.state.room import open_room
from shared.state.workspace import create
from shared.trust import clock_correction
from tests.makers import open_database
from tests.postgres import APP, OWNER

PROJECT = Path(__file__).parents[2]


def tables():
    metadata = sa.MetaData()
    ledger.ledger_table(metadata)
    sa.Table(
        "things",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String),
        sa.Column("content", sa.LargeBinary),
        sa.Column("much", sa.Text),
    )
    return metadata


@pytest.fixture
def database(postgres):
    """The name of a database that is provisioned for the application's role."""
    name = postgres.database()
    provision(postgres.url(name, OWNER), tables(), APP, version=1)
    return name


def opened(url, tmp_path, mode="live", name="lab"):
    return open_room(name, create(tmp_path / mode, mode)[0], url, tables(), version=1, corrections=clock_correction)


def test_a_live_room_opens_and_its_ledger_grows(postgres, database, tmp_path):
    room = opened(postgres.url(database, APP), tmp_path)
    with room.transaction() as connection:
        room.write(connection, "made", "a", {"number": 1})
    assert [entry.kind for entry in room.entries()] == ["opened", "order_begun", "made"]
    assert room.problems() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET at = at",
        "UPDATE ledger SET hash = hash WHERE seq = 1",
        "DELETE FROM ledger",
        "TRUNCATE ledger",
        "DROP TABLE ledger",
        "ALTER TABLE ledger DISABLE TRIGGER ALL",
        "CREATE TRIGGER t BEFORE INSERT ON ledger EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        f"GRANT UPDATE ON ledger TO {APP}; UPDATE ledger SET at = at",
        "UPDATE schema SET version = 2",
        "CREATE TABLE ledger2 (seq int)",
        f"SET ROLE {OWNER}",
    ],
)
def test_the_applications_role_cannot_change_what_stands_in_the_ledger(postgres, database, tmp_path, statement):
    room = opened(postgres.url(database, APP), tmp_path)
    with (
        psycopg.connect(postgres.url(database, APP)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)
    assert [entry.kind for entry in room.entries()] == ["opened"]


def test_a_right_that_is_missing_is_told_in_words(postgres, database, tmp_path):
    room = opened(postgres.url(database, APP), tmp_path)
    with pytest.raises(Refused, match="does not let this role do that: permission denied"), room.transaction() as c:
        c.execute(sa.delete(room.entries_table))


@pytest.mark.parametrize("role", ["postgres", OWNER])
def test_a_live_room_is_refused_to_a_role_that_may_change_its_ledger(postgres, database, tmp_path, role):
    with pytest.raises(Refused, match="the role that opens the lab room could change its ledger: by ") as refused:
        opened(postgres.url(database, role), tmp_path)
    assert ("superuser" in refused.value.what) == (role == "postgres")
    assert "init-database" in refused.value.remedy


@pytest.mark.parametrize("right", ["UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "UPDATE (body)"])
def test_one_right_too_many_is_enough_to_refuse(postgres, database, tmp_path, right):
    postgres.run(f"GRANT {right} ON ledger TO {APP}", database=database)
    with pytest.raises(Refused, match=f"by {right.split()[0]}\n"):
        opened(postgres.url(database, APP), tmp_path)
    # Giving the rights anew takes it back.
    provision(postgres.url(database, OWNER), tables(), APP, version=1)
    opened(postgres.url(database, APP), tmp_path)


def test_a_member_of_the_owners_role_is_refused(postgres, database, tmp_path):
    postgres.run("CREATE ROLE nephew LOGIN", f"GRANT {OWNER} TO nephew")
    with pytest.raises(Refused, match="owning it"):
        provision(postgres.url(database, OWNER), tables(), "nephew", version=1)
    with pytest.raises(Refused, match="owning it"):
        opened(postgres.url(database, "nephew"), tmp_path)


def test_a_rehearsal_may_use_any_role(postgres, database, tmp_path):
    assert opened(postgres.url(database, OWNER), tmp_path, "rehearsal").problems() == []


def test_the_same_again_changes_nothing(postgres, database):
    again = provision(postgres.url(database, OWNER), tables(), APP, version=1)
    assert again.tables == ()


def test_tables_of_a_later_release_are_added_by_the_same_command(postgres, database, tmp_path):
    later = tables()
    sa.Table("later", later, sa.Column("id", sa.Integer, primary_key=True))
    url = postgres.url(database, APP)
    with pytest.raises(BadInput, match="lacks tables of this release: later"):
        open_database(url, tmp_path, later, version=1)
    assert provision(postgres.url(database, OWNER), later, APP, version=1).tables == ("later",)
    with open_database(url, tmp_path, later, version=1).begin() as connection:
        connection.execute(later.tables["later"].insert().values())


def test_a_database_of_another_version_is_refused(postgres, database, tmp_path):
    with pytest.raises(PilotPlantError, match="schema version 1, this release reads version 2"):
        open_database(postgres.url(database, APP), tmp_path, tables(), version=2)
    with pytest.raises(PilotPlantError, match="schema version 1, this release reads version 2"):
        provision(postgres.url(database, OWNER), tables(), APP, version=2)


def test_a_database_that_nobody_prepared_is_bad_input(postgres, tmp_path):
    with pytest.raises(BadInput, match="was not prepared for this room"):
        open_database(postgres.url(postgres.database(), APP), tmp_path, tables(), version=1)


def test_a_role_that_does_not_exist_gets_nothing_made(postgres):
    name = postgres.database()
    with pytest.raises(BadInput, match="there is no role `nobody`"):
        provision(postgres.url(name, OWNER), tables(), "nobody", version=1)
    with psycopg.connect(postgres.url(name)) as connection:
        assert connection.execute("SELECT to_regclass('ledger')").fetchone() == (None,)


def test_a_role_that_could_change_the_ledger_gets_nothing_made(postgres):
    name = postgres.database()
    with pytest.raises(Refused, match="could change the ledger"):
        provision(postgres.url(name, OWNER), tables(), OWNER, version=1)
    with psycopg.connect(postgres.url(name)) as connection:
        assert connection.execute("SELECT to_regclass('ledger')").fetchone() == (None,)


def test_a_sqlite_file_needs_no_preparation():
    with pytest.raises(BadInput, match="only a PostgreSQL database"):
        provision("sqlite:///x.db", tables(), APP, version=1)


def test_bytes_and_long_texts_come_back_as_they_were_written(postgres, database, tmp_path):
    room, content, text = opened(postgres.url(database, APP), tmp_path), os.urandom(3_000_000), "ü\n\u2028" * 500_000
    things = sa.table("things", sa.column("name"), sa.column("content", sa.LargeBinary), sa.column("much"))
    with room.transaction() as connection:
        connection.execute(things.insert().values(name="a", content=content, much=text))
        connection.execute(things.insert().values(name="b", content=b"\x00\xff", much=""))
    with room.transaction() as connection:
        rows = connection.execute(sa.select(things).order_by(things.c.name)).all()
    assert [tuple(row) for row in rows] == [("a", content, text), ("b", b"\x00\xff", "")]


def test_two_rooms_do_not_share_a_database(postgres, database, tmp_path):
    opened(postgres.url(database, APP), tmp_path, name="lab")
    with pytest.raises(Refused, match="the database of another room: its ledger was begun by `lab`"):
        opened(postgres.url(database, APP), tmp_path, name="factory")


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:1/lab", "postgresql://nobody@/lab?host=/nowhere"])
def test_a_server_that_is_away_is_told_so(tmp_path, url):
    with pytest.raises(PilotPlantError, match="the database is not reachable: ") as caught:
        open_database(url, tmp_path, tables(), version=1)
    assert (caught.value.exit_code, "server runs" in caught.value.remedy) == (1, True)


def test_a_wrong_password_is_told_so_and_shown_nowhere(postgres, database, tmp_path):
    postgres.run("CREATE ROLE locked LOGIN PASSWORD 'right'")
    hba = postgres.data / "pg_hba.conf"
    hba.write_text("local all locked scram-sha-256\n" + hba.read_text())
    postgres.run("SELECT pg_reload_conf()")
    time.sleep(0.5)
    for password, said in ((":hunter2", "authentication failed"), ("", "no password supplied")):
        url = postgres.url(database, "locked").replace("locked@", f"locked{password}@")
        with pytest.raises(BadInput, match=said) as caught:
            open_database(url, tmp_path, tables(), version=1)
        assert "hunter2" not in str(caught.value)
        assert "hunter2" not in str(caught.value.told)


@pytest.mark.parametrize("change", [("pilot_app@", "ghost@"), ("/room_", "/no_room_")])
def test_a_role_or_database_that_is_not_there_is_bad_input(postgres, database, tmp_path, change):
    with pytest.raises(BadInput, match="does not exist"):
        open_database(postgres.url(database, APP).replace(*change), tmp_path, tables(), version=1)


def test_a_server_that_goes_away_leaves_nothing_of_a_transaction(postgres, database, tmp_path):
    room = opened(postgres.url(database, APP), tmp_path)
    with pytest.raises(PilotPlantError, match="not reachable") as caught, room.transaction() as connection:  # noqa: PT012
        room.write(connection, "made", "a", {})
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        postgres.run(f"SELECT pg_terminate_backend({pid})")
        room.write(connection, "made", "b", {})
    assert caught.value.exit_code == 1
    assert [entry.kind for entry in room.entries()] == ["opened"]


def test_a_transaction_that_waits_too_long_says_so(postgres, database, tmp_path, monkeypatch):
    room = opened(postgres.url(database, APP), tmp_path)
    monkeypatch.setattr("shared.state.db.BUSY_TIMEOUT_MS", 200)
    with room.transaction(), pytest.raises(PilotPlantError, match="has held the database"), room.transaction():
        pass


def test_twenty_readers_do_not_wait_for_a_writers_open_transaction(postgres, database, tmp_path, monkeypatch):
    """Each sees what was committed, while the writer holds its lock; a reader that waited for it would give up."""
    room = opened(postgres.url(database, APP), tmp_path)
    monkeypatch.setattr("shared.state.db.BUSY_TIMEOUT_MS", 200)
    together = Barrier(20)

    def kinds():
        with room.read() as connection:
            together.wait(timeout=60)
            return [entry.kind for entry in ledger.entries(connection, room.entries_table)]

    with room.transaction() as connection:
        room.write(connection, "made", "a", {})
        with ThreadPoolExecutor(20) as readers:
            found = list(readers.map(lambda _: kinds(), range(20)))
        assert found == [["opened"]] * 20
    assert "made" in [entry.kind for entry in room.entries()]


def test_a_read_sees_one_moment_and_can_write_nothing(postgres, database, tmp_path):
    room = opened(postgres.url(database, APP), tmp_path)
    with room.read() as connection:
        assert room.head(connection).seq == 1
        with room.transaction() as writer:
            room.write(writer, "made", "a", {})
        assert room.head(connection).seq == 1
    with pytest.raises(Fault), room.read() as connection:
        room.write(connection, "made", "b", {})
    assert [entry.subject for entry in room.entries() if entry.kind == "made"] == ["a"]


def test_connections_are_kept_for_the_next_transaction_and_made_anew_where_the_server_ended_them(
    postgres, database, tmp_path
):
    room = opened(postgres.url(database, APP), tmp_path)
    asked = "SELECT pg_backend_pid()"
    pids = []
    for _ in range(3):
        with room.read() as connection:
            pids.append(connection.exec_driver_sql(asked).scalar())
    assert len(set(pids)) == 1
    postgres.run(f"SELECT pg_terminate_backend({pids[0]})")
    with opened(postgres.url(database, APP), tmp_path).read() as connection:
        assert connection.exec_driver_sql(asked).scalar() != pids[0]


WRITE = """
import sys
from pathlib import Path
from shared.state.room import open_room
from shared.trust import clock_correction
from shared.state.workspace import open_workspace
from tests.shared.test_provision import tables
workspace = open_workspace(Path(sys.argv[1]))
room = open_room("lab", workspace, sys.argv[2], tables(), version=1, corrections=clock_correction)
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    with room.transaction() as connection:
        room.write(connection, "made", "a", {"number": number})
"""


@pytest.mark.check
def test_writers_at_the_same_time_extend_one_chain(postgres, database, tmp_path):
    url = postgres.url(database, APP)
    room = opened(url, tmp_path)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, str(room.workspace.root), url, "20"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT,
        )
        for _ in range(3)
    ]  # fmt: skip
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 3
    assert [process.communicate("go\n")[1] for process in started] == [""] * 3
    assert [entry.seq for entry in room.entries()] == list(range(1, 63))
    assert room.problems() == []


def test_a_second_writer_that_takes_no_lock_does_not_win_as_well(postgres, database, tmp_path):
    """Even software that is not ours cannot write the same place of the chain twice."""
    room = opened(postgres.url(database, APP), tmp_path)
    with psycopg.connect(postgres.url(database, APP)) as connection:
        row = connection.execute("SELECT at, kind, subject, body, prev, hash FROM ledger").fetchone()
        for seq, prev, digest in ((1, "p", "h"), (2, row[4], "h"), (2, "p", row[5])):
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute(
                    "INSERT INTO ledger VALUES (%s, %s, %s, %s, %s, %s, %s)", (seq, *row[:4], prev, digest)
                )
            connection.rollback()
    assert room.problems() == []


SERVE = """
import signal, sys
from tests.postgres import start
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a suite that runs in the background has switched off
server = start()
print(server.pid, server.folder, flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, None])
def test_the_tests_own_server_ends_with_whoever_started_it(how):
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVE],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=PROJECT,
    )  # fmt: skip
    pid, folder = process.stdout.readline().split()
    os.kill(int(pid), 0)
    if how is None:
        process.stdin.close()
    else:
        process.send_signal(how)
    process.wait(timeout=60)
    for _ in range(300):
        if not Path(folder).exists():
            break
        time.sleep(0.1)
    assert not Path(folder).exists()
    with contextlib.suppress(psutil.NoSuchProcess):
        assert psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE  # ended; who adopted it has not asked yet
