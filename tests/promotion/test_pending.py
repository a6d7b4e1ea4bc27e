"""What persons have signed waits in a ledger that they may write to: nobody gains by what they write there.

And nothing is lost where the gate is slow, is interrupted, or judges while somebody says something else.
"""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer import CryptoSigner

from promotion.audit.verification import verify
from promotion.decisions import attestation, countersignature, decision, execution
from promotion.decisions.countersignature import countersign
from promotion.decisions.decision import decide, preview
from promotion.decisions.draft import Asked, draft_decision
from promotion.decisions.intent import judge_case
from promotion.decisions.proposal import propose, verdict_for
from promotion.decisions.silence import settle
from promotion.decisions.waiver import Wish, waive
from promotion.gate.case import open_case
from promotion.gate.policy import read_settings
from promotion.keys.enrolment import enrol, enrolled_key
from promotion.keys.revocation import revoke
from promotion.queue.reminders import reminders
from promotion.queue.summary import summarise
from promotion.state import open_promotion
from shared.core.clock import rfc3339
from shared.core.errors import BadInput, Fault, Refused
from shared.trust.candidates import find_candidate
from shared.trust.keys import GATE, KeyStore
from shared.trust.proposal import SECOND as SECOND_SIGNATURE
from shared.trust.proposal import SecondSignature
from shared.trust.signed import sign
from tests.makers import OWNER, moment
from tests.promotion.cases import JUDGED, REASON
from tests.promotion.shown import measures, waiting
from tests.promotion.test_countersignature import (  # noqa: F401 - fixtures among them
    DEADLINE,
    DECIDES,
    OTHER,
    SECOND,
    THIRD,
    _owner_revoked,
    believed,
    gate_away,
    high,
    kinds,
    made,
    packages,
    signed,
    signed_once,
)

PILOT = "spring-email"


def judged(stage):
    room = open_promotion(stage.workspace)
    return judge_case(open_case(room, find_candidate(stage.workspace, PILOT)), read_settings(stage.workspace))


def write_proposal(stage, who, *, word="scale", change=None, signer=None, **asked):
    """What somebody signs and writes into the ledger by themselves, without the command."""
    found = judged(stage)
    drafted = draft_decision(found.case, Asked(word, who, REASON, **asked)).model_copy(update=change or {})
    signer = signer or KeyStore(stage.workspace).signer(who)
    verdict = verdict_for(found.judgement, drafted)
    return propose(found.case, drafted, verdict, found.on, signer, replaces=None, signatures_min=1)


def write_entry(stage, kind, body):
    room = open_promotion(stage.workspace)
    with room.transaction() as connection:
        room.write(connection, kind, PILOT, body)


def write_second(stage, proposal, who):
    workspace = stage.workspace
    said = SecondSignature(
        proposal=proposal, workspace=workspace.id, mode=workspace.mode, person=who, reason=OTHER,
        at=rfc3339(workspace.clock.now()),
    )  # fmt: skip
    raw = sign(SECOND_SIGNATURE, said.model_dump(mode="json"), [KeyStore(workspace).signer(who)])
    write_entry(stage, "seconded", {"candidate": "", "proposal": proposal, "envelope": json.loads(raw)})


def entry(stage, kind):
    return next(one for one in open_promotion(stage.workspace).entries(PILOT) if one.kind == kind)


def told(done):
    return done.declined.what if done.declined else f"{done.state}: {done.problem}"


# Entries that somebody writes by hand.


def test_who_does_not_own_the_decision_decides_nothing_by_writing_it_down(stage):
    stage.people({"email": OWNER, "decides": DECIDES}, {"email": THIRD, "decides": DECIDES})
    enrol(stage.workspace, THIRD)
    stage.submit()
    write_proposal(stage, THIRD)
    [done] = countersign(stage.workspace, None)
    assert f"{THIRD} does not own this decision" in told(done)
    assert packages(stage) == []


AWAY = {
    "email": OWNER, "decides": DECIDES, "delegates": [THIRD],
    "absences": [{"first_day": "2026-01-19", "last_day": "2026-01-22"}],
}  # fmt: skip


