"""Campaigns: an occurrence is sent once or not at all, whatever comes in between."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from fractions import Fraction
from hashlib import sha256

import pytest
import time_machine

from factory.delivery.channels.file import outgoing
from factory.releases.admission import admit
from factory.releases.releases import pause, resume, show_release, stop_all
from factory.runtime import campaign
from factory.runtime.campaign import run_now, run_occurrence
from factory.state.room import open_factory
from factory.warehouse.load import load
from factory.warehouse.mask import pseudonym_key
from pilotplant.app import _exit_code
from shared.core.clock import rfc3339
from shared.core.errors import BadInput, Contained, PilotPlantError, Refused
from shared.data.pseudonym import pseudonym
from shared.experiment.assignment import held_out
from shared.state.order import OutOfOrder
from tests.makers import (
    NONCE,
    OCCURRENCE,
    RELEASE,
    SEGMENTS,
    at_work,
    customers_csv,
    make_charter,
    make_package,
    make_workspace,
    moment,
    set_factory,
)

KILLED = -signal.SIGKILL


@pytest.fixture
def released(one_release, tmp_path):
    return at_work(one_release, tmp_path / "released")


def sent(workspace):
    return [entry for entry in open_factory(workspace).entries(RELEASE) if entry.kind == "sent"]


def lines(workspace, occurrence=OCCURRENCE):
    return [json.loads(line) for line in outgoing(workspace, RELEASE, occurrence).read_text().splitlines()]


def traces(workspace):
    """Everything that a run could have left beside its final file."""
    places = [workspace.factory / "outgoing", workspace.factory / "scratch"]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    return [path.name for path in files if path.suffix not in {".lock", ".jsonl"}]


def only_run(workspace):
    (run,) = show_release(workspace, RELEASE)[1]
    return run


def run_and_die(workspace, body):
    """Runs the occurrence in a process that kills itself at a point which `body` prepares."""
    script = f"""
