"""Where the gate's key does not open for whoever decides, their signature waits, and the gate adds its own."""

from __future__ import annotations

import json
import os
import signal
import time
from base64 import b64decode, b64encode
from contextlib import contextmanager
from datetime import timedelta

import pytest

from factory.releases.packages import verify as factory_verify
from factory.releases.trust import trust
from pilotplant.app import _exit_code
from pilotplant.overview import overview
from promotion.audit.verification import verify
from promotion.decisions.countersignature import countersign
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from promotion.decisions.proposal import Proposed
from promotion.decisions.silence import settle
from promotion.keys.enrolment import enrol, enrolled_key
from promotion.keys.keyring import keys_folder
from promotion.keys.revocation import revoke
from promotion.queue.reminders import reminders
from promotion.queue.summary import summarise
from promotion.state import open_promotion
from shared.core.clock import parse_rfc3339
from shared.core.crashpoints import VARIABLE, Point
from shared.core.digests import canonical
from shared.core.errors import Refused
from shared.state.workspace import open_workspace
from shared.trust.attestation import attest, parse_attestation
from shared.trust.keys import GATE, KeyStore, read_public
from tests.lab_makers import run_child
from tests.makers import OWNER, moment
from tests.promotion.cases import JUDGED, REASON, Stage
from tests.promotion.shown import waiting

SECOND, THIRD = "second@example.com", "third@example.com"
REQUESTER = "requester@example.com"
DECIDES = {"tiers": ["low", "standard", "high"]}
DEADLINE = moment("2026-02-01 00:00")
OTHER = "we may gladly do this"


@contextmanager
def gate_away(stage):
    """While the gate's private key is somewhere else: as for an owner who does not know its passphrase."""
    key = KeyStore(stage.workspace).path(GATE)
    away = key.rename(key.with_name("elsewhere"))
    try:
        yield
    finally:
        away.rename(key)


@pytest.fixture(scope="module")
def made(prepared, tmp_path_factory):
    stage = Stage(prepared).copy(tmp_path_factory.mktemp("made") / "workspace")
    stage.people(*({"email": who, "decides": DECIDES} for who in (REQUESTER, OWNER, SECOND, THIRD)))
    for who in (SECOND, THIRD):
        enrol(stage.workspace, who)
    return stage, stage.submit(charter={"risk_tier": "high"}).digest


@pytest.fixture
def high(made, tmp_path):
    """A pilot of high risk, which two persons sign."""
    return made[0].copy(tmp_path / "high")


@pytest.fixture(scope="module")
def signed_once(prepared, tmp_path_factory):
    stage = Stage(prepared).copy(tmp_path_factory.mktemp("signed") / "workspace")
    stage.submit()
    with gate_away(stage):
        return stage, stage.decide("scale")


@pytest.fixture
def signed(signed_once, tmp_path):
    """A pilot of standard risk whose owner has decided to scale it, without the gate's key."""
    stage = signed_once[0].copy(tmp_path / "signed")
    stage.said = signed_once[1]
    return stage


def kinds(stage):
    return [entry.kind for entry in open_promotion(stage.workspace).entries("spring-email")]


def packages(stage):
    return list((stage.workspace.factory / "inbox").glob("[!.]*"))


def believed(stage, attestation):
    return attestation.distrust(read_public(keys_folder(stage.workspace)), now=JUDGED)


def test_an_owner_signs_without_the_gates_key_and_nothing_is_handed_over_yet(signed):
    assert isinstance(signed.said, Proposed)
    assert (signed.said.awaits, signed.said.persons, signed.said.others) == ("gate", (OWNER,), ())
    assert (kinds(signed), packages(signed)) == (["registered", "proposed"], [])
    assert verify(signed.workspace).problems == []


