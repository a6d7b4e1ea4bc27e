"""The order of time: in a live ledger nothing is earlier than what was written before, in each room and database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from shared.core.clock import rfc3339
from shared.core.errors import Undecided
from shared.state import ledger
from shared.state.chain import Dated
from shared.state.order import BEGUN, CORRECTED, TOLERANCE, OutOfOrder, dated, problems
from shared.state.provision import provision
from shared.state.room import open_room
from shared.state.workspace import create
from shared.trust import clock_correction
from tests.postgres import APP, OWNER

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ROOMS = ("lab", "promotion", "factory")
BACK = {"six seconds": timedelta(seconds=6), "a day": timedelta(days=1), "three weeks": timedelta(weeks=3)}


def tables():
    metadata = sa.MetaData()
    ledger.ledger_table(metadata)
    return metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request, tmp_path):
    """Opens a room of a workspace on SQLite or on PostgreSQL."""

    def opener(name="lab", mode="live"):
        url = f"sqlite:///var/{name}/{name}.db"
        if request.param == "postgresql":
            server = request.getfixturevalue("postgres")
            database = server.database()
            provision(server.url(database, OWNER), tables(), APP, version=1)
            url = server.url(database, APP)
        return open_room(name, create(tmp_path / mode, mode)[0], url, tables(), version=1, corrections=clock_correction)

    return opener


def write(room, clock, kind="made", **options):
    with time_machine.travel(clock, tick=False), room.transaction() as connection:
        return room.write(connection, kind, "a", {}, **options)


def opened_at(opened, name="lab", mode="live"):
    with time_machine.travel(NOW - timedelta(hours=1), tick=False):
        return opened(name, mode)


@pytest.mark.parametrize("name", ROOMS)
@pytest.mark.parametrize("back", BACK)
def test_an_entry_earlier_than_the_one_before_it_is_refused_and_nothing_is_written(opened, name, back):
    room = opened_at(opened, name)
    write(room, NOW)
    before = room.entries()
    with pytest.raises(OutOfOrder) as refused:
        write(room, NOW - BACK[back])
    assert room.entries() == before
    assert rfc3339(NOW) in refused.value.what
    assert refused.value.exit_code == 3
    assert "correct-clock" in str(refused.value.remedy)
    write(room, NOW + timedelta(seconds=1))
    assert room.problems() == []


def test_a_moment_that_a_caller_gives_is_held_to_the_same_order(opened):
    room = opened_at(opened)
    write(room, NOW)
    with pytest.raises(OutOfOrder):
        write(room, NOW, at=NOW - timedelta(minutes=1))


def test_a_clock_that_is_put_back_by_a_little_dates_nothing_earlier(opened):
    room = opened_at(opened)
    write(room, NOW)
    write(room, NOW - TOLERANCE)
    assert [entry.at for entry in room.entries() if entry.kind == "made"] == [rfc3339(NOW), rfc3339(NOW)]


def test_many_small_steps_back_do_not_add_up(opened):
    """Each is within the tolerance, and none of them moves the ledger's time."""
    room = opened_at(opened)
    write(room, NOW)
    write(room, NOW - timedelta(seconds=4))
    with pytest.raises(OutOfOrder):
        write(room, NOW - timedelta(seconds=8))


@pytest.mark.parametrize("name", ROOMS)
def test_a_rehearsals_clock_may_be_set_back(opened, name):
    room = opened(name, "rehearsal")
    room.workspace.clock.set(NOW)
    with room.transaction() as connection:
        room.write(connection, "made", "a", {})
    room.workspace.clock.set(NOW - timedelta(weeks=3))
    with room.transaction() as connection:
        room.write(connection, "made", "a", {})
    assert room.problems() == []
    assert BEGUN not in [entry.kind for entry in room.entries()]


def test_what_halts_something_is_written_whatever_the_clock_shows(opened):
    room = opened_at(opened)
    write(room, NOW)
    write(room, NOW - timedelta(weeks=3), kind="stopped_all", halts=True)
    last = room.entries()[-1]
    assert (last.kind, last.at) == ("stopped_all", rfc3339(NOW))
    assert room.problems() == []


def test_a_ledger_of_an_earlier_build_keeps_its_disorder_and_gets_no_more(opened):
    """It was written without an order; from the first entry of this build on there is one."""
    room = opened_at(opened)
    with room.transaction() as connection:
        for at in (NOW, NOW - timedelta(weeks=3), NOW - timedelta(weeks=1)):
            ledger.append(connection, room.entries_table, at=at, kind="made", subject="a", body={})
    assert room.problems() == []
    write(room, NOW - timedelta(days=6))
    assert [entry.kind for entry in room.entries()][-2:] == [BEGUN, "made"]
    with pytest.raises(OutOfOrder):
        write(room, NOW - timedelta(days=8))
    assert room.problems() == []


def test_an_entry_that_was_written_past_the_order_is_named(opened):
    room = opened_at(opened)
    write(room, NOW)
    with room.transaction() as connection:
        ledger.append(
            connection, room.entries_table, at=NOW - timedelta(weeks=3), kind="registered", subject="a", body={}
        )
    [problem] = room.problems()
    assert problem == "the lab ledger: entry 4 (registered) is of 2026-02-09T09:00:00Z, earlier than one before it"


def test_a_correction_that_nobody_signed_is_named(opened):
    room = opened_at(opened)
    write(room, NOW)
    with room.transaction() as connection:
        back = NOW - timedelta(weeks=3)
        ledger.append(connection, room.entries_table, at=back, kind=CORRECTED, subject="lab", body={"envelope": {}})
    [problem] = room.problems()
    assert problem.startswith("the lab ledger: entry 4 corrects the clock, and it holds no correction")


def test_a_last_entry_whose_time_cannot_be_read_says_nothing_of_what_comes_after_it():
    with pytest.raises(Undecided, match="nobody knows what comes after it"):
        dated(NOW, Dated(7, "yesterday", "made"), "the lab ledger")
    assert problems([Dated(1, "yesterday", "made")], "it", begun=True) == [
        "it: when entry 1 was written cannot be read"
    ]


@given(st.lists(st.integers(-20, 20), max_size=30))
def test_whatever_the_clock_does_the_moments_never_go_back(steps):
    """Each moment that is given is written; those that are refused are not."""
    clock, written = NOW, []
    for step in steps:
        clock += timedelta(seconds=step)
        last = written[-1] if written else None
        try:
            moment = dated(clock, last, "it")
        except OutOfOrder:
            continue
        written.append(Dated(len(written) + 1, rfc3339(moment), "made"))
    assert [entry.at for entry in written] == sorted((entry.at for entry in written), key=datetime.fromisoformat)
    assert problems(written, "it", begun=True) == []
