"""Receipts: what the gate signs of a registration, when, and what is said of one that nobody should believe."""

import json

import pytest

from pilotplant import app
from pilotplant.rehearsal import make_keys
from promotion.audit.checkpoint import take
from promotion.audit.verification import verify
from promotion.keys.enrolment import enrol
from promotion.registry.nonces import registrations
from promotion.registry.receipts import KIND, parse_receipt
from promotion.registry.register import register
from promotion.state import open_promotion
from shared.core.digests import canonical
from shared.experiment.charter import Source
from shared.state.chain import GENESIS, Head
from shared.trust.keys import GATE, KeyStore
from shared.trust.record import receipt_path, receipts_folder
from shared.trust.signed import sign
from tests.makers import OWNER, PASSPHRASE
from tests.promotion.cases import Stage

LAB = Head(0, GENESIS)


def registered(stage, name="spring-email", **changes):
    """The receipt's file of a promise that was taken in."""
    promise = stage.promise(stage.charter(pilot=name, **changes))[0]
    if stage.workspace.mode == "live":
        promise = promise.model_copy(update={"source": Source(id="0" * 16, published=stage.workspace.created)})
    register(stage.workspace, promise, LAB)
    return receipt_path(stage.workspace, promise.digest)


def said(stage):
    return registrations(open_promotion(stage.workspace).entries(), stage.workspace.id, stage.workspace.mode)


def receipts_of(stage):
    found = verify(stage.workspace)
    return [line for line in found.verified + found.problems if line.startswith("receipt")]


def test_a_rehearsals_receipt_is_signed_at_once_and_says_what_the_ledger_says(stage):
    path = registered(stage)
    [told] = said(stage)
    assert parse_receipt(path).content == told.as_json()
    entry = open_promotion(stage.workspace).entries("spring-email")[0]
    assert (told.at, told.ledger.seq, told.ledger.hash) == (entry.at, entry.seq, entry.hash)
    assert (told.workspace, told.mode, told.nonce) == (stage.workspace.id, "rehearsal", entry.body["nonce"])
    assert receipts_of(stage) == ["receipts: 1 registration signed by the gate, as the ledger has them"]


def test_each_version_has_a_receipt_with_the_same_nonce(stage):
    first = stage.promise(stage.charter())[0]
    registered(stage)
    later = stage.promise(stage.charter(decide_by="2026-02-01"))[0].amending(first, "the owner is away")
    register(stage.workspace, later, LAB)
    assert [one.promise for one in said(stage)] == [first.digest, later.digest]
    assert len({one.nonce for one in said(stage)}) == 1
    assert len(list(receipts_folder(stage.workspace).iterdir())) == 2


def test_without_a_key_it_waits_until_the_gate_has_one(make_stage):
    stage = make_stage("rehearsal")
    path = registered(stage)
    assert not path.exists()
    assert receipts_of(stage)[0].startswith("receipts: 1 registration waiting for the gate's signature")
    assert app._exit_code(["--workspace", str(stage.workspace.root), "promote", "enrol", GATE]) == 0
    assert parse_receipt(path).content["pilot"] == "spring-email"


def test_a_rehearsal_that_makes_its_keys_signs_what_waits(make_stage):
    stage = make_stage("rehearsal")
    path = registered(stage)
    make_keys(stage.workspace)
    assert parse_receipt(path).content["pilot"] == "spring-email"


@pytest.fixture
def live(make_stage, tmp_path, monkeypatch):
    monkeypatch.setenv("PILOTPLANT_KEYS", str(tmp_path / "keys"))
    stage = make_stage("live")
    enrol(stage.workspace, GATE, passphrase=PASSPHRASE)
    return stage


def test_in_a_live_workspace_it_waits_for_the_passphrase(live, tmp_path):
    path = registered(live)
    assert not path.exists()
    take(live.workspace, {}, tmp_path / "checkpoint.json", passphrase=PASSPHRASE)
    assert path.exists()
    assert receipts_of(live) == ["receipts: 1 registration signed by the gate, as the ledger has them"]


@pytest.mark.parametrize(("passphrase", "signed"), [(PASSPHRASE, True), ("wrong", False), ("", False)])
def test_a_passphrase_in_the_environment_signs_at_once_and_a_wrong_one_stops_no_launch(
    live, monkeypatch, passphrase, signed
):
    monkeypatch.setenv("PILOTPLANT_GATE_PASSPHRASE", passphrase)
    assert registered(live).exists() == signed


def test_a_decision_signs_what_waits(stage):
    stage.submit()
    [path] = receipts_folder(stage.workspace).iterdir()
    raw = path.read_bytes()
    path.unlink()
    stage.decide("scale")
    # ed25519 is deterministic: signed again it is the same to the byte.
    assert path.read_bytes() == raw


def rewrite(path, change):
    content = json.loads(path.read_bytes())
    change(content)
    path.write_bytes(canonical(content))


def forged(stage, path, name, **changes):
    """Signs other facts as somebody."""
    told = {**said(stage)[0].as_json(), **changes}
    path.write_bytes(sign(KIND, told, [KeyStore(stage.workspace).signer(name)]))


BROKEN = {
    "another nonce": (lambda stage, path: forged(stage, path, GATE, nonce="0" * 32), "differs in: nonce"),
    "another time": (lambda stage, path: forged(stage, path, GATE, at="2026-01-01T00:00:00Z"), "differs in: at"),
    "another key": (lambda stage, path: forged(stage, path, OWNER), "by a key of the gate that is known"),
    "another payload": (lambda _, path: rewrite(path, lambda c: c.update(payload="e30=")), "the receipt does not say"),
    "no receipt": (lambda _, path: path.write_bytes(b"{}"), "this is no registration"),
    "another promise": (lambda _, path: path.rename(path.with_name(f"{'0' * 64}.json")), "has no such registration"),
}


@pytest.mark.parametrize(("spoil", "told"), BROKEN.values(), ids=BROKEN)
def test_a_receipt_that_does_not_follow_from_the_ledger_is_named(stage, spoil, told):
    path = registered(stage)
    spoil(stage, path)
    [problem] = [line for line in verify(stage.workspace).problems if line.startswith("receipt")]
    assert told in problem


def test_what_says_otherwise_is_not_signed_over(stage, tmp_path):
    path = registered(stage)
    forged(stage, path, OWNER, nonce="0" * 32)
    kept = path.read_bytes()
    take(stage.workspace, {}, tmp_path / "checkpoint.json", passphrase=None)
    assert path.read_bytes() == kept


def test_a_receipt_that_a_stranger_signed_is_signed_by_the_gate_again(stage, tmp_path):
    path = registered(stage)
    raw = path.read_bytes()
    forged(stage, path, OWNER)
    take(stage.workspace, {}, tmp_path / "checkpoint.json", passphrase=None)
    assert path.read_bytes() == raw


def test_a_receipt_counts_on_when_the_gates_key_is_rotated(stage):
    registered(stage)
    enrol(stage.workspace, GATE, rotate=True)
    registered(stage, "summer-email")
    assert receipts_of(stage) == ["receipts: 2 registrations signed by the gate, as the ledger has them"]


def test_a_gate_of_another_workspace_is_no_witness(stage, tmp_path):
    path = registered(stage)
    other = Stage(stage.workspace).copy(tmp_path / "other")
    enrol(other.workspace, GATE, rotate=True)
    path.write_bytes(sign(KIND, said(stage)[0].as_json(), [KeyStore(other.workspace).signer(GATE)]))
    [problem] = [line for line in verify(stage.workspace).problems if line.startswith("receipt")]
    assert "by a key of the gate that is known" in problem
