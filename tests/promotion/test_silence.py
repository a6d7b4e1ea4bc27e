"""Silence is *stop*: what nobody decides in time is recorded, once, and decided by nobody afterwards."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from pilotplant.app import run
from promotion.audit.audit import audit
from promotion.audit.log import read_log
from promotion.audit.verification import verify
from promotion.decisions import transaction
from promotion.decisions.silence import settle
from promotion.queue.judgements import judge_named
from promotion.queue.queue import undecided
from promotion.registry.lapses import lapses
from promotion.state import open_promotion
from shared.core.errors import Refused
from shared.trust.candidates import digest_named
from tests.makers import OWNER, moment
from tests.promotion.cases import Recorded
from tests.promotion.shown import measures, waiting

# Of the charter: decided by the end of 31 January, UTC.
DEADLINE = moment("2026-02-01 00:00")
LATER = DEADLINE + timedelta(days=2)


@pytest.fixture
def late(stage):
    """A candidate whose deadline has passed two days ago."""
    stage.digest = stage.submit().digest
    stage.workspace.clock.set(LATER)
    return stage


def room(stage):
    return open_promotion(stage.workspace)


def kinds(stage):
    return [entry.kind for entry in room(stage).entries("spring-email")]


def test_a_deadline_that_passes_is_recorded_with_candidate_owner_and_deadline(late):
    [found] = settle(room(late))
    assert (found.pilot, found.candidate, found.owner) == ("spring-email", late.digest, OWNER)
    assert found.deadline == "2026-02-01T00:00:00Z"
    assert moment("2026-02-03 00:00").isoformat()[:10] == found.at[:10]
    assert kinds(late) == ["registered", "lapsed"]
    assert verify(late.workspace).problems == []


def test_settling_again_records_nothing(late):
    settle(room(late))
    assert settle(room(late)) == ()
    assert kinds(late) == ["registered", "lapsed"]


def test_before_the_deadline_nothing_lapses(stage):
    stage.submit()
    stage.workspace.clock.set(DEADLINE - timedelta(seconds=60))
    assert settle(room(stage)) == ()
    stage.workspace.clock.set(DEADLINE)
    assert [one.pilot for one in settle(room(stage))] == ["spring-email"]


def test_what_was_decided_does_not_lapse(stage):
    stage.submit()
    stage.decide("stop")
    stage.workspace.clock.set(LATER)
    assert settle(room(stage)) == ()


@pytest.mark.parametrize(
    "command",
    [
        waiting,
        measures,
        lambda workspace: judge_named(workspace, "spring-email"),
        read_log,
        lambda workspace: audit(workspace, LATER),
    ],
)
def test_whichever_command_comes_next_records_it(late, command):
    command(late.workspace)
    assert kinds(late)[:2] == ["registered", "lapsed"]


def test_nobody_decides_a_candidate_that_lapsed(late):
    with pytest.raises(Refused, match="silence was \\*stop\\*"):
        late.decide("scale")
    assert kinds(late) == ["registered", "lapsed"]


def test_nor_another_candidate_of_the_pilot(late):
    settle(room(late))
    late.submit(ledger={"seq": 10, "hash": "sha256:10"}, costs=[])
    # Not even with the clock of a rehearsal set back: what the ledger says stays said.
    with pytest.raises(Refused, match=f"{OWNER} did not decide before 2026-02-01"):
        late.decide("stop")
    assert undecided(room(late)) == []


def test_a_decision_that_was_drafted_in_time_is_not_recorded_after_the_lapse(stage, monkeypatch):
    """The gate judges for a while: what has lapsed meanwhile is refused within the transaction that decides."""
    stage.submit()
    stage.workspace.clock.set(DEADLINE - timedelta(hours=1))
    record = transaction.record

    def slow(*arguments):
        stage.workspace.clock.set(LATER)
        settle(room(stage))
        return record(*arguments)

    monkeypatch.setattr("promotion.decisions.attestation.record", slow)
    with pytest.raises(Refused, match="silence was"):
        stage.decide("stop")
    assert kinds(stage) == ["registered", "lapsed"]


def test_a_damaged_candidate_does_not_lapse_by_what_it_says(late):
    candidate = undecided(room(late))[0]
    path = candidate.folder / "promise.json"
    path.write_text(path.read_text().replace("2026-01-31", "2026-01-30"))
    assert settle(room(late)) == ()


def test_a_charter_that_the_gate_never_took_in_does_not_lapse_the_pilot(stage):
    """Else whoever can write to the intake could stop anybody's pilot."""
    stage.submit(registered=None)
    stage.workspace.clock.set(LATER)
    assert settle(room(stage)) == ()


def test_an_audit_tells_it_from_the_deadline_on_whenever_it_was_recorded(late):
    assert audit(late.workspace, DEADLINE - timedelta(seconds=1)).lapsed == ()
    [found] = audit(late.workspace, DEADLINE).lapsed
    assert (found.pilot, found.deadline) == ("spring-email", "2026-02-01T00:00:00Z")
    assert audit(late.workspace, DEADLINE).as_json()["lapsed"][0]["schema_version"] == 1


