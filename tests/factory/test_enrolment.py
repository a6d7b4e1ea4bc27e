"""The Factory's own key: made once, known by its ledger, never exchanged in silence."""

from __future__ import annotations

import pytest

from factory.releases.enrolment import enrol_factory, find_key
from factory.state.room import open_factory
from shared.core.errors import BadInput, Refused
from shared.state.workspace import create
from shared.trust.keys import FACTORY, KeyStore
from shared.trust.preflight import public_key_path


@pytest.fixture
def fresh(tmp_path):
    return create(tmp_path / "workspace", "rehearsal")[0]


def enrolled(workspace):
    return [entry.body["key_id"] for entry in open_factory(workspace).entries(FACTORY) if entry.kind == "enrolled"]


def test_the_factory_gets_a_pair_a_public_record_and_an_entry(fresh):
    done = enrol_factory(fresh)
    assert (done.key.name, done.key.role, done.key.mode, done.repeated) == (FACTORY, "factory", "rehearsal", False)
    assert find_key(fresh) == done.key
    assert enrolled(fresh) == [done.key.key_id]
    assert KeyStore(fresh).signer(FACTORY).public_key.keyid == done.key.key_id


def test_twice_is_a_no_op_that_says_so(fresh):
    first, again = enrol_factory(fresh), enrol_factory(fresh)
    assert (again.key, again.repeated) == (first.key, True)
    assert len(enrolled(fresh)) == 1


def test_a_lost_public_record_is_laid_out_again(fresh):
    first = enrol_factory(fresh)
    public_key_path(fresh).unlink()
    assert enrol_factory(fresh).key == first.key
    assert find_key(fresh) == first.key
    assert len(enrolled(fresh)) == 1


def test_another_private_key_than_the_ledgers_is_refused(fresh):
    first = enrol_factory(fresh)
    KeyStore(fresh).create(FACTORY, "factory")
    public_key_path(fresh).unlink()
    with pytest.raises(Refused, match="not the one that its ledger has") as error:
        enrol_factory(fresh)
    assert first.key.key_id in str(error.value.expected)


def test_a_lost_private_key_is_not_made_anew_in_silence(fresh):
    enrol_factory(fresh)
    (KeyStore(fresh).folder / f"{FACTORY}.pem").unlink()
    public_key_path(fresh).unlink()
    with pytest.raises(Refused, match="is not on this machine") as error:
        enrol_factory(fresh)
    assert "factory enrol" in str(error.value.remedy)


def test_a_live_factorys_key_is_encrypted(tmp_path, monkeypatch):
    monkeypatch.setenv("PILOTPLANT_KEYS", str(tmp_path / "keys"))
    live = create(tmp_path / "live", "live")[0]
    with pytest.raises(BadInput, match="passphrase"):
        enrol_factory(live)
    enrol_factory(live, passphrase="a long and winding phrase")
    assert b"ENCRYPTED" in (KeyStore(live).folder / f"{FACTORY}.pem").read_bytes()
    with pytest.raises(Refused, match="does not open"):
        KeyStore(live, "another phrase").signer(FACTORY)
