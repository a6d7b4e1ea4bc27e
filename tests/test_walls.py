"""A missing wall skips a test, and fails it under CI on a machine that should have it."""

from __future__ import annotations

import platform

import pytest

from tests.walls import SINCE, kernel, require


def outcome(standing, **options):
    try:
        require("a wall", standing, **options)
    except pytest.skip.Exception:
        return "skipped"
    except pytest.fail.Exception:
        return "failed"
    return "ran"


@pytest.mark.parametrize(
    ("ci", "standing", "expected", "answer"),
    [
        (None, True, True, "ran"),
        (None, False, True, "skipped"),
        ("true", True, True, "ran"),
        ("true", False, True, "failed"),
        ("1", False, True, "failed"),
        ("true", False, False, "skipped"),
        ("false", False, True, "skipped"),
    ],
)
def test_under_ci_a_wall_that_should_stand_is_not_skipped_over(monkeypatch, ci, standing, expected, answer):
    monkeypatch.delenv("CI", raising=False)
    if ci is not None:
        monkeypatch.setenv("CI", ci)
    assert outcome(standing, expected=expected) == answer


@pytest.mark.parametrize(("system", "answer"), [("Linux", "failed"), ("Darwin", "skipped")])
def test_every_linux_should_have_what_is_not_said_otherwise_of(monkeypatch, system, answer):
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(platform, "system", lambda: system)
    assert outcome(False) == answer


# The first is Debian 11's kernel, which is older than Landlock; the second has it since that very version.
@pytest.mark.parametrize(("release", "has"), [("5.10.0-28-amd64", False), ("5.13.0", True), ("6.1.0-rc1+", True)])
def test_a_kernel_is_held_against_the_version_that_brought_landlock(release, has):
    assert (kernel(release) >= SINCE) == has