@pytest.fixture
def delegated(stage):
    """The owner is away, and a delegate has decided in their place."""
    stage.people(AWAY, {"email": THIRD, "decides": DECIDES})
    enrol(stage.workspace, THIRD)
    stage.submit()
    with gate_away(stage):
        stage.decide("scale", who=THIRD)
    return stage


def test_a_delegates_word_counts_from_the_day_on_which_it_was_signed(delegated):
    delegated.workspace.clock.set(JUDGED + timedelta(days=4))
    [done] = countersign(delegated.workspace, None)
    assert done.decided.decision.stands_in.owner == OWNER
    assert believed(delegated, done.decided.attestation) == []


def test_a_delegate_whose_right_was_taken_away_decides_nothing(delegated):
    delegated.people({"email": OWNER, "decides": DECIDES}, {"email": THIRD, "decides": DECIDES})
    [done] = countersign(delegated.workspace, None)
    assert f"{THIRD} does not own this decision" in told(done)


def test_an_absence_that_is_prolonged_spoils_no_delegates_word(delegated):
    longer = AWAY | {"absences": [{"first_day": "2026-01-19", "last_day": "2026-01-25"}]}
    delegated.people(longer, {"email": THIRD, "decides": DECIDES})
    done = delegated.decide("scale", who=THIRD)
    assert believed(delegated, done.attestation) == []
    assert verify(delegated.workspace).problems == []


@pytest.mark.parametrize(
    ("word", "change", "names"),
    [
        ("revise", {"successor": "../../escaped"}, "successor"),
        ("revise", {"successor": "other-pilot-2"}, "successor"),
        ("scale", {"release": "another-release"}, "release"),
        ("scale", {"successor": "spring-email-2"}, "there is no arm beside"),
        ("stop", {"release": "spring-email-letter", "arm": None}, "release"),
        ("stop", {"insight": ""}, "an insight"),
        ("scale", {"reason": "short"}, "a reason"),
    ],
)
def test_a_decision_that_the_command_would_not_make_is_not_signed(stage, word, change, names):
    stage.submit()
    write_proposal(stage, OWNER, word=word, change=change, **({"insight": "letters work"} if word == "stop" else {}))
    [done] = countersign(stage.workspace, None)
    assert done.declined is not None
    assert names in told(done)
    assert (packages(stage), kinds(stage)) == ([], ["registered", "proposed", "declined"])
    assert not list(stage.workspace.root.parent.rglob("escaped*"))


def test_the_owner_is_no_second_person(high):  # noqa: F811
    with gate_away(high):
        first = high.decide("stop")
    write_second(high, first.digest, OWNER)
    assert countersign(high.workspace, None) == []
    assert high.decide("stop", who=SECOND, insight=None).decision.word == "stop"


def test_a_signature_under_one_proposal_is_none_under_another(high):  # noqa: F811
    with gate_away(high):
        high.decide("scale")
        high.decide("scale", who=SECOND, reason=OTHER)
        other = high.decide("stop")
    envelope = entry(high, "seconded").body["envelope"]
    write_entry(high, "seconded", {"candidate": "", "proposal": other.digest, "envelope": envelope})
    assert countersign(high.workspace, None) == []


@pytest.mark.parametrize("declined", [False, True])
def test_a_copy_of_an_earlier_entry_puts_nothing_back(signed, declined):  # noqa: F811
    if declined:
        signed.people({"email": OWNER, "decides": {"tiers": ["low"]}})
        countersign(signed.workspace, None)
        signed.people({"email": OWNER, "decides": DECIDES})
    else:
        with gate_away(signed):
            signed.decide("stop")
    write_entry(signed, "proposed", entry(signed, "proposed").body)
    assert [done.decided.decision.word for done in countersign(signed.workspace, None)] == (
        [] if declined else ["stop"]
    )
    assert packages(signed) == []
    assert any("is a copy of an earlier entry" in problem for problem in verify(signed.workspace).problems)