def test_the_gate_then_signs_and_the_factory_believes_it(signed):
    [done] = countersign(signed.workspace, None)
    assert (done.declined, done.problem, done.persons) == (None, None, (OWNER,))
    attestation = done.decided.attestation
    assert list(attestation.envelope.signatures) == [enrolled_key(signed.workspace, GATE).key_id]
    assert [(one.name, one.reason) for one in attestation.predicate.signatories] == [(GATE, None), (OWNER, REASON)]
    assert attestation.persons(read_public(keys_folder(signed.workspace))) == [OWNER]
    assert believed(signed, attestation) == []
    assert (kinds(signed), len(packages(signed))) == (["registered", "proposed", "decided"], 1)
    assert verify(signed.workspace).problems == []
    for who in (GATE, OWNER):
        trust(signed.workspace, who)
    assert factory_verify(signed.workspace, packages(signed)[0], now=JUDGED).release == "spring-email-letter"


def test_both_ways_attest_the_same(stage, tmp_path):
    """Which of them signs first changes who signed the envelope, and nothing of what the gate found."""
    stage.submit()
    other = stage.copy(tmp_path / "other")
    at_once = stage.decide("scale").attestation.predicate
    with gate_away(other):
        other.decide("scale")
    later = countersign(other.workspace, None)[0].decided.attestation.predicate
    fleeting = {"nonce", "proposal", "ledgers", "time_verified", "expires", "findings", "decision", "signatories"}
    assert later.model_dump(exclude=fleeting) == at_once.model_dump(exclude=fleeting)
    assert later.decision.same_as(at_once.decision)
    for part in ("findings", "signatories"):
        told = [[(one.model_dump(exclude={"at", "measured", "reason"})) for one in getattr(said, part)]
                for said in (later, at_once)]  # fmt: skip
        assert told[0] == told[1]


@pytest.mark.parametrize("word", ["revise", "stop"])
def test_the_other_words_wait_for_the_gate_as_well(stage, word):
    stage.submit()
    with gate_away(stage):
        stage.decide(word)
    assert not (stage.workspace.pilots / "spring-email-2").exists()
    [done] = countersign(stage.workspace, None)
    assert done.decided.decision.word == word
    assert (stage.workspace.pilots / "spring-email-2").exists() == (word == "revise")
    assert believed(stage, done.decided.attestation) == []


def test_the_same_word_again_is_a_no_op_before_and_after_the_gate_has_signed(signed):
    with gate_away(signed):
        again = signed.decide("scale")
    assert (again.repeated, again.digest) == (True, signed.said.digest)
    countersign(signed.workspace, None)
    with gate_away(signed):
        assert signed.decide("scale").repeated
    assert countersign(signed.workspace, None) == []
    [repeated] = countersign(signed.workspace, None, "spring-email")
    assert repeated.decided.repeated
    assert kinds(signed) == ["registered", "proposed", "decided"]


def test_said_again_where_the_gates_key_opens_the_gate_signs_what_was_signed(signed):
    done = signed.decide("scale")
    assert done.attestation.predicate.proposal is not None
    assert kinds(signed) == ["registered", "proposed", "decided"]
    assert believed(signed, done.attestation) == []


def test_until_the_gate_has_signed_the_owner_may_say_something_else(signed):
    with gate_away(signed):
        signed.decide("stop")
    [done] = countersign(signed.workspace, None)
    assert (done.decided.decision.word, packages(signed)) == ("stop", [])
    assert kinds(signed) == ["registered", "proposed", "proposed", "decided"]


def test_two_persons_sign_and_then_the_gate(high):
    with gate_away(high):
        first = high.decide("scale")
        second = high.decide("scale", who=SECOND, reason=OTHER)
        again = high.decide("scale", who=SECOND, reason=OTHER)
    assert (first.awaits, second.awaits, second.persons) == ("person", "gate", (OWNER, SECOND))
    assert again.repeated
    assert kinds(high) == ["registered", "proposed", "seconded"]
    [done] = countersign(high.workspace, None)
    predicate = done.decided.attestation.predicate
    assert [(one.name, one.reason) for one in predicate.signatories] == [(GATE, None), (OWNER, REASON), (SECOND, OTHER)]
    assert "second_signature" in {finding.check for finding in predicate.findings}
    assert believed(high, done.decided.attestation) == []
    assert done.decided.attestation.persons(read_public(keys_folder(high.workspace))) == [OWNER, SECOND]
    assert verify(high.workspace).problems == []


