"""What a shell proposes, asked as a shell asks: by the console script's own process, with what was typed so far."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys

import pytest

from factory.releases.admission import admit
from factory.releases.releases import pause
from factory.warehouse.load import load
from shared.state.workspace import create
from tests.makers import OCCURRENCE, customers_csv, make_package, make_workspace


def proposed(root, *typed, shell="bash", **environment):
    """What the shell gets for the last word."""
    words = ["pilotplant", *(["--workspace", str(root)] if root else []), *typed]
    asked = {
        "_PILOTPLANT_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": " ".join(words),
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "pilotplant"],
        env=os.environ | asked | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == ""
    return ended.stdout.split()


@pytest.fixture
def team(tmp_path):
    made, _ = create(tmp_path / "team", "rehearsal")
    for name in ("spring-mail", "spring-letter", "autumn"):
        (made.pilots / name).mkdir()
    return made


@pytest.mark.parametrize("words", [("lab", "show"), ("promote", "check"), ("factory", "preflight")])
def test_pilots_where_a_pilot_is_named(team, words):
    assert proposed(team.root, *words, "spr") == ["spring-letter", "spring-mail"]


@pytest.mark.parametrize("words", [("factory", "load"), ("factory", "tables"), ("factory", "drop")])
def test_tables_where_a_table_is_named(team, words):
    assert proposed(team.root, *words, "c") == ["customers"]


def test_releases_whatever_their_state(tmp_path):
    made = make_workspace(tmp_path / "team")
    package = make_package(made)
    made.clock.set(OCCURRENCE)
    load(made, "customers", customers_csv(tmp_path / "customers.csv"))
    [name] = admit(made, package).admitted
    assert proposed(made.root, "factory", "show", name[:3]) == [name]
    pause(made, name, reason="the printer is late")
    assert proposed(made.root, "factory", "resume", name[:3]) == [name]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_answered(team, shell):
    assert "autumn" in " ".join(proposed(team.root, "lab", "show", "au", shell=shell))


def test_the_workspace_of_the_environment_is_meant_too(team):
    assert proposed(None, "lab", "show", "au", PILOTPLANT_WORKSPACE=str(team.root)) == ["autumn"]


def test_commands_are_proposed_as_well(team):
    assert proposed(team.root, "doc") == ["doctor"]


def test_a_folder_that_a_shell_would_run_is_not_proposed(team):
    for name in ("$(date)", "sprung;ls", "`id`", "spr ing"):
        (team.pilots / name).mkdir()
    assert proposed(team.root, "lab", "show", "") == ["autumn", "spring-letter", "spring-mail"]


def test_where_nothing_can_be_read_it_is_silent(team, tmp_path):
    assert proposed(tmp_path / "nowhere", "lab", "show", "") == []
    (team.factory / "factory.db").parent.mkdir(parents=True, exist_ok=True)
    (team.factory / "factory.db").write_bytes(b"no database" * 100)
    assert proposed(team.root, "factory", "show", "") == []
    (team.root / "workspace.json").write_text("{")
    assert proposed(team.root, "lab", "show", "") == []


def test_whoever_writes_keeps_no_shell_waiting(tmp_path):
    made, _ = create(tmp_path / "team", "rehearsal")
    made.factory.mkdir(parents=True)
    with sqlite3.connect(made.factory / "factory.db", isolation_level=None) as writer:
        writer.execute("CREATE TABLE releases (name TEXT)")
        writer.execute("INSERT INTO releases VALUES ('spring-letter')")
        writer.execute("BEGIN EXCLUSIVE")
        assert proposed(made.root, "factory", "show", "") == []
        writer.execute("ROLLBACK")
    writer.close()
    assert proposed(made.root, "factory", "show", "") == ["spring-letter"]


def in_bash(option, **environment):
    """What the option does where bash is the shell that runs it."""
    command = f"{sys.executable} -m pilotplant {option}; exit $?"
    return subprocess.run(
        ["bash", "-c", command], env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_the_script_of_the_shell_is_shown():
    ended = in_bash("--show-completion")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "complete -o default -F _pilotplant_completion pilotplant" in ended.stdout


def test_completion_is_installed_in_the_home_folder(tmp_path):
    ended = in_bash("--install-completion", HOME=str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert "_PILOTPLANT_COMPLETE" in "".join(path.read_text() for path in tmp_path.rglob("*.sh"))
