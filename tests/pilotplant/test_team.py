"""What `pilotplant init` asks of a team, and what becomes of the answers."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from decimal import Decimal
from importlib import resources

import pytest

from lab.state import read_settings
from pilotplant.app import _exit_code
from shared.experiment.metrics import read_metrics
from shared.experiment.people import read_people
from shared.state.team import read_team
from shared.state.workspace import open_workspace

ANSWERS = ["--timezone", "Europe/Berlin", "--budget", "15000 eur", "--owner", "ana@shop.example"]


def on_a_terminal(folder, typed, *options):
    """`init` with a real terminal for its input."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pilotplant", "init", str(folder), *options]
    os.write(ours, typed.encode())
    ended = subprocess.run(
        command,
        stdin=theirs,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TZ": "Asia/Tokyo"},
        timeout=60,
    )
    os.close(ours)
    os.close(theirs)
    return ended


def changed(workspace, name):
    """The lines of a settings file that are not as it comes: those before, and those now."""
    before = resources.files("configs").joinpath(name).read_text().splitlines()
    now = (workspace.configs / name).read_text().splitlines()
    assert len(before) == len(now)
    return [(one, other) for one, other in zip(before, now, strict=True) if one != other]


def require_answered(workspace):
    assert read_team(workspace).timezone == "Europe/Berlin"
    budget = read_settings(workspace).budget
    assert (budget.amount, budget.currency) == (Decimal(15_000), "EUR")
    [decider] = [person for person in read_people(workspace).people if person.decides]
    assert (decider.email, decider.decides.up_to.currency) == ("ana@shop.example", "EUR")
    assert read_metrics(workspace).get("spend").unit == "EUR per customer"


def test_options_are_written_where_they_are_read_and_nothing_else_changes(tmp_path, capsys):
    assert _exit_code(["init", str(tmp_path / "team"), *ANSWERS, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["team"] == {
        "timezone": "Europe/Berlin",
        "budget": {"amount": "15000.00", "currency": "EUR"},
        "owner": "ana@shop.example",
    }
    made = open_workspace(tmp_path / "team")
    require_answered(made)
    assert changed(made, "team.yaml") == [("#timezone: Europe/Berlin", "timezone: Europe/Berlin")]
    assert changed(made, "lab.yaml") == [
        ("budget: {amount: 20000.00, currency: USD}", "budget: {amount: 15000.00, currency: EUR}")
    ]
    assert [len(changed(made, name)) for name in ("people.yaml", "metrics.yaml")] == [2, 1]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in made.configs.glob("*.yaml"))


def test_three_questions_on_a_terminal(tmp_path):
    ended = on_a_terminal(tmp_path / "team", "Europe/Berlin\n15000 EUR\nana@shop.example\n")
    assert ended.returncode == 0, ended.stderr
    require_answered(open_workspace(tmp_path / "team"))
    assert "Written into configs/" in ended.stdout


def test_what_is_proposed_is_taken_with_enter(tmp_path):
    ended = on_a_terminal(tmp_path / "team", "\n\n\n")
    assert ended.returncode == 0, ended.stderr
    made = open_workspace(tmp_path / "team")
    assert read_team(made).timezone == "Asia/Tokyo"  # the machine's own
    assert (changed(made, "lab.yaml"), changed(made, "people.yaml")) == ([], [])


def test_what_cannot_be_read_is_asked_again(tmp_path):
    ended = on_a_terminal(tmp_path / "team", "Moon/Base\nUTC\n-5 EUR\n20,000 EUR\n5 EUR\nnobody\nana@shop.example\n")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("Error") == 4
    assert str(read_settings(open_workspace(tmp_path / "team")).budget) == "5.00 EUR"


def test_what_an_option_says_is_not_asked(tmp_path):
    ended = on_a_terminal(tmp_path / "team", "ana@shop.example\n", *ANSWERS[:4])
    assert (ended.returncode, "time zone" in ended.stderr) == (0, False)
    require_answered(open_workspace(tmp_path / "team"))


@pytest.mark.parametrize("option", ["--no-input", "--json"])
def test_nothing_is_asked_of_a_script_that_has_a_terminal(tmp_path, option):
    assert on_a_terminal(tmp_path / "team", "", option).returncode == 0
    made = open_workspace(tmp_path / "team")
    assert [changed(made, name) for name in ("team.yaml", "lab.yaml", "people.yaml", "metrics.yaml")] == [[]] * 4


def test_an_answer_that_was_cut_off_leaves_nothing(tmp_path):
    ended = on_a_terminal(tmp_path / "team", "UTC\n\x04")
    assert ended.returncode == 130
    assert not (tmp_path / "team").exists()


def test_without_a_terminal_and_options_it_is_as_before(tmp_path, capsys):
    assert _exit_code(["init", str(tmp_path / "team"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["team"] == {}
    made = open_workspace(tmp_path / "team")
    assert [changed(made, name) for name in ("team.yaml", "lab.yaml", "people.yaml", "metrics.yaml")] == [[]] * 4


def test_a_rehearsal_has_the_key_of_who_decides(tmp_path, capsys):
    assert _exit_code(["init", str(tmp_path / "team"), "--rehearsal", *ANSWERS, "--json"]) == 0
    assert "ana@shop.example" in json.loads(capsys.readouterr().out)["keys"]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--timezone", "Moon/Base"),
        ("--timezone", ""),
        ("--timezone", "localtime"),
        ("--budget", "20000"),
        ("--budget", "20,000 EUR"),
        ("--budget", "-1 EUR"),
        ("--budget", "1.234 EUR"),
        ("--budget", "EUR 5"),
        ("--owner", "ana"),
        ("--owner", "Requester@example.com"),
    ],
)
def test_an_option_that_cannot_be_read_makes_nothing(tmp_path, capsys, option, said):
    assert _exit_code(["init", str(tmp_path / "team"), f"{option}={said}", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["where"], bool(error["expected"])) == (option, True)
    assert not (tmp_path / "team").exists()


def test_the_same_again_changes_nothing_and_another_word_is_refused(tmp_path, capsys):
    words = ["init", str(tmp_path / "team"), "--json"]
    assert _exit_code([*words, *ANSWERS]) == 0
    made = open_workspace(tmp_path / "team")
    (made.configs / "lab.yaml").open("a").write("# ours\n")
    before = (made.configs / "lab.yaml").read_bytes()
    assert _exit_code([*words, *ANSWERS]) == 0
    capsys.readouterr()
    assert _exit_code([*words, "--budget", "1 USD", "--owner", "bo@shop.example"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["where"] == "configs/lab.yaml, configs/people.yaml"
    assert (made.configs / "lab.yaml").read_bytes() == before