def test_the_gate_does_not_sign_what_a_second_person_has_not(high):
    with gate_away(high):
        high.decide("scale")
    assert countersign(high.workspace, None) == []
    with pytest.raises(Refused, match="nothing of spring-email waits for the gate's signature"):
        countersign(high.workspace, None, "spring-email")


def test_a_third_person_is_told_that_only_the_gate_is_missing(high):
    with gate_away(high):
        high.decide("scale")
        high.decide("scale", who=SECOND, reason=OTHER)
        with pytest.raises(Refused, match=f"{SECOND} has given the second signature already") as refused:
            high.decide("scale", who=THIRD, reason=OTHER)
    assert "promote countersign spring-email" in refused.value.remedy


def test_a_stranger_and_the_requester_sign_nothing_without_the_gate_either(high):
    with gate_away(high):
        high.decide("scale")
        for who in (REQUESTER, "stranger@example.com"):
            with pytest.raises(Refused):
                high.decide("scale", who=who, reason=OTHER)
    assert kinds(high) == ["registered", "proposed"]


def test_what_was_signed_in_time_does_not_lapse_however_long_the_gate_takes(stage):
    candidate = stage.submit()
    late = DEADLINE - timedelta(minutes=5)
    stage.workspace.clock.set(late)
    stage.preflight(candidate, at=late - timedelta(days=1))
    with gate_away(stage):
        stage.decide("scale")
    signed = stage
    signed.workspace.clock.set(DEADLINE + timedelta(hours=2))
    assert settle(open_promotion(signed.workspace)) == ()
    [entry] = waiting(signed.workspace)
    assert (entry["proposed"]["awaits"], entry["due"]) == ("gate", False)
    assert reminders(signed.workspace) == []
    [done] = countersign(signed.workspace, None)
    assert done.decided is not None, done
    [in_time] = [one for one in done.decided.attestation.predicate.findings if one.check == "decided_in_time"]
    assert parse_rfc3339(in_time.measured) < DEADLINE


def test_what_one_of_two_persons_signed_lapses(high):
    with gate_away(high):
        high.decide("scale")
    high.workspace.clock.set(DEADLINE)
    assert [one.pilot for one in settle(open_promotion(high.workspace))] == ["spring-email"]
    assert countersign(high.workspace, None) == []


def _another_candidate(stage):
    stage.submit(ledger={"seq": 10, "hash": "sha256:10"}, costs=[])


def _owner_revoked(stage):
    revoke(stage.workspace, enrolled_key(stage.workspace, OWNER).key_id, "the laptop was stolen")


def _owner_not_entitled(stage):
    stage.people({"email": OWNER, "decides": {"tiers": ["low"]}})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_owner_revoked, "the key with which owner@example.com signed it does not count"),
        (_owner_not_entitled, "may decide"),
    ],
)
def test_what_no_longer_stands_is_declined_on_record_and_may_be_decided_anew(signed, change, reason):
    change(signed)
    [done] = countersign(signed.workspace, None)
    assert done.decided is None
    assert reason in done.declined.what
    assert kinds(signed)[:3] == ["registered", "proposed", "declined"]
    assert packages(signed) == []
    assert countersign(signed.workspace, None) == []
    assert verify(signed.workspace).problems == []


