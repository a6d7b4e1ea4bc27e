"""Streams that are closed or of another encoding, and Ctrl-C: a command ends in words, or in its signal's code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from factory.runtime.server import choose_port
from shared.core.errors import BadInput
from shared.state.workspace import create

COMMAND = [sys.executable, "-m", "pilotplant"]


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    return create(tmp_path_factory.mktemp("streams") / "Zürich · 名前", "rehearsal")[0].root


def shell(line, rehearsal, **environment):
    told = {**os.environ, "PILOTPLANT_WORKSPACE": str(rehearsal), **environment}
    return subprocess.run(["bash", "-c", line], env=told, capture_output=True, timeout=120, check=False)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("words", ["status", "lab show nobody", pytest.param("status --json", marks=pytest.mark.proof)])
def test_a_stream_that_is_closed_takes_nothing_and_breaks_nothing(rehearsal, closed, words):
    ended = shell(f"{sys.executable} -m pilotplant {words} {closed}", rehearsal)
    assert ended.returncode == (2 if "nobody" in words else 0)
    assert b"Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("promote enrol owner@example.com", "set PILOTPLANT_PASSPHRASE for a service"),
        ("promote enrol gate", "set PILOTPLANT_GATE_PASSPHRASE for a service"),
        ("factory enrol", "set PILOTPLANT_FACTORY_PASSPHRASE for a service"),
    ],
)
def test_where_nobody_can_be_asked_a_command_says_what_it_would_have_asked(tmp_path, words, said):
    live = create(tmp_path / "live", "live")[0].root
    ended = shell(f"{sys.executable} -m pilotplant {words} <&-", live, PILOTPLANT_KEYS=str(tmp_path / "keys"))
    assert (ended.returncode, said in " ".join(ended.stderr.decode().split())) == (2, True)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_of_another_encoding_is_shown_what_it_can_show(rehearsal, encoding):
    plain = shell(f"{sys.executable} -m pilotplant status", rehearsal, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert (plain.returncode, plain.stderr) == (0, b"")
    assert b"LAB, learning" in plain.stdout
    found = shell(f"{sys.executable} -m pilotplant status --json", rehearsal, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert json.loads(found.stdout.decode(encoding))["workspace"] == str(rehearsal)


@pytest.mark.parametrize("after_s", [0.02, 0.2, 0.6])
def test_ctrl_c_ends_a_command_at_any_moment_without_a_traceback(rehearsal, after_s):
    started = subprocess.Popen(
        [*COMMAND, "--workspace", str(rehearsal), "verify"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    # Before Python itself is there, its own handler is not either.
    time.sleep(0.15 + after_s)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert started.returncode in {0, 130}
    assert b"Traceback" not in said


@pytest.mark.parametrize("port", [-1, 65_536, 99_999, 10**12])
def test_a_port_that_is_none_is_bad_input(port):
    with pytest.raises(BadInput, match="is no port"):
        choose_port(port, 4200)


def test_any_free_port_may_be_asked_for():
    assert 1024 <= choose_port(0, 4200) <= 65_535
