"""`pilotplant migrate`: what it would do, what it does, and what it refuses; a room of an older schema waits for it."""

from __future__ import annotations

import json

import pytest

from pilotplant.app import _exit_code
from pilotplant.databases import ROOMS
from shared.state.db import connect, set_version, version_of, writing
from shared.state.migrations.migration import migrate
from tests.lab_makers import stage_copy
from tests.pilotplant.test_databases import OWNER, on_postgres
from tests.shared.test_migrations import NO_STEPS, state


@pytest.fixture
def old(request, tmp_path):
    """A workspace whose databases are of the first schema."""
    workspace = stage_copy(request, tmp_path / "workspace", "submitted")
    for room in ROOMS:
        migrate(engine(workspace, room), NO_STEPS, state(room).metadata, to="1")
    return workspace


def engine(workspace, room):
    return connect(f"sqlite:///var/{room}/{room}.db", workspace.root)


def said(workspace, capsys, *words):
    code = _exit_code(["--workspace", str(workspace.root), *words, "--json"])
    told = capsys.readouterr()
    return code, json.loads(told.out or "null"), told.out + told.err


def versions(workspace):
    return [version_of(engine(workspace, room)) for room in ROOMS]


@pytest.mark.parametrize("words", [["lab", "list"], ["promote", "queue"], ["factory", "releases"], ["status"]])
def test_no_command_works_on_an_older_schema_and_each_names_the_way(old, capsys, words):
    code, _, error = said(old, capsys, *words)
    assert code == 1
    assert "schema version 1, this release reads version 2" in error
    assert "pilotplant migrate" in error
    assert versions(old) == [1, 1, 1]


def test_a_dry_run_says_what_would_be_done_and_does_nothing(old, capsys):
    code, found, _ = said(old, capsys, "migrate", "--dry-run")
    assert code == 0
    assert [(one["room"], one["from"], one["to"], one["copy"]) for one in found["rooms"]] == [
        (room, 1, 2, None) for room in ROOMS
    ]
    assert versions(old) == [1, 1, 1]


def test_everything_goes_on_afterwards(old, capsys):
    code, found, _ = said(old, capsys, "migrate")
    assert code == 0
    assert [one["to"] for one in found["rooms"]] == [2, 2, 2]
    for words in (["verify"], ["status"], ["promote", "check", "spring-mail"], ["lab", "list"]):
        assert said(old, capsys, *words)[0] == 0
    code, again, _ = said(old, capsys, "migrate")
    assert (code, [(one["from"], one["steps"]) for one in again["rooms"]]) == (0, [(2, [])] * 3)


def test_one_room_alone_is_migrated_where_only_its_account_may(old, capsys):
    code, found, _ = said(old, capsys, "migrate", "promotion")
    assert (code, [one["room"] for one in found["rooms"]]) == (0, ["promotion"])
    assert versions(old) == [1, 2, 1]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["attic"], "there is no room `attic`"),
        (["--owner-url", "attic=postgresql://x@/y"], "there is no room `attic`"),
        (["--owner-url", "postgresql://x@/y"], "an owner's URL names its room"),
        (["--owner-url", "lab=nonsense"], "is not a database URL"),
    ],
)
def test_what_cannot_be_is_bad_input_and_nothing_is_migrated(old, capsys, words, what):
    code, _, error = said(old, capsys, "migrate", *words)
    assert (code, what in error) == (2, True)
    assert versions(old) == [1, 1, 1]


def test_a_newer_database_is_refused_before_any_is_changed(old, capsys):
    with writing(engine(old, "factory")) as connection:
        set_version(connection, 99)
    code, _, error = said(old, capsys, "migrate")
    assert code == 1
    assert "schema version 99" in error
    assert versions(old) == [1, 1, 99]


def test_on_postgresql_the_owner_is_named_and_the_password_is_not_shown(postgres, tmp_path, capsys):
    from shared.state.workspace import create

    workspace = create(tmp_path / "live", "live")[0]
    made = on_postgres(workspace, postgres, "lab", "promotion", "factory")
    for room, name in made.items():
        migrate(connect(postgres.url(name, OWNER), tmp_path), NO_STEPS, state(room).metadata, to="1")
    code, _, error = said(workspace, capsys, "migrate")
    assert (code, "--owner-url" in error) == (2, True)
    owners = {room: postgres.url(name, OWNER).replace(f"{OWNER}@", f"{OWNER}:hunter2@") for room, name in made.items()}
    code, found, error = said(workspace, capsys, "migrate", *(f"--owner-url={r}={url}" for r, url in owners.items()))
    assert (code, [one["copy"] for one in found["rooms"]]) == (0, ["schema version_1"] * 3)
    assert "hunter2" not in json.dumps(found) + error
    assert said(workspace, capsys, "lab", "list")[0] == 0
