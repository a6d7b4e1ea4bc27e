"""Passkeys: what an authenticator answers counts for one statement, one site and one credential, and no other."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import replace

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from pydantic import ValidationError
from securesystemslib.dsse import Envelope

from shared.core.digests import canonical
from shared.core.errors import BadInput, Refused
from shared.core.yamlfile import read_yaml
from shared.state.workspace import create
from shared.trust.keys import KeyStore, PublicKey, read_public, record_bytes, write_public
from shared.trust.passkey import AnswerSigner, challenge_of, key_id_of, read_answer, read_registration
from shared.trust.signed import parse, payload_type, refused, sign, verifies
from tests.authenticator import ORIGIN, RP, UP, UV, Authenticator, b64url

OWNER = "owner@example.com"
CONTENT = {"candidate": "sha256:aa", "decision": "scale"}
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# The public key is that of RFC 8032, section 7.1, test 1; its id is the one that securesystemslib gives it.
EARLIER = """schema_version: 1
name: owner@example.com
role: owner
mode: rehearsal
key_id: 74c181c7ad8a0855d4b55e44d2ba87aabdddb196832571f15f92fece332e4916
public: d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a
valid_from: '2026-01-04T12:00:00.000000Z'
"""


def record(authenticator, *, origins=(ORIGIN,), rp_id=None):
    found = read_registration(authenticator.register(), rp_id or authenticator.rp_id, origins, where="here")
    return PublicKey(
        name=OWNER, role="owner", mode="rehearsal", key_id=key_id_of(found.public, found.passkey),
        public=found.public, passkey=found.passkey,
    )  # fmt: skip


def challenge(content=CONTENT, kind="note"):
    return challenge_of(Envelope(canonical(content), payload_type(kind), {}).pae())


def signed(authenticator, key, *, content=CONTENT, **said):
    answer = read_answer(json.dumps(authenticator.answer(challenge(), **said)), where="here")
    return sign("note", content, [AnswerSigner(key.passkey_verifier(), answer)])


def forged(authenticator, key, *, over=CONTENT, flags=UP | UV, **said):
    """An envelope that a hand has put together, past all that signs here."""
    given = read_answer(json.dumps(authenticator.answer(challenge(over), flags=flags, **said)), where="here")
    envelope = {
        "payload": b64encode(canonical(CONTENT)).decode(),
        "payloadType": payload_type("note"),
        "signatures": [
            {"keyid": key.key_id, "sig": b64encode(low(given.signature)).decode(), "passkey": given.as_part()}
        ],
    }
    return canonical(envelope)


def low(signature):
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, P256_ORDER - s))


def reason(raw, key):
    """Why a signature does not count, which then verifies nothing."""
    found = parse(raw, "note", where="here")
    assert found.verified_by([key]) == []
    return refused(found.envelope, key)


@pytest.fixture
def phone():
    return Authenticator()


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_a_statement_is_signed_by_a_passkey_and_comes_back(algorithm):
    phone = Authenticator(algorithm)
    key, other = record(phone), record(Authenticator(algorithm))
    found = parse(signed(phone, key), "note", where="here")
    assert (found.content, found.verified_by([other, key])) == (CONTENT, [key])
    assert refused(found.envelope, key) is None


def test_the_parts_lie_beside_keyid_and_sig_where_readers_of_dsse_pass_them_over(phone):
    key = record(phone)
    [one] = json.loads(signed(phone, key))["signatures"]
    assert (one["keyid"], set(one)) == (key.key_id, {"keyid", "sig", "passkey"})
    assert set(one["passkey"]) == {"authenticator_data", "client_data", "credential_id"}
    assert json.loads(b64decode(one["passkey"]["client_data"]))["challenge"] == b64url(challenge())


def test_a_key_and_a_passkey_sign_the_same_envelope(phone, tmp_path):
    store, key = KeyStore(create(tmp_path / "w", "rehearsal")[0]), record(phone)
    gate = store.create("gate", "gate")
    answer = read_answer(phone.answer(challenge()), where="here")
    raw = sign("note", CONTENT, [store.signer("gate"), AnswerSigner(key.passkey_verifier(), answer)])
    assert parse(raw, "note", where="here").verified_by([key, gate]) == [key, gate]


def test_the_record_is_written_and_read_back_and_its_id_covers_all_that_it_is_bound_to(phone, tmp_path):
    key = record(phone)
    path = write_public(tmp_path, key)
    assert read_public(tmp_path) == [key]
    assert path.read_bytes() == record_bytes(key)
    assert key.kind == "passkey"
    for part, other in (("rp_id", "example.com"), ("origins", ("http://localhost:9",)), ("credential_id", "x" * 43)):
        bound = key.passkey.model_copy(update={part: other})
        with pytest.raises(BadInput, match="does not match its key_id"):
            key.model_copy(update={"passkey": bound}).verifier()


def test_a_record_of_an_earlier_build_keeps_its_bytes_and_its_id(tmp_path):
    path = tmp_path / f"{OWNER}.yaml"
    path.write_text(EARLIER)
    key = read_yaml(path, PublicKey)
    assert (record_bytes(key).decode(), key.kind, key.verifier().keyid) == (EARLIER, "ed25519", key.key_id)


def test_user_verification_cannot_be_left_out_of_a_record(phone):
    said = record(phone).model_dump(mode="json")
    said["passkey"]["user_verification"] = "preferred"
    with pytest.raises(ValidationError):
        PublicKey.model_validate(said)


@pytest.mark.parametrize("role", ["gate", "factory"])
def test_a_passkey_is_a_persons(phone, role):
    with pytest.raises(ValidationError, match="a passkey is a person's"):
        PublicKey.model_validate(record(phone).model_dump(mode="json") | {"role": role})


def test_an_answer_over_another_statements_digest_is_refused(phone):
    key, other = record(phone), {**CONTENT, "decision": "stop"}
    with pytest.raises(Refused, match="given for another statement"):
        signed(phone, key, content=other)
    assert "given for another statement" in reason(forged(phone, key, over=other), key)


def test_an_answer_for_one_candidate_does_not_count_for_another(phone):
    key, other = record(phone), {**CONTENT, "candidate": "sha256:bb"}
    good = json.loads(signed(phone, key))
    moved = canonical({**good, "payload": b64encode(canonical(other)).decode()})
    assert "given for another statement" in reason(moved, key)


def test_a_statement_of_another_kind_with_the_same_content_has_another_challenge(phone):
    key = record(phone)
    assert challenge(kind="note") != challenge(kind="waiver")
    good = json.loads(signed(phone, key))
    moved = parse(canonical({**good, "payloadType": payload_type("waiver")}), "waiver", where="here")
    assert "given for another statement" in refused(moved.envelope, key)


def test_a_swapped_credential_is_refused(phone):
    key, other = record(phone), Authenticator()
    assert "another credential" in reason(forged(other, key), key)
    posing = Authenticator(credential_id=phone.credential_id)
    assert "not by the enrolled passkey" in reason(forged(posing, key), key)


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:8485", "https://localhost:8484"])
def test_an_answer_on_another_page_is_refused(phone, origin):
    assert "another page" in reason(forged(phone, record(phone), origin=origin), record(phone))


def test_an_answer_for_another_relying_party_is_refused(phone):
    key = record(phone)
    phone.rp_id = "evil.example"
    assert "another site" in reason(forged(phone, key), key)


@pytest.mark.parametrize(("flags", "words"), [(UP, "did not verify the person"), (UV, "nobody touched"), (0, "nobody")])
def test_an_answer_without_the_person_is_refused(phone, flags, words):
    assert words in reason(forged(phone, record(phone), flags=flags), record(phone))


def test_changed_client_data_is_refused(phone):
    key = record(phone)
    good = json.loads(signed(phone, key))
    told = good["signatures"][0]["passkey"]
    told["client_data"] = b64encode(b64decode(told["client_data"]) + b" ").decode()
    assert "not by the enrolled passkey, or something that it covers was changed" in reason(canonical(good), key)


def test_changed_authenticator_data_is_refused(phone):
    key = record(phone)
    good = json.loads(signed(phone, key))
    told = good["signatures"][0]["passkey"]
    data = bytearray(b64decode(told["authenticator_data"]))
    data[36] ^= 1
    told["authenticator_data"] = b64encode(data).decode()
    assert "something that it covers was changed" in reason(canonical(good), key)


def test_a_registration_is_no_signature(phone):
    key = record(phone)
    assert "not the answer to a request to sign" in reason(forged(phone, key, type="webauthn.create"), key)


@pytest.mark.parametrize("said", [{"crossOrigin": True}, {"topOrigin": "https://evil.example"}])
def test_an_answer_within_another_sites_page_is_refused(phone, said):
    assert "within another site's page" in reason(forged(phone, record(phone), **said), record(phone))


def test_the_other_form_of_an_ecdsa_signature_gives_no_second_digest(phone):
    """Else whoever may write to a ledger could put back what was signed and replaced, as if it were new."""
    key = record(phone)
    good = json.loads(signed(phone, key))
    r, s = decode_dss_signature(b64decode(good["signatures"][0]["sig"]))
    good["signatures"][0]["sig"] = b64encode(encode_dss_signature(r, P256_ORDER - s)).decode()
    assert "one form" in reason(canonical(good), key)


@pytest.mark.parametrize("count", range(8))
def test_either_form_that_an_authenticator_gives_is_kept_in_the_one(phone, count):
    key = record(phone)
    assert parse(signed(phone, key), "note", where="here").verified_by([key]) == [key]


def test_parts_that_nobody_signed_make_a_signature_void(phone, tmp_path):
    key = record(phone)
    good = json.loads(signed(phone, key))
    good["signatures"][0]["passkey"]["note"] = "mine"
    assert "does not hold what a passkey signs" in reason(canonical(good), key)
    store = KeyStore(create(tmp_path / "w", "rehearsal")[0])
    gate = store.create("gate", "gate")
    plain = json.loads(sign("note", CONTENT, [store.signer("gate")]))
    plain["signatures"][0]["passkey"] = {}
    assert not verifies(parse(canonical(plain), "note", where="here").envelope, gate)
    plain["signatures"][0]["more"] = {}
    with pytest.raises(BadInput):
        parse(canonical(plain), "note", where="here")


def test_a_cose_key_has_one_record():
    """A second encoding of the same key would be a second key, and one person two."""
    phone = Authenticator()
    key = record(phone)
    longer = (bytes.fromhex(key.public).replace(b"\xa5", b"\xb8\x05", 1)).hex()
    twin = key.model_copy(update={"public": longer, "key_id": key_id_of(longer, key.passkey)})
    with pytest.raises(BadInput, match="one form"):
        twin.verifier()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: replace(one, origin="https://evil.example"), "another page"),
        (lambda one: replace(one, rp_id="evil.example"), "another site"),
    ],
)
def test_a_registration_for_another_site_is_refused(phone, change, words):
    with pytest.raises(Refused, match=words):
        read_registration(change(phone).register(), RP, (ORIGIN,), where="here")


def test_a_registration_without_the_person_or_under_another_challenge_is_refused(phone):
    with pytest.raises(Refused, match="did not verify the person"):
        read_registration(phone.register(flags=UP), RP, (ORIGIN,), where="here")
    other = json.loads(phone.register()) | {"challenge": b64url(b"x" * 32)}
    with pytest.raises(Refused, match="another challenge"):
        read_registration(json.dumps(other).encode(), RP, (ORIGIN,), where="here")


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"challenge": "AA"}', b'{"challenge": 1, "credential": {}}', b"\xff"])
def test_what_is_no_registration_says_what_one_is(raw):
    with pytest.raises(BadInput, match="no registration of a passkey"):
        read_registration(raw, RP, (ORIGIN,), where="here")


@pytest.mark.parametrize("raw", ["", "[]", "{}", '{"type": "public-key", "id": "A", "rawId": "B"}'])
def test_what_is_no_answer_says_what_one_is(raw):
    with pytest.raises(BadInput, match="no answer of a passkey"):
        read_answer(raw, where="here")


@pytest.mark.parametrize(
    ("rp_id", "origin"),
    [("example.com", "https://example.org"), ("example.com", "http://example.com"), ("localhost", ORIGIN + "/path"),
     ("example.com", "https://badexample.com")],
)  # fmt: skip
def test_an_origin_that_no_page_of_the_site_has_is_refused(rp_id, origin):
    raw = Authenticator(rp_id=rp_id, origin=origin).register()
    with pytest.raises(Refused, match="does not count"):
        read_registration(raw, rp_id, (origin,), where="here")


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_no_byte_of_a_signature_may_differ(algorithm):
    """Every byte of all four parts, changed in one bit: each is refused, and nothing stops at it."""
    phone = Authenticator(algorithm)
    key = record(phone)
    good = json.loads(signed(phone, key))
    parts = good["signatures"][0]
    passed = []
    for holder, name in ((parts, "sig"), (parts["passkey"], "authenticator_data"), (parts["passkey"], "client_data")):
        sound = b64decode(holder[name])
        for position in range(len(sound)):
            changed = bytearray(sound)
            changed[position] ^= 1 << position % 8
            holder[name] = b64encode(changed).decode()
            if parse(canonical(good), "note", where="here").verified_by([key]):
                passed.append((name, position))
        holder[name] = b64encode(sound).decode()
    assert passed == []
    assert parse(canonical(good), "note", where="here").verified_by([key]) == [key]


@pytest.mark.parametrize(
    "cose",
    [{}, {1: 2}, {1: 2, 3: -7, -1: 1, -2: 1, -3: 2}, {1: 1, 3: -8, -1: [], -2: b"x" * 32},
     {1: 2, 3: -35, -1: 2, -2: b"x" * 48, -3: b"y" * 48},
     {1: 3, 3: -257, -1: b"\xff" * 128, -2: b"\1\0\1"}, {1: 3, 3: -37, -1: b"\xff" * 256, -2: b"\1\0\1"}, [], 4, "a"],
)  # fmt: skip
def test_a_record_of_another_algorithm_a_short_key_or_no_key_at_all_is_bad_input(phone, cose):
    key, public = record(phone), cbor2.dumps(cose).hex()
    other = key.model_copy(update={"public": public, "key_id": key_id_of(public, key.passkey)})
    with pytest.raises(BadInput, match="cannot be used"):
        other.verifier()