import os, signal
from datetime import datetime
from pathlib import Path
import factory.runtime.campaign as campaign
from factory.delivery.channels import file as channel
from shared.state.workspace import open_workspace
def die(*_args, **_kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
{body}
campaign.run_occurrence(open_workspace(Path({str(workspace.root)!r})), {RELEASE!r},
                        datetime.fromisoformat({OCCURRENCE.isoformat()!r}))
"""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120).returncode


def test_each_unit_of_the_audience_gets_one_message_but_for_the_holdout(released):
    result = run_occurrence(released, RELEASE, OCCURRENCE)
    key = pseudonym_key(released)
    # customers_csv: recency is the number modulo 12, plus 1; the audience is recency of at most 6.
    audience = {pseudonym(key, f"c{number:05}"): f"c{number:05}" for number in range(200) if number % 12 < 6}
    expected = {unit: to for unit, to in audience.items() if not held_out(RELEASE, unit, Fraction(1, 20), NONCE)}
    found = lines(released)
    assert {line["unit"]: line["to"] for line in found} == expected
    assert [line["unit"] for line in found] == sorted(expected)
    assert (result.state, result.audience, result.messages) == ("done", len(audience), len(expected))
    assert result.held_out == len(audience) - len(expected)
    assert len({line["key"] for line in found}) == len(found)
    assert all(line["occurrence"] == "2026-02-02T09:00:00Z" and line["release"] == RELEASE for line in found)
    for line in found:
        number = int(line["to"][1:])
        assert line["subject"] == f"For our {SEGMENTS[number % len(SEGMENTS)]} customers"
        assert f"you spent {10 + number / 4}." in line["body"]


def test_a_campaign_leaves_the_workspaces_holdout_alone_as_it_is_set_today(released):
    settings = released.configs / "factory.yaml"
    written = {}
    for day, share in enumerate(("0", "0.2", "0.4")):
        text = re.sub("holdout_frac: .*", f"holdout_frac: {share}", settings.read_text())
        settings.write_text(text)
        occurrence = OCCURRENCE + timedelta(days=day)
        released.clock.set(occurrence + timedelta(minutes=5))
        result = run_occurrence(released, RELEASE, occurrence)
        found = {line["unit"] for line in lines(released, occurrence)}
        assert result.messages == len(found)
        assert result.held_out == result.audience - len(found)
        written[share] = found
    salt = f"workspace-holdout:{released.id}"
    for share, found in written.items():
        # docs/assignment.md in other words: the share of all buckets below a unit's own.
        places = {unit: int(sha256(f"{salt}:{unit}".encode()).hexdigest()[:16], 16) / 2**64 for unit in written["0"]}
        assert found == {unit for unit, place in places.items() if place >= float(share)}
    assert written["0.4"] < written["0.2"] < written["0"]


def test_running_twice_sends_once(released):
    first = run_occurrence(released, RELEASE, OCCURRENCE)
    again = run_occurrence(released, RELEASE, OCCURRENCE)
    assert (first.state, again.state) == ("done", "repeated")
    assert again.file_digest == first.file_digest
    assert len(sent(released)) == 1
    assert traces(released) == []


def test_the_same_moment_in_another_time_zone_is_the_same_occurrence(released):
    run_occurrence(released, RELEASE, OCCURRENCE)
    from zoneinfo import ZoneInfo

    assert run_occurrence(released, RELEASE, OCCURRENCE.astimezone(ZoneInfo("Asia/Tokyo"))).state == "repeated"


def test_by_hand_the_latest_occurrence_is_run(released):
    assert run_now(released, RELEASE).occurrence == OCCURRENCE
    assert run_now(released, RELEASE).state == "repeated"


@pytest.mark.proof
@pytest.mark.parametrize(
    ("point", "body"),
    [
        ("before the run is recorded", "campaign._begin = die"),
        ("while preparing", "campaign.prepare = die"),
        ("half of the file written", "channel.key = die"),
        ("before what was prepared is recorded", "campaign._remember = die"),
        ("just before the file appears", "channel.reveal = die"),
        ("just after the file appears", "r = channel.reveal\nchannel.reveal = lambda a, b: (r(a, b), die())"),
        ("just before the commit", "campaign._record_sent = die"),
        ("just after the commit", "s = campaign._send\ncampaign._send = lambda *a: (s(*a), die())"),
    ],
)
def test_a_kill_at_any_point_ends_in_one_complete_recorded_file(released, point, body):
    assert run_and_die(released, body) == KILLED, point
    final = outgoing(released, RELEASE, OCCURRENCE)
    seen = final.read_bytes() if final.exists() else None
    result = run_occurrence(released, RELEASE, OCCURRENCE)
    assert result.state in {"done", "repeated"}
    assert seen is None or final.read_bytes() == seen
    assert len(lines(released)) == result.messages
    assert len(sent(released)) == 1
    assert only_run(released).state == "done"
    assert traces(released) == []


def test_a_file_that_was_out_when_the_kill_came_is_recorded_however_late_and_even_if_paused(released):
    body = "r = channel.reveal\nchannel.reveal = lambda a, b: (r(a, b), die())"
    assert run_and_die(released, body) == KILLED
    pause(released, RELEASE, reason="a typo")
    released.clock.set(moment("2026-02-03 20:00"))
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "done"
    assert sent(released)[0].body["found"] is True


def test_concurrent_runs_send_once_and_the_others_say_so(released):
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: run_occurrence(released, RELEASE, OCCURRENCE), range(4)))
    assert sorted(result.state for result in results) == ["done", "repeated", "repeated", "repeated"]
    assert len(sent(released)) == 1


@pytest.mark.check
def test_concurrent_processes_send_once(released):
    script = (
        "import sys\nfrom datetime import datetime\nfrom pathlib import Path\n"
        "from factory.runtime.campaign import run_occurrence\nfrom shared.state.workspace import open_workspace\n"
        f"print(run_occurrence(open_workspace(Path({str(released.root)!r})), {RELEASE!r}, "
        f"datetime.fromisoformat({OCCURRENCE.isoformat()!r})).state)"
    )
    running = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    states = sorted(process.communicate(timeout=120)[0].strip() for process in running)
    assert states == ["done", "repeated", "repeated"]
    assert len(sent(released)) == 1


def test_a_pause_while_a_run_prepares_stops_it_before_anything_is_seen(released, monkeypatch):
    prepare = campaign.prepare

    def paused_meanwhile(*args):
        made = prepare(*args)
        pause(released, RELEASE, reason="a typo")
        resume(released, RELEASE, reason="never mind")  # the epoch has moved on all the same
        return made

    monkeypatch.setattr(campaign, "prepare", paused_meanwhile)
    result = run_occurrence(released, RELEASE, OCCURRENCE)
    assert result.state == "skipped"
    assert not outgoing(released, RELEASE, OCCURRENCE).exists()
    assert traces(released) == []
    monkeypatch.undo()
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "done"


def test_a_stop_while_a_run_prepares_stops_it(released, monkeypatch):
    prepare = campaign.prepare
    monkeypatch.setattr(campaign, "prepare", lambda *args: (prepare(*args), stop_all(released, reason="complaints"))[0])
    result = run_occurrence(released, RELEASE, OCCURRENCE)
    assert result.state == "skipped"
    assert "complaints" in result.reason
    assert not outgoing(released, RELEASE, OCCURRENCE).exists()


def test_a_paused_release_skips_and_runs_once_resumed(released):
    pause(released, RELEASE, reason="a typo")
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "skipped"
    resume(released, RELEASE, reason="mended")
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "done"


@pytest.mark.parametrize(
    ("occurrence", "said"),
    [
        (OCCURRENCE - timedelta(days=1), "too late by 23:10"),
        (OCCURRENCE + timedelta(days=1), "too early"),
        (OCCURRENCE + timedelta(minutes=5), "does not name this moment"),
    ],
)
def test_what_is_not_due_is_skipped_and_the_next_moment_named(released, occurrence, said):
    result = run_occurrence(released, RELEASE, occurrence)
    assert result.state == "skipped"
    assert said in result.reason
    assert "2026-02-03T09:00:00Z" in result.reason
    assert not outgoing(released, RELEASE, occurrence).exists()


def test_one_changed_byte_in_any_file_of_the_package_is_refused_before_anything_is_written(released):
    package = next((released.factory / "inbox").iterdir())
    for path in sorted(path for path in package.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        path.write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
        result = run_occurrence(released, RELEASE, OCCURRENCE)
        assert (result.state, bool(result.reason)) == ("refused", True), path
        assert not (released.factory / "outgoing").exists()
        path.write_bytes(whole)
    assert "refused" in {entry.kind for entry in open_factory(released).entries(RELEASE)}
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "done"


def test_another_valid_package_in_the_place_of_the_admitted_one_is_refused(released, tmp_path):
    package = next((released.factory / "inbox").iterdir())
    other = make_package(released, into=tmp_path, decision={"reason": "once more"})
    shutil.copyfile(other / "attestation.json", package / "attestation.json")
    result = run_occurrence(released, RELEASE, OCCURRENCE)
    assert (result.state, result.reason) == ("refused", "the package in the inbox is another one than was admitted")


def test_a_revoked_or_expired_package_no_longer_runs(released):
    settings = released.configs / "factory.yaml"
    package = next((released.factory / "inbox").iterdir()).name
    settings.write_text(settings.read_text().replace("revoked: []", f"revoked: ['sha256:{package}']"))
    assert "revoked" in run_occurrence(released, RELEASE, OCCURRENCE).reason
    settings.write_text(settings.read_text().replace(f"'sha256:{package}'", ""))
    released.clock.set(OCCURRENCE + timedelta(days=100))
    assert "expired" in run_occurrence(released, RELEASE, OCCURRENCE + timedelta(days=100)).reason


@pytest.mark.parametrize(("harm", "said"), [("unlink", "is missing"), ("append", "was changed")])
def test_a_file_on_record_that_is_missing_or_changed_is_named_and_not_sent_again(released, harm, said):
    run_occurrence(released, RELEASE, OCCURRENCE)
    final = outgoing(released, RELEASE, OCCURRENCE)
    if harm == "unlink":
        final.unlink()
    else:
        with final.open("a") as stream:
            stream.write("{}\n")
    for _ in range(2):
        with pytest.raises(PilotPlantError, match=said) as error:
            run_occurrence(released, RELEASE, OCCURRENCE)
        assert str(final) in str(error.value)
    assert len(sent(released)) == 1
    kinds = [entry.kind for entry in open_factory(released).entries(RELEASE)]
    assert kinds.count("failed") == 1


def test_a_strangers_file_in_the_place_of_a_run_is_not_taken_for_one(released):
    final = outgoing(released, RELEASE, OCCURRENCE)
    final.parent.mkdir(parents=True)
    final.write_text("{}\n")
    with pytest.raises(PilotPlantError, match="no run of this release has written"):
        run_occurrence(released, RELEASE, OCCURRENCE)
    assert sent(released) == []


def test_what_the_box_stops_is_a_failed_run_with_its_reason(workspace):
    """Admission runs an audience of today's promises; that of an earlier one is only read."""
    audience = "SELECT customer_id AS unit, recency / (recency - recency) AS x FROM customers"
    make_package(workspace, audience=audience, rules=1)
    admit(workspace)
    with pytest.raises(Contained):
        run_occurrence(workspace, RELEASE, OCCURRENCE)
    run = only_run(workspace)
    assert run.state == "failed"
    assert "one column" in run.reason
    assert traces(workspace) == []


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ({"rows": 99}, "the result has more than 99 rows"), ({"seconds": 0.01}, "it was stopped after 0.01 s"),
        ({"rows": 99, "seconds": 600}, "the result has more than 99 rows"),
    ],
)  # fmt: skip
def test_what_a_run_may_use_is_the_factorys_own_setting(released, box, said):
    """The audience has 100 units."""
    set_factory(released, box=box)
    with pytest.raises(Contained) as caught:
        run_occurrence(released, RELEASE, OCCURRENCE)
    assert caught.value.what == said
    assert caught.value.remedy.endswith("or have `box` in configs/factory.yaml raised")
    set_factory(released, box={"rows": 20_000_000, "seconds": 600})
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "done"


