"""The kill switch: tried with real statements, and nothing of it stays."""

from __future__ import annotations

import pytest

from factory.preflight import kill_switch
from factory.preflight.kill_switch import try_kill_switch
from factory.releases.releases import list_releases, pause, stop_all
from factory.state.room import open_factory
from tests.makers import RELEASE, at_work


@pytest.fixture
def released(one_release, tmp_path):
    return at_work(one_release, tmp_path / "released")


def state(workspace):
    room = open_factory(workspace)
    return list_releases(workspace), room.entries(), room.problems()


def test_it_works_and_leaves_no_trace(released):
    before = state(released)
    found = try_kill_switch(open_factory(released))
    assert (found.stops, found.resumes, found.undone, found.stopped, found.problem) == (True, True, True, None, None)
    assert state(released) == before
    assert before[0][0].state == "live"


def test_while_everything_is_stopped_it_is_tried_all_the_same_and_stays_stopped(released):
    stop_all(released, reason="complaints")
    before = state(released)
    found = try_kill_switch(open_factory(released))
    assert (found.stops, found.resumes, found.undone, found.stopped) == (True, True, True, "complaints")
    assert state(released) == before


def test_a_release_that_people_have_paused_stays_paused(released):
    pause(released, RELEASE, reason="a typo")
    before = state(released)
    assert try_kill_switch(open_factory(released)).undone
    assert state(released) == before


def test_a_stop_that_stops_nothing_is_found(released, monkeypatch):
    monkeypatch.setattr(kill_switch, "stop_everything", lambda *_: None)
    found = try_kill_switch(open_factory(released))
    assert (found.stops, found.undone) == (False, True)


def test_a_resume_that_resumes_nothing_is_found(released, monkeypatch):
    monkeypatch.setattr(kill_switch, "resume_everything", lambda *_: None)
    found = try_kill_switch(open_factory(released))
    assert (found.stops, found.resumes) == (True, False)


def test_a_trace_that_stays_is_found(released, monkeypatch):
    drill = kill_switch._drill

    def leaves_a_trace(room):
        found = drill(room)
        pause(room.workspace, RELEASE, reason="left behind")
        return found

    monkeypatch.setattr(kill_switch, "_drill", leaves_a_trace)
    assert not try_kill_switch(open_factory(released)).undone


def test_a_database_that_takes_no_writing_is_a_problem_and_no_pass(released):
    room = open_factory(released)
    with room.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER broken BEFORE INSERT ON switches BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    found = try_kill_switch(room)
    assert found.problem
    assert not found.stops
