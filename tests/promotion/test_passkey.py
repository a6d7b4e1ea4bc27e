"""Persons who sign with passkeys: enrolled, rotated, revoked; they decide, countersign and waive; all is verified."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode, b64encode
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from factory.releases.packages import verify as factory_verify
from factory.releases.trust import trust
from pilotplant.app import _exit_code
from promotion.audit.export import export
from promotion.audit.outsider import verify_outside
from promotion.audit.verification import verify
from promotion.decisions import proposal
from promotion.decisions.countersignature import countersign
from promotion.decisions.draft import Asked
from promotion.decisions.execution import Decided
from promotion.decisions.pending_decision import last_pending
from promotion.decisions.prepared import LAPSES_S, prepare, sign_with_passkey
from promotion.decisions.proposal import Proposed
from promotion.decisions.waiver import Wish
from promotion.keys.enrolment import PasskeyFile, enrol, enrolled_key
from promotion.keys.keyring import ENROLLED, keyring, keys_folder, lay_out
from promotion.keys.revocation import revoke
from promotion.state import open_promotion
from shared.core.clock import parse_rfc3339
from shared.core.errors import BadInput, Refused, Undecided
from shared.trust.keys import GATE, KeyStore, read_public, write_public
from shared.trust.passkey import PART, key_id_of, read_answer, unbase64url
from tests.authenticator import ORIGIN, RP, Authenticator
from tests.makers import OWNER, moment
from tests.promotion.cases import JUDGED, REASON, Recorded, Stage

SECOND, THIRD = "second@example.com", "third@example.com"
REQUESTER = "requester@example.com"
DECIDES = {"tiers": ["low", "standard", "high"]}
WAIVES = [{"checks": ["sample_planned"], "tiers": ["standard"]}]
WHY = "two hundred units an arm show it as well"
UNTIL = moment("2026-01-25 00:00")
SCALE = Asked("scale", OWNER, REASON)
PILOT = "spring-email"
ELSEWHERE = "https://desk.example.com"


def registration(folder, phone, name="registration.json"):
    path = folder / name
    path.write_bytes(phone.register())
    return path


def enrol_passkey(stage, who, phone, *, rotate=False, origins=(ORIGIN,), rp_id=RP):
    file = registration(stage.workspace.root, phone)
    return enrol(stage.workspace, who, passkey=PasskeyFile(file, rp_id, origins), rotate=rotate)


@contextmanager
def gate_away(stage):
    key = KeyStore(stage.workspace).path(GATE)
    away = key.rename(key.with_name("elsewhere"))
    try:
        yield
    finally:
        away.rename(key)


@pytest.fixture(scope="module")
def phones():
    return {OWNER: Authenticator(), SECOND: Authenticator("EdDSA")}


@pytest.fixture(scope="module")
def made(prepared, phones, tmp_path_factory):
    stage = Stage(prepared).copy(tmp_path_factory.mktemp("made") / "workspace")
    stage.people(
        {"email": REQUESTER, "decides": DECIDES},
        {"email": OWNER, "decides": DECIDES},
        {"email": SECOND, "decides": DECIDES, "waives": WAIVES},
        {"email": THIRD, "decides": DECIDES},
    )
    enrol(stage.workspace, THIRD)
    enrol_passkey(stage, SECOND, phones[SECOND])
    enrol_passkey(stage, OWNER, phones[OWNER], rotate=True)
    return stage


def copied(made, phones, tmp_path, **submitted):
    """The same stage and the same phones, whose counters go on from where they were enrolled."""
    stage = made.copy(tmp_path / "workspace")
    stage.phones = {who: replace(phone) for who, phone in phones.items()}
    stage.candidate = stage.submit(**submitted)
    return stage


@pytest.fixture
def stage(made, phones, tmp_path):
    """A pilot of standard risk, which its owner decides with a passkey."""
    return copied(made, phones, tmp_path)


@pytest.fixture
def high(made, phones, tmp_path):
    """A pilot of high risk, which two persons sign."""
    return copied(made, phones, tmp_path, charter={"risk_tier": "high"})


def answered(stage, prepared, **said):
    phone = stage.phones[prepared.wanted.who]
    return read_answer(phone.answer(prepared.challenge, **said), where="the browser")


def signed(stage, wanted, name=PILOT):
    made = prepare(stage.workspace, name, wanted)
    return sign_with_passkey(stage.workspace, made, answered(stage, made))


def kinds(stage):
    return [entry.kind for entry in open_promotion(stage.workspace).entries(PILOT)]


def packages(stage):
    return list((stage.workspace.factory / "inbox").glob("[!.]*"))


def admitted(stage, *persons):
    for who in (GATE, *persons):
        trust(stage.workspace, who)
    [package] = packages(stage)
    return factory_verify(stage.workspace, package, now=JUDGED)


# Enrolment, rotation, revocation.


def test_a_passkey_is_enrolled_and_its_record_laid_out(made, phones):
    key = enrolled_key(made.workspace, SECOND)
    assert (key.kind, key.passkey.rp_id, key.passkey.origins) == ("passkey", RP, (ORIGIN,))
    assert key in read_public(keys_folder(made.workspace))
    again = enrol(made.workspace, SECOND)
    assert (again.repeated, again.key) == (True, key)
    assert not KeyStore(made.workspace).has(SECOND)
    assert verify(made.workspace).problems == []


def test_gate_and_factory_have_no_passkey(made, tmp_path):
    file = registration(tmp_path, Authenticator())
    for who in (GATE, "factory"):
        with pytest.raises(BadInput, match="a passkey is a person's"):
            enrol(made.workspace, who, passkey=PasskeyFile(file, RP, (ORIGIN,)))


def test_one_passkey_is_one_persons_whatever_site_it_is_enrolled_for(stage):
    """Else one authenticator would give two signatures."""
    before = stage.phones[SECOND]
    elsewhere = Authenticator("EdDSA", rp_id="desk.example.com", origin=ELSEWHERE, key=before.key)
    with pytest.raises(Refused, match="was enrolled before"):
        enrol_passkey(stage, THIRD, elsewhere, rotate=True, origins=(ELSEWHERE,), rp_id="desk.example.com")


def test_the_factory_pins_a_passkey_under_one_name(stage):
    key, fresh = trust(stage.workspace, OWNER)
    assert (fresh, key.kind, trust(stage.workspace, OWNER)) == (True, "passkey", (key, False))


def test_the_factory_refuses_the_same_passkey_under_another_name_and_site(stage):
    """Two sites give it two ids, and one authenticator would be two persons."""
    pinned, _ = trust(stage.workspace, OWNER)
    bound = pinned.passkey.model_copy(update={"origins": ("http://localhost:9999",)})
    twin = pinned.model_copy(
        update={"name": THIRD, "passkey": bound, "key_id": key_id_of(pinned.public, bound), "valid_from": None}
    )
    write_public(keys_folder(stage.workspace), twin)
    with pytest.raises(Refused, match="trusted already as the one of owner"):
        trust(stage.workspace, THIRD)


def test_a_key_gives_way_to_a_passkey_and_that_to_a_key(stage):
    held = read_public(keys_folder(stage.workspace))
    assert [(one.kind, one.ends is None) for one in held if one.name == OWNER] == [
        ("ed25519", False),
        ("passkey", True),
    ]
    stage.workspace.clock.set(JUDGED + timedelta(hours=1))
    enrol(stage.workspace, OWNER, rotate=True)
    assert enrolled_key(stage.workspace, OWNER).kind == "ed25519"
    assert isinstance(stage.decide("scale"), Decided)
    assert verify(stage.workspace).problems == []


def test_a_revoked_passkey_signs_nothing_more(stage):
    made = prepare(stage.workspace, PILOT, SCALE)
    answer = answered(stage, made)
    revoke(stage.workspace, enrolled_key(stage.workspace, OWNER).key_id, "the telephone was lost")
    with pytest.raises(Refused, match="is revoked since"):
        sign_with_passkey(stage.workspace, made, answer)
    assert kinds(stage) == ["registered"]


def test_an_answer_of_the_passkey_before_is_refused(stage):
    made = prepare(stage.workspace, PILOT, SCALE)
    answer = answered(stage, made)
    enrol_passkey(stage, OWNER, Authenticator(), rotate=True)
    with pytest.raises(Refused, match="another passkey"):
        sign_with_passkey(stage.workspace, made, answer)


# Deciding.


def test_an_owner_scales_by_passkey_and_gate_factory_and_stranger_believe_it(stage, tmp_path):
    done = signed(stage, SCALE)
    assert isinstance(done, Decided)
    assert kinds(stage) == ["registered", "proposed", "decided"]
    [only] = done.attestation.predicate.proposal["signatures"]
    assert set(only) == {"keyid", "sig", PART}
    assert verify(stage.workspace).problems == []
    assert admitted(stage, OWNER).release == "spring-email-letter"
    out = export(stage.workspace, PILOT, tmp_path / "out").folder
    found = verify_outside(out, out / "keys", recompute=True)
    assert found.problems == []
    assert f"signed by the gate and by {OWNER}" in "\n".join(found.verified)
    assert f"passkey of {OWNER}" in "\n".join(found.verified)


def test_what_is_prepared_says_what_is_signed_and_writes_nothing(stage):
    before = open_promotion(stage.workspace).entries()
    made = prepare(stage.workspace, PILOT, SCALE)
    assert json.loads(made.statement)["decision"]["arm"] == made.shown.decision.arm == "letter"
    assert made.request["allowCredentials"][0]["id"] == enrolled_key(stage.workspace, OWNER).passkey.credential_id
    assert (made.request["userVerification"], made.request["rpId"]) == ("required", RP)
    assert open_promotion(stage.workspace).entries() == before


def test_without_the_gates_key_it_waits_for_the_gate(stage):
    with gate_away(stage):
        done = signed(stage, SCALE)
    assert isinstance(done, Proposed)
    assert (done.awaits, packages(stage)) == ("gate", [])


@pytest.mark.parametrize("words", [(OWNER, SECOND), (OWNER, THIRD)])
def test_two_passkeys_or_a_passkey_and_a_key_are_two_signatures(high, words):
    first = signed(high, SCALE)
    assert (first.awaits, first.persons) == ("person", (OWNER,))
    other = Asked("scale", words[1], "we may gladly do this")
    done = signed(high, other) if words[1] == SECOND else high.decide("scale", who=THIRD, reason=other.reason)
    assert isinstance(done, Decided)
    assert {one.name for one in done.attestation.predicate.signatories} == {GATE, *words}
    assert verify(high.workspace).problems == []
    assert admitted(high, *words).release == "spring-email-letter"


def test_a_key_and_then_a_passkey_are_two_signatures(made, phones, tmp_path):
    stage = copied(made, phones, tmp_path, charter={"risk_tier": "high"})
    enrol(stage.workspace, OWNER, rotate=True)
    stage.decide("scale")
    done = signed(stage, Asked("scale", SECOND, "we may gladly do this"))
    assert isinstance(done, Decided)
    assert admitted(stage, OWNER, SECOND).release == "spring-email-letter"


def test_the_factory_refuses_a_passkey_that_it_does_not_trust(high):
    signed(high, SCALE)
    signed(high, Asked("scale", SECOND, "we may gladly do this"))
    [reason] = admitted(high, OWNER)
    assert "needs the signatures of 2 persons" in reason


def test_a_second_answer_to_what_was_replaced_since_puts_nothing_back(stage):
    """A desk that had its owner touch the authenticator twice keeps an answer for later."""
    with gate_away(stage):
        old = prepare(stage.workspace, PILOT, SCALE)
        sign_with_passkey(stage.workspace, old, answered(stage, old))
        signed(stage, Asked("revise", OWNER, REASON))
        with pytest.raises(Refused, match="was signed and recorded before"):
            sign_with_passkey(stage.workspace, old, answered(stage, old))
    assert kinds(stage) == ["registered", "proposed", "proposed"]


def test_what_is_decided_already_is_no_excuse_for_a_bad_answer(stage):
    made = prepare(stage.workspace, PILOT, SCALE)
    sign_with_passkey(stage.workspace, made, answered(stage, made))
    with pytest.raises(Refused, match="did not verify the person"):
        sign_with_passkey(stage.workspace, made, answered(stage, made, flags=1))


def test_a_second_answers_entry_that_a_hand_wrote_counts_for_nothing_and_is_named(stage, monkeypatch):
    with gate_away(stage):
        old = prepare(stage.workspace, PILOT, SCALE)
        sign_with_passkey(stage.workspace, old, answered(stage, old))
        signed(stage, Asked("revise", OWNER, REASON))
        with monkeypatch.context() as patch:
            patch.setattr(proposal, "require_forward", lambda *_: None)
            sign_with_passkey(stage.workspace, old, answered(stage, old))
    assert kinds(stage) == ["registered", "proposed", "proposed", "proposed"]
    assert last_pending(open_promotion(stage.workspace), PILOT).decision.word == "revise"
    assert ["a copy of an earlier entry" in one for one in verify(stage.workspace).problems] == [True]


def test_one_authenticator_under_two_names_is_one_signature(high):
    """Somebody has written an enrolment into the ledger by hand, with its record: another id of the same COSE key."""
    first = enrolled_key(high.workspace, OWNER)
    bound = first.passkey.model_copy(update={"origins": ("http://localhost:9999",)})
    room = open_promotion(high.workspace)
    with room.transaction() as connection:
        body = {"key_id": key_id_of(first.public, bound), "role": "owner", "public": first.public,
                "passkey": bound.model_dump(mode="json")}  # fmt: skip
        room.write(connection, ENROLLED, SECOND, body)
    lay_out(high.workspace, keyring(room.entries(), high.workspace))
    signed(high, SCALE)
    high.phones[SECOND] = replace(high.phones[OWNER], origin="http://localhost:9999")
    with pytest.raises(Refused, match="needs the signatures of 2 persons, each with a key of their own"):
        signed(high, Asked("scale", SECOND, "we may gladly do this"))
    assert packages(high) == []


@pytest.mark.parametrize("word", ["revise", "stop"])
def test_the_other_words_are_signed_by_passkey_as_well(stage, word):
    insight = "a letter brings one customer in five back" if word == "stop" else None
    done = signed(stage, Asked(word, OWNER, REASON, insight=insight))
    assert done.decision.word == word
    assert verify(stage.workspace).problems == []


def test_a_check_is_waived_by_passkey(made, phones, tmp_path):
    stage = copied(made, phones, tmp_path, charter={"sample": {"units_per_arm": 300}})
    done = signed(stage, Wish("sample_planned", SECOND, WHY, UNTIL))
    assert [one.check for one in done.findings] == ["sample_planned"]
    scaled = signed(stage, SCALE)
    assert [one.check for one in scaled.attestation.predicate.findings if one.waived] == ["sample_planned"]
    assert verify(stage.workspace).problems == []
    assert admitted(stage, OWNER, SECOND).release == "spring-email-letter"
    with pytest.raises(Refused, match="nothing is left to sign"):
        prepare(stage.workspace, PILOT, Wish("sample_planned", SECOND, WHY, UNTIL))


# What is refused.


def test_an_answer_to_another_word_is_refused(stage):
    scale, stop = (prepare(stage.workspace, PILOT, one) for one in (SCALE, Asked("revise", OWNER, REASON)))
    with pytest.raises(Refused, match="given for another statement"):
        sign_with_passkey(stage.workspace, scale, answered(stage, stop))
    assert kinds(stage) == ["registered"]


def test_an_answer_for_another_candidate_is_refused(stage):
    old = prepare(stage.workspace, PILOT, SCALE)
    answer = answered(stage, old)
    stage.submit(arms={"control": Recorded(), "letter": Recorded(visits=61)}, later=1)
    with pytest.raises(Refused, match="no longer holds: it has another candidate"):
        sign_with_passkey(stage.workspace, old, answer)
    with pytest.raises(Refused, match="given for another statement"):
        sign_with_passkey(stage.workspace, prepare(stage.workspace, PILOT, SCALE), answer)
    assert kinds(stage) == ["registered"]


def test_an_answer_by_another_persons_passkey_is_refused(stage):
    made = prepare(stage.workspace, PILOT, SCALE)
    answer = read_answer(stage.phones[SECOND].answer(made.challenge), where="here")
    with pytest.raises(Refused, match="another credential"):
        sign_with_passkey(stage.workspace, made, answer)


@pytest.mark.parametrize(
    ("said", "words"),
    [({"origin": "https://evil.example"}, "another page"), ({"flags": 1}, "did not verify the person"),
     ({"crossOrigin": True}, "within another site's page")],
)  # fmt: skip
def test_an_answer_from_another_page_or_without_the_person_is_refused(stage, said, words):
    made = prepare(stage.workspace, PILOT, SCALE)
    with pytest.raises(Refused, match=words):
        sign_with_passkey(stage.workspace, made, answered(stage, made, **said))
    assert kinds(stage) == ["registered"]


def test_a_statement_that_was_not_prepared_here_is_refused_whatever_was_answered(stage):
    """A hostile caller has a real answer to a statement of its own making."""
    made = prepare(stage.workspace, PILOT, SCALE)
    changed = replace(made, content={**made.content, "verdict": "undecided"})
    with pytest.raises(Refused, match="no longer holds: it has another verdict"):
        sign_with_passkey(stage.workspace, changed, answered(stage, changed))
    other = replace(made, content={**made.content, "decision": {**made.content["decision"], "reason": "x" * 30}})
    with pytest.raises(Refused, match="no longer holds: it has another decision"):
        sign_with_passkey(stage.workspace, other, answered(stage, other))
    assert kinds(stage) == ["registered"]


@pytest.mark.parametrize("after_s", [LAPSES_S + 60, -60])
def test_what_was_prepared_lapses_in_a_day_and_is_not_of_tomorrow(stage, after_s):
    made = prepare(stage.workspace, PILOT, SCALE)
    answer = answered(stage, made)
    stage.workspace.clock.set(JUDGED + timedelta(seconds=after_s))
    with pytest.raises(Refused, match="not within the last 24 hours"):
        sign_with_passkey(stage.workspace, made, answer)


def test_an_hour_later_the_moment_that_was_prepared_is_signed(stage):
    made = prepare(stage.workspace, PILOT, SCALE)
    stage.workspace.clock.set(JUDGED + timedelta(hours=1))
    with gate_away(stage):
        done = sign_with_passkey(stage.workspace, made, answered(stage, made))
    assert done.decision.at == made.at
    assert parse_rfc3339(made.at) < JUDGED + timedelta(minutes=1)
    assert verify(stage.workspace).problems == []


def test_the_same_answer_again_is_a_no_op(stage):
    made = prepare(stage.workspace, PILOT, SCALE)
    answer = answered(stage, made)
    with gate_away(stage):
        sign_with_passkey(stage.workspace, made, answer)
        assert sign_with_passkey(stage.workspace, made, answer).repeated
    assert isinstance(sign_with_passkey(stage.workspace, made, answer), Decided)
    assert sign_with_passkey(stage.workspace, made, answer).repeated
    assert kinds(stage) == ["registered", "proposed", "decided"]


def test_an_answer_to_what_was_replaced_since_puts_nothing_back(stage):
    with gate_away(stage):
        old = prepare(stage.workspace, PILOT, SCALE)
        answer = answered(stage, old)
        sign_with_passkey(stage.workspace, old, answer)
        signed(stage, Asked("revise", OWNER, REASON))
        with pytest.raises(Refused, match="was signed and recorded before"):
            sign_with_passkey(stage.workspace, old, answer)
    assert kinds(stage) == ["registered", "proposed", "proposed"]


def test_a_counter_that_goes_backwards_is_refused(stage):
    with gate_away(stage):
        stage.phones[OWNER].count = 7
        signed(stage, SCALE)
        stage.phones[OWNER].count = 4
        with pytest.raises(Refused, match="had counted to 8 before, and says 5: it may have been copied"):
            signed(stage, Asked("revise", OWNER, REASON))
        stage.phones[OWNER].count = 8
        signed(stage, Asked("revise", OWNER, REASON))
    assert kinds(stage) == ["registered", "proposed", "proposed"]
    assert verify(stage.workspace).problems == []


def test_a_counter_below_that_of_the_enrolment_is_refused(stage):
    phone = stage.phones[OWNER] = Authenticator(count=20)
    enrol_passkey(stage, OWNER, phone, rotate=True)
    phone.count = 10
    with pytest.raises(Refused, match="had counted to 20 before, and says 11"):
        signed(stage, SCALE)


def test_an_authenticator_that_does_not_count_says_nothing_by_it(stage):
    phone = stage.phones[OWNER] = Authenticator(count=None)
    enrol_passkey(stage, OWNER, phone, rotate=True)
    with gate_away(stage):
        signed(stage, SCALE)
        signed(stage, Asked("revise", OWNER, REASON))
    assert kinds(stage) == ["registered", "proposed", "proposed"]


def test_a_copied_passkeys_entry_that_a_hand_wrote_is_named_and_voids_what_it_says(stage, monkeypatch):
    """Whoever may decide may write to the ledger: past the command that would have refused it."""
    with gate_away(stage):
        stage.phones[OWNER].count = 7
        signed(stage, Asked("revise", OWNER, REASON))
        stage.phones[OWNER].count = 4
        with monkeypatch.context() as patch:
            patch.setattr(proposal, "require_forward", lambda *_: None)
            signed(stage, SCALE)
    assert ["may have been copied" in one for one in verify(stage.workspace).problems] == [True]
    stage.workspace.clock.set(JUDGED + timedelta(minutes=1))
    [done] = countersign(stage.workspace, None)
    assert (done.state, packages(stage)) == ("declined", [])
    assert "may have been copied" in done.declined.what


def test_a_person_with_a_passkey_is_told_how_to_sign(stage):
    with pytest.raises(Refused, match="signs with a passkey, which no command can open") as told:
        stage.decide("scale")
    assert "--draft" in str(told.value.told)
    with pytest.raises(Refused, match="signs with a key, not with a passkey"):
        prepare(stage.workspace, PILOT, Asked("scale", THIRD, REASON))


def test_what_somebody_may_not_decide_is_not_prepared(stage):
    enrol_passkey(stage, THIRD, phone := Authenticator(), rotate=True)
    stage.phones[THIRD] = phone
    with pytest.raises((Refused, Undecided)):
        prepare(stage.workspace, PILOT, Asked("scale", THIRD, REASON))


# The commands.


def cli(stage, capsys, *words):
    code = _exit_code(["--workspace", str(stage.workspace.root), "promote", *map(str, words)])
    out = capsys.readouterr()
    return code, " ".join(out.out.split()), " ".join(out.err.split())


def test_the_commands_of_a_passkey_from_enrolment_to_the_release(stage, capsys, tmp_path):
    phone = stage.phones[OWNER] = Authenticator("RS256")
    file = registration(tmp_path, phone)
    code, out, _ = cli(stage, capsys, "enrol", OWNER, "--passkey", file, "--origin", ORIGIN, "--rotate", "--json")
    assert (code, json.loads(out)["repeated"]) == (0, False)
    draft, answer = tmp_path / "draft.json", tmp_path / "answer.json"
    asked = ("decide", PILOT, "scale", "--as", OWNER, "--reason", REASON, "--draft", draft)
    code, out, _ = cli(stage, capsys, *asked)
    assert (code, "Nothing is signed yet." in out) == (0, True)
    assert cli(stage, capsys, *asked)[0] == 2, "a file of that name is not written over"
    challenge = json.loads(draft.read_bytes())["challenge"]
    answer.write_text(json.dumps(phone.answer(unbase64url(challenge))))
    code, out, _ = cli(stage, capsys, "sign", draft, answer)
    assert (code, f"signed by {OWNER} and the gate" in out) == (0, True)
    code, out, _ = cli(stage, capsys, "sign", draft, answer)
    assert (code, "nothing new was signed" in out) == (0, True)
    assert cli(stage, capsys, "verify")[0] == 0


def test_a_waiver_is_drafted_and_signed_by_command(made, phones, tmp_path, capsys):
    stage = copied(made, phones, tmp_path, charter={"sample": {"units_per_arm": 300}})
    draft, answer = tmp_path / "draft.json", tmp_path / "answer.json"
    code, out, _ = cli(
        stage, capsys, "waive", PILOT, "sample_planned", "--as", SECOND, "--reason", WHY, "--until", "2026-01-24",
        "--draft", draft, "--json",
    )  # fmt: skip
    assert code == 0
    answer.write_text(json.dumps(stage.phones[SECOND].answer(unbase64url(json.loads(out)["challenge"]))))
    code, out, _ = cli(stage, capsys, "sign", draft, answer)
    assert (code, "sample_planned is waived by second@example.com" in out) == (0, True)


def test_a_draft_that_was_changed_is_bad_input(stage, capsys, tmp_path):
    draft, answer = tmp_path / "draft.json", tmp_path / "answer.json"
    cli(stage, capsys, "decide", PILOT, "scale", "--as", OWNER, "--reason", REASON, "--draft", draft)
    said = json.loads(draft.read_bytes())
    said["statement"]["verdict"] = "refuse"
    draft.write_text(json.dumps(said))
    answer.write_text("{}")
    code, _, err = cli(stage, capsys, "sign", draft, answer)
    assert (code, "was changed since" in err) == (2, True)


def test_nobody_is_asked_for_a_passphrase_who_signs_with_a_passkey(make_stage, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("PILOTPLANT_KEYS", str(tmp_path / "keys"))
    live = make_stage("live")
    enrol_passkey(live, OWNER, Authenticator())
    code, _, err = cli(live, capsys, "decide", PILOT, "scale", "--as", OWNER, "--reason", REASON)
    assert (code, "signs with a passkey" in err, "passphrase" in err) == (3, True, False)


def test_a_clock_is_corrected_with_keys(make_stage, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("PILOTPLANT_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("PILOTPLANT_PASSPHRASE", "four words not together")
    live = make_stage("live")
    enrol_passkey(live, OWNER, Authenticator())
    code, _, err = cli(live, capsys, "correct-clock", "--as", OWNER, "--reason", "the time server stood at 2031")
    assert (code, "a clock is corrected with keys" in err) == (3, True)


def test_what_a_passkey_needs_is_asked_for(stage, capsys, tmp_path):
    file = registration(tmp_path, Authenticator())
    code, _, err = cli(stage, capsys, "enrol", THIRD, "--passkey", file)
    assert (code, "on which page does its owner sign?" in err) == (2, True)
    code, _, err = cli(stage, capsys, "enrol", THIRD, "--origin", ORIGIN)
    assert (code, "go with --passkey" in err) == (2, True)
    code, _, err = cli(stage, capsys, "enrol", THIRD, "--passkey", tmp_path / "none", "--origin", ORIGIN)
    assert (code, "cannot be read" in err) == (2, True)


# A stranger, by hand.


def by_hand(page, home):
    block = page.split("## A passkey's signature by hand", 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", block], cwd=home, capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
    )  # fmt: skip


def test_a_stranger_verifies_a_passkeys_signature_by_hand_as_the_page_says(stage, tmp_path):
    """What docs/verify.md says, with python's own library and openssl alone; and it fails for what was changed."""
    page = (Path(__file__).parents[2] / "docs" / "verify.md").read_text()
    signed(stage, SCALE)
    export(stage.workspace, PILOT, tmp_path / "export")
    done = by_hand(page, tmp_path)
    assert (done.returncode, done.stdout) == (0, f"scale by {OWNER}\nVerified OK\n"), done.stderr
    path = tmp_path / "export" / "package" / "attestation.json"
    attestation = json.loads(path.read_bytes())
    statement = json.loads(b64decode(attestation["payload"]))
    sound = b64decode(statement["predicate"]["proposal"]["signatures"][0]["passkey"]["client_data"])
    for client in (
        sound + b" ",
        sound.replace(b"http://", b"https://"),
        sound.replace(b"webauthn.get", b"webauthn.got"),
    ):
        statement["predicate"]["proposal"]["signatures"][0]["passkey"]["client_data"] = b64encode(client).decode()
        path.write_text(json.dumps(attestation | {"payload": b64encode(json.dumps(statement).encode()).decode()}))
        assert by_hand(page, tmp_path).returncode != 0
