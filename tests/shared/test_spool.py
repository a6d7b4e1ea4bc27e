"""The spool where whoever asks leaves while the room is at work: the room goes on, and nothing is left."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from shared.core.errors import Undecided
from shared.doors import spool
from shared.doors.door import spool_of
from shared.doors.requests import SnapshotUsage
from shared.state.workspace import create


@pytest.fixture
def workspace(tmp_path):
    return create(tmp_path / "workspace", "rehearsal")[0]


@contextmanager
def at_work(workspace):
    enough = threading.Event()
    room = threading.Thread(target=spool.serve, args=(workspace, "lab", enough.is_set))
    room.start()
    try:
        yield
    finally:
        enough.set()
        room.join()


def left(workspace):
    return [path.name for path in spool_of(workspace, "lab").iterdir() if path.name != ".serving.lock"]


def ask(workspace, wait_s):
    with spool.Spool(wait_s=wait_s)(workspace, SnapshotUsage(), None) as (answer, _):
        return answer


def test_whoever_leaves_while_the_room_is_at_work_leaves_nothing_and_the_next_is_answered(workspace, monkeypatch):
    begun, may_go_on, answered = threading.Event(), threading.Event(), spool.answered

    def slowly(*arguments):
        begun.set()
        assert may_go_on.wait(30)
        return answered(*arguments)

    monkeypatch.setattr(spool, "answered", slowly)
    with at_work(workspace):
        with pytest.raises(Undecided):
            ask(workspace, 1)
        assert begun.is_set()
        may_go_on.set()
        assert ask(workspace, 30) is not None
    assert left(workspace) == []


def test_what_is_being_removed_is_not_taken_for_a_request(workspace, monkeypatch):
    """Whoever asked removes the answer first: what is left then looks like a request that nobody has answered."""
    removed = []

    def slowly(path, **more):
        (path / spool.ANSWER).unlink()
        time.sleep(5 * spool.ASKED_EVERY_S)
        removed.append(sorted(each.name for each in path.iterdir()))
        shutil.rmtree(path, **more)

    monkeypatch.setattr(spool, "shutil", SimpleNamespace(rmtree=slowly, copytree=shutil.copytree))
    with at_work(workspace):
        assert ask(workspace, 30) is not None
    assert removed == [[spool.GIVEN, spool.PARCEL, spool.REQUEST]]
    assert left(workspace) == []


def test_a_room_whose_process_does_not_run_is_undecided_and_nothing_is_left(workspace):
    with pytest.raises(Undecided, match="the lab room does not answer"):
        ask(workspace, 0)
    assert left(workspace) == []