@pytest.mark.check
def test_a_release_to_many_is_rendered_in_chunks_each_with_all_that_the_setting_says(workspace, monkeypatch):
    """All messages to a thousand customers take more than 1 MB, and those to fifty of them less."""
    load(workspace, "customers", customers_csv(workspace.root.with_name("more.csv"), rows=2_000))
    template = "{% for i in range(400) %}{{ (i * 48271 + history * 100) ** 2 % 2147483647 }}{% endfor %}"
    make_package(workspace, template=template)
    set_factory(workspace, box={"disk_mb": 1})
    admit(workspace)
    with pytest.raises(Contained, match="it wrote more than 1 MB"):
        run_occurrence(workspace, RELEASE, OCCURRENCE)
    monkeypatch.setattr("shared.sandbox.calls.CHUNK_ROWS", 50)
    assert run_occurrence(workspace, RELEASE, OCCURRENCE).state == "done"


def test_an_empty_audience_is_a_run_without_messages(workspace):
    make_package(workspace, audience="SELECT customer_id AS unit FROM customers WHERE recency > 12")
    admit(workspace)
    result = run_occurrence(workspace, RELEASE, OCCURRENCE)
    assert (result.state, result.messages, lines(workspace)) == ("done", 0, [])


def test_units_that_are_nobody_are_left_out_and_counted(workspace):
    make_package(workspace, audience="SELECT unit FROM (VALUES ('nobody'), ('no one')) t(unit)")
    admit(workspace)
    result = run_occurrence(workspace, RELEASE, OCCURRENCE)
    assert result.messages == 0
    assert f"{2 - result.held_out} units are not in the population's table" in result.reason