@pytest.mark.parametrize("kind", ["proposed", "seconded"])
@pytest.mark.parametrize("content", ["twice", "nothing", "words"])
def test_an_entry_that_nobody_signed_stops_nothing_and_is_named(high, kind, content):  # noqa: F811
    with gate_away(high):
        high.decide("scale")
        high.decide("scale", who=SECOND, reason=OTHER)
    body = copy.deepcopy(entry(high, kind).body)
    if content == "twice":
        again = {"keyid": "f" * 64, "sig": body["envelope"]["signatures"][0]["sig"]}
        body["envelope"]["signatures"].append(again)
    elif content == "words":
        body["envelope"] = "signed"
    else:
        del body["envelope"]
    write_entry(high, kind, body)
    [done] = countersign(high.workspace, None)
    assert done.state == "signed", told(done)
    [problem] = verify(high.workspace).problems
    assert "it holds nothing that somebody has signed" in problem


def test_a_key_that_was_rotated_away_signs_nothing_whatever_moment_it_claims(stage):
    stage.submit()
    old = KeyStore(stage.workspace).signer(OWNER)
    enrol(stage.workspace, OWNER, rotate=True)
    stage.workspace.clock.set(JUDGED + timedelta(hours=1))
    write_proposal(stage, OWNER, signer=old, change={"at": rfc3339(JUDGED - timedelta(days=3))})
    [done] = countersign(stage.workspace, None)
    assert f"the key with which {OWNER} signed it does not count" in told(done)


def test_what_was_signed_before_a_rotation_is_signed_after_it(signed):  # noqa: F811
    signed.workspace.clock.set(JUDGED + timedelta(hours=1))
    enrol(signed.workspace, OWNER, rotate=True)
    [done] = countersign(signed.workspace, None)
    assert believed(signed, done.decided.attestation) == []


def test_the_gate_records_nothing_that_a_factory_would_not_believe(stage, monkeypatch):
    stage.submit()
    real = attestation.attest
    monkeypatch.setattr(
        attestation, "attest", lambda candidate, predicate, signers: real(candidate, predicate, signers[:1])
    )
    with pytest.raises(Refused, match=f"would not be believed: its decision owner {OWNER} has not signed it"):
        stage.decide("scale")
    assert kinds(stage) == ["registered"]


# Two at once.


def test_nobody_proposes_what_the_gate_has_just_decided(stage, monkeypatch):
    stage.submit()
    with gate_away(stage):
        stage.decide("scale")
    real = decision.intend

    def meanwhile(*arguments):
        found = real(*arguments)
        key = KeyStore(stage.workspace).path(GATE)
        (key.parent / "elsewhere").rename(key)
        assert countersign(stage.workspace, None)[0].state == "signed"
        key.rename(key.parent / "elsewhere")
        return found

    monkeypatch.setattr(decision, "intend", meanwhile)
    with gate_away(stage), pytest.raises(Refused, match="somebody else has just decided on spring-email: scale"):
        stage.decide("stop")
    assert kinds(stage) == ["registered", "proposed", "decided"]


def test_of_two_second_persons_at_once_the_first_has_signed(high, monkeypatch):  # noqa: F811
    real = decision.second

    def meanwhile(case, found, who, reason, on, signer, **more):
        monkeypatch.setattr(decision, "second", real)
        high.decide("scale", who=THIRD, reason="third was faster here")
        return real(case, found, who, reason, on, signer, **more)

    with gate_away(high):
        high.decide("scale")
        monkeypatch.setattr(decision, "second", meanwhile)
        with pytest.raises(Refused, match=f"{THIRD} has given the second signature already"):
            high.decide("scale", who=SECOND, reason=OTHER)
    assert kinds(high) == ["registered", "proposed", "seconded"]


