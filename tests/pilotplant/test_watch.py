"""`status --watch` shows the overview anew until Ctrl-C: on a terminal, or as JSON one object on each line."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from shared.state.workspace import create

COMMAND = [sys.executable, "-m", "pilotplant", "--workspace"]
PATIENCE_S = 60
CLEARED = "\x1b[2J"


@pytest.fixture
def rehearsal(tmp_path):
    return create(tmp_path / "team", "rehearsal")[0]


def draft(workspace, name):
    folder = workspace.pilots / name
    folder.mkdir()
    (folder / "charter.yaml").write_text("schema_version: 1\n")


def hears_ctrl_c():
    """In a child: whatever started the tests may have them ignore it, as a shell does in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A command on a pseudo terminal, and what it has shown so far."""

    def __init__(self, words):
        self.shown = ""
        self.ours, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
        self.process = subprocess.Popen(
            words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
            preexec_fn=hears_ctrl_c,  # noqa: PLW1509 - it only sets a signal
        )  # fmt: skip
        os.close(theirs)

    def read_until(self, done):
        until = time.monotonic() + PATIENCE_S
        while not done(self.shown):
            assert time.monotonic() < until, self.shown
            if select.select([self.ours], [], [], 0.2)[0]:
                self.shown += os.read(self.ours, 65_536).decode(errors="replace")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.ours)


def test_on_a_terminal_each_look_takes_the_place_of_the_one_before_and_sees_what_is_new(rehearsal):
    terminal = Terminal([*COMMAND, str(rehearsal.root), "status", "--watch", "--every", "1"])
    try:
        terminal.read_until(lambda shown: "Ctrl-C ends it" in shown)
        assert "autumn" not in terminal.shown
        draft(rehearsal, "autumn")
        terminal.read_until(lambda shown: "autumn (draft)" in shown and "Ctrl-C" in shown.rpartition(CLEARED)[2])
        screens = terminal.shown.split(CLEARED)[1:]
        assert len(screens) >= 2
        assert all("LAB, learning" in screen for screen in screens)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(PATIENCE_S) == 130
        assert "Traceback" not in terminal.shown
    finally:
        terminal.close()


def test_as_json_each_look_is_one_object_on_one_line(rehearsal):
    words = [*COMMAND, str(rehearsal.root), "status", "--watch", "--every", "1", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = subprocess.Popen(words, **pipes, preexec_fn=hears_ctrl_c)  # noqa: PLW1509 - it only sets a signal
    try:
        first = json.loads(started.stdout.readline())
        draft(rehearsal, "autumn")
        # The next look may have begun already.
        second = [json.loads(started.stdout.readline()) for _ in range(2)][-1]
        started.send_signal(signal.SIGINT)
        _, said = started.communicate(timeout=PATIENCE_S)
    finally:
        if started.poll() is None:
            started.kill()
            started.wait()
    assert (first["lab"]["drafts"], second["lab"]["drafts"]) == (0, 1)
    assert (started.returncode, said) == (130, "")


@pytest.mark.parametrize(
    ("words", "why"), [([], "its output goes to none"), (["--check", "--json"], "--check is an exit code")]
)
def test_where_nobody_could_watch_it_is_refused_in_words(rehearsal, words, why):
    ended = subprocess.run(
        [*COMMAND, str(rehearsal.root), "status", "--watch", *words], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert ended.returncode == 2
    assert why in re.sub(r"\s+", " ", ended.stdout + ended.stderr)


def test_a_reader_that_has_seen_enough_ends_it(rehearsal):
    line = f"{sys.executable} -m pilotplant --workspace {rehearsal.root} status --watch --every 1 --json | head -1"
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=PATIENCE_S)
    assert json.loads(ended.stdout)["mode"] == "rehearsal"
    assert ended.stderr == ""