def test_no_personal_column_reaches_a_message_or_stays_in_scratch(released):
    run_occurrence(released, RELEASE, OCCURRENCE)
    text = outgoing(released, RELEASE, OCCURRENCE).read_text()
    assert "@example.com" not in text
    assert list((released.factory / "scratch").glob("*/*")) == []


def test_an_unknown_release_is_bad_input(released):
    with pytest.raises(BadInput, match="no release `winter`"):
        run_occurrence(released, "winter", OCCURRENCE)


def test_the_lock_of_a_killed_run_is_gone_with_it(released):
    assert run_and_die(released, "campaign.prepare = die") == KILLED
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "done"
    assert only_run(released).attempts == 2


def test_the_ledger_of_all_this_verifies(released):
    run_occurrence(released, RELEASE, OCCURRENCE)
    run_occurrence(released, RELEASE, OCCURRENCE - timedelta(days=1))
    assert open_factory(released).problems() == []


def test_a_coarse_column_means_the_same_in_audience_and_message_as_in_the_lab(workspace):
    """Customer n has spent 10 + n/4 dollars: those in the band from 50 are n = 160 to 199, whom the Lab sees at 50."""
    contract = workspace.configs / "contracts" / "customers.odcs.yaml"
    number, coarse = "name: history\n", "customProperties: [{property: generalise, value: {width: 50}}]"
    contract.write_text(
        contract.read_text().replace(number, f"{number}        classification: restricted\n        {coarse}\n")
    )
    package = make_package(workspace, audience="SELECT customer_id AS unit FROM customers WHERE history = 50\n")
    assert admit(workspace).admitted == (RELEASE,), package
    result = run_occurrence(workspace, RELEASE, OCCURRENCE)
    assert result.audience == 40
    assert {line["body"].splitlines()[-1] for line in lines(workspace)} == {"you spent 50.0."}