def test_queue_log_audit_and_status_show_it(late, capsys):
    here = ["--workspace", str(late.workspace.root)]
    run([*here, "promote", "log", "--format", "csv"])
    assert ",lapsed,spring-email," in capsys.readouterr().out
    for words in (["queue"], ["audit", "--as-of", "2026-02-03"]):
        run([*here, "promote", *words])
        assert f"{OWNER} did not decide before 2026-02-01" in capsys.readouterr().out
    run([*here, "status"])
    assert "0 stop; 1 lapsed" in capsys.readouterr().out
    run([*here, "promote", "queue", "--json"])
    assert [one["pilot"] for one in json.loads(capsys.readouterr().out)["lapsed"]] == ["spring-email"]
    run([*here, "promote", "queue", "--as", "requester@example.com", "--json"])
    assert json.loads(capsys.readouterr().out)["lapsed"] == []


def test_the_command_says_what_it_recorded_and_then_that_there_was_nothing(late, capsys):
    words = ["--workspace", str(late.workspace.root), "promote", "settle"]
    run(words)
    assert "spring-email: lapsed, which is *stop*" in capsys.readouterr().out
    run(words)
    assert capsys.readouterr().out == "Nothing has lapsed since the last time.\n"
    run([*words, "--json"])
    assert json.loads(capsys.readouterr().out) == {"lapsed": []}
    assert list(lapses(room(late))) == ["spring-email"]


def test_an_arm_that_the_evidence_was_for_is_told_of_a_lapse(late):
    [found] = settle(room(late))
    assert found.verdicts == {"letter": "admit"}
    assert found.told().endswith("did not decide before 2026-02-01 00:00 UTC, although the evidence was for arm letter")
    assert lapses(room(late))["spring-email"] == found
    [shown] = measures(late.workspace)["missed"]
    assert (shown["pilot"], shown["told"]) == ("spring-email", found.told())


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"arms": {"control": Recorded(), "letter": Recorded(visits=21)}}, "refuse"),
        ({"in_two_arms": 40}, "refuse"),
        ({"outcomes": "SELECT * FROM outcomes WHERE false"}, "undecided"),
    ],
)
def test_evidence_that_was_for_no_arm_is_not_missed(stage, changes, verdict):
    stage.submit(**changes)
    stage.workspace.clock.set(LATER)
    [found] = settle(room(stage))
    assert found.verdicts == {"letter": verdict}
    assert "although" not in found.told()
    assert measures(stage.workspace)["missed"] == []


def test_of_several_arms_those_are_told_that_the_evidence_was_for(stage):
    three = {"arms": stage.three_arms()}
    recorded = {"control": Recorded(), "letter": Recorded(visits=20), "card": Recorded(visits=60)}
    stage.submit(charter=three, arms=recorded)
    stage.workspace.clock.set(LATER)
    [found] = settle(room(stage))
    assert (found.missed, found.verdicts["letter"]) == (["card"], "refuse")


@pytest.mark.parametrize("missed", [["letter"], ["card"], ["card", "letter"]])
def test_status_names_every_arm_that_was_missed_until_a_pilot_continues_it(stage, capsys, missed):
    visits = {arm: Recorded(visits=60 if arm in missed else 20) for arm in ("letter", "card")}
    candidate = stage.submit(charter={"arms": stage.three_arms()}, arms={"control": Recorded(), **visits})
    stage.workspace.clock.set(LATER)
    here = ["--workspace", str(stage.workspace.root), "status"]
    run(here)
    told = " ".join(capsys.readouterr().out.split())
    arms = " and arm ".join(missed)
    assert f"Missed: spring-email: lapsed, which is *stop*: {OWNER} did not decide before" in told
    assert f"although the evidence was for arm {arms}; to try it again: a new charter that `follows`" in told
    run([*here, "--json"])
    [found] = json.loads(capsys.readouterr().out)["promotion"]["missed"]
    assert (found["pilot"], found["candidate"]) == ("spring-email", digest_named(candidate))
    continued = stage.charter(
        pilot="summer-email", follows={"pilot": "spring-email", "change": "an owner with time", "alpha_spent": 0.05}
    )
    promise, files = stage.promise(continued)
    stage.register(promise, {name: text.encode() for name, text in files.items()})
    run(here)
    assert "Missed" not in capsys.readouterr().out


def test_a_pilot_that_continues_it_ends_the_mention(late):
    settle(room(late))
    charter = late.charter(
        pilot="summer-email", follows={"pilot": "spring-email", "change": "an owner with time", "alpha_spent": 0.05}
    )
    promise, files = late.promise(charter)
    late.register(promise, {name: text.encode() for name, text in files.items()})
    assert measures(late.workspace)["missed"] == []
    assert [one["pilot"] for one in measures(late.workspace)["lapsed"]] == ["spring-email"]


def test_an_entry_of_an_earlier_build_says_nothing_of_the_arms(late, monkeypatch):
    monkeypatch.setattr("promotion.decisions.silence._verdicts", lambda _: {})
    settle(room(late))
    assert lapses(room(late))["spring-email"].missed == []
