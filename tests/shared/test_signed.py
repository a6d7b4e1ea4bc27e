"""Signed content: what makes it unreadable, and whose it is."""

from __future__ import annotations

import base64
import json

import pytest

from shared.digests import canonical
from shared.errors import BadInput
from shared.keys import FACTORY, GATE, KeyStore
from shared.signed import parse, sign
from shared.workspace import create

CONTENT = {"b": [1, 2.5, None], "a": "ü"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    store = KeyStore(create(tmp_path_factory.mktemp("keys") / "workspace", "rehearsal")[0])
    return {FACTORY: store.create(FACTORY, "factory"), GATE: store.create(GATE, "gate"), "store": store}


@pytest.fixture(scope="module")
def raw(keys):
    return sign("preflight", CONTENT, [keys["store"].signer(FACTORY)])


def test_what_was_signed_comes_back_with_whose_key_it_was(keys, raw):
    found = parse(raw, "preflight", "here")
    assert found.content == CONTENT
    assert found.signed_by([keys[GATE], keys[FACTORY]]) == [keys[FACTORY]]


def test_signing_the_same_again_gives_the_same_bytes(keys, raw):
    """Ed25519 is deterministic (RFC 8032), and JSON has one canonical form (RFC 8785)."""
    assert sign("preflight", dict(reversed(CONTENT.items())), [keys["store"].signer(FACTORY)]) == raw


def test_what_was_signed_as_another_kind_is_refused(raw):
    with pytest.raises(BadInput, match="signed checkpoint is damaged"):
        parse(raw, "checkpoint", "here")


def test_an_envelope_renamed_to_another_kind_is_nobodys(keys, raw):
    """DSSE signs the payload's type as well."""
    renamed = canonical({**json.loads(raw), "payloadType": "application/vnd.pilotplant.checkpoint+json"})
    assert parse(renamed, "checkpoint", "here").signed_by([keys[FACTORY]]) == []


def test_every_changed_byte_is_found(keys, raw):
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        try:
            trusted = parse(changed, "preflight", "here").signed_by([keys[FACTORY]])
        except BadInput:
            continue
        assert trusted == [], place


@pytest.mark.parametrize("payload", [b"[]", b'{"a": 1}', b"{", b'{"a":1,"a":1}'])
def test_a_payload_that_is_no_canonical_object_is_refused(payload):
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": "application/vnd.pilotplant.preflight+json",
    }
    with pytest.raises(BadInput, match="damaged"):
        parse(canonical({**envelope, "signatures": []}), "preflight", "here")


def test_content_without_a_signature_is_nobodys(keys):
    assert parse(sign("preflight", CONTENT, []), "preflight", "here").signed_by([keys[FACTORY]]) == []