@pytest.fixture
def live(tmp_path):
    """A live workspace whose release was admitted at half past nine; time is moved from outside."""
    with time_machine.travel(ADMITTED - timedelta(hours=1)):
        workspace = make_workspace(tmp_path / "live", "live")
        load(workspace, "customers", customers_csv(tmp_path / "customers.csv"))
    admitted(workspace, "spring-email", ADMITTED)
    return workspace


def admitted(workspace, pilot, clock, cron="0 9 * * *"):
    with time_machine.travel(clock, tick=False):
        make_package(workspace, charter=make_charter(pilot, cron=cron))
        admit(workspace)


ADMITTED = moment("2026-02-02 09:30")


def at(clock, workspace, occurrence, release=RELEASE):
    with time_machine.travel(clock, tick=False):
        return run_occurrence(workspace, release, occurrence)


def test_a_moment_from_before_the_admission_is_not_run_though_it_is_in_its_grace(live):
    """Nine o'clock is half an hour before the admission, and its grace is an hour."""
    done = at(OCCURRENCE + timedelta(minutes=40), live, OCCURRENCE)
    assert (done.state, done.messages) == ("skipped", None)
    assert done.reason == f"this moment is from before the release was admitted, at {rfc3339(ADMITTED)}"
    assert not list((live.factory / "outgoing").rglob("*.jsonl"))


def test_outside_its_moment_a_run_by_hand_says_so_and_records_nothing(live):
    """Its last moment was half an hour before its admission, and no other has come."""
    entries = open_factory(live).entries()
    with time_machine.travel(OCCURRENCE + timedelta(minutes=40), tick=False), pytest.raises(Refused) as caught:
        run_now(live, RELEASE)
    assert caught.value.what.startswith(f"no moment of its schedule has come since release {RELEASE} was admitted")
    assert open_factory(live).entries() == entries