def test_the_gate_signs_no_word_that_was_taken_back_while_it_judged_and_goes_on_with_the_others(signed, monkeypatch):  # noqa: F811
    signed.submit(charter={"pilot": "autumn-email"})
    insight = "letters are not read in autumn"
    with gate_away(signed):
        decide(signed.workspace, "autumn-email", Asked("stop", OWNER, REASON, insight=insight))
    real = countersignature._attestable

    def meanwhile(room, found):
        if found.proposal.proposal.pilot == PILOT:
            with gate_away(signed):
                signed.decide("stop")
        return real(room, found)

    monkeypatch.setattr(countersignature, "_attestable", meanwhile)
    found = {one.pilot: one for one in countersign(signed.workspace, None)}
    assert (found[PILOT].state, found["autumn-email"].state) == ("waits", "signed")
    assert "another proposal has just taken the place" in found[PILOT].problem.what
    monkeypatch.setattr(countersignature, "_attestable", real)
    assert countersign(signed.workspace, None)[0].decided.decision.word == "stop"


def test_two_that_countersign_at_once_both_say_that_it_is_signed(signed, monkeypatch):  # noqa: F811
    real = countersignature.require_allowed

    def meanwhile(*arguments):
        monkeypatch.setattr(countersignature, "require_allowed", real)
        countersign(signed.workspace, None)
        return real(*arguments)

    monkeypatch.setattr(countersignature, "require_allowed", meanwhile)
    [done] = countersign(signed.workspace, None)
    assert (done.state, done.decided.repeated) == ("signed", True)
    assert kinds(signed) == ["registered", "proposed", "decided"]


# Where something is in the way.


def test_what_is_signed_and_not_carried_out_says_so_and_is_finished_by_the_next(signed, monkeypatch):  # noqa: F811
    real = execution.hand_over

    def full(*_):
        raise Fault("the disk is full", remedy="make room there")

    monkeypatch.setattr(execution, "hand_over", full)
    [done] = countersign(signed.workspace, None)
    assert (done.state, done.as_json()["problem"]["what"]) == ("unfinished", "the disk is full")
    monkeypatch.setattr(execution, "hand_over", real)
    assert [one.state for one in countersign(signed.workspace, None)] == ["signed"]
    assert len(packages(signed)) == 1
    assert countersign(signed.workspace, None) == []


def test_what_nobody_has_foreseen_stops_no_other(signed, monkeypatch):  # noqa: F811
    def broken(*_):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(countersignature, "judge_case", broken)
    [done] = countersign(signed.workspace, None)
    assert (done.state, done.problem.what) == ("waits", "a defect: ZeroDivisionError: division by zero")


def test_a_check_that_cannot_be_evaluated_declines_nothing(signed):  # noqa: F811
    [report] = (signed.workspace.promotion / "preflight").glob("*.json")
    away = report.rename(report.with_suffix(".away"))
    [done] = countersign(signed.workspace, None)
    assert (done.state, "and is undecided now" in done.problem.what) == ("waits", True)
    away.rename(report)
    assert countersign(signed.workspace, None)[0].state == "signed"


def test_scale_falls_with_the_gates_verdict_and_the_other_words_do_not(stage):
    candidate = stage.submit()
    late = DEADLINE - timedelta(minutes=5)
    stage.workspace.clock.set(late)
    stage.preflight(candidate, at=late - timedelta(days=6))
    with gate_away(stage):
        stage.decide("scale")
    stage.workspace.clock.set(DEADLINE + timedelta(days=60))
    [done] = countersign(stage.workspace, None)
    assert "the gate's verdict was admit then, and is refuse now" in told(done)
    [lapse] = settle(open_promotion(stage.workspace))
    assert f"was not signed by the gate ({told(done)})" in lapse.told()
    assert "did not decide" not in lapse.told()
    assert measures(stage.workspace)["lapsed"][0]["declined"] == told(done)


@pytest.mark.parametrize("word", ["revise", "stop"])
def test_who_revises_or_stops_does_so_whatever_the_gate_says_by_then(stage, word):
    candidate = stage.submit()
    late = DEADLINE - timedelta(minutes=5)
    stage.workspace.clock.set(late)
    stage.preflight(candidate, at=late - timedelta(days=6))
    with gate_away(stage):
        stage.decide(word)
    stage.workspace.clock.set(DEADLINE + timedelta(days=60))
    [done] = countersign(stage.workspace, None)
    assert done.state == "signed", told(done)
    assert done.decided.attestation.predicate.verdict == "refuse"
    assert verify(stage.workspace).problems == []


