"""Checkpoints: what was seen of the ledgers, signed, and what is found by it later."""

from __future__ import annotations

import json
import shutil
import sqlite3

import pytest
import yaml

from pilotplant.app import _exit_code
from promotion.audit.checkpoint import read_checkpoint, take
from promotion.audit.verification import verify
from promotion.keys.enrolment import enrol
from promotion.keys.revocation import revoke
from promotion.state import open_promotion
from shared.core.clock import rfc3339
from shared.core.errors import BadInput, Refused
from shared.state.chain import Head
from shared.state.workspace import open_workspace
from shared.trust.keys import GATE, KeyStore
from shared.trust.signed import sign
from tests.promotion.cases import Stage

LAB = Head(7, "sha256:" + "7" * 64)


@pytest.fixture(scope="module")
def template(prepared, tmp_path_factory):
    stage = Stage(prepared).copy(tmp_path_factory.mktemp("decided") / "workspace")
    stage.submit()
    stage.decide("stop")
    return stage


@pytest.fixture
def decided(template, tmp_path):
    """A workspace with one decision in it, the fifth entry of its ledger."""
    return template.copy(tmp_path / "workspace")


def taken(stage, name="checkpoint.json", **others):
    return take(stage.workspace, others, stage.workspace.root.parent / name, passphrase=None)


def cut(stage, statement):
    """What the account's owner can do, with the tables made to fit."""
    with sqlite3.connect(stage.workspace.promotion / "promotion.db") as connection:
        for name in ("update", "delete", "replace"):
            connection.execute(f"DROP TRIGGER IF EXISTS ledger_no_{name}")
        connection.execute(statement)
        connection.execute("DELETE FROM decisions")
    connection.close()
    shutil.rmtree(stage.workspace.promotion / "attestations", ignore_errors=True)


def test_a_checkpoint_holds_the_heads_the_time_and_the_workspace(decided):
    done = taken(decided, lab=LAB)
    found = read_checkpoint(done.file, decided.workspace)
    last = open_promotion(decided.workspace).entries()[-1]
    assert (last.kind, last.body) == ("witnessed", {"ledgers": {"lab": LAB.as_json()}})
    assert {room: head.model_dump() for room, head in found.ledgers.items()} == {
        "lab": LAB.as_json(),
        "promotion": {"seq": last.seq, "hash": last.hash},
    }
    assert (found.workspace, found.mode, found.at) == (decided.workspace.id, "rehearsal", last.at)
    assert len(done.file.read_bytes()) < 1_500


def test_the_same_again_is_the_same_file_and_no_new_entry(decided):
    first = taken(decided, lab=LAB)
    again = taken(decided, lab=LAB)
    other = taken(decided, "elsewhere.json", lab=LAB)
    assert (first.repeated, again.repeated, other.repeated) == (False, True, False)
    assert other.file.read_bytes() == first.file.read_bytes()
    assert [entry.kind for entry in open_promotion(decided.workspace).entries()].count("witnessed") == 1


def test_a_file_that_holds_something_else_is_left_as_it_is(decided):
    first = taken(decided, lab=LAB)
    before = first.file.read_bytes()
    with pytest.raises(Refused, match="the file holds something else"):
        taken(decided, lab=Head(8, LAB.hash))
    assert first.file.read_bytes() == before


def test_a_whole_ledger_is_complete_up_to_its_checkpoint(decided):
    done = taken(decided)
    found = verify(decided.workspace, checkpoint=done.file)
    assert found.problems == []
    assert found.verified[-1] == (
        "the promotion ledger: unbroken from its first entry, and complete up to entry 7, as the checkpoint of "
        f"{done.checkpoint.at} witnesses"
    )
    assert "cannot be told without a checkpoint" in verify(decided.workspace).verified[-1]


@pytest.mark.parametrize("kept", [1, 3, 5, 6])
def test_a_ledger_cut_at_its_end_is_found_by_the_checkpoint_alone(decided, kept):
    done = taken(decided)
    cut(decided, f"DELETE FROM ledger WHERE seq > {kept}")
    if kept == 5:
        assert verify(decided.workspace).problems == []
    named = f"entry 7 is not the one that was witnessed by the checkpoint of {done.checkpoint.at}; the chain was cut"
    assert any(named in problem for problem in verify(decided.workspace, checkpoint=done.file).problems)


def test_a_database_restored_from_before_is_found_by_the_checkpoint_alone(stage):
    stage.submit()
    old = stage.copy(stage.workspace.root.parent / "backup")
    stage.decide("stop")
    done = taken(stage)
    assert verify(old.workspace).problems == []
    [problem] = verify(old.workspace, checkpoint=done.file).problems
    assert "is not the one that was witnessed by the checkpoint" in problem


