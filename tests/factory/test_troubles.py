"""Troubles: what an on-call engineer is told, at once and with what to do, and nothing where nothing is wrong."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from factory.releases.packages import package_folder
from factory.releases.releases import list_releases, pause, resume, resume_all, show_release, stop_all
from factory.runtime import pulse
from factory.runtime.campaign import run_now
from factory.runtime.measures import measures
from factory.runtime.troubles import troubles
from factory.state import permits
from factory.state.room import open_factory
from factory.state.settings import warehouse_path
from factory.state.tables import runs
from pilotplant import app
from shared.core import faults
from shared.core.clock import parse_rfc3339, rfc3339
from tests.makers import RELEASE, at_work, make_package, make_workspace

HOUR = timedelta(hours=1)
NEXT_DAY = datetime(2026, 2, 3, 9, 50, tzinfo=UTC)


@pytest.fixture
def workspace(one_release, tmp_path):
    """A workspace with one release, ten minutes after its moment, and its plant at work."""
    return at_work(one_release, tmp_path / "workspace")


@pytest.fixture
def up(workspace):
    """The same, its plant up as far as anybody can tell from outside."""
    pulse.home(workspace).mkdir(parents=True, exist_ok=True)
    pulse.begin(workspace)
    with pulse.lock_path(workspace).open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield workspace


def told(workspace):
    return [(trouble.subject, trouble.what) for trouble in troubles(workspace)]


def test_a_release_that_ran_at_its_moment_is_in_no_trouble(up):
    run_now(up, RELEASE)
    assert told(up) == []


def test_a_plant_that_was_never_started_is_told_where_a_release_waits_for_it(workspace):
    run_now(workspace, RELEASE)
    assert told(workspace) == [("Factory", "was never started")]


def test_a_plant_that_was_stopped_is_down_since_then(workspace):
    run_now(workspace, RELEASE)
    pulse.home(workspace).mkdir(parents=True, exist_ok=True)
    pulse.begin(workspace)
    pulse.end(workspace)
    [(subject, what)] = told(workspace)
    assert (subject, what.split(" since ")[0]) == ("Factory", "is DOWN")
    assert what.endswith("it was stopped")


def test_a_plant_that_was_killed_is_down_since_it_was_last_seen(workspace):
    run_now(workspace, RELEASE)
    script = (
        "import fcntl, sys, time; from pathlib import Path; from factory.runtime import pulse; "
        "from shared.state.workspace import open_workspace; w = open_workspace(Path(sys.argv[1])); "
        "pulse.home(w).mkdir(parents=True, exist_ok=True); s = pulse.lock_path(w).open('w'); "
        "fcntl.flock(s, fcntl.LOCK_EX); pulse.begin(w); print('up', flush=True); time.sleep(60)"
    )
    plant = subprocess.Popen([sys.executable, "-c", script, str(workspace.root)], stdout=subprocess.PIPE)
    assert plant.stdout.readline() == b"up\n"
    assert told(workspace) == []
    plant.send_signal(signal.SIGKILL)
    plant.wait()
    seen = datetime(2026, 2, 1, 3, 4, tzinfo=UTC)
    os.utime(pulse.home(workspace) / "plant.json", (seen.timestamp(), seen.timestamp()))
    said = "is DOWN since 2026-02-01 03:04 UTC: its process was killed, or the machine went down"
    assert told(workspace) == [("Factory", said)]


def test_a_plant_whose_process_does_nothing_is_silent(up):
    run_now(up, RELEASE)
    long_ago = (datetime.now(UTC) - HOUR).timestamp()
    os.utime(pulse.home(up) / "plant.json", (long_ago, long_ago))
    assert "is silent since" in told(up)[0][1]
    pulse.beat(up)
    assert told(up) == []


@pytest.mark.parametrize("error", [RuntimeError("the worker ended by itself\nits log"), OSError("x")])
def test_a_plant_that_an_error_ended_is_down_for_that(workspace, error):
    run_now(workspace, RELEASE)
    pulse.home(workspace).mkdir(parents=True, exist_ok=True)
    pulse.begin(workspace)
    pulse.end(workspace, error)
    assert told(workspace)[0][1].endswith(f": {str(error).splitlines()[0]}")


def test_a_plant_whose_rounds_fail_is_told_since_the_first_of_them(up):
    run_now(up, RELEASE)
    pulse.stumble(up, "configs/factory.yaml is damaged")
    before = told(up)
    assert before[0][1].startswith("is up, and what it does fails since ")
    assert before[0][1].endswith(": configs/factory.yaml is damaged")
    pulse.stumble(up, "configs/factory.yaml is damaged")
    assert told(up) == before
    pulse.beat(up)
    assert told(up) == []


def test_a_pulse_whose_file_was_removed_begins_anew(up):
    (pulse.home(up) / "plant.json").unlink()
    pulse.beat(up)
    assert pulse.read(up).state == "up"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"since": 5}', "\x00"])
def test_a_pulse_that_cannot_be_read_is_no_defect(workspace, content):
    pulse.home(workspace).mkdir(parents=True, exist_ok=True)
    (pulse.home(workspace) / "plant.json").write_text(content)
    assert pulse.read(workspace).state == "killed"


def test_a_moment_that_nobody_began_is_overdue(up):
    up.clock.set(NEXT_DAY)
    assert told(up) == [(RELEASE, "overdue since 2026-02-03T09:00:00Z: nothing has begun that run")]
    [trouble] = troubles(up)
    assert f"pilotplant factory run {RELEASE} --occurrence 2026-02-03T09:00:00Z" in trouble.next
    up.clock.set(NEXT_DAY + HOUR)
    [trouble] = troubles(up)
    assert "it will not go out any more" in trouble.next


@pytest.mark.parametrize("before", ["ran", "paused and resumed", "stopped and lifted"])
def test_a_moment_that_nobody_began_is_overdue_whatever_was_before_it(up, before):
    run_now(up, RELEASE)
    up.clock.set(NEXT_DAY - HOUR)
    if before == "paused and resumed":
        pause(up, RELEASE, reason="a typo")
        resume(up, RELEASE, reason="corrected")
    elif before == "stopped and lifted":
        stop_all(up, reason="complaints")
        resume_all(up, reason="answered")
    assert told(up) == []
    up.clock.set(NEXT_DAY)
    assert told(up) == [(RELEASE, "overdue since 2026-02-03T09:00:00Z: nothing has begun that run")]


def test_a_run_that_was_too_late_to_go_out_stays_a_trouble(up):
    up.clock.set(NEXT_DAY + HOUR)
    assert run_now(up, RELEASE).state == "skipped"
    [(subject, what)] = told(up)
    assert (subject, "did not go out: too late by" in what) == (RELEASE, True)


@pytest.mark.parametrize("asked", ["2062-11-23T09:00:00Z", "2026-02-03T09:01:00Z"])
def test_a_mistyped_occurrence_hides_no_failure(up, asked):
    package = package_folder(up, show_release(up, RELEASE)[0].package)
    kept = (package / "attestation.json").read_bytes()
    (package / "attestation.json").write_text("{}")
    run_now(up, RELEASE)
    (package / "attestation.json").write_bytes(kept)
    run_now(up, RELEASE, parse_rfc3339(asked))
    assert any("was refused" in what for _, what in told(up))


@pytest.mark.parametrize(("since", "expected"), [(HOUR, 1), (timedelta(minutes=10), 0)])
def test_a_run_that_does_not_end_is_told(up, since, expected):
    run_now(up, RELEASE)
    at = rfc3339(up.clock.now() - since)
    with open_factory(up).transaction() as connection:
        connection.execute(runs.update().values(state="started", started_at=at, ended_at=None))
    assert sum("has not ended" in what for _, what in told(up)) == expected


def test_a_moment_from_before_the_release_was_there_is_not_overdue(up):
    """It was admitted ten minutes after the last moment of its schedule."""
    assert told(up) == []


def test_a_moment_that_has_just_come_is_not_overdue(up):
    up.clock.set(datetime(2026, 2, 3, 9, 4, tzinfo=UTC))
    assert "2026-02-03" not in str(told(up))


@pytest.mark.parametrize("paused_for", [timedelta(hours=2), timedelta(days=2)])
def test_what_was_paused_when_its_moment_came_is_not_overdue(up, paused_for):
    run_now(up, RELEASE)
    pause(up, RELEASE, reason="a typo")
    up.clock.set(datetime(2026, 2, 3, 8, tzinfo=UTC) + paused_for)
    assert told(up) == []
    resume(up, RELEASE, reason="corrected")
    assert told(up) == []


def test_a_refused_run_is_told_with_its_reason(up):
    (package_folder(up, show_release(up, RELEASE)[0].package) / "attestation.json").write_text("{}")
    assert run_now(up, RELEASE).state == "refused"
    found = dict(told(up)[::-1])
    assert "its package is damaged" in str(told(up))
    assert "its run of 2026-02-02T09:00:00Z was refused" in str(told(up)), found


@pytest.mark.parametrize("damage", ["gone", "message", "promise"])
def test_a_damaged_package_is_told_before_its_moment_comes(up, damage):
    run_now(up, RELEASE)
    folder = package_folder(up, show_release(up, RELEASE)[0].package)
    if damage == "gone":
        shutil.rmtree(folder)
    elif damage == "message":
        next(folder.rglob("message.txt")).write_text("Changed.\n")
    else:
        (folder / "candidate" / "promise.json").write_text("{}")
    [(subject, what)] = told(up)
    assert (subject, what.split(":")[0]) == (RELEASE, "its package is damaged")


def test_a_stopped_factory_is_told_with_since_and_why(up):
    run_now(up, RELEASE)
    stop_all(up, reason="complaints")
    [(subject, what)] = told(up)
    assert subject == "Factory"
    assert what.startswith("everything is stopped since 20")
    assert what.endswith(": complaints")


def test_a_full_disk_is_told(up, monkeypatch):
    run_now(up, RELEASE)
    monkeypatch.setattr(faults, "_ROOM_BYTES", 2**62)
    assert [subject for subject, _ in told(up)] == ["disk"]


def test_an_expired_release_is_told(up):
    up.clock.set(datetime(2036, 1, 1, tzinfo=UTC))
    assert any("it has expired" in what for _, what in told(up))


def test_who_paused_a_release_and_why_is_told(up):
    run_now(up, RELEASE)
    pause(up, RELEASE, reason="a typo")
    [release] = measures(up).releases
    assert (release.paused.reason, release.paused.by) == ("a typo", os.environ.get("USER", release.paused.by))
    assert str(release.paused).endswith(": a typo")
    resume(up, RELEASE, reason="")
    assert measures(up).releases[0].paused is None


@pytest.mark.parametrize("words", [["status"], ["factory", "status"], ["factory", "show", RELEASE]])
@pytest.mark.parametrize("everything", [False, True])
def test_whoever_looks_reads_who_paused_it_and_why(up, capsys, words, everything):
    run_now(up, RELEASE)
    if everything:
        stop_all(up, reason="complaints")
    else:
        pause(up, RELEASE, reason="a typo")
    assert app._exit_code(["--workspace", str(up.root), *words]) == 0
    told = " ".join(capsys.readouterr().out.split())
    [paused] = [release.paused for release in measures(up).releases]
    assert paused.by
    assert str(paused).endswith(": complaints" if everything else ": a typo")
    assert " ".join(str(paused).split()) in told


@pytest.mark.parametrize("command", [["status"], ["factory", "status"]])
def test_monitoring_gets_exit_code_3_where_something_is_in_trouble(up, capsys, command):
    words = ["--workspace", str(up.root), *command]
    up.clock.set(NEXT_DAY)
    assert app._exit_code([*words, "--check"]) == 3  # overdue
    assert app._exit_code(words) == 0
    run_now(up, RELEASE, NEXT_DAY.replace(hour=9, minute=0))
    assert app._exit_code([*words, "--check"]) == 0
    capsys.readouterr()
    assert app._exit_code([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.get("factory", found)["troubles"] == []


def _refused(workspace):
    (package_folder(workspace, show_release(workspace, RELEASE)[0].package) / "attestation.json").write_text("{}")
    assert run_now(workspace, RELEASE).state == "refused"


@pytest.mark.parametrize("command", [["status"], ["factory", "status"]])
@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (lambda workspace: stop_all(workspace, reason="complaints"), "everything is stopped"),
        (lambda workspace: pulse.end(workspace, OSError("no room")), "no room"),
        (_refused, "was refused: "),
    ],
    ids=["stopped", "down", "refused"],
)
def test_monitoring_hears_of_each_trouble_and_reads_what_it_is(workspace, capsys, command, happens, said):
    pulse.home(workspace).mkdir(parents=True, exist_ok=True)
    happens(workspace)
    assert app._exit_code(["--workspace", str(workspace.root), *command, "--check"]) == 3
    assert said in " ".join(capsys.readouterr().out.split())


def test_a_warehouse_that_is_gone_or_is_none_any_more_is_told(up):
    path = warehouse_path(up)
    path.write_bytes(b"noise" * 100)
    assert "its file is no database any more" in str(troubles(up)[0])
    path.unlink()
    assert "it cannot be read: No such file" in str(troubles(up)[0])


def test_a_release_whose_next_run_would_be_refused_is_told_before_its_moment(up):
    for key in (up.configs / "trusted_keys").glob("*.yaml"):
        key.unlink()
    assert any("it would not run: " in str(one) for one in troubles(up))


def test_a_release_whose_permit_is_lost_is_told(up):
    for permit in permits.folder(up).glob(f"{RELEASE}*"):
        permit.unlink()
    list_releases(up)
    assert any("nobody is on record for that: its permit is gone" in str(one) for one in troubles(up))


def test_a_package_that_nobody_admits_is_told_after_a_while(tmp_path):
    made = make_workspace(tmp_path / "team")
    package = make_package(made)
    assert troubles(made) == []
    hours_ago = time.time() - 2 * 3600
    os.utime(package, (hours_ago, hours_ago))
    [told] = troubles(made)
    assert str(told).startswith("inbox: 1 package of promoted pilots wait to be admitted, and the Factory was never")


def test_a_date_ahead_of_now_hides_no_silent_plant(up):
    """A clock that was put back while the process hangs."""
    os.utime(up.factory / "prefect" / "plant.json", (time.time() + 10**8,) * 2)
    assert any("is silent" in str(one) for one in troubles(up))