def test_after_the_deadline_only_the_gates_refusal_makes_silence_of_a_word(signed):  # noqa: F811
    signed.workspace.clock.set(DEADLINE + timedelta(hours=2))
    _owner_revoked(signed)
    assert settle(open_promotion(signed.workspace)) == ()
    countersign(signed.workspace, None)
    assert kinds(signed) == ["registered", "proposed", "declined"]
    assert [lapse.declined for lapse in settle(open_promotion(signed.workspace))] != [None]


# What people are shown.


def test_who_has_proposed_and_asks_again_is_told_that_only_the_gate_is_missing(high):  # noqa: F811
    with gate_away(high):
        high.decide("scale")
        high.decide("scale", who=SECOND, reason=OTHER)
        shown = preview(high.workspace, PILOT, Asked("scale", OWNER, REASON))
        assert (shown.awaits, shown.repeated, high.decide("scale").awaits) == ("gate", True, "gate")
    assert high.decide("scale").attestation.predicate.second is not None


def test_the_owners_page_says_whose_signature_is_missing(high):  # noqa: F811
    with gate_away(high):
        high.decide("scale")
        first = summarise(high.workspace, PILOT).state
        high.decide("scale", who=SECOND, reason=OTHER)
    assert f"signed by {OWNER}; it needs a second signature by " in first
    assert summarise(high.workspace, PILOT).state.endswith(f"{OWNER} and {SECOND}; the gate's signature is missing")


def test_the_named_pilot_says_what_the_gate_declined(signed):  # noqa: F811
    _owner_revoked(signed)
    countersign(signed.workspace, None)
    with pytest.raises(Refused, match=f"the gate would not sign what {OWNER} decided: the key with which") as refused:
        countersign(signed.workspace, None, PILOT)
    assert refused.value.remedy.startswith("decide anew: pilotplant promote decide spring-email scale --arm letter")


def test_whoever_was_reminded_before_is_reminded_after_the_gate_declined(signed):  # noqa: F811
    signed.workspace.clock.set(DEADLINE - timedelta(days=1))
    before = signed.copy(signed.workspace.root.parent / "before")
    _owner_revoked(signed)
    countersign(signed.workspace, None)
    [after] = reminders(signed.workspace)
    assert "decide anew, for the gate would not sign scale --arm letter" in after.what
    assert reminders(before.workspace) == []
    assert after.key != type(after)(**{**_fields(after), "declined": None}).key


def _fields(reminder):
    return {name: getattr(reminder, name) for name in reminder.__dataclass_fields__}


def test_what_waits_for_hours_is_a_trouble_of_the_gate(signed):  # noqa: F811
    assert measures(signed.workspace)["troubles"] == []
    signed.workspace.clock.set(JUDGED + timedelta(hours=5))
    [trouble] = measures(signed.workspace)["troubles"]
    assert "waits for the gate's signature since" in trouble["told"]
    assert "pilotplant promote countersign spring-email" in trouble["next"]


def test_a_slip_in_people_yaml_is_told_and_hides_nothing(stage):
    stage.submit()
    (stage.workspace.configs / "people.yaml").write_text(
        f"schema_version: 1\npeople:\n  - email: {OWNER}\n    decide: 1\n"
    )
    with pytest.raises(BadInput):
        waiting(stage.workspace)


# Entries that are well formed, and nobody's.


def test_a_proposal_in_the_owners_name_by_a_strangers_key_takes_nothing_away(signed):  # noqa: F811
    stranger = CryptoSigner(Ed25519PrivateKey.generate())
    write_proposal(signed, OWNER, word="stop", insight="nothing", signer=stranger)
    [done] = countersign(signed.workspace, None)
    assert done.decided.decision.word == "scale"
    assert any("is not signed with a known key" in problem for problem in verify(signed.workspace).problems)


