"""The front door: one way to say that a command line cannot be read, the rehearsal's clock, and a new workspace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from pilotplant.app import _exit_code, run
from shared.core.clock import parse_rfc3339
from shared.state.workspace import create, open_workspace


@pytest.fixture
def rehearsal(tmp_path):
    return create(tmp_path / "rehearsal", "rehearsal")[0].root


def answer(capsys, *words) -> tuple[dict, int]:
    code = _exit_code([*map(str, words), "--json"])
    return json.loads(capsys.readouterr().out), code


@pytest.mark.parametrize("words", [["status"], ["status", "--json"], ["lab", "show", "nobody", "--json"]])
def test_a_reader_who_has_seen_enough_ends_the_command_as_its_signal_would(rehearsal, words):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "pilotplant", "--workspace", str(rehearsal), *words]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    # 128 and SIGPIPE's number, as a shell has it for `yes | true`.
    assert ended.returncode == 128 + signal.SIGPIPE
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["lab", "new"], "NAME"),
        (["lab", "new", "spring", "--colour", "red"], "--colour"),
        (["lab", "dance"], "dance"),
        (["dance"], "dance"),
        (["promote", "check"], "name one pilot"),
        (["lab", "spend"], "NAME"),
        (["lab"], "--json"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_one_json_error(capsys, words, named):
    printed, code = answer(capsys, *words)
    assert code == 2
    assert list(printed) == ["error"]
    assert set(printed["error"]) == {"what", "where", "expected", "remedy"}
    assert named in printed["error"]["what"]
    assert "pilotplant" in printed["error"]["where"]
    assert "--help" in printed["error"]["remedy"]


def test_without_json_a_command_line_that_cannot_be_read_is_typers_own_text(capsys):
    assert _exit_code(["lab", "new"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Usage: pilotplant lab new" in printed.err


def test_a_refusal_of_the_gate_keeps_its_exit_code_with_json(capsys, rehearsal):
    printed, code = answer(capsys, "--workspace", rehearsal, "promote", "check", "nobody")
    assert (code, "nobody" in printed["error"]["what"]) == (2, True)


def test_the_version_is_printed_alone(capsys):
    assert _exit_code(["--version"]) == 0
    assert capsys.readouterr().out.startswith("pilotplant 0.")


def test_run_gives_the_commands_own_result(rehearsal):
    assert isinstance(run(["--workspace", str(rehearsal), "clock"]), datetime)


def test_a_rehearsals_clock_is_set_and_brought_back(capsys, rehearsal):
    printed, code = answer(capsys, "--workspace", rehearsal, "clock", "2030-01-02T03:04:05+01:00")
    assert (code, printed["changed"]) == (0, True)
    wanted = datetime(2030, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert abs(parse_rfc3339(printed["clock"]) - wanted) < timedelta(minutes=1)
    shown, _ = answer(capsys, "--workspace", rehearsal, "clock")
    assert (shown["changed"], shown["mode"], shown["clock"][:10]) == (False, "rehearsal", "2030-01-02")
    answer(capsys, "--workspace", rehearsal, "clock", "now")
    assert abs(open_workspace(rehearsal).clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_live_workspaces_clock_is_shown_and_never_set(capsys, tmp_path):
    live = create(tmp_path / "live", "live")[0].root
    assert answer(capsys, "--workspace", live, "clock")[1] == 0
    for moment in ("2030-01-02T03:04:05Z", "now"):
        assert answer(capsys, "--workspace", live, "clock", moment)[1] == 3


@pytest.mark.parametrize("moment", ["tomorrow", "2030-01-02", "2030-01-02T03:04:05", "0001-01-01T00:00:00+23:00"])
def test_a_bad_moment_is_answered_with_an_example(capsys, rehearsal, moment):
    printed, code = answer(capsys, "--workspace", rehearsal, "clock", moment)
    assert code == 2
    assert "2026-11-23T09:00:00Z" in printed["error"]["expected"]


def test_a_new_workspace_keeps_its_data_out_of_a_teams_repository(tmp_path):
    made, _ = create(tmp_path / "team", "live")
    assert (made.root / ".gitignore").read_text().splitlines() == ["var/", "*arms.csv", "addressed*.csv"]


def test_init_names_the_next_steps_by_the_folder_as_it_was_given(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert _exit_code(["init", "my team", "--rehearsal"]) == 0
    printed = capsys.readouterr().out
    assert "pilotplant --workspace 'my team' factory publish" in printed
    assert str(tmp_path) not in printed
