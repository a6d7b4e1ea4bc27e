"""Keys: where they lie, who may read them, and what they sign."""

from __future__ import annotations

import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from shared.core.errors import BadInput, Refused
from shared.state.workspace import create
from shared.trust.keys import FACTORY, GATE, KeyStore, PublicKey, read_public, write_public

OWNER = "owner@example.com"
PASSPHRASE = "correct horse battery"


@pytest.fixture
def live(tmp_path, monkeypatch):
    monkeypatch.setenv("PILOTPLANT_KEYS", str(tmp_path / "keys"))
    return KeyStore(create(tmp_path / "live", "live")[0], PASSPHRASE)


@pytest.fixture
def rehearsal(tmp_path):
    return KeyStore(create(tmp_path / "rehearsal", "rehearsal")[0])


def test_what_a_key_signs_its_public_half_verifies(rehearsal):
    record = rehearsal.create(GATE, "gate")
    signature = bytes.fromhex(rehearsal.signer(GATE).sign(b"payload").signature)
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(record.public)).verify(signature, b"payload")


def test_the_public_record_of_a_key_is_the_same_each_time(rehearsal):
    assert rehearsal.create(OWNER, "owner") == rehearsal.public(OWNER, "owner")


def test_two_keys_are_never_the_same(rehearsal):
    assert rehearsal.create(GATE, "gate").public != rehearsal.create(OWNER, "owner").public


def test_a_public_record_survives_its_file(rehearsal, tmp_path):
    record = rehearsal.create(OWNER, "owner")
    write_public(tmp_path / "records", record)
    assert read_public(tmp_path / "records") == [record]


def test_a_folder_that_is_not_there_holds_no_records(tmp_path):
    assert read_public(tmp_path / "none") == []


def test_a_record_whose_key_was_exchanged_is_refused(rehearsal):
    record, other = rehearsal.create(GATE, "gate"), rehearsal.create(OWNER, "owner")
    with pytest.raises(BadInput, match="does not match its key_id"):
        record.model_copy(update={"public": other.public}).verifier()


@pytest.mark.parametrize("public", ["", "zz" * 32, "00" * 31, "0" * 65, "AB" * 32])
def test_a_record_whose_key_has_another_form_is_refused(public):
    with pytest.raises(ValueError):
        PublicKey(name=GATE, role="gate", mode="live", key_id="0" * 64, public=public)


def test_a_private_key_is_readable_by_its_owner_alone(live):
    live.create(OWNER, "owner")
    assert stat.S_IMODE((live.folder / f"{OWNER}.pem").stat().st_mode) == 0o600


def test_the_folder_of_private_keys_is_open_to_its_owner_alone(live):
    live.create(OWNER, "owner")
    assert stat.S_IMODE(live.folder.stat().st_mode) == 0o700


def test_a_live_workspace_keeps_its_keys_outside(live):
    assert not live.folder.is_relative_to(live.workspace.root)


def test_a_rehearsal_keeps_its_keys_inside(rehearsal):
    assert rehearsal.folder.is_relative_to(rehearsal.workspace.root)


def test_a_live_private_key_is_encrypted(live):
    live.create(OWNER, "owner")
    assert b"ENCRYPTED PRIVATE KEY" in (live.folder / f"{OWNER}.pem").read_bytes()


def test_a_live_key_does_not_open_with_another_passphrase(live):
    live.create(OWNER, "owner")
    with pytest.raises(Refused, match="does not open"):
        KeyStore(live.workspace, "wrong").signer(OWNER)


@pytest.mark.parametrize("passphrase", [None, ""])
def test_a_live_key_is_not_made_without_a_passphrase(live, passphrase):
    with pytest.raises(BadInput, match="need a passphrase"):
        KeyStore(live.workspace, passphrase).create(OWNER, "owner")


@pytest.mark.parametrize("passphrase", ["a", "hunter2", "password", "1234567890", "fourteen signs"])
@pytest.mark.parametrize(("name", "role"), [(OWNER, "owner"), (GATE, "gate"), (FACTORY, "factory")])
def test_a_live_key_is_not_made_with_a_short_passphrase(live, passphrase, name, role):
    with pytest.raises(BadInput, match=f"the passphrase has {len(passphrase)} characters") as caught:
        KeyStore(live.workspace, passphrase).create(name, role)
    assert "at least 15" in caught.value.expected
    assert not list(live.folder.glob("*.pem"))


def test_fifteen_characters_are_enough_and_a_rehearsal_needs_none(live, rehearsal):
    store = KeyStore(live.workspace, "fifteen letters")
    store.create(OWNER, "owner")
    assert store.signer(OWNER).public_key.keyid == store.public(OWNER, "owner").key_id
    rehearsal.create(OWNER, "owner")


def test_a_key_that_was_made_with_a_short_passphrase_before_opens_with_it_still(live):
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"hunter2"),
    )
    live.create(OWNER, "owner")
    live.path(OWNER).write_bytes(pem)
    assert KeyStore(live.workspace, "hunter2").signer(OWNER)


def test_a_rehearsal_key_says_so_in_its_record(rehearsal):
    assert rehearsal.create(OWNER, "owner").mode == "rehearsal"


def test_a_key_that_is_not_here_is_refused_with_what_to_do(rehearsal):
    with pytest.raises(Refused, match="not on this machine"):
        rehearsal.signer(OWNER)


def test_a_damaged_key_is_refused(rehearsal):
    rehearsal.create(OWNER, "owner")
    (rehearsal.folder / f"{OWNER}.pem").write_text("damaged")
    with pytest.raises(Refused, match="does not open"):
        rehearsal.signer(OWNER)


def test_a_key_of_another_algorithm_is_refused(rehearsal):
    rehearsal.create(OWNER, "owner")
    pem = X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (rehearsal.folder / f"{OWNER}.pem").write_bytes(pem)
    with pytest.raises(Refused, match="not an ed25519 key"):
        rehearsal.signer(OWNER)


@pytest.mark.parametrize("name", ["../gate", "a/b@example.com", ".hidden@example.com", "nobody", ""])
def test_a_name_that_could_lead_elsewhere_names_no_key(rehearsal, name):
    with pytest.raises(BadInput, match="is not a key's name"):
        rehearsal.create(name, "owner")


def test_a_store_says_whose_keys_it_has(rehearsal):
    rehearsal.create(OWNER, "owner")
    assert (rehearsal.has(OWNER), rehearsal.has(GATE)) == (True, False)


def test_a_key_made_elsewhere_with_the_same_algorithm_is_taken(rehearsal):
    key = Ed25519PrivateKey.generate()
    rehearsal.create(OWNER, "owner")
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (rehearsal.folder / f"{OWNER}.pem").write_bytes(pem)
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    assert rehearsal.public(OWNER, "owner").public == raw.hex()