@pytest.mark.parametrize(
    ("cron", "after"),
    [
        ("20 9 * * 1", timedelta(days=6)),  # on Mondays, of which no other has come
        ("0 9 1 * *", timedelta(days=20)),  # on the first of a month
        ("29 9 * * *", timedelta(seconds=1)),  # a minute before its admission
    ],
)
def test_whatever_the_schedule_is_nothing_is_run_of_before_the_admission(live, capsys, cron, after):
    set_factory(live, contacts_per_week=21)
    admitted(live, "autumn-email", ADMITTED, cron=cron)
    entries = open_factory(live).entries()
    with time_machine.travel(ADMITTED + after, tick=False):
        assert _exit_code(["--workspace", str(live.root), "factory", "run", "autumn-email-letter"]) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "no moment of its schedule has come since release autumn-email-letter was admitted" in said
    assert show_release(live, "autumn-email-letter")[1] == []
    assert open_factory(live).entries() == entries


def test_of_two_releases_only_the_one_that_was_there_is_run(live):
    day_after, clock = OCCURRENCE + timedelta(days=1), ADMITTED + timedelta(days=1, minutes=10)
    set_factory(live, contacts_per_week=14)
    admitted(live, "autumn-email", ADMITTED + timedelta(days=1), cron="1 9 * * *")
    assert at(clock, live, day_after).state == "done"
    minute = timedelta(minutes=1)
    other = at(clock, live, day_after + minute, "autumn-email-letter")
    assert (other.state, "before the release was admitted" in other.reason) == ("skipped", True)
    next_day = day_after + timedelta(days=1)
    assert at(next_day + timedelta(minutes=5), live, next_day + minute, "autumn-email-letter").state == "done"


@pytest.mark.parametrize("back", [timedelta(days=1), timedelta(weeks=3), timedelta(days=365)])
def test_under_a_clock_that_was_set_back_nothing_is_sent(live, back):
    """The moment is one of the schedule, and by that clock it is due: so 60,732 messages went out once."""
    due = OCCURRENCE - back
    with pytest.raises(OutOfOrder):
        at(due + timedelta(minutes=5), live, due)
    assert not list((live.factory / "outgoing").rglob("*.jsonl"))
    assert sent(live) == []


def test_nor_at_a_moment_after_the_admission_that_nobody_ran(live):
    """By the clock it is due: on the third day a run was sent, and then the clock shows the second."""
    third, second = (OCCURRENCE + timedelta(days=days) for days in (2, 1))
    assert at(third + timedelta(minutes=5), live, third).state == "done"
    before = sent(live)
    with pytest.raises(OutOfOrder):
        at(second + timedelta(minutes=5), live, second)
    assert len(list((live.factory / "outgoing").rglob("*.jsonl"))) == 1
    assert sent(live) == before
    assert only_run(live).state == "done"  # the third day's: of the second's nothing was begun


def test_a_clock_that_is_set_back_while_a_run_prepares_stops_it_before_anything_is_seen(live, monkeypatch):
    due, prepare = OCCURRENCE + timedelta(days=1), campaign.prepare
    with time_machine.travel(due + timedelta(minutes=5), tick=False) as clock:

        def set_back(*arguments):
            prepared = prepare(*arguments)
            clock.move_to(due - timedelta(weeks=3))
            return prepared

        monkeypatch.setattr(campaign, "prepare", set_back)
        with pytest.raises(OutOfOrder):
            run_occurrence(live, RELEASE, due)
    assert not list((live.factory / "outgoing").rglob("*.jsonl"))
    assert sent(live) == []


def test_a_moment_that_is_still_to_come_is_not_run(live):
    clock = ADMITTED + timedelta(days=1, minutes=10)
    done = at(clock, live, OCCURRENCE + timedelta(days=2))
    assert (done.state, done.reason[:9]) == ("skipped", "too early")


def test_a_rehearsal_runs_a_moment_from_before_its_admission(released):
    """Its release was admitted at ten past nine by the clock that was set, and nine o'clock is due."""
    assert run_occurrence(released, RELEASE, OCCURRENCE).state == "done"
