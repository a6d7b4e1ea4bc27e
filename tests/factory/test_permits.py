"""Permits: a stop holds where no database can be written, and nothing brings a stopped release back by itself."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest

from factory.delivery.channels.file import outgoing
from factory.releases.admission import admit
from factory.releases.releases import list_releases, pause, resume, resume_all, stop_all
from factory.runtime import campaign
from factory.runtime.campaign import close_cut_off, run_occurrence
from factory.runtime.measures import measures
from factory.state import permits
from factory.state.room import open_factory
from shared.core.errors import BadInput, Damaged, PilotPlantError, Refused
from tests.makers import OCCURRENCE, RELEASE, at_work, make_charter, make_package, set_factory

OTHER = "autumn-email-letter"


@pytest.fixture(scope="module")
def two_releases(loaded, tmp_path_factory):
    workspace = at_work(loaded, tmp_path_factory.mktemp("two") / "workspace")
    set_factory(workspace, contacts_per_week=14)  # both write daily, to the same customers, a minute apart
    make_package(workspace)
    make_package(workspace, charter=make_charter("autumn-email", cron="1 9 * * *"))
    admit(workspace)
    return workspace


@pytest.fixture
def released(two_releases, tmp_path):
    return at_work(two_releases, tmp_path / "released")


@contextmanager
def damaged(workspace):
    """The Factory's database is noise inside, and afterwards as it was."""
    path = workspace.factory / "factory.db"
    sound = path.read_bytes()
    path.write_bytes(sound[:100] + b"\xa5" * (len(sound) - 100))
    try:
        yield
    finally:
        for name in ("factory.db-wal", "factory.db-shm"):
            (workspace.factory / name).unlink(missing_ok=True)
        path.write_bytes(sound)


def states(workspace):
    return {release.name: release.state for release in list_releases(workspace)}


def sent(workspace):
    return sorted(path.name for path in (workspace.factory / "outgoing").rglob("*.jsonl"))


def test_a_release_has_a_permit_from_its_admission_on(released):
    assert permits.held(released) == {RELEASE, OTHER}
    assert permits.has(released, permits.ALL)


def test_stop_all_holds_where_the_database_is_damaged_and_is_recorded_by_the_next_command(released):
    with damaged(released):
        change = stop_all(released, reason="complaints")
        assert (change.state, change.recorded) == ("stopped", False)
        assert "could not be recorded" in change.said
        with pytest.raises(Damaged):
            run_occurrence(released, RELEASE, OCCURRENCE)
    # The backup knows nothing of a stop.
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "skipped"
    assert sent(released) == []
    assert measures(released).stopped == "it was stopped while that could not be recorded"
    assert states(released) == {RELEASE: "paused", OTHER: "paused"}
    assert [entry.kind for entry in open_factory(released).entries("stop-all")] == ["stopped_all"]
    resume_all(released, reason="settled")
    assert states(released) == {RELEASE: "live", OTHER: "live"}
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "done"


@contextmanager
def without_server(workspace):
    """The settings name a server that is not there."""
    path = workspace.configs / "factory.yaml"
    sound = path.read_text()
    set_factory(workspace, database="postgresql://pilotplant@127.0.0.1:9/factory")
    yield
    path.write_text(sound)


@contextmanager
def in_its_place(workspace):
    """Somebody has put a folder where the database was."""
    path = workspace.factory / "factory.db"
    kept = path.with_name("kept.db")
    for name in ("factory.db-wal", "factory.db-shm"):
        (workspace.factory / name).unlink(missing_ok=True)
    path.rename(kept)
    path.mkdir()
    yield
    path.rmdir()
    kept.rename(path)