def test_what_was_signed_is_judged_on_the_candidate_that_was_seen_whatever_is_submitted_after_it(signed):
    """A certificate, a bill, or somebody who dislikes the decision, takes nobody's word away."""
    seen = signed.workspace.promotion / "intake"
    before = {path.name for path in seen.iterdir()}
    _another_candidate(signed)
    signed.workspace.clock.set(DEADLINE + timedelta(hours=1))
    assert settle(open_promotion(signed.workspace)) == ()
    [entry] = waiting(signed.workspace)
    assert (entry["candidate"].removeprefix("sha256:") in before, entry["proposed"]["awaits"]) == (True, "gate")
    signed.workspace.clock.set(JUDGED + timedelta(hours=1))
    [done] = countersign(signed.workspace, None)
    assert done.decided.attestation.candidate.removeprefix("sha256:") in before
    assert verify(signed.workspace).problems == []


def test_whoever_looks_is_told_that_the_gate_declined_and_why(signed):
    people = [{"email": OWNER, "decides": {"tiers": ["low"]}}]
    signed.people(*people)
    countersign(signed.workspace, None)
    [entry] = waiting(signed.workspace)
    assert (entry["declined"]["word"], "may decide" in entry["declined"]["reason"]) == ("scale --arm letter", True)
    assert f"the gate would not sign what {OWNER} decided" in summarise(signed.workspace, "spring-email").state
    signed.people({"email": OWNER, "decides": DECIDES})
    with gate_away(signed):
        assert signed.decide("scale").digest != signed.said.digest
    assert countersign(signed.workspace, None)[0].decided is not None


def test_status_says_whose_signature_is_missing(high):
    def moves():
        return [(one.what, one.for_, one.next) for one in overview(high.workspace).waits]

    with gate_away(high):
        high.decide("scale")
        [(what, who, step)] = moves()
        assert (what, who) == (f"spring-email (scale --arm letter, signed by {OWNER})", f"{SECOND} or {THIRD}")
        assert step.startswith("pilotplant promote decide spring-email scale --arm letter --as PERSON")
        high.decide("scale", who=SECOND, reason=OTHER)
        [(what, who, step)] = moves()
        assert (who, step) == ("ops", "pilotplant promote countersign spring-email")
    _owner_revoked(high)
    countersign(high.workspace, None)
    assert any("Not signed by the gate: spring-email, scale --arm letter: the key with which" in str(line)
               for line in overview(high.workspace).lines())  # fmt: skip


def test_after_the_deadline_what_the_gate_declined_lapses(signed):
    _owner_revoked(signed)
    countersign(signed.workspace, None)
    signed.workspace.clock.set(DEADLINE)
    assert [one.pilot for one in settle(open_promotion(signed.workspace))] == ["spring-email"]


def test_one_that_is_declined_does_not_stop_the_others(signed):
    signed.people(*({"email": who, "decides": DECIDES} for who in (OWNER, SECOND)))
    enrol(signed.workspace, SECOND)
    signed.submit(charter={"pilot": "autumn-email", "owner": SECOND})
    signed.workspace.clock.set(JUDGED + timedelta(minutes=1))
    insight = "letters are not read in autumn"
    with gate_away(signed):
        decide(signed.workspace, "autumn-email", Asked("stop", SECOND, REASON, insight=insight))
    _owner_revoked(signed)
    found = {one.pilot: one for one in countersign(signed.workspace, None)}
    assert found["spring-email"].declined is not None
    assert found["autumn-email"].decided is not None


def test_a_gate_without_an_enrolled_key_takes_no_signature(tmp_path, prepared):
    stage = Stage(prepared).copy(tmp_path / "unenrolled")
    stage.submit()
    revoke(stage.workspace, enrolled_key(stage.workspace, GATE).key_id, "the server was broken into")
    with gate_away(stage), pytest.raises(Refused, match="the key of gate is revoked"):
        stage.decide("scale")
    assert kinds(stage) == ["registered"]


# Whoever can write to the gate's ledger, and has no key, gains nothing.


def _payload(envelope, **changes):
    said = json.loads(b64decode(envelope["payload"])) | changes
    return envelope | {"payload": b64encode(canonical(said)).decode()}


