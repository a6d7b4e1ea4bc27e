"""Submitting: what was analysed, with all that is behind it, under one digest, before the gate once."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from lab.analysis.analysis import analyse, latest
from lab.analysis.submission import submit
from lab.budget.reservations import release, reserve
from lab.budget.spend_ledger import spend
from lab.intake.intake import record
from lab.launch.launch import end
from lab.pilots.assignment import assign
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from promotion.state import open_promotion
from shared.core.errors import Refused
from shared.core.money import parse_amount
from shared.state.chain import GENESIS
from tests.lab_makers import (
    AFTER,
    PILOT,
    STARTS,
    Step,
    copy_of,
    do_submit,
    exposures_only,
    results,
    run_child,
    write_csv,
)


@pytest.fixture
def analysed(recorded):
    """The time box is over and the pilot analysed."""
    recorded.clock.set(AFTER)
    analyse(recorded, PILOT)
    return recorded


def test_a_candidate_is_everything_that_the_gate_needs_and_intact(submitted):
    candidate = submit(submitted, PILOT).candidate
    assert candidate.tampered(candidate.digest) == []
    assert sorted(candidate.manifest.files) == [
        "data/conflicts.parquet",
        "data/exposures.parquet",
        "data/outcomes.parquet",
        "data/pre_period.parquet",
        "effects.svg",
        "evidence.json",
        "files/audience.sql",
        "files/contracts/customers.odcs.yaml",
        "files/contracts/outcomes.odcs.yaml",
        "files/message.txt",
        "ledger.json",
        "mlflow_run.json",
        "promise.json",
        "registration.json",
        "report.html",
        "spend.json",
    ]
    assert str(candidate.spend().total("USD")) == "40.00 USD"
    room = open_lab(submitted)
    pilot = get_pilot(room, PILOT)
    assert candidate.promise().digest == candidate.manifest.promise == pilot.promise.digest
    assert candidate.evidence() == latest(room, pilot).evidence
    assert candidate.manifest.covers_until == "2026-01-19T00:00:00Z"
    assert (candidate.manifest.mode, candidate.manifest.workspace) == ("rehearsal", submitted.id)


def test_the_manifest_witnesses_the_labs_ledger(submitted):
    head = submit(submitted, PILOT).candidate.manifest.ledger
    [entry] = [entry for entry in open_lab(submitted).entries() if entry.seq == head["seq"]]
    assert (entry.kind, entry.hash) == ("analysed", head["hash"])


def test_the_same_content_again_is_the_same_candidate(submitted, tmp_path):
    first = submit(submitted, PILOT)
    assign(submitted, PILOT, tmp_path / "arms.csv")  # neither data nor cost
    before = len(open_lab(submitted).entries())
    again = submit(submitted, PILOT)
    assert first.repeated
    assert again.repeated
    assert first.candidate.digest == again.candidate.digest
    assert len(open_lab(submitted).entries()) == before
    assert len([path for path in (submitted.promotion / "intake").iterdir() if path.is_dir()]) == 1


def test_what_was_not_analysed_is_not_submitted(recorded):
    with pytest.raises(Refused, match="has not been analysed") as refusal:
        submit(recorded, PILOT)
    assert refusal.value.remedy == "pilotplant lab analyse spring-mail"


def test_data_that_came_in_since_the_analysis_stop_it(launched, tmp_path):
    launched.clock.set(STARTS.replace(day=8))
    content = exposures_only(results(launched))
    record(launched, PILOT, write_csv(tmp_path / "some.csv", content[:300]))
    analyse(launched, PILOT)
    record(launched, PILOT, write_csv(tmp_path / "more.csv", content[300:]))
    with pytest.raises(Refused, match="data came in since the analysis"):
        submit(launched, PILOT)
    analyse(launched, PILOT)
    assert submit(launched, PILOT).candidate.evidence().exposures == 600


def test_a_conflict_that_came_in_since_is_data_too(recorded, tmp_path):
    analyse(recorded, PILOT)
    stranger = exposures_only(results(recorded)[:1])[0] | {"event_id": "x", "unit": "u_nobody"}
    assert record(recorded, PILOT, write_csv(tmp_path / "more.csv", [stranger])).conflicts == {"unknown unit": 1}
    with pytest.raises(Refused, match="data came in since the analysis"):
        submit(recorded, PILOT)


def test_an_interim_look_is_not_the_final_word(recorded):
    analyse(recorded, PILOT)
    recorded.clock.set(AFTER)
    with pytest.raises(Refused, match="was made before the pilot ended"):
        submit(recorded, PILOT)


def test_an_early_close_can_be_submitted_and_says_how_far_it_reaches(recorded):
    pilot, _ = end(recorded, PILOT, "the printer broke")
    analyse(recorded, PILOT)
    manifest = submit(recorded, PILOT).candidate.manifest
    assert manifest.covers_until < "2026-01-19"
    assert manifest.covers_until == latest(open_lab(recorded), pilot).covers_until.isoformat().replace("+00:00", "Z")


def test_a_cost_after_the_analysis_is_in_the_candidate(recorded):
    pilot, _ = end(recorded, PILOT, "the printer broke")
    assert pilot.ended_at
    analyse(recorded, PILOT)
    before = submit(recorded, PILOT).candidate
    with pytest.raises(Refused, match="takes no more costs"):
        spend(recorded, PILOT, parse_amount("1.00"), "too late")
    assert submit(recorded, PILOT).candidate.digest == before.digest


@pytest.mark.proof
def test_killed_at_any_step_a_candidate_is_before_the_gate_once_after_the_next_try(analysed, tmp_path):
    whole = copy_of(analysed, tmp_path / "whole")
    code, steps = run_child(do_submit, whole.root)
    assert code == 0
    for number in range(steps.index("replace"), len(steps) + 1):
        for after in (False, True):
            cut = copy_of(analysed, tmp_path / f"cut-{number}-{after}")
            assert run_child(do_submit, cut.root, die=Step(number, after))[0] == -9
            done = submit(cut, PILOT)
            assert done.candidate.tampered(done.candidate.digest) == []
            kinds = [entry.kind for entry in open_lab(cut).entries(PILOT)]
            assert kinds.count("submitted") == 1
            intake = [path for path in (cut.promotion / "intake").iterdir() if not path.name.startswith(".scratch")]
            assert [path.name for path in intake] == [done.candidate.digest.removeprefix("sha256:")]
            assert open_lab(cut).problems() == []


def test_nothing_of_a_machine_or_person_but_the_people_is_in_the_manifest(submitted):
    manifest = submit(submitted, PILOT).candidate.manifest
    assert str(submitted.root) not in json.dumps(manifest.model_dump(mode="json"))


def test_the_candidate_shows_the_labs_chain_from_where_the_gate_first_heard_of_it_and_only_the_costs_in_it(recorded):
    spend(recorded, PILOT, Decimal("1.25"), "stamps")
    recorded.clock.set(AFTER)
    analyse(recorded, PILOT)
    candidate = submit(recorded, PILOT).candidate
    room, shown = open_lab(recorded), candidate.excerpt()
    [taken] = [e for e in open_promotion(recorded).entries(PILOT) if e.kind == "registered"]
    assert shown.after.as_json() == taken.body["lab"]
    assert (shown.broken(), shown.end.as_json()) == ([], candidate.manifest.ledger)
    # The chain is the Lab's own, entry by entry, whose hashes its own verification finds right.
    written = {entry.seq: entry for entry in room.entries()}
    hashes = {0: GENESIS, **{seq: entry.hash for seq, entry in written.items()}}
    assert shown.heads == {seq: hashes[seq] for seq in range(shown.after.seq, shown.end.seq + 1)}
    assert room.problems() == []
    told = {link.seq: link.body for link in shown.links if link.body is not None}
    assert told == {seq: entry.body for seq, entry in written.items() if entry.kind == "spent"}
    assert [body["purpose"] for body in told.values()][-1] == "stamps"


def test_a_reservation_that_was_released_is_in_the_chain_that_the_candidate_shows(recorded):
    reserve(recorded, PILOT, Decimal("2.00"), "paper")
    recorded.clock.set(AFTER)
    analyse(recorded, PILOT)
    release(recorded, PILOT, "paper")
    kinds = [link.kind for link in submit(recorded, PILOT).candidate.excerpt().bookings(PILOT)]
    assert kinds[-2:] == ["reserved", "released"]
