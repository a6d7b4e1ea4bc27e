"""Attestations: what makes one unreadable, and what makes it distrusted."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest

from shared.core.digests import canonical
from shared.core.errors import BadInput
from shared.state.workspace import create
from shared.trust.attestation import Predicate, attest, parse_attestation, read_attestation
from shared.trust.keys import GATE, KeyStore
from tests.makers import signed_for

OWNER, OTHER = "owner@example.com", "other@example.com"
CANDIDATE = "sha256:" + "ab" * 32
NOW = datetime(2026, 2, 2, 9, tzinfo=UTC)


class People(NamedTuple):
    store: KeyStore
    trusted: list


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    store = KeyStore(create(tmp_path_factory.mktemp("keys") / "workspace", "rehearsal")[0])
    trusted = [store.create(GATE, "gate"), store.create(OWNER, "owner")]
    store.create(OTHER, "owner")
    return People(store, trusted)


def predicate(**changes):
    decision = {"word": "scale", "owner": OWNER, "reason": "it works", "at": "2026-02-02T08:00:00Z", "arm": "letter"}
    content = {
        "verifier": "pilotplant", "time_verified": "2026-02-02T08:00:00Z", "pilot": "spring-mail",
        "promise": "sha256:" + "1" * 64, "policy": "sha256:" + "2" * 64,
        "mode": "rehearsal", "verdict": "admit", "findings": (), **signed_for("0123456789abcdef", decision),
        "evidence": "sha256:" + "3" * 64, "cost": {"amount": "10.00", "currency": "USD"},
        "expires": "2026-03-02T09:00:00Z", "ledgers": {"lab": {"seq": 3, "hash": "sha256:4"}},
    }  # fmt: skip
    return Predicate(**{**content, "nonce": "0" * 32, **changes})


def signed(people, *names, **changes):
    signers = [people.store.signer(name) for name in names or (GATE, OWNER)]
    return attest(CANDIDATE, predicate(**changes), signers)


def parsed(raw):
    return parse_attestation(raw, where="here")


def enveloped(payload):
    """An envelope that nobody signed, around any payload; canonical, so that only its payload can be at fault."""
    encoded = base64.b64encode(payload if isinstance(payload, bytes) else canonical(payload)).decode()
    return canonical({"payload": encoded, "payloadType": "application/vnd.in-toto+json", "signatures": []})


def statement(people):
    return json.loads(base64.b64decode(json.loads(signed(people))["payload"]))


def test_an_attestation_signed_by_gate_and_owner_is_trusted(people):
    assert parsed(signed(people)).distrust(people.trusted, now=NOW) == []


def test_an_attestation_says_what_was_attested(people):
    assert parsed(signed(people)).predicate == predicate()


def test_an_attestation_names_the_candidate_it_is_about(people):
    assert parsed(signed(people)).candidate == CANDIDATE


def test_the_envelope_follows_dsse_with_the_signature_over_its_pre_authentication_encoding(people):
    # DSSE v1: PAE = "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body, each length in decimal.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    envelope = json.loads(signed(people, GATE))
    body, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    pae = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(people.trusted[0].public))
    key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), pae)


def test_the_payload_is_an_in_toto_statement_about_the_candidates_digest(people):
    content = statement(people)
    assert (content["_type"], content["subject"]) == (
        "https://in-toto.io/Statement/v1",
        [{"name": "candidate", "digest": {"sha256": "ab" * 32}}],
    )


# Each byte as one with another lowest bit, in the other case, out of ASCII, and as its successor.
@pytest.mark.parametrize("change", [lambda b: b ^ 1, lambda b: b ^ 0x20, lambda b: b ^ 0x80, lambda b: (b + 1) % 256])
def test_any_byte_changed_makes_it_unreadable_or_distrusted(people, change):
    raw = signed(people)
    believed = []
    for index, byte in enumerate(raw):
        forged = raw[:index] + bytes([change(byte)]) + raw[index + 1 :]
        try:
            if not parsed(forged).distrust(people.trusted, now=NOW):
                believed.append((index, raw[max(0, index - 20) : index + 20]))
        except BadInput:
            continue
    assert believed == []


def test_any_byte_left_out_makes_it_unreadable_or_distrusted(people):
    raw = signed(people)
    believed = []
    for index in range(len(raw)):
        try:
            if not parsed(raw[:index] + raw[index + 1 :]).distrust(people.trusted, now=NOW):
                believed.append(index)
        except BadInput:
            continue
    assert believed == []


@pytest.mark.parametrize("added", [b"\n", b" ", b"\0", b"{}"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_any_byte_added_makes_it_unreadable(people, added, where):
    raw = signed(people)
    with pytest.raises(BadInput):
        parsed(added + raw if where == "before" else raw + added)


def test_the_same_meaning_in_other_bytes_is_unreadable(people):
    with pytest.raises(BadInput, match="damaged"):
        parsed(json.dumps(json.loads(signed(people)), indent=1).encode())


def test_an_unsigned_field_beside_the_signed_ones_is_unreadable(people):
    with pytest.raises(BadInput, match="damaged"):
        parsed(canonical({**json.loads(signed(people)), "note": "trust me"}))


def _changed_payload(people, **changes):
    envelope = json.loads(signed(people))
    content = json.loads(base64.b64decode(envelope["payload"]))
    content["predicate"].update(changes)
    envelope["payload"] = base64.b64encode(canonical(content)).decode()
    return parsed(canonical(envelope)).distrust(people.trusted, now=NOW)


@pytest.mark.parametrize(
    "changes", [{"verdict": "refuse"}, {"expires": "2099-01-01T00:00:00Z"}, {"tier": "low"}, {"pilot": "other"}]
)
def test_a_predicate_changed_after_signing_is_distrusted(people, changes):
    assert len(_changed_payload(people, **changes)) == 2


def test_signatures_of_another_attestation_do_not_count(people):
    envelope = json.loads(signed(people))
    envelope["signatures"] = json.loads(signed(people, pilot="other"))["signatures"]
    assert len(parsed(canonical(envelope)).distrust(people.trusted, now=NOW)) == 2


def test_without_the_gates_signature_it_is_distrusted(people):
    reasons = parsed(signed(people, OWNER)).distrust(people.trusted, now=NOW)
    assert reasons == ["no gate whose key is trusted here has signed it"]


def test_without_the_owners_signature_it_is_distrusted(people):
    reasons = parsed(signed(people, GATE)).distrust(people.trusted, now=NOW)
    assert reasons == [f"its decision owner {OWNER} has not signed it with a key trusted here"]


def test_without_any_signature_it_is_distrusted_twice(people):
    assert len(parsed(enveloped(statement(people))).distrust(people.trusted, now=NOW)) == 2


def test_another_persons_signature_is_not_the_owners(people):
    trusted = [*people.trusted, people.store.public(OTHER, "owner")]
    reasons = parsed(signed(people, GATE, OTHER)).distrust(trusted, now=NOW)
    assert reasons == [f"its decision owner {OWNER} has not signed it with a key trusted here"]


def test_an_owner_key_never_stands_for_the_gate(people):
    trusted = [people.store.public(GATE, "owner"), people.trusted[1]]
    assert parsed(signed(people)).distrust(trusted, now=NOW) == ["no gate whose key is trusted here has signed it"]


def test_another_key_of_the_same_name_is_distrusted(people, tmp_path):
    impostor = KeyStore(create(tmp_path / "elsewhere", "rehearsal")[0])
    trusted = [impostor.create(GATE, "gate"), people.trusted[1]]
    assert parsed(signed(people)).distrust(trusted, now=NOW) == ["no gate whose key is trusted here has signed it"]


def test_a_trusted_key_whose_id_was_exchanged_trusts_nothing(people):
    forged = people.trusted[0].model_copy(update={"key_id": people.trusted[1].key_id})
    reasons = parsed(signed(people)).distrust([forged, people.trusted[1]], now=NOW)
    assert reasons == ["no gate whose key is trusted here has signed it"]


def test_no_trusted_key_trusts_nothing(people):
    assert len(parsed(signed(people)).distrust([], now=NOW)) == 2


def test_keys_of_a_rehearsal_do_not_count_for_a_live_attestation(people):
    assert len(parsed(signed(people, mode="live")).distrust(people.trusted, now=NOW)) == 2


def test_keys_of_a_live_workspace_do_not_count_for_a_rehearsals_attestation(people):
    live = [key.model_copy(update={"mode": "live"}) for key in people.trusted]
    assert len(parsed(signed(people)).distrust(live, now=NOW)) == 2


def test_it_is_trusted_to_the_last_moment_before_it_expires(people):
    just_before = datetime(2026, 3, 2, 9, tzinfo=UTC) - timedelta(microseconds=1)
    assert parsed(signed(people)).distrust(people.trusted, now=just_before) == []


@pytest.mark.parametrize("later", [timedelta(0), timedelta(days=400)])
def test_it_is_distrusted_from_the_moment_it_expires(people, later):
    reasons = parsed(signed(people)).distrust(people.trusted, now=datetime(2026, 3, 2, 9, tzinfo=UTC) + later)
    assert reasons == ["it expired at 2026-03-02T09:00:00Z"]


@pytest.mark.parametrize(
    "change",
    [
        {"subject": []},
        {"subject": [{"name": "candidate", "digest": {}}]},
        {"subject": [{"name": str(n), "digest": {"sha256": "ab" * 32}} for n in range(2)]},
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"predicateType": "https://slsa.dev/verification_summary/v1"},
        {"extra": 1},
    ],
)
def test_a_statement_of_another_form_is_unreadable(people, change):
    with pytest.raises(BadInput, match="damaged"):
        parsed(enveloped({**statement(people), **change}))


@pytest.mark.parametrize("field", ["expires", "decision"])
@pytest.mark.parametrize("text", ["never", "", "2026-03-02T09:00:00"])
def test_a_moment_that_is_none_makes_it_unreadable(people, field, text):
    content = statement(people)
    if field == "expires":
        content["predicate"]["expires"] = text
    else:
        content["predicate"]["decision"]["at"] = text
    with pytest.raises(BadInput, match="damaged"):
        parsed(enveloped(content))


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_a_payload_that_is_no_statement_is_unreadable(payload):
    with pytest.raises(BadInput, match="damaged"):
        parsed(enveloped(payload))


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"payload":1}'])
def test_bytes_that_are_no_envelope_are_unreadable(raw):
    with pytest.raises(BadInput, match="damaged"):
        parsed(raw)


def test_a_missing_file_is_called_missing(tmp_path):
    with pytest.raises(BadInput, match="missing"):
        read_attestation(tmp_path / "none.json")


def test_a_file_is_read_as_its_bytes_are(people, tmp_path):
    (tmp_path / "a.json").write_bytes(signed(people))
    assert read_attestation(tmp_path / "a.json").predicate == predicate()


def test_two_decisions_at_different_times_say_the_same():
    said = predicate().decision
    assert said.same_as(said.model_copy(update={"at": "2026-02-03T08:00:00Z"}))


@pytest.mark.parametrize("change", [{"reason": "other"}, {"arm": None}, {"word": "stop"}])
def test_two_decisions_that_differ_in_more_than_time_do_not_say_the_same(change):
    said = predicate().decision
    assert not said.same_as(said.model_copy(update=change))


def test_one_key_under_both_names_does_not_sign_for_both(people):
    gate = people.trusted[0]
    both = [gate, gate.model_copy(update={"name": OWNER, "role": "owner"})]
    reasons = parsed(signed(people, GATE)).distrust(both, now=NOW)
    assert reasons == ["gate and owner signed with the same key"]


def test_a_key_under_both_names_does_no_harm_beside_a_second_signature(people):
    gate, owner = people.trusted
    trusted = [gate, owner, gate.model_copy(update={"name": OWNER, "role": "owner"})]
    assert parsed(signed(people)).distrust(trusted, now=NOW) == []