def rebuilt(stage, attestation, **changes):
    """The attestation with another content, signed by the gate's true key."""
    predicate = attestation.predicate.model_copy(update=changes)
    raw = attest(attestation.candidate, predicate, [KeyStore(stage.workspace).signer(GATE)])
    return parse_attestation(raw, where="rebuilt")


@pytest.fixture
def both(high):
    with gate_away(high):
        high.decide("scale")
        high.decide("scale", who=SECOND, reason=OTHER)
    return high, countersign(high.workspace, None)[0].decided.attestation


def test_a_gate_cannot_make_up_the_persons(both):
    """Nor does a gate whose key was stolen: each person's own signature has to be there."""
    stage, attestation = both
    said = attestation.predicate
    assert believed(stage, rebuilt(stage, attestation)) == []
    for changes, reason in [
        ({"second": None}, "needs the signatures of 2 persons"),
        ({"proposal": None}, "its second signature is under no proposal"),
        ({"proposal": None, "second": None}, f"its decision owner {OWNER} has not signed it"),
        ({"second": _payload(said.second, proposal="sha256:" + "0" * 64)}, "under another proposal"),
        ({"second": _payload(said.second, person=THIRD)}, "needs the signatures of 2 persons"),
        ({"second": _payload(said.second, workspace="another")}, "under another proposal"),
        ({"second": _payload(said.second, colour="red")}, "cannot be believed"),
        ({"proposal": _payload(said.proposal, verdict="refuse")}, "another candidate, workspace or verdict"),
    ]:
        assert any(reason in doubt for doubt in believed(stage, rebuilt(stage, attestation, **changes))), reason


def test_a_revoked_key_of_either_person_is_named_by_the_factory(both):
    stage, _ = both
    for who in (GATE, OWNER, SECOND):
        trust(stage.workspace, who)
    assert factory_verify(stage.workspace, packages(stage)[0], now=JUDGED).release == "spring-email-letter"
    second = enrolled_key(stage.workspace, SECOND).key_id
    path = stage.workspace.configs / "factory.yaml"
    path.write_text(path.read_text().replace("revoked: []", "") + f"\nrevoked: [{second}]\n")
    found = "; ".join(factory_verify(stage.workspace, packages(stage)[0], now=JUDGED))
    assert f"the key {second[:12]} of {SECOND}, which signed it, is revoked in configs/factory.yaml" in found


@pytest.mark.parametrize("first", ["true", "forged"])
def test_a_second_signature_that_its_person_has_not_made_counts_for_nothing(high, tmp_path, first):
    elsewhere = high.copy(tmp_path / "elsewhere")
    with gate_away(high):
        proposed = high.decide("scale")
    true = high if first == "true" else elsewhere
    with gate_away(true):
        true.decide("scale")
        true.decide("scale", who=SECOND, reason=OTHER)
    [entry] = [entry for entry in open_promotion(true.workspace).entries("spring-email") if entry.kind == "seconded"]
    forged = _payload(entry.body["envelope"], person=THIRD, proposal=proposed.digest)
    room = open_promotion(high.workspace)
    with room.transaction() as connection:
        body = entry.body | {"envelope": forged, "proposal": proposed.digest}
        room.write(connection, "seconded", "spring-email", body)
    found = countersign(high.workspace, None)
    if first == "true":
        [done] = found
        assert done.decided.attestation.persons(read_public(keys_folder(high.workspace))) == [OWNER, SECOND]
    else:
        assert found == []
    assert any("is not signed with a known key of third@example.com" in one for one in verify(high.workspace).problems)


# kill -9 between the steps.


def do(root, command):
    stage = Stage(open_workspace(root))
    if command == "countersign":
        return countersign(stage.workspace, None)
    return stage.decide("scale", who=SECOND, reason=OTHER)


def do_killed(root, command, point):
    os.environ[VARIABLE] = point
    do(root, command)


def killed(stage, command, point):
    code, _ = run_child(do_killed, stage.workspace.root, command, str(point))
    assert code == -signal.SIGKILL, f"{point} was not reached"


