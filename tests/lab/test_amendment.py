"""Amending: a reasoned next version while it moves no goalposts, and nothing at all otherwise."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta

import pytest
import sqlalchemy as sa

from lab.analysis.analysis import analyse
from lab.analysis.submission import submit
from lab.budget.spend_ledger import spend
from lab.intake import intake
from lab.intake.intake import record
from lab.launch.amendment import Amended, amend
from lab.launch.launch import end, launch
from lab.pilots.pilot import get_pilot, locked_pilot
from lab.sandbox.sandbox import run_sql
from lab.state import open_lab, pilots
from pilotplant.app import _exit_code
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from promotion.state import open_promotion, promises
from shared.core.digests import digest_file
from shared.core.errors import BadInput, Refused
from shared.core.money import parse_amount
from shared.doors.requests import Register
from tests.lab_makers import (
    AFTER,
    CARD,
    INSIDE,
    OWNER,
    PILOT,
    REASON,
    STARTS,
    Step,
    do_amend,
    do_launch,
    do_record,
    door_fails,
    draft,
    dump,
    exposures_only,
    fingerprint,
    outcomes_only,
    results,
    run_child,
    start_child,
    write_csv,
)

LATE, SOON = STARTS + timedelta(days=7), STARTS + timedelta(days=2)
SMALLER = ("minimum_effect: 0.05", "minimum_effect: 0.04")
WORDING = ("will: bring visits", "will: bring more visits")
LONGER = [("end: 2026-01-19", "end: 2026-01-26"), ("decide_by: 2026-01-26", "decide_by: 2026-02-02")]
LATER = ("decide_by: 2026-01-26", "decide_by: 2026-01-27")
ANY_TIME = ("sample: {units_per_arm: 150}", "sample: {units_per_arm: 150, looks: {method: always_valid}}")
RICHER = ("media: 100.00", "media: 120.00")


@pytest.fixture
def exposed(launched, tmp_path):
    """A week in, exposures have been recorded, and no outcome yet."""
    launched.clock.set(LATE)
    record(launched, PILOT, write_csv(tmp_path / "exposed.csv", exposures_only(results(launched))[:60]))
    return launched


def change(workspace, *changes, reason=REASON, **options):
    draft(workspace, PILOT, *changes)
    return amend(workspace, PILOT, reason, **options)


def gate(workspace, kind="registered"):
    return [entry for entry in open_promotion(workspace).entries(PILOT) if entry.kind == kind]


def both(workspace) -> tuple[bytes, bytes]:
    return dump(workspace.lab / "lab.db"), dump(workspace.promotion / "promotion.db")


def test_before_the_first_exposure_even_what_decides_may_change(launched):
    first = get_pilot(open_lab(launched), PILOT)
    launched.clock.set(SOON)
    done = change(launched, SMALLER, ("units_per_arm: 150", "units_per_arm: 140"), RICHER)
    pilot = get_pilot(open_lab(launched), PILOT)
    assert (done.outcome, done.promise, pilot.promise.version) == ("amended", pilot.promise, 2)
    assert [(c["path"], c["before"], c["after"]) for c in done.changes] == [
        ("budget.media", "100.00", "120.00"),
        ("primary.minimum_effect", 0.05, 0.04),
        ("sample.units_per_arm", 150, 140),
    ]
    assert (pilot.promise.amends.before, pilot.promise.amends.reason) == (first.promise.digest, REASON)
    assert (str(pilot.reserved), str(first.reserved)) == ("120.00 USD", "100.00 USD")
    # No exposure counts that was before what decides now.
    assert done.begins_anew
    assert first.deposited_at < SOON <= pilot.deposited_at


def test_the_version_is_frozen_beside_the_old_one(launched):
    first = get_pilot(open_lab(launched), PILOT)
    draft(launched, PILOT)
    (launched.pilots / PILOT / "message.txt").write_text("Another letter.\n")
    [found] = amend(launched, PILOT, REASON).changes
    pilot = get_pilot(open_lab(launched), PILOT)
    assert (pilot.frozen.name, first.frozen.name) == ("frozen-2", "frozen")
    assert (pilot.frozen / "files" / "message.txt").read_text() == "Another letter.\n"
    assert "Dear customer" in (first.frozen / "files" / "message.txt").read_text()
    digests = [digest_file(folder / "files" / "message.txt") for folder in (first.frozen, pilot.frozen)]
    assert (found["path"], [found["before"], found["after"]]) == ("files.message.txt", digests)
    assert pilot.earlier() == [first.promise]


def test_both_ledgers_tell_of_it_and_the_gate_has_it_stamped(launched):
    change(launched, WORDING)
    pilot, told = get_pilot(open_lab(launched), PILOT), open_lab(launched).entries(PILOT)
    assert [entry.kind for entry in told] == ["launched", "amended", "deposited"]
    body = told[1].body
    assert (body["version"], body["promise"], body["reason"]) == (2, pilot.promise.digest, REASON)
    assert [found["path"] for found in body["changes"]] == ["hypothesis.will"]
    _, registered = gate(launched)
    assert registered.body["promise"] == pilot.promise.digest
    assert registered.body["amends"] == {"version": 2, "before": body["before"], "reason": REASON}
    # The gate thereby witnesses the Lab's ledger with the amendment in it.
    assert registered.body["lab"] == {"seq": told[1].seq, "hash": told[1].hash}
    assert told[2].body["gate"] == {"at": registered.at, "seq": registered.seq, "hash": registered.hash}
    assert open_lab(launched).problems() == open_promotion(launched).problems() == []


def test_the_same_content_again_does_nothing_whatever_the_reason(launched):
    change(launched, WORDING)
    before = both(launched)
    done = change(launched, WORDING, reason="because I can")
    assert (done.outcome, done.changes, done.promise.version) == ("same", [], 2)
    assert both(launched) == before


def test_going_back_to_what_was_launched_is_a_version_of_its_own(launched):
    first = get_pilot(open_lab(launched), PILOT).promise
    change(launched, WORDING)
    assert change(launched).promise.version == 3
    pilot = get_pilot(open_lab(launched), PILOT)
    assert pilot.promise.same_as(first)
    assert [promise.version for promise in pilot.earlier()] == [1, 2]
    assert len(gate(launched)) == 3


def test_launching_an_amended_pilot_again_is_the_repetition(launched):
    change(launched, WORDING)
    assert launch(launched, PILOT).repeated
    draft(launched, PILOT)
    with pytest.raises(Refused, match=r"changed since: hypothesis\.will") as caught:
        launch(launched, PILOT)
    assert "lab amend spring-mail" in caught.value.remedy


def test_a_dry_run_says_what_would_change_and_changes_nothing(launched):
    draft(launched, PILOT, WORDING, RICHER)
    open_promotion(launched)
    before = fingerprint(launched.root)
    planned = amend(launched, PILOT, REASON, dry_run=True)
    assert fingerprint(launched.root) == before
    done = amend(launched, PILOT, REASON)
    assert (planned.outcome, planned.changes, planned.promise) == ("planned", done.changes, done.promise)
    assert (planned.begins_anew, done.begins_anew) == (False, False)


def test_an_amendment_of_what_decides_says_that_nothing_before_it_counts(launched, capsys):
    launched.clock.set(LATE)
    words = ["--workspace", str(launched.root), "lab", "amend", PILOT, "--reason", REASON]
    draft(launched, PILOT, SMALLER)
    assert _exit_code([*words, "--dry-run"]) == 0
    assert "would count: the gate takes in what is promised now" in " ".join(capsys.readouterr().out.split())
    assert _exit_code(words) == 0
    assert "Nothing that happened before 2026-01-" in capsys.readouterr().out


def test_an_amendment_needs_a_reason(launched):
    draft(launched, PILOT, WORDING)
    with pytest.raises(BadInput, match="needs a reason"):
        amend(launched, PILOT, " typo ")
    assert len(gate(launched)) == 1


def test_only_a_launched_pilot_is_amended(loaded):
    with pytest.raises(BadInput, match="has not been launched"):
        amend(loaded, PILOT, REASON)


# What no amendment does after the first exposure.


def test_after_the_first_exposure_what_decides_is_refused_and_each_part_named(exposed):
    before = both(exposed)
    with pytest.raises(Refused, match="after the first exposure these cannot be changed") as caught:
        change(
            exposed,
            SMALLER,
            ("units_per_arm: 150", "units_per_arm: 140, alpha: 0.1"),
            ("margin: -0.9", "margin: -9"),
            ("owner: owner@example.com", "owner: requester@example.com"),
            WORDING,
        )
    assert caught.value.what.endswith(
        "guardrails.spend.margin, owner, primary.minimum_effect, sample.alpha, sample.units_per_arm"
    )
    assert "primary.minimum_effect: 0.05" in caught.value.expected
    assert both(exposed) == before
    assert not (exposed.lab / "pilots" / PILOT / "frozen-2").exists()


def test_the_files_of_a_play_and_what_is_shared_are_protected_too(exposed):
    draft(exposed, PILOT)
    (exposed.pilots / PILOT / "message.txt").write_text("Another letter.\n")
    with pytest.raises(Refused, match=r"(?m)changed: files\.message\.txt$"):
        amend(exposed, PILOT, REASON)
    metrics, contract = exposed.configs / "metrics.yaml", exposed.configs / "contracts" / "outcomes.odcs.yaml"
    metrics.write_text(metrics.read_text().replace("column: spend", "column: visit"))
    contract.write_text(contract.read_text().replace("version: 1.0.0", "version: 1.0.1"))
    with pytest.raises(Refused, match=r"(?m)files\.contracts/outcomes\.odcs\.yaml, metrics\.spend\.column$"):
        change(exposed)


def test_an_arm_more_or_less_is_refused(exposed):
    with pytest.raises(Refused, match=r"(?m)these cannot be changed: arms$") as caught:
        change(exposed, (CARD, ""))
    assert caught.value.expected == "arms: as frozen"


def test_outcomes_without_exposures_are_results_as_well(launched, tmp_path):
    launched.clock.set(LATE)
    rows = [line for line in results(launched) if line["at"] < "2026-01-10"]
    rows = [{key: value for key, value in line.items() if key not in {"arm", "exposed_at"}} for line in rows]
    assert record(launched, PILOT, write_csv(tmp_path / "outcomes.csv", rows)).outcomes
    with pytest.raises(Refused, match=r"primary\.minimum_effect"):
        change(launched, SMALLER)


def test_rows_that_were_all_held_back_freeze_nothing(launched, tmp_path):
    launched.clock.set(LATE)
    rows = [line | {"arm": "nobody's"} for line in exposures_only(results(launched))[:5]]
    assert record(launched, PILOT, write_csv(tmp_path / "wrong.csv", rows)).in_vain
    assert change(launched, SMALLER).outcome == "amended"


def test_exposures_under_what_decided_before_the_amendment_are_held_back(launched, tmp_path):
    rows = exposures_only(results(launched))[:4]
    early, late = rows[:2], [row | {"at": "2026-01-08T09:00:00Z"} for row in rows[2:]]
    launched.clock.set(SOON)
    change(launched, SMALLER)
    launched.clock.set(LATE)
    done = record(launched, PILOT, write_csv(tmp_path / "rows.csv", [*early, *late]))
    assert (done.exposures, done.conflicts) == (2, {"before the gate took in the charter": 2})


# What is free.


def test_wording_secondary_metrics_and_budget_are_free_and_leave_the_exposures_be(exposed, tmp_path):
    first = get_pilot(open_lab(exposed), PILOT)
    done = change(exposed, WORDING, ("secondary: [conversion]\n", ""), ("media: 100.00", "media: 60.00, ai: 5.00"))
    assert [found["path"] for found in done.changes] == [
        "budget.ai", "budget.media", "hypothesis.will", "secondary", "metrics.conversion",
    ]  # fmt: skip
    pilot = get_pilot(open_lab(exposed), PILOT)
    assert (pilot.deposited_at, str(pilot.reserved)) == (first.deposited_at, "65.00 USD")
    rows = write_csv(tmp_path / "more.csv", exposures_only(results(exposed))[60:70])
    assert record(exposed, PILOT, rows).exposures == 10


def test_a_pilot_whose_evidence_is_always_valid_takes_data_and_decisions_for_longer(loaded, tmp_path):
    draft(loaded, PILOT, ANY_TIME)
    launch(loaded, PILOT)
    loaded.clock.set(LATE)
    record(loaded, PILOT, write_csv(tmp_path / "exposed.csv", exposures_only(results(loaded))[:60]))
    record(loaded, PILOT, write_csv(tmp_path / "outcomes.csv", outcomes_only(results(loaded))[:60]))
    analyse(loaded, PILOT)
    change(loaded, ANY_TIME, *LONGER)
    pilot = get_pilot(open_lab(loaded), PILOT)
    assert (pilot.ends, pilot.charter.deadline) == (STARTS + timedelta(days=21), STARTS + timedelta(days=29))
    with open_lab(loaded).transaction() as connection:
        assert connection.execute(sa.select(pilots.c.deadline)).scalar_one() == "2026-02-03T00:00:00Z"
    loaded.clock.set(STARTS + timedelta(days=20))
    late = [row | {"at": "2026-01-24T09:00:00Z"} for row in exposures_only(results(loaded))[70:75]]
    assert record(loaded, PILOT, write_csv(tmp_path / "late.csv", late)).exposures == 5


def test_a_fixed_horizon_is_not_moved_once_anybody_was_exposed_though_nobody_says_that_he_looked(exposed):
    with pytest.raises(Refused, match=r"after the first exposure these cannot be changed: time_box\.end"):
        change(exposed, *LONGER)


def test_whoever_has_analysed_outcomes_does_not_put_off_the_decision(recorded):
    recorded.clock.set(INSIDE)
    analyse(recorded, PILOT)
    with pytest.raises(Refused, match="outcomes of spring-mail were looked at"):
        change(recorded, LATER)
    assert change(recorded, WORDING).outcome == "amended"


def test_any_query_is_a_look_once_there_are_outcomes_and_none_is_before(exposed, tmp_path):
    # A view that is made early reads the outcomes later, under another name.
    run_sql(exposed, PILOT, "CREATE VIEW watched AS SELECT * FROM conflicts; SELECT count(*) FROM exposures")
    exposed.clock.set(INSIDE)
    draft(exposed, PILOT, LATER)
    assert amend(exposed, PILOT, REASON, dry_run=True).outcome == "planned"
    record(exposed, PILOT, write_csv(tmp_path / "all.csv", results(exposed)))
    run_sql(exposed, PILOT, "SELECT * FROM watched")
    with pytest.raises(Refused, match="looked at"):
        amend(exposed, PILOT, REASON)


def test_an_analysis_of_exposures_alone_is_no_look(exposed):
    analyse(exposed, PILOT)
    assert change(exposed, LATER).outcome == "amended"


def test_a_shorter_pilot_is_closed_and_not_amended(exposed):
    with pytest.raises(Refused, match=r"decide_by, time_box\.end"):
        change(exposed, ("end: 2026-01-19", "end: 2026-01-12"), ("decide_by: 2026-01-26", "decide_by: 2026-01-25"))


# Time.


def test_once_the_time_box_has_begun_its_start_stays(launched):
    launched.clock.set(STARTS - timedelta(hours=1))
    later = [("start: 2026-01-05", "start: 2026-01-12"), *LONGER]
    draft(launched, PILOT, *later)
    assert amend(launched, PILOT, REASON, dry_run=True).outcome == "planned"
    launched.clock.set(STARTS)
    with pytest.raises(Refused, match=r"once the time box has begun these cannot be changed: time_box\.start"):
        amend(launched, PILOT, REASON)


def test_a_start_that_is_past_is_no_new_start(launched):
    with pytest.raises(Refused, match="the time box began on 2026-01-02"):
        change(launched, ("start: 2026-01-05", "start: 2026-01-02"), ("end: 2026-01-19", "end: 2026-01-16"))


def test_a_time_box_that_would_be_over_is_refused(launched):
    launched.clock.set(STARTS + timedelta(days=8))
    with pytest.raises(Refused, match="would be over since 2026-01-12"):
        change(launched, ("end: 2026-01-19", "end: 2026-01-12"))


def test_a_pilot_that_ended_or_was_closed_is_not_amended(exposed):
    draft(exposed, PILOT, WORDING)
    exposed.clock.set(STARTS + timedelta(days=14))
    with pytest.raises(Refused, match=r"ended at .* and takes no more amendments"):
        amend(exposed, PILOT, REASON)
    exposed.clock.set(LATE)
    end(exposed, PILOT, "the printer broke")
    with pytest.raises(Refused, match="was closed at"):
        amend(exposed, PILOT, REASON)


# Money.


def test_a_raised_budget_may_be_spent_and_a_lowered_one_covers_what_was(exposed):
    spend(exposed, PILOT, parse_amount("70.00"), "printing")
    with pytest.raises(Refused, match=r"the budget would be 60\.00 USD, and 70\.00 USD are spent"):
        change(exposed, ("media: 100.00", "media: 60.00"))
    with pytest.raises(Refused, match="more than the") as caught:
        spend(exposed, PILOT, parse_amount("45.00"), "stamps")
    assert "lab amend" in caught.value.remedy
    change(exposed, RICHER)
    assert str(spend(exposed, PILOT, parse_amount("45.00"), "stamps").left) == "5.00 USD"
    change(exposed, ("media: 100.00", "media: 115.00"))
    with pytest.raises(Refused, match=r"0\.00 USD that pilot spring-mail has left"):
        spend(exposed, PILOT, parse_amount("0.01"), "more stamps")


def test_a_budget_is_raised_within_the_labs_own_and_the_owners_entitlement(exposed):
    settings, people = exposed.configs / "lab.yaml", exposed.configs / "people.yaml"
    whole = people.read_text()
    settings.write_text(settings.read_text().replace("20000.00", "110.00"))
    with pytest.raises(Refused, match=r"asks for 120\.00 USD, and the Lab has 110\.00 USD left"):
        change(exposed, RICHER)
    settings.write_text(settings.read_text().replace("110.00", "20000.00"))
    people.write_text(whole.replace(OWNER, "somebody-else@example.com"))
    # A wording needs no money; more money needs an owner who may decide on it.
    assert change(exposed, WORDING).outcome == "amended"
    people.write_text(whole)
    with pytest.raises(Refused, match=r"may decide up to 5,000\.00 USD, the budget is 15,000\.00 USD"):
        change(exposed, WORDING, ("media: 100.00", "media: 15000.00"))


def test_the_currency_stays(launched):
    with pytest.raises(Refused, match=r"at any time these cannot be changed: budget\.currency"):
        change(launched, ("currency: USD", "currency: EUR"))


def test_what_would_keep_it_from_being_launched_keeps_it_from_being_amended(exposed):
    before = both(exposed)
    with pytest.raises(BadInput, match="nonsense"):
        change(exposed, ("secondary: [conversion]", "secondary: [conversion, nonsense]"))
    assert both(exposed) == before


def test_before_the_first_exposure_all_obstacles_are_examined_anew(launched):
    before = both(launched)
    with pytest.raises(Refused, match="the plan needs 999 units per arm"):
        change(launched, ("units_per_arm: 150", "units_per_arm: 999"))
    assert both(launched) == before
    assert not (launched.lab / "pilots" / PILOT / "frozen-2").exists()


# What an amendment is for those who come after it.


@pytest.mark.check
def test_an_amended_pilot_is_analysed_anew_and_submitted_with_every_version(recorded):
    recorded.clock.set(INSIDE)
    first = get_pilot(open_lab(recorded), PILOT).promise
    analyse(recorded, PILOT)
    change(recorded, WORDING)
    with pytest.raises(Refused, match="was amended since its analysis"):
        submit(recorded, PILOT)
    done = analyse(recorded, PILOT)
    assert not done.repeated
    assert f"changed hypothesis.will: {REASON}" in done.report.read_text()
    candidate = submit(recorded, PILOT).candidate
    assert candidate.earlier() == (first,)
    assert candidate.promise().amends.before == first.digest
    assert candidate.evidence().promise == candidate.promise().digest == candidate.manifest.promise
    assert submit(recorded, PILOT).repeated
    decide(recorded, PILOT, Asked("stop", OWNER, "the letters cost too much", insight="letters bring visits"))
    with pytest.raises(Refused, match="was decided: stop"):
        change(recorded, RICHER)
    # An old version that is no longer what it was is not passed on.
    path = recorded.lab / "pilots" / PILOT / "frozen" / "promise.json"
    path.write_text(path.read_text().replace("0.05", "0.04"))
    with pytest.raises(Refused, match="the frozen charter of spring-mail was changed"):
        submit(recorded, PILOT)


def test_until_the_gate_has_the_version_the_pilot_takes_nothing(exposed, tmp_path):
    draft(exposed, PILOT, WORDING)
    with door_fails(Register, OSError("the gate does not answer")), pytest.raises(OSError, match="does not answer"):
        amend(exposed, PILOT, REASON)
    rows = write_csv(tmp_path / "more.csv", exposures_only(results(exposed))[60:70])
    for attempt in (
        lambda: record(exposed, PILOT, rows),
        lambda: spend(exposed, PILOT, parse_amount("1.00"), "stamps"),
        lambda: end(exposed, PILOT, "the printer broke"),
        lambda: submit(exposed, PILOT),
        lambda: amend(exposed, PILOT, REASON, dry_run=True) if draft(exposed, PILOT, RICHER) else None,
    ):
        with pytest.raises(Refused, match="cut off before the gate took it in") as caught:
            attempt()
        assert f'pilotplant lab amend {PILOT} --reason "{REASON}"' in caught.value.remedy
    draft(exposed, PILOT, WORDING)
    done = amend(exposed, PILOT, REASON)
    assert (done.outcome, [found["path"] for found in done.changes]) == ("finished", ["hypothesis.will"])
    assert record(exposed, PILOT, rows).exposures == 10


def test_a_version_that_the_gate_did_not_have_in_time_is_taken_back(exposed):
    before = get_pilot(open_lab(exposed), PILOT)
    draft(exposed, PILOT, WORDING, RICHER)
    with door_fails(Register, OSError("the gate does not answer")), pytest.raises(OSError, match="does not answer"):
        amend(exposed, PILOT, REASON)
    exposed.clock.set(AFTER)
    with pytest.raises(Refused, match="version 2 of the charter came too late") as caught:
        amend(exposed, PILOT, REASON)
    assert "version 1 is in force again" in caught.value.remedy
    after = get_pilot(open_lab(exposed), PILOT)
    assert (after.promise, after.reserved, after.amendments) == (before.promise, before.reserved, ())
    assert not (after.folder / "frozen-2").exists()
    assert len(gate(exposed)) == 1
    # The same command once more has nothing left to finish, and the pilot goes its way.
    with pytest.raises(Refused, match="takes no more amendments"):
        amend(exposed, PILOT, REASON)
    analyse(exposed, PILOT)
    assert submit(exposed, PILOT).repeated is False
    assert open_lab(exposed).problems() == []


def test_a_version_that_the_gate_had_in_time_is_finished_however_late(exposed):
    draft(exposed, PILOT, WORDING)

    with door_fails(Register, OSError("the answer got lost"), answered=True), pytest.raises(OSError, match="got lost"):
        amend(exposed, PILOT, REASON)
    exposed.clock.set(AFTER)
    assert amend(exposed, PILOT, REASON).outcome == "finished"
    assert len(gate(exposed)) == 2


def test_a_version_that_was_cut_off_is_finished_before_the_next_one_is_made(exposed):
    draft(exposed, PILOT, WORDING)
    with door_fails(Register, OSError("the gate does not answer")), pytest.raises(OSError, match="does not answer"):
        amend(exposed, PILOT, REASON)
    assert change(exposed, RICHER).promise.version == 3
    pilot = get_pilot(open_lab(exposed), PILOT)
    with open_promotion(exposed).transaction() as connection:
        known = set(connection.execute(sa.select(promises.c.digest)).scalars())
    assert known == {promise.digest for promise in (*pilot.earlier(), pilot.promise)}


def test_a_charter_that_was_changed_after_a_cut_amendment_is_amended_as_it_is_now(exposed):
    draft(exposed, PILOT, WORDING)
    # The first one dies when its files are frozen and nothing is recorded.
    code, _ = run_child(do_amend, exposed.root, die=Step("rename", after=True))
    assert code == -9
    change(exposed, RICHER)
    pilot = get_pilot(open_lab(exposed), PILOT)
    assert (pilot.promise.version, pilot.charter.hypothesis.will) == (2, "bring visits")
    assert len(gate(exposed)) == 2


# Two at the same time.


def test_of_two_equal_amendments_at_once_one_is_the_repetition(exposed):
    draft(exposed, PILOT, WORDING)
    processes = [start_child(do_amend, exposed.root) for _ in range(2)]
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert [entry.kind for entry in open_lab(exposed).entries(PILOT)][-2:] == ["amended", "deposited"]
    assert len(gate(exposed)) == 2


def test_an_amendment_waits_for_whoever_is_at_work_and_sees_what_came_in(launched, tmp_path):
    launched.clock.set(LATE)
    draft(launched, PILOT, SMALLER)
    rows = write_csv(tmp_path / "rows.csv", exposures_only(results(launched))[:5])
    with locked_pilot(open_lab(launched), PILOT):
        process = start_child(do_amend, launched.root)
        process.join(timeout=3)
        assert process.is_alive()
        # As a record that had the lock first would.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(intake, "locked_pilot", _already_locked)
            intake.record(launched, PILOT, rows)
    process.join(timeout=60)
    assert process.exitcode == 1
    assert [entry.kind for entry in open_lab(launched).entries(PILOT)] == ["launched", "recorded"]


def _already_locked(room, name):
    return nullcontext(get_pilot(room, name))


def test_a_record_and_an_amendment_at_once_come_one_after_the_other(launched, tmp_path):
    launched.clock.set(LATE)
    draft(launched, PILOT, SMALLER)
    rows = write_csv(tmp_path / "rows.csv", exposures_only(results(launched))[:5])
    processes = [start_child(do_amend, launched.root), start_child(do_record, launched.root, rows)]
    for process in processes:
        process.join(timeout=60)
    told = [entry.kind for entry in open_lab(launched).entries(PILOT)][1:]
    pilot = get_pilot(open_lab(launched), PILOT)
    if processes[0].exitcode == 0:  # the amendment first, so that the exposures were too early for it
        assert told == ["amended", "deposited", "recorded"]
        assert open_lab(launched).entries(PILOT)[-1].body["exposures"] == 0
        assert pilot.promise.version == 2
    else:
        assert told == ["recorded"]
        assert pilot.promise.version == 1
    assert processes[1].exitcode == 0


def test_an_amendment_and_a_launch_at_once_cannot_promise_the_same_money(launched):
    settings = launched.configs / "lab.yaml"
    settings.write_text(settings.read_text().replace("20000.00", "200.00"))
    draft(launched, PILOT, ("media: 100.00", "media: 150.00"))
    draft(launched, "autumn-mail", (CARD, ""))
    processes = [start_child(do_amend, launched.root), start_child(do_launch, launched.root, "autumn-mail")]
    for process in processes:
        process.join(timeout=60)
    assert sorted(process.exitcode for process in processes) == [0, 1]


@pytest.mark.parametrize(("rules", "void"), [(1, True), (2, False)])
def test_lists_of_arms_are_void_only_under_the_first_rules_where_arms_could_be_amended(launched, rules, void):
    pilot = get_pilot(open_lab(launched), PILOT)
    promise = pilot.promise.model_copy(update={"rules": rules})
    assert (
        Amended(pilot, promise, [{"path": "arms.letter.weight", "before": 1, "after": 2}], "amended").reassigned == void
    )
