"""Migrations on SQLite and PostgreSQL: up and down, whole or not at all, with a copy of what was there before."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from pilotplant.databases import ROOMS
from shared.core.errors import BadInput, PilotPlantError
from shared.state.db import connect, reading, version_of, writing
from shared.state.migrations.migration import migrate, planned, steps_in
from shared.state.provision import provision
from shared.state.room import open_room
from shared.state.workspace import create
from shared.trust import clock_correction
from tests.lab_makers import dump
from tests.makers import open_database
from tests.postgres import APP, OWNER

PROJECT = Path(__file__).parents[2]
NO_STEPS = Path("/nowhere")
STEP = """\
\"\"\"A step of a room's own.\"\"\"

import os
import signal

from alembic import op

import sqlalchemy as sa

revision, down_revision = "{version}", "{before}"


def upgrade():
    op.create_table("things_{version}", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("INSERT INTO things_{version} VALUES (7)")
    {then}


def downgrade():
    op.drop_table("things_{version}")
"""


def state(room):
    return import_module(ROOMS[room][0])


def head(own=NO_STEPS):
    return steps_in(own)[-1].to


def steps(folder, *then):
    """A room's own folder of steps after those that all rooms have, each with what it does last."""
    folder.mkdir()
    for number, last in enumerate(then, start=head() + 1):
        text = STEP.format(version=number, before=number - 1, then=last)
        (folder / f"step_{number}.py").write_text(text)
    return folder


class Sqlite:
    """The Lab's database in a file."""

    def __init__(self, root):
        self.root, self.role = root, None
        self.engine = open_database(
            "sqlite:///lab.db", root, state("lab").metadata, version=state("lab").SCHEMA_VERSION
        )

    def content(self):
        return self.copied(self.root / "lab.db")

    def copied(self, copy):
        return sorted(dump(Path(copy)).splitlines())


class Postgres:
    """The Lab's database on a server, as its owner reaches it; the application's role works there."""

    def __init__(self, server, root):
        self.server, self.root, self.role = server, root, APP
        self.database = server.database()
        self.url = server.url(self.database, OWNER)
        provision(self.url, state("lab").metadata, APP, version=state("lab").SCHEMA_VERSION)
        self.engine = connect(self.url, root)

    def content(self, schema="public"):
        with psycopg.connect(self.url) as connection:
            names = "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1"
            tables = [name for (name,) in connection.execute(names, [schema])]
            indexes = connection.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1")
            kept = indexes.fetchall() if schema == "public" else []
            return {name: connection.execute(f'SELECT * FROM {schema}."{name}"').fetchall() for name in tables}, kept

    def copied(self, copy):
        return self.content(copy.removeprefix("schema "))


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    if request.param == "sqlite":
        return Sqlite(tmp_path)
    return Postgres(request.getfixturevalue("postgres"), tmp_path)


def migrated(database, own=NO_STEPS, to="head"):
    return migrate(database.engine, own, state("lab").metadata, role=database.role, to=to)


def differences(engine):
    with engine.connect() as connection:
        return [
            change
            for change in compare_metadata(MigrationContext.configure(connection), state("lab").metadata)
            if getattr(change[1], "name", None) not in {"schema", "alembic_version"}
        ]


@pytest.mark.parametrize("room", ROOMS)
def test_a_release_reads_the_version_that_its_steps_lead_to(room):
    own = Path(str(import_module(room).__file__)).parent / "migrations"
    assert head(own) == state(room).SCHEMA_VERSION


def test_down_and_up_again_gives_what_a_new_database_has(database):
    new = database.content()
    assert differences(database.engine) == []
    assert migrated(database, to="1") is not None
    assert version_of(database.engine) == 1
    assert differences(database.engine) != []
    assert [step.to for step in planned(database.engine, NO_STEPS).steps] == list(range(2, head() + 1))
    assert migrated(database) is not None
    assert version_of(database.engine) == head()
    assert differences(database.engine) == []
    assert database.content() == new
    assert planned(database.engine, NO_STEPS).steps == ()
    assert migrated(database) is None


def test_what_was_there_before_is_kept_each_time(database):
    with writing(database.engine) as connection:
        connection.execute(
            state("lab")
            .ledger.insert()
            .values(seq=1, at="2026-01-04T12:00:00Z", kind="noted", subject="a", body="{}", prev="p", hash="h")
        )
    new = database.content()
    first = migrated(database, to="1")
    old = database.content()
    second = migrated(database)
    third = migrated(database, to="1")
    assert len({first, second, third}) == 3
    found = [database.copied(copy) for copy in (first, second, third)]
    if database.role is None:
        assert found == [new, old, new]
    else:  # rows, whose indexes nobody needs
        assert [rows for rows, _ in found] == [new[0], old[0], new[0]]


def test_a_rooms_own_steps_follow_those_of_all(database, tmp_path):
    own = steps(tmp_path / "own", "pass", "pass")
    assert [step.what for step in planned(database.engine, own).steps] == ["A step of a room's own."] * 2
    migrated(database, own)
    assert version_of(database.engine) == head(own) == head() + 2
    with reading(database.engine) as connection:
        assert connection.exec_driver_sql(f"SELECT id FROM things_{head() + 2}").scalars().all() == [7]
    migrated(database, own, to=str(head() + 1))
    with reading(database.engine) as connection:
        names = sa.inspect(connection).get_table_names()
    assert f"things_{head() + 1}" in names
    assert f"things_{head() + 2}" not in names


def test_a_step_that_fails_in_the_middle_leaves_everything_as_it_was(database, tmp_path):
    before = database.content()
    own = steps(tmp_path / "own", "pass", "raise ZeroDivisionError")
    with pytest.raises(ZeroDivisionError):
        migrated(database, own)
    assert database.content() == before
    assert version_of(database.engine) == head()
    (tmp_path / "own" / f"step_{head() + 2}.py").write_text(
        STEP.format(version=head() + 2, before=head() + 1, then="pass")
    )
    migrated(database, own)
    assert version_of(database.engine) == head() + 2


KILLED = """
import sys
from pathlib import Path
from importlib import import_module
from shared.state.db import connect
from shared.state.migrations.migration import migrate
url, root, own, role = sys.argv[1:]
migrate(connect(url, Path(root)), Path(own), import_module("lab.state").metadata, role=role or None)
"""


def test_a_kill_in_the_middle_leaves_everything_as_it_was(database, tmp_path):
    before = database.content()
    own = steps(tmp_path / "own", "pass", "os.kill(os.getpid(), signal.SIGKILL)")
    url = "sqlite:///lab.db" if database.role is None else database.url
    done = subprocess.run([sys.executable, "-c", KILLED, url, tmp_path, own, database.role or ""], cwd=PROJECT)
    assert done.returncode == -signal.SIGKILL
    assert database.content() == before
    assert version_of(database.engine) == head()
    assert migrated(database, own.with_name("none"), to="1") is not None


def test_a_database_of_a_newer_release_is_refused_and_says_what_to_do(database, tmp_path):
    own = steps(tmp_path / "own", "pass")
    migrated(database, own)
    with pytest.raises(PilotPlantError, match=f"version {head() + 1}, this release reads version {head()}") as caught:
        planned(database.engine, NO_STEPS)
    assert "restore the copy" in caught.value.remedy


def test_a_room_of_an_older_schema_does_not_open_and_names_the_command(tmp_path):
    database = Sqlite(tmp_path)
    migrated(database, to="1")
    workspace = create(tmp_path / "workspace", "rehearsal")[0]
    with pytest.raises(PilotPlantError, match="schema version 1") as caught:
        open_room(
            "lab", workspace, f"sqlite:///{tmp_path}/lab.db", state("lab").metadata,
            version=state("lab").SCHEMA_VERSION, corrections=clock_correction,
        )  # fmt: skip
    assert "pilotplant migrate" in caught.value.remedy


def test_a_room_that_was_never_opened_has_nothing_to_migrate(tmp_path):
    engine = connect("sqlite:///lab.db", tmp_path)
    assert (planned(engine, NO_STEPS).before, planned(engine, NO_STEPS).steps) == (None, ())
    assert migrate(engine, NO_STEPS, state("lab").metadata) is None
    assert not (tmp_path / "backups").exists()


def test_the_copy_is_private_and_opens_by_itself(tmp_path):
    database = Sqlite(tmp_path)
    copy = Path(migrated(database, to="1"))
    assert copy.stat().st_mode & 0o077 == 0
    assert os.listdir(copy.parent) == [copy.name]
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_only_an_owner_migrates_on_postgresql(postgres, tmp_path):
    database = Postgres(postgres, tmp_path)
    before = database.content()
    with pytest.raises(BadInput, match="only the owner") as caught:
        migrate(connect(postgres.url(database.database, APP), tmp_path), NO_STEPS, state("lab").metadata, to="1")
    assert "--owner-url" in caught.value.remedy
    assert database.content() == before


def test_the_role_works_afterwards_and_does_not_see_the_copy(postgres, tmp_path):
    database = Postgres(postgres, tmp_path)
    own = steps(tmp_path / "own", "pass")
    copy = migrated(database, own).removeprefix("schema ")
    with psycopg.connect(postgres.url(database.database, APP)) as connection:
        connection.execute("SELECT * FROM ledger")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"SELECT * FROM {copy}.ledger")