@pytest.mark.parametrize("point", [Point.SECOND_WRITTEN, Point.SECOND_RECORDED])
def test_a_second_signature_that_was_cut_off_is_finished_and_written_once(high, point):
    with gate_away(high):
        high.decide("scale")
        killed(high, "second", point)
        assert do(high.workspace.root, "second").repeated == (point == Point.SECOND_RECORDED)
    assert kinds(high) == ["registered", "proposed", "seconded"]


@pytest.mark.parametrize(
    "point", [Point.DECIDE_SIGNED, Point.DECIDE_WRITTEN, Point.DECIDE_RECORDED, Point.CARRY_ATTESTED]
)
def test_a_countersignature_that_was_cut_off_is_finished_and_written_once(signed, point):
    killed(signed, "countersign", point)
    recorded = "decided" in kinds(signed)
    [done] = countersign(signed.workspace, None, "spring-email")
    assert done.decided.repeated == recorded
    assert (kinds(signed), len(packages(signed))) == (["registered", "proposed", "decided"], 1)
    assert verify(signed.workspace).problems == []


@pytest.mark.parametrize("point", [Point.DECLINE_WRITTEN, Point.DECLINE_RECORDED])
def test_a_refusal_that_was_cut_off_is_written_once(signed, point):
    _owner_revoked(signed)
    killed(signed, "countersign", point)
    countersign(signed.workspace, None)
    assert kinds(signed) == ["registered", "proposed", "declined"]


# The commands.


def cli(stage, capsys, *words):
    code = _exit_code(["--workspace", str(stage.workspace.root), *words])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_the_commands_of_owner_and_ops(stage, capsys):
    stage.submit()
    decide = ["promote", "decide", "spring-email", "scale", "--as", OWNER, "--reason", REASON]
    with gate_away(stage):
        code, out, _ = cli(stage, capsys, *decide, "--dry-run")
        assert (code, "It would wait for the gate's signature" in " ".join(out.split())) == (4, True)
        code, out, _ = cli(stage, capsys, *decide)
        assert (code, "pilotplant promote countersign spring-email" in out) == (4, True)
        code, out, _ = cli(stage, capsys, *decide, "--json")
        assert (code, json.loads(out)["awaits"], json.loads(out)["repeated"]) == (4, "gate", True)
        code, out, _ = cli(stage, capsys, "promote", "queue")
        assert "Only the gate's signature is missing. For ops: pilotplant promote countersign spring-email" in out
        code, _, err = cli(stage, capsys, "promote", "countersign")
        assert (code, "the private key of gate is not on this machine" in " ".join(err.split())) == (3, True)
    code, out, _ = cli(stage, capsys, "promote", "countersign", "--json")
    [found] = json.loads(out)["countersigned"]
    assert (code, found["state"], found["release"]) == (0, "signed", "spring-email-letter")
    code, out, _ = cli(stage, capsys, "promote", "countersign")
    assert (code, "Nothing waits for the gate's signature." in out) == (0, True)


def test_what_is_declined_is_exit_code_3(signed, capsys):
    _owner_revoked(signed)
    code, out, _ = cli(signed, capsys, "promote", "countersign")
    assert (code, "is not signed: the key with which" in " ".join(out.split())) == (3, True)


def test_watch_signs_what_comes_until_it_is_stopped(stage, capsys, monkeypatch):
    stage.submit()
    rounds = []

    def sleep(seconds):
        rounds.append(seconds)
        if len(rounds) == 1:
            with gate_away(stage):
                stage.decide("scale")
        if len(rounds) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    code, out, _ = cli(stage, capsys, "promote", "countersign", "--watch", "--every", "7")
    assert (code, rounds) == (130, [7, 7, 7])
    assert out.count("signed by owner@example.com and the gate. Handed over as release spring-email-letter.") == 1
    assert kinds(stage) == ["registered", "proposed", "decided"]