def test_a_database_that_is_gone_is_not_begun_anew_and_the_checkpoint_finds_one_that_was(decided):
    done, room = taken(decided), decided.workspace.promotion
    for path in room.glob("promotion.db*"):
        path.unlink()
    assert any("the promotion database was emptied" in p for p in verify(decided.workspace).problems)
    # Whoever takes away all that tells of the room's life has a new ledger begun.
    for path in (room / "ledger.json", room / "attestations"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert any("witnessed by the checkpoint" in p for p in verify(decided.workspace, checkpoint=done.file).problems)


def test_a_ledger_that_does_not_verify_gets_no_checkpoint(decided):
    cut(decided, "UPDATE ledger SET at = '2020-01-01T00:00:00Z' WHERE seq = 3")
    with pytest.raises(Refused, match=r"entry 3 .* was changed after it was written"):
        taken(decided)
    assert not (decided.workspace.root.parent / "checkpoint.json").exists()


def test_a_checkpoint_of_another_workspace_is_refused(decided, make_stage):
    done = taken(decided)
    with pytest.raises(Refused, match="a checkpoint of another workspace"):
        read_checkpoint(done.file, make_stage("rehearsal").workspace)


def test_a_checkpoint_of_this_workspaces_rehearsal_is_refused_once_it_says_live(decided):
    done = taken(decided)
    mark = decided.workspace.root / "workspace.json"
    mark.write_text(mark.read_text().replace("rehearsal", "live"))
    with pytest.raises(Refused, match=r"another workspace: .* \(rehearsal\)"):
        read_checkpoint(done.file, open_workspace(decided.workspace.root))


def test_a_checkpoint_that_the_gate_did_not_sign_is_refused(decided, tmp_path):
    done = taken(decided)
    store = KeyStore(decided.workspace)
    forged = sign("checkpoint", done.checkpoint.model_dump(mode="json"), [store.signer("owner@example.com")])
    path = tmp_path / "forged.json"
    path.write_bytes(forged)
    with pytest.raises(Refused, match="is not signed by this workspace's gate"):
        verify(decided.workspace, checkpoint=path)


def test_a_changed_a_missing_and_a_senseless_checkpoint_are_bad_input(decided, tmp_path):
    done = taken(decided)
    changed = tmp_path / "changed.json"
    changed.write_bytes(done.file.read_bytes()[:-1])
    gate = KeyStore(decided.workspace).signer("gate")
    senseless = tmp_path / "senseless.json"
    senseless.write_bytes(sign("checkpoint", {"schema_version": 2}, [gate]))
    for path in (changed, senseless, tmp_path / "missing.json"):
        with pytest.raises(BadInput):
            verify(decided.workspace, checkpoint=path)


def test_another_key_of_the_gate_signs_no_checkpoint(decided):
    KeyStore(decided.workspace).create("gate", "gate")
    with pytest.raises(Refused, match="is not the one that is enrolled"):
        taken(decided)


def test_the_commands_say_it_in_words_and_exit_codes(decided, capsys, tmp_path):
    here = ["--workspace", str(decided.workspace.root), "promote"]
    file = tmp_path / "kept" / "elsewhere.json"
    assert _exit_code([*here, "checkpoint", "--out", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema_version"], told["not_covered"], told["repeated"]) == (1, {}, False)
    assert set(told["checkpoint"]["ledgers"]) == {"lab", "promotion", "factory"}
    assert _exit_code([*here, "checkpoint", "--out", str(file)]) == 0
    assert "was there already" in capsys.readouterr().out
    assert _exit_code([*here, "verify", "--checkpoint", str(file)]) == 0
    cut(decided, "DELETE FROM ledger WHERE seq > 3")
    assert _exit_code([*here, "verify", "--checkpoint", str(file)]) == 3
    assert "was witnessed by the checkpoint of" in " ".join(capsys.readouterr().out.split())
    file.write_bytes(b"{}")
    assert _exit_code([*here, "verify", "--checkpoint", str(file)]) == 2


def test_a_checkpoint_by_a_key_that_was_rotated_later_counts_and_one_of_after_its_end_does_not(decided):
    file, old = taken(decided).file, KeyStore(decided.workspace).signer(GATE)
    enrol(decided.workspace, GATE, rotate=True)
    assert read_checkpoint(file, decided.workspace).ledgers
    content = read_checkpoint(file, decided.workspace).model_dump(mode="json")
    later = content | {"at": rfc3339(decided.workspace.clock.now())}
    file.write_bytes(sign("checkpoint", later, [old]))
    with pytest.raises(Refused, match="ended at"):
        read_checkpoint(file, decided.workspace)


def test_a_revoked_keys_checkpoint_counts_only_where_the_ledger_dates_it(decided):
    genuine = taken(decided).file
    content = read_checkpoint(genuine, decided.workspace).model_dump(mode="json")
    signer = KeyStore(decided.workspace).signer(GATE)
    revoke(decided.workspace, signer.public_key.keyid, "the key was copied")
    # The ledger's own entry is of before the revocation.
    assert read_checkpoint(genuine, decided.workspace).ledgers
    # Whoever has the copy may claim any moment, and any head.
    first = open_promotion(decided.workspace).entries()[0]
    forged = genuine.with_name("forged.json")
    for change in ({"at": "2026-01-04T12:30:00Z"}, {"ledgers": {"promotion": {"seq": 1, "hash": first.hash}}}):
        forged.write_bytes(sign("checkpoint", content | change, [signer]))
        with pytest.raises(Refused, match="is revoked since"):
            read_checkpoint(forged, decided.workspace)


def test_a_revocation_that_only_one_record_of_a_key_knows_counts(decided):
    file = taken(decided, lab=LAB).file
    folder = decided.workspace.configs / "trusted_keys"
    record = decided.workspace.promotion / "keys" / "gate.yaml"
    folder.mkdir(exist_ok=True)
    said = yaml.safe_load(record.read_text()) | {"revoked_since": "2026-01-01T00:00:00Z"}
    (folder / "gate.yaml").write_text(yaml.safe_dump(said, sort_keys=False))
    with pytest.raises(Refused, match="it was signed no earlier"):
        read_checkpoint(file, decided.workspace)
