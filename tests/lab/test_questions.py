"""Questions: on a terminal `lab new` asks; anywhere else, and where it is told not to, it does not."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from lab.pilots.promise import read_charter

COMMAND = (sys.executable, "-m", "pilotplant")


def on_a_terminal(workspace, *options, answers=""):
    """Runs `lab new` with a terminal as its input; returns exit code, stdout and stderr."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answers.encode())
        command = (*COMMAND, "--workspace", str(workspace.root), "lab", "new", *options)
        done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=240)
    finally:
        os.close(ours)
        os.close(theirs)
    return done.returncode, done.stdout, done.stderr


def test_every_answer_is_taken_and_a_wrong_one_asked_again(loaded):
    answers = [
        "tv-spot", "journey", "they left", "", "bring: visits", "clicks", "conversion", "0", "0.02", "3", "the shop",
        "source", "7", "0.1", "unknown", "50", "12.50",
        "", "nobody@example.com", "owner@example.com",
    ]  # fmt: skip
    code, out, asked = on_a_terminal(loaded, "autumn", answers="\n".join(answers) + "\n")
    assert (code, "Draft charter of autumn" in out) == (0, True), asked
    charter = read_charter(loaded, "autumn")
    assert [arm.name for arm in charter.treatments] == ["reminder", "journey"]
    assert (charter.hypothesis.because, charter.hypothesis.will) == ("they left", "bring: visits")
    assert charter.hypothesis.we_believe == "a word at each step after it"
    assert (charter.primary.metric, charter.primary.minimum_effect) == ("conversion", 0.02)
    assert (charter.time_box.end - charter.time_box.start).days == 21
    assert {name: said.mean for name, said in charter.sample.assume.items()} == {"conversion": 0.1}
    assert (charter.sample.units_per_arm, str(charter.budget.media)) == (50, "12.50")
    assert (charter.assignment, charter.sample.attrition) == ("source", None)
    assert (charter.requester, charter.owner) == ("requester@example.com", "owner@example.com")
    for told in (
        "there is no template `tv-spot`",
        "there is no metric `clicks`",
        "greater than 0",
        "`assume` of `conversion` is not a share",
        "nobody is known as",
        "Input should be 'pilotplant' or 'source'",
    ):
        assert told in asked


def test_what_an_option_says_is_not_asked(loaded):
    options = ["--template", "ab-email", "--because", "a", "--believe", "b", "--will", "c", "--metric", "visit"]
    code, _, asked = on_a_terminal(loaded, "autumn", *options, answers="\n" * 9)
    assert code == 0
    assert "What to start from" not in asked
    assert "Because" not in asked
    assert "The metric that decides" not in asked
    assert "How many weeks it runs [2]" in asked


@pytest.mark.parametrize("quiet", ["--no-input", "--json"])
def test_nothing_is_asked_where_it_is_told_not_to(loaded, quiet):
    code, _, asked = on_a_terminal(loaded, "autumn", quiet)
    assert (code, asked) == (0, "")


def test_a_name_that_is_taken_is_refused_before_anything_is_asked(loaded):
    code, _, asked = on_a_terminal(loaded, "spring-mail")
    assert code == 3
    assert "What to start from" not in asked