@pytest.mark.parametrize("name", [OWNER, GATE])
def test_an_entry_that_enrols_a_key_by_hand_enrols_nobody(signed, name):  # noqa: F811
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    body = {"key_id": CryptoSigner(key).public_key.keyid, "public": public, "role": "gate" if name == GATE else "owner"}
    room = open_promotion(signed.workspace)
    with room.transaction() as connection:
        room.write(connection, "enrolled", name, body)
    if name == OWNER:
        write_proposal(signed, OWNER, word="stop", insight="nothing", signer=CryptoSigner(key))
    # The name has two keys then, and nothing is signed that its true owner has not decided.
    with suppress(Refused):
        decided = [done.decided for done in countersign(signed.workspace, None) if done.decided]
        assert "stop" not in [done.decision.word for done in decided]
    assert "decided" not in kinds(signed) or entry(signed, "decided").body["decision"]["word"] == "scale"
    assert any("its record was changed" in problem for problem in verify(signed.workspace).problems)


def test_the_gates_refusal_counts_only_where_the_gate_has_signed_it(signed):  # noqa: F811
    write_entry(signed, "declined", {"candidate": "", "proposal": signed.said.digest, "reason": "a check failed"})
    assert countersign(signed.workspace, None)[0].state == "signed"
    assert any("it holds nothing that somebody has signed" in problem for problem in verify(signed.workspace).problems)


@pytest.mark.parametrize("body", [[], "text", 7])
@pytest.mark.parametrize("kind", ["noted", "declined", "registered"])
def test_an_entry_that_is_no_object_is_named_and_ends_no_command(signed, kind, body):  # noqa: F811
    """A gate whose own ledger does not verify signs nothing; what was signed goes on waiting."""
    write_entry(signed, kind, body)
    assert [one.state for one in countersign(signed.workspace, None)] == ["waits"]
    assert len(waiting(signed.workspace)) == 1
    assert measures(signed.workspace)["lapsed"] == []
    assert any("was changed after it was written" in problem for problem in verify(signed.workspace).problems)


def test_a_moment_that_had_not_come_is_declined(stage):
    stage.submit()
    write_proposal(stage, OWNER, change={"at": "2099-01-01T00:00:00Z"})
    [done] = countersign(stage.workspace, None)
    assert f"{OWNER} signed it with a moment that had not come" in told(done)


def test_a_preflight_that_grew_old_while_the_gate_was_waited_for_is_made_anew(stage):
    candidate = stage.submit()
    with gate_away(stage):
        stage.decide("scale")
    stage.workspace.clock.set(DEADLINE + timedelta(hours=2))
    [done] = countersign(stage.workspace, None)
    assert (done.state, "pilotplant factory preflight spring-email" in done.problem.remedy) == ("waits", True)
    stage.preflight(candidate, at=DEADLINE + timedelta(hours=1))
    assert countersign(stage.workspace, None)[0].state == "signed"


def test_a_waiver_whose_key_was_revoked_since_is_declined_and_not_waited_for(stage):
    right = {"checks": ["sample_planned"], "tiers": ["standard"]}
    persons = [{"email": OWNER, "decides": DECIDES}, {"email": THIRD, "decides": DECIDES, "waives": [right]}]
    stage.people(*persons)
    enrol(stage.workspace, THIRD)
    stage.submit(charter={"sample": {"units_per_arm": 300}})
    waive(stage.workspace, PILOT, Wish("sample_planned", THIRD, REASON, moment("2026-01-25 00:00")))
    with gate_away(stage):
        stage.decide("scale")
    stage.workspace.clock.set(JUDGED + timedelta(hours=1))
    revoke(stage.workspace, enrolled_key(stage.workspace, THIRD).key_id, "they left us")
    [done] = countersign(stage.workspace, None)
    assert done.state == "declined", told(done)


def test_a_key_that_counts_only_later_signs_nothing_that_would_wait_in_vain(stage):
    candidate = stage.submit()
    enrol(stage.workspace, OWNER, rotate=True)
    earlier = JUDGED - timedelta(minutes=30)
    stage.workspace.clock.set(earlier)
    stage.preflight(candidate, at=earlier - timedelta(hours=1))
    with gate_away(stage), pytest.raises(Refused, match="was enrolled only at"):
        stage.decide("stop")
    assert kinds(stage) == ["registered"]
