"""Signed statements: what is read is what was signed, to the last byte, and by whom is known."""

from __future__ import annotations

import json

import pytest

from shared.core.digests import canonical
from shared.core.errors import BadInput
from shared.state.workspace import create
from shared.trust.keys import KeyStore
from shared.trust.signed import parse, sign

CONTENT = {"schema_version": 1, "number": 3, "name": "ü"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A key store and the public records of two keys in it."""
    store = KeyStore(create(tmp_path_factory.mktemp("signed") / "w", "rehearsal")[0])
    return store, store.create("gate", "gate"), store.create("owner@example.com", "owner")


@pytest.fixture(scope="module")
def raw(keys):
    return sign("note", CONTENT, [keys[0].signer("gate")])


def test_a_statement_comes_back_with_whoever_signed_it(keys, raw):
    _, gate, owner = keys
    found = parse(raw, "note", where="here")
    assert found.content == CONTENT
    assert found.verified_by([owner, gate]) == [gate]
    assert found.verified_by([owner]) == []


def test_two_may_sign(keys):
    store, gate, owner = keys
    signed = sign("note", CONTENT, [store.signer("gate"), store.signer("owner@example.com")])
    assert parse(signed, "note", where="here").verified_by([gate, owner]) == [gate, owner]


def test_the_same_content_gives_the_same_bytes(keys, raw):
    assert sign("note", CONTENT, [keys[0].signer("gate")]) == raw


def test_a_change_of_any_byte_is_refused_or_leaves_no_signature(keys, raw):
    _, gate, _ = keys
    for place in range(len(raw)):
        for change in (1, 0x20, 0x80):
            changed = raw[:place] + bytes([raw[place] ^ change]) + raw[place + 1 :]
            try:
                found = parse(changed, "note", where="here")
            except BadInput:
                continue
            assert found.verified_by([gate]) == [], place


@pytest.mark.parametrize(
    "spoil",
    [
        lambda parts: parts.update(extra=1),
        lambda parts: parts["signatures"][0].update(extra=1),
        lambda parts: parts.pop("payloadType"),
        lambda parts: parts.update(signatures=3),
        lambda parts: parts.update(payload="W10="),  # an empty list
        lambda parts: parts.update(payload="eyAiYSI6IDEgfQ=="),  # { "a": 1 }, not canonical
        lambda parts: parts.update(payload="bm90IGpzb24="),
    ],
)
def test_what_is_no_statement_is_bad_input(raw, spoil):
    parts = json.loads(raw)
    spoil(parts)
    with pytest.raises(BadInput, match="this is no note, or it was changed"):
        parse(canonical(parts), "note", where="here")


@pytest.mark.parametrize("raw_", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_bytes_of_any_kind_are_bad_input(raw_):
    with pytest.raises(BadInput):
        parse(raw_, "note", where="here")


def test_one_kind_does_not_pass_for_another(raw):
    with pytest.raises(BadInput, match="this is no letter"):
        parse(raw, "letter", where="here")
