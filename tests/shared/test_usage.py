"""Who needs a snapshot: what the Lab writes down, and what speaks for keeping it where that is unclear."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.state.workspace import create
from shared.trust.usage import SnapshotUser, declare, usage

NOW = datetime(2026, 2, 2, 9, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path):
    return create(tmp_path / "team", "rehearsal")[0]


def user(pilot, snapshot="s1", deadline=NOW + timedelta(days=1)):
    return SnapshotUser(pilot=pilot, snapshot=snapshot, deadline=deadline)


def test_pilots_of_one_snapshot_are_listed_together(workspace):
    for each in (user("a"), user("b"), user("c", "s2")):
        declare(workspace, each)
    found = usage(workspace, NOW)
    assert found.users == {"s1": [user("a"), user("b")], "s2": [user("c", "s2")]}
    assert found.unclear == ()


def test_what_is_said_again_replaces_what_was_said(workspace):
    declare(workspace, user("a"))
    declare(workspace, user("a", "s2"))
    assert usage(workspace, NOW).users == {"s2": [user("a", "s2")]}


def test_silence_past_the_deadline_needs_nothing_any_more(workspace):
    declare(workspace, user("a", deadline=NOW))
    assert usage(workspace, NOW - timedelta(seconds=1)).users
    assert usage(workspace, NOW).users == {}


@pytest.mark.parametrize("content", ["", "{", "{}", '{"schema_version": 2}', "null"])
def test_a_word_that_cannot_be_read_makes_everything_unclear_and_names_the_remedy(workspace, content):
    declare(workspace, user("a"))
    path = workspace.lab / "snapshot-users" / "a.json"
    path.write_text(content)
    [said] = usage(workspace, NOW).unclear
    assert said == f"{path} cannot be read; `pilotplant lab launch a` writes it again"


def test_a_pilot_of_which_nothing_is_said_makes_everything_unclear(workspace):
    (workspace.lab / "pilots" / "a").mkdir(parents=True)
    [said] = usage(workspace, NOW).unclear
    assert said == "nothing says which snapshot pilot a reads; `pilotplant lab launch a` writes it down again"
    declare(workspace, user("a"))
    assert usage(workspace, NOW).unclear == ()


def test_a_moment_without_a_zone_is_no_deadline(workspace):
    declare(workspace, user("a"))
    path = workspace.lab / "snapshot-users" / "a.json"
    path.write_text(path.read_text().replace("Z", ""))
    assert len(usage(workspace, NOW).unclear) == 1