@contextmanager
def locked(workspace):
    """Another process is writing, and does not come to an end."""
    with closing(sqlite3.connect(workspace.factory / "factory.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("condition", [without_server, in_its_place, locked])
@pytest.mark.parametrize("how", ["stop-all", "pause"])
def test_a_stop_holds_whatever_keeps_the_database_from_being_written(released, condition, how, monkeypatch):
    monkeypatch.setattr("shared.state.db.BUSY_TIMEOUT_MS", 500)
    with condition(released):
        change = stop_all(released, reason="complaints") if how == "stop-all" else pause(released, RELEASE, reason="no")
        assert (change.recorded, "could not be recorded" in change.said) == (False, True)
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "skipped"
    assert sent(released) == []
    assert states(released) == {RELEASE: "paused", OTHER: "paused" if how == "stop-all" else "live"}


def test_a_pause_holds_where_the_database_is_damaged_and_stops_no_other_release(released):
    with damaged(released):
        change = pause(released, RELEASE, reason="a typo")
        assert (change.state, change.recorded) == ("paused", False)
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "skipped"
    assert states(released) == {RELEASE: "paused", OTHER: "live"}
    assert run_occurrence(released, OTHER, OCCURRENCE + timedelta(minutes=1)).state == "done"
    resume(released, RELEASE, reason="mended")
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "done"


def test_a_pause_of_a_name_that_nobody_can_look_up_is_not_said_to_hold(released):
    with damaged(released), pytest.raises(Damaged):
        pause(released, "sprng-email-letter", reason="a typo")
    with pytest.raises(BadInput, match="no release `sprng-email-letter`"):
        pause(released, "sprng-email-letter", reason="a typo")
    assert states(released) == {RELEASE: "live", OTHER: "live"}


@pytest.mark.parametrize("name", ["../factory.db", "a/b", "/etc/passwd"])
def test_a_pause_takes_no_file_but_a_permit(released, name):
    with pytest.raises(BadInput, match="no release's name"):
        pause(released, name, reason="")
    assert (released.factory / "factory.db").exists()


def test_a_stop_with_settings_that_cannot_be_read_holds_as_well(released):
    settings = released.configs / "factory.yaml"
    sound = settings.read_text()
    settings.write_text("schema_version: [")
    assert not stop_all(released, reason="complaints").recorded
    settings.write_text(sound)
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "skipped"


def test_a_stop_is_seen_by_a_run_that_has_all_its_messages_ready(released, monkeypatch):
    prepare = campaign.prepare

    def stopped_meanwhile(*arguments):
        prepared = prepare(*arguments)
        permits.take(released, permits.ALL)  # another process, whose word has not reached the database
        return prepared

    monkeypatch.setattr(campaign, "prepare", stopped_meanwhile)
    result = run_occurrence(released, RELEASE, OCCURRENCE)
    assert (result.state, sent(released)) == ("skipped", [])
    assert "stopped meanwhile" in result.reason


def test_a_pause_is_seen_by_a_run_that_has_all_its_messages_ready(released, monkeypatch):
    prepare = campaign.prepare

    def paused_meanwhile(*arguments):
        prepared = prepare(*arguments)
        permits.take(released, RELEASE)
        return prepared

    monkeypatch.setattr(campaign, "prepare", paused_meanwhile)
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "skipped"
    assert sent(released) == []


def test_a_stop_that_is_lifted_brings_permits_back_with_the_database(released):
    pause(released, OTHER, reason="a typo")
    stop_all(released, reason="complaints")
    assert not permits.has(released, permits.ALL)
    with pytest.raises(Refused, match="everything is stopped"):
        resume(released, OTHER, reason="mended")
    resume_all(released, reason="settled")
    assert (permits.held(released), permits.has(released, permits.ALL)) == ({RELEASE}, True)


def earlier(workspace):
    """The workspace as an earlier build left it: without permits, and with a ledger that does not speak of them."""
    shutil.rmtree(permits.folder(workspace))
    with sqlite3.connect(workspace.factory / "factory.db") as connection:
        for name in ("update", "delete", "replace"):
            connection.execute(f"DROP TRIGGER ledger_no_{name}")
        connection.execute("UPDATE ledger SET body = replace(body, ',\"permits\":true', '')")
    connection.close()


@pytest.mark.parametrize("before", ["live", "one paused", "stopped"])
def test_an_earlier_builds_releases_get_their_permits_as_its_database_has_them(released, before):
    if before == "one paused":
        pause(released, OTHER, reason="a typo")
    if before == "stopped":
        stop_all(released, reason="complaints")
    was = states(released)
    earlier(released)
    assert states(released) == was
    assert permits.has(released, permits.ALL) == (before != "stopped")
    assert permits.held(released) == {name for name, state in was.items() if state == "live"}


def test_an_earlier_builds_releases_are_stopped_even_where_its_database_was_never_opened_by_this_one(released):
    earlier(released)
    with damaged(released):
        assert not stop_all(released, reason="complaints").recorded
    assert states(released) == {RELEASE: "paused", OTHER: "paused"}
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "skipped"


def test_permits_that_were_lost_stop_everything_instead_of_coming_back(released):
    shutil.rmtree(permits.folder(released))
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "skipped"
    assert states(released) == {RELEASE: "paused", OTHER: "paused"}
    assert measures(released).stopped is not None


def test_a_permit_that_somebody_laid_there_starts_nothing(released):
    pause(released, RELEASE, reason="a typo")
    permits.give(released, RELEASE)
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "skipped"
    assert permits.held(released) == {OTHER}


def test_a_run_that_was_killed_is_on_record_as_failed_and_may_be_run_again(released, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt  # leaves the record as a kill does: no `except Exception` sees it

    with monkeypatch.context() as patch:
        patch.setattr(campaign, "prepare", killed)
        with pytest.raises(KeyboardInterrupt):
            run_occurrence(released, RELEASE, OCCURRENCE)
    assert measures(released).runs == {"started": 1}
    (said,) = close_cut_off(released)
    assert "was cut off" in said
    assert "failed" in said
    assert (measures(released).runs, close_cut_off(released)) == ({"failed": 1}, [])
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "done"


def test_a_run_that_somebody_is_at_work_on_is_left_alone(released, monkeypatch):
    seen = []
    prepare = campaign.prepare

    def looked_at(*arguments):
        seen.append(close_cut_off(released))
        return prepare(*arguments)

    monkeypatch.setattr(campaign, "prepare", looked_at)
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "done"
    assert seen == [[]]


def test_a_run_that_was_killed_after_its_file_appeared_is_on_record_as_done(released, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(campaign, "_record_sent", killed)
        with pytest.raises(KeyboardInterrupt):
            run_occurrence(released, RELEASE, OCCURRENCE)
    assert outgoing(released, RELEASE, OCCURRENCE).exists()
    (said,) = close_cut_off(released)
    assert "done" in said
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "repeated"


def test_what_cannot_be_stopped_is_not_said_to_be(released, monkeypatch):
    def hindered(_workspace):
        raise OSError(30, "Read-only file system", "permits")

    monkeypatch.setattr(permits, "stop", hindered)
    with damaged(released), pytest.raises(PilotPlantError, match="nothing is stopped for good") as error:
        stop_all(released, reason="complaints")
    assert error.value.exit_code == 4
    assert "read-only" in error.value.what
    # With a database that can be written the stop holds by that alone.
    assert stop_all(released, reason="complaints").recorded
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "skipped"


@pytest.mark.parametrize("name", [permits.ALL, "..", ".", "Spring", ""])
def test_a_pause_of_what_is_no_releases_name_stops_nothing(released, name):
    with pytest.raises(BadInput, match="no release's name"):
        pause(released, name, reason="")
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "done"
