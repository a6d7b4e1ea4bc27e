"""`pilotplant doctor`: what it says of real broken states, and that it changes none of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sqlite3
from datetime import UTC, datetime, timedelta
from importlib import metadata

import pytest

from factory.releases.admission import admit
from factory.runtime import pulse
from pilotplant.app import _exit_code
from pilotplant.databases import ROOMS
from pilotplant.doctor import machine
from pilotplant.doctor.checks import Check, Question, run
from pilotplant.rehearsal import make_keys
from promotion.state import open_promotion
from shared.core.errors import BadInput, Damaged, Undecided
from shared.state.db import connect, set_version, writing
from shared.state.workspace import create
from tests.fakes import free_port
from tests.makers import OCCURRENCE, customers_csv, make_package, make_workspace, set_factory
from tests.walls import fill, remount, require_landlock, require_root, small_disk


@pytest.fixture
def team(tmp_path):
    """A rehearsal with every room's key, whose Factory has a port of its own."""
    made, _ = create(tmp_path / "team", "rehearsal")
    make_keys(made)
    set_factory(made, prefect={"port": free_port()})
    return made


def doctor(capsys, root=None):
    """Exit code, and each check by its name."""
    words = [] if root is None else ["--workspace", str(root)]
    code = _exit_code([*words, "doctor", "--json"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    found = {check["name"]: check for check in checks}
    assert len(found) == len(checks)
    assert all(set(check) == {"name", "ok", "remedy", "what"} for check in checks)
    assert code == (0 if all(check["ok"] for check in checks) else 3)
    assert all((check["remedy"] is None) == (check["ok"] is True) for check in checks)
    return found


def wrong(found):
    """What is not well of the workspace; the machine's clock may be kept by nobody where tests run."""
    return {name for name, check in found.items() if not check["ok"]} - {"clock"}


def test_nothing_is_wrong_with_a_sound_workspace(capsys, team):
    require_landlock()
    found = doctor(capsys, team.root)
    assert wrong(found) == set()
    assert {"kernel walls", "box", "clock", "file modes", "MLflow store", "promotion database"} <= set(found)


def test_a_live_workspace_without_a_key_is_told_the_command_of_each(capsys, tmp_path):
    made, _ = create(tmp_path / "live", "live")
    found = doctor(capsys, made.root)
    assert found["key of gate"]["remedy"] == "pilotplant promote enrol gate"
    assert found["key of factory"]["remedy"].startswith("pilotplant factory enrol")
    assert found["keys of who decides"]["remedy"] == "pilotplant promote enrol owner@example.com"


def test_without_a_workspace_the_machine_alone_is_looked_at(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PILOTPLANT_WORKSPACE", raising=False)
    found = doctor(capsys)
    assert {"python", "libraries", "kernel walls", "disk"} <= set(found)
    assert not {"workspace", "lab database", "account"} & set(found)


def test_a_workspace_that_was_named_and_is_none_is_wrong(capsys, tmp_path):
    found = doctor(capsys, tmp_path / "nowhere")
    assert found["workspace"]["ok"] is False
    assert "pilotplant init" in found["workspace"]["remedy"]


def test_a_damaged_mark_is_wrong_from_within_the_workspace_too(capsys, team, monkeypatch):
    (team.root / "workspace.json").write_text("{")
    monkeypatch.chdir(team.pilots)
    monkeypatch.delenv("PILOTPLANT_WORKSPACE", raising=False)
    assert doctor(capsys)["workspace"]["what"].startswith("the workspace's mark is damaged")


def test_a_file_that_is_no_database(capsys, team):
    (team.promotion / "promotion.db").write_bytes(b"not a database, whatever its name says" * 200)
    found = doctor(capsys, team.root)
    assert wrong(found) == {"promotion database", "promotion clock"}
    assert found["promotion database"]["ok"] is False
    assert "backup" in found["promotion database"]["remedy"]


def test_a_folder_in_the_place_of_a_database_cannot_be_asked(capsys, team):
    (team.factory / "factory.db").unlink()
    (team.factory / "factory.db").mkdir()
    found = doctor(capsys, team.root)
    assert {"factory database", "factory clock", "Factory"} == wrong(found)


def test_a_database_that_is_gone_is_not_taken_for_a_new_one(capsys, team):
    for file in team.promotion.glob("promotion.db*"):
        file.unlink()
    found = doctor(capsys, team.root)
    assert found["promotion database"]["what"] == "it is gone: this room had one"
    assert not (team.promotion / "promotion.db").exists()


def test_a_room_whose_database_never_was_and_whose_pilots_lie_there(capsys, team):
    (team.lab / "pilots" / "spring").mkdir(mode=0o700, parents=True)
    assert doctor(capsys, team.root)["lab database"]["ok"] is False


@pytest.mark.parametrize(("version", "remedy"), [(1, "pilotplant migrate"), (99, "use the release that wrote it")])
def test_a_schema_of_another_release(capsys, team, version, remedy):
    with writing(connect("sqlite:///var/promotion/promotion.db", team.root)) as connection:
        set_version(connection, version)
    found = doctor(capsys, team.root)
    assert wrong(found) == {"promotion database"}
    assert found["promotion database"]["what"] == f"it is of schema {version}, and this release reads 2"
    assert found["promotion database"]["remedy"].startswith(remedy)


def test_a_server_that_is_away(capsys, team):
    set_factory(team, database=f"postgresql://factory_app:secret@127.0.0.1:{free_port()}/factory")
    found = doctor(capsys, team.root)
    assert wrong(found) >= {"factory database"}
    assert "not reachable" in found["factory database"]["what"]
    assert "secret" not in json.dumps(found)


def test_a_server_on_which_nothing_was_made(capsys, team, postgres):
    set_factory(team, database=postgres.url(postgres.database()))
    found = doctor(capsys, team.root)["factory database"]
    assert (found["ok"], "init-database factory" in found["remedy"]) == (False, True)


def test_modes_that_let_others_read_are_named_and_left(capsys, team):
    database = team.promotion / "promotion.db"
    database.chmod(0o644)
    deep = team.root / "var" / "promotion" / "notes" / "spring" / "outcomes.parquet"
    deep.parent.mkdir(mode=0o700, parents=True)
    deep.write_bytes(b"")
    deep.chmod(0o604)
    found = doctor(capsys, team.root)
    assert wrong(found) == {"file modes"}
    assert "var/promotion/promotion.db" in found["file modes"]["what"]
    assert "outcomes.parquet" in found["file modes"]["what"]
    assert (database.stat().st_mode & 0o777, deep.stat().st_mode & 0o777) == (0o644, 0o604)
    assert _exit_code(["--workspace", str(team.root), "verify"]) == 0  # which the remedy names
    capsys.readouterr()
    assert wrong(doctor(capsys, team.root)) == set()


def test_a_workspace_of_nobody(capsys, team):
    require_root()
    for path in (team.root, *team.root.rglob("*")):
        os.chown(path, 65_534, 65_534)
    found = doctor(capsys, team.root)
    assert found["account"]["ok"] is False
    assert re.search("belongs to (nobody|account 65534)", found["account"]["what"])


def test_a_full_port_is_told_with_where_it_stands(capsys, team):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        set_factory(team, prefect={"port": port})
        found = doctor(capsys, team.root)
    assert wrong(found) == {"Factory's port"}
    assert found["Factory's port"]["what"].startswith(f"port {port} is in use")
    assert "configs/factory.yaml" in found["Factory's port"]["remedy"]


def test_the_factory_on_its_own_port_is_no_fault(capsys, team):
    import fcntl

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        set_factory(team, prefect={"port": held.getsockname()[1]})
        pulse.home(team).mkdir(parents=True)
        with pulse.lock_path(team).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            pulse.begin(team)
            assert wrong(doctor(capsys, team.root)) == set()
        assert doctor(capsys, team.root)["Factory"]["what"].startswith("it is DOWN since")


def test_a_stopped_factory_is_wrong_once_a_release_should_run(capsys, tmp_path):
    from factory.warehouse.load import load

    made = make_workspace(tmp_path / "team")
    set_factory(made, prefect={"port": free_port()})
    assert doctor(capsys, made.root)["Factory"]["ok"] is True
    package = make_package(made)
    made.clock.set(OCCURRENCE)
    load(made, "customers", customers_csv(tmp_path / "customers.csv"))
    assert len(admit(made, package).admitted) == 1
    found = doctor(capsys, made.root)["Factory"]
    assert (found["ok"], found["remedy"]) == (False, "pilotplant factory up")
    assert "1 release should run" in found["what"]


@pytest.mark.parametrize("name", ["gate", "factory"])
def test_a_private_key_that_is_not_here(capsys, team, name):
    (team.private_keys / f"{name}.pem").unlink()
    found = doctor(capsys, team.root)
    assert wrong(found) == {f"key of {name}"}
    assert str(team.private_keys) in found[f"key of {name}"]["remedy"]


def test_a_private_key_that_is_another_ones(capsys, team):
    shutil.copyfile(team.private_keys / "owner@example.com.pem", team.private_keys / "gate.pem")
    assert wrong(doctor(capsys, team.root)) == {"key of gate"}


def test_an_owner_whom_the_factory_does_not_trust(capsys, team):
    [record] = (team.configs / "trusted_keys").glob("owner*")
    record.unlink()
    found = doctor(capsys, team.root)
    assert found["keys of who decides"]["remedy"] == "pilotplant factory trust owner@example.com"


@pytest.mark.parametrize("name", ["lab", "gate", "factory", "people", "metrics", "team", "access"])
def test_settings_that_cannot_be_read_are_named_with_their_line(capsys, team, name):
    path = team.configs / f"{name}.yaml"
    path.write_text("# a comment\nschema_version: 1\ncolour: red\n")
    found = doctor(capsys, team.root)[f"configs/{name}.yaml"]
    assert found["ok"] is False
    assert f"{name}.yaml, line" in found["what"]


def test_everything_broken_at_once_is_told_and_nothing_crashes(capsys, team):
    for path in team.root.rglob("*"):
        if path.is_file() and path.name != "workspace.json":
            path.write_bytes(b"\xff\x00\xfe" * 400)
    found = doctor(capsys, team.root)
    assert {"lab clock", "configs/people.yaml", "key of gate", "factory database", "Factory's port"} <= wrong(found)


def test_a_workspace_of_which_only_its_mark_is_left(capsys, team):
    for path in team.root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
    found = doctor(capsys, team.root)
    assert {"configs/lab.yaml", "lab database", "key of gate"} <= wrong(found)
    assert sorted(path.name for path in team.root.iterdir()) == [".gitignore", "workspace.json"]


def test_a_clock_that_was_put_back(capsys, team):
    team.clock.set(datetime.now(UTC) - timedelta(days=400))
    with open_promotion(team).transaction() as connection:
        open_promotion(team).write(connection, "noted", "spring", {})
    team.clock.set(datetime.now(UTC) - timedelta(days=800))
    found = doctor(capsys, team.root)
    assert "promotion clock" in wrong(found)
    assert "clock MOMENT" in found["promotion clock"]["remedy"]


def test_a_notebook_with_a_torn_page(capsys, team):
    file = team.lab / "mlflow.db"
    file.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(file) as notebook:
        notebook.execute("CREATE TABLE runs (id TEXT PRIMARY KEY, words TEXT)")
        notebook.executemany("INSERT INTO runs VALUES (?, ?)", [(str(n), "w" * 500) for n in range(500)])
    notebook.close()
    content = bytearray(file.read_bytes())
    content[8192:12288] = os.urandom(4096)
    file.write_bytes(content)
    file.chmod(0o600)
    assert wrong(doctor(capsys, team.root)) == {"MLflow store"}


def test_a_disk_without_room(capsys, team, tmp_path):
    with small_disk(tmp_path / "small", 64) as folder:
        root = folder / "team"
        shutil.copytree(team.root, root)
        found = doctor(capsys, root)
    assert found["disk"]["ok"] is False
    assert "1 GB is needed" in found["disk"]["what"]


def test_a_full_disk_and_one_that_is_read_only_crash_nothing(capsys, team, tmp_path):
    with small_disk(tmp_path / "small", 8) as folder:
        root = folder / "team"
        shutil.copytree(team.root, root)
        fill(folder)
        assert doctor(capsys, root)["disk"]["ok"] is False
        remount(folder, writable=False)
        found = doctor(capsys, root)["disk"]
    assert (found["ok"], "read-only" in found["what"]) == (False, True)


def test_a_library_of_another_version_is_named(monkeypatch):
    asked = ["duckdb<2.0", "no-such-library-as-this>=1", "rich>=13.9", "colorama; sys_platform == 'win32'"]
    monkeypatch.setattr(metadata, "requires", lambda _: asked)
    found = machine.libraries()
    assert found.ok is False
    assert f"duckdb is {metadata.version('duckdb')}, and <2.0 is needed" in found.what
    assert "no-such-library-as-this is not installed" in found.what
    assert "rich" not in found.what
    assert "colorama" not in found.what


def raising(error):
    def ask():
        raise error

    return ask


@pytest.mark.parametrize(
    ("error", "ok"),
    [
        (Undecided("nobody knows"), None),
        (Damaged("it is torn"), False),
        (BadInput("it is misspelt"), False),
        (PermissionError(13, "Permission denied", "/secret"), None),
        (KeyError("colour"), None),
        (RecursionError("too deep"), None),
    ],
)
def test_what_cannot_be_asked_is_never_taken_for_sound(error, ok):
    [found] = run([Question("it", raising(error), "mend it")])
    assert (found.ok, found.remedy is not None) == (ok, True)


def test_people_read_what_is_wrong_first(capsys, team):
    (team.private_keys / "gate.pem").unlink()
    assert _exit_code(["--workspace", str(team.root), "doctor"]) == 3
    printed = capsys.readouterr().out.splitlines()
    assert re.match(r"\d+ things? to mend: this machine and ", printed[0])
    at = next(n for n, text in enumerate(printed) if text.startswith("WRONG       key of gate: "))
    assert printed[at + 1].startswith("            Mend it: see that PILOTPLANT_KEYS ")


def test_every_room_is_asked(capsys, team):
    assert {f"{room} {what}" for room in ROOMS for what in ("database", "clock")} <= set(doctor(capsys, team.root))


def test_a_well_check_has_no_remedy():
    assert run([Question("it", lambda: Check("it", True, "well", "none"), "mend it")])[0].remedy is None
