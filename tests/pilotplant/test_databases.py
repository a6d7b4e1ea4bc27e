"""The command that makes a room's tables on PostgreSQL."""

from __future__ import annotations

import json

import psycopg
import pytest

from lab.state import open_lab
from pilotplant.app import _exit_code
from pilotplant.databases import ROOMS, prepare
from shared.core.errors import BadInput
from shared.state.workspace import create
from tests.postgres import APP, OWNER, on_postgres


@pytest.mark.parametrize("room", ROOMS)
def test_a_rooms_tables_are_made_once(postgres, capsys, room):
    url = postgres.url(postgres.database(room), OWNER)
    asked = ["init-database", room, "--url", url, "--role", APP, "--json"]
    assert _exit_code(asked) == 0
    first = json.loads(capsys.readouterr().out)
    assert ("ledger" in first["tables"], first["repeated"], first["role"]) == (True, False, APP)
    assert _exit_code(asked) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["tables"], again["repeated"]) == ([], True)


def test_the_owners_url_may_come_from_the_environment_and_its_password_is_not_shown(postgres, capsys, monkeypatch):
    url = postgres.url(postgres.database("lab"), OWNER).replace(f"{OWNER}@", f"{OWNER}:hunter2@")
    monkeypatch.setenv("PILOTPLANT_OWNER_URL", url)
    assert _exit_code(["init-database", "lab", "--role", APP]) == 0
    assert _exit_code(["init-database", "lab", "--role", "nobody"]) == 2
    said = capsys.readouterr()
    assert "hunter2" not in said.out + said.err
    assert f"Role {APP} may add to the ledger and change nothing in it" in said.out


def test_there_are_three_rooms():
    with pytest.raises(BadInput, match="there is no room `attic`"):
        prepare("attic", "postgresql://x@/y", APP)


def test_a_live_workspace_opens_its_room_there_and_needs_no_other_right(postgres, tmp_path):
    workspace = create(tmp_path / "live", "live")[0]
    made = on_postgres(workspace, postgres, "lab")
    assert [entry.kind for entry in open_lab(workspace).entries()] == ["opened"]
    with psycopg.connect(postgres.url(made["lab"], APP)) as connection:
        [held] = connection.execute(
            "SELECT string_agg(privilege_type, ',' ORDER BY privilege_type) FROM information_schema.table_privileges "
            "WHERE table_name = 'ledger' AND grantee = %s",
            (APP,),
        ).fetchone()
    assert held == "INSERT,SELECT"
