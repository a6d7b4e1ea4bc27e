"""Crash points: nothing happens at them but where a test asks for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from shared.core.crashpoints import VARIABLE, Point, reach

CODE = "from shared.core.crashpoints import Point, reach; reach(Point.SPEND_WRITTEN); print('alive')"


@pytest.mark.parametrize(
    ("named", "code"),
    [("", 0), (Point.LAUNCH_FROZEN, 0), ("spend", 0), (Point.SPEND_WRITTEN, -signal.SIGKILL)],
)
def test_a_process_dies_at_the_point_that_is_named_and_at_no_other(named, code):
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=os.environ | {VARIABLE: named}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (code, "alive\n" if code == 0 else "")


def test_without_the_variable_a_point_does_nothing(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    for point in Point:
        reach(point)
