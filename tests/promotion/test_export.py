"""What leaves the house, and what a stranger finds out from it: by the files and the given keys alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pilotplant.app import _exit_code
from promotion.audit.checkpoint import take
from promotion.audit.export import export
from promotion.audit.outsider import Outside, _recomputed, verify_outside
from promotion.keys.enrolment import enrol
from promotion.keys.revocation import revoke
from promotion.registry.receipts import KIND as RECEIPT
from promotion.registry.receipts import parse_receipt
from promotion.state import open_promotion
from shared.core.digests import canonical, digest_json
from shared.core.errors import BadInput, Refused
from shared.state.chain import entry_hash
from shared.state.workspace import create
from shared.trust.keys import GATE, KeyStore
from shared.trust.package import open_package
from shared.trust.record import receipts_folder
from shared.trust.signed import sign
from tests.makers import OWNER
from tests.promotion.cases import REASON, Stage

PILOT, OTHER = "spring-email", "autumn-email"
SECOND = "second@example.com"


@pytest.fixture(scope="module")
def exported(prepared, tmp_path_factory):
    """A scaled pilot beside another one, with a checkpoint of that very moment, exported."""
    root = tmp_path_factory.mktemp("exported")
    stage = Stage(prepared).copy(root / "workspace")
    stage.submit(charter={"pilot": OTHER})
    stage.submit()
    stage.decide("scale")
    checkpoint = take(stage.workspace, {}, root / "kept.json", passphrase=None).file
    done = export(stage.workspace, PILOT, root / "out", checkpoint=checkpoint)
    return stage, done


@pytest.fixture
def out(exported, tmp_path):
    shutil.copytree(exported[1].folder, tmp_path / "out")
    return tmp_path / "out"


def look(out, **more):
    return verify_outside(out, out / "keys", **more)


def rewrite(path, change):
    content = json.loads(path.read_bytes())
    change(content)
    path.write_bytes(canonical(content))


def test_an_export_holds_package_keys_ledger_and_checkpoint(exported):
    _, done = exported
    tops = {Path(name).parts[0] for name in done.files}
    assert tops == {"README.md", "package", "keys", "ledger.json", "receipts", "checkpoint.json"}
    assert {name for name in done.files if name.startswith("keys/")} == {"keys/gate.yaml", f"keys/{OWNER}.yaml"}
    readme = (done.folder / "README.md").read_text()
    assert f"{PILOT}: scale letter" in readme
    assert "promote verify --package . --keys keys --checkpoint checkpoint.json" in readme


def test_the_excerpt_shows_the_whole_chain_and_no_body_of_another_pilot(exported):
    stage, done = exported
    told = json.loads((done.folder / "ledger.json").read_bytes())["entries"]
    entries = open_promotion(stage.workspace).entries()
    assert [(one["seq"], one["hash"]) for one in told] == [(one.seq, one.hash) for one in entries]
    assert [one["body"] for one in told if one["subject"] == OTHER] == [None]
    assert {one["kind"] for one in told if one["subject"] == PILOT and one["body"]} == {"registered", "decided"}
    hidden = next(one for one in entries if one.subject == OTHER)
    assert canonical(hidden.body) not in (done.folder / "ledger.json").read_bytes()


def test_exporting_again_is_a_no_op_and_another_folder_of_that_name_is_refused(exported, tmp_path):
    stage, done = exported
    again = export(stage.workspace, PILOT, done.folder, checkpoint=done.folder / "checkpoint.json")
    assert (again.repeated, again.files) == (True, done.files)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "note.txt").write_text("mine")
    with pytest.raises(Refused, match="holds something else"):
        export(stage.workspace, PILOT, tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_what_is_not_decided_is_not_exported(exported, tmp_path):
    with pytest.raises(BadInput, match="is not decided"):
        export(exported[0].workspace, OTHER, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_stranger_verifies_it_and_is_told_what_it_cannot_show(out):
    found = look(out, checkpoint=out / "checkpoint.json", recompute=True)
    assert found.problems == []
    verified, unverified = "\n".join(found.verified), "\n".join(found.unverified)
    for words in (
        "each to the byte as sealed", "scale letter as spring-email-letter on spring-email, verdict admit",
        f"signed by the gate and by {OWNER}", "computed again from the sealed data", "one unbroken chain",
        "as the checkpoint of",
    ):  # fmt: skip
        assert words in verified, verified
    for words in ("that each key is the one of its name", "revoked since", "true to life"):
        assert words in unverified, unverified
    assert "complete" not in unverified


def test_without_checkpoint_ledger_or_recomputation_it_says_so(out):
    found = look(out)
    assert "cannot be told without a checkpoint" in "\n".join(found.verified)
    assert {"add --recompute", "--checkpoint"} <= {words for words in ("add --recompute", "--checkpoint")
                                                   if any(words in line for line in found.unverified)}  # fmt: skip
    (out / "ledger.json").unlink()
    bare = verify_outside(out / "package", out / "keys")
    assert bare.problems == []
    assert any("there is no ledger.json" in line for line in bare.unverified)


def test_a_signature_of_a_key_that_was_not_given_does_not_count(out):
    (out / "keys" / f"{OWNER}.yaml").unlink()
    problems = "\n".join(look(out).problems)
    assert f"its decision owner {OWNER} has not signed it" in problems
    assert "which is not among those given" in problems


def test_a_stranger_sees_that_the_gate_drew_the_arms_by_the_nonce_of_its_receipt(out):
    nonce = json.loads((out / "package" / "candidate" / "registration.json").read_bytes())["nonce"]
    assert any(line.startswith("receipt ") and nonce in line for line in look(out).verified)
    assert not any("no receipt" in line for line in look(out).unverified)


def _sign_as(out, name):
    [path] = (out / "receipts").iterdir()
    content = parse_receipt(path).content
    return lambda keys, **changes: path.write_bytes(sign(RECEIPT, {**content, **changes}, [keys.signer(name)]))


BROKEN_RECEIPTS = {
    "another key": (lambda out, keys: _sign_as(out, OWNER)(keys), "none of its signatures is by a key of the gate"),
    "another nonce": (lambda out, keys: _sign_as(out, GATE)(keys, nonce="0" * 32), "differs in: nonce"),
    "another pilot": (lambda out, keys: _sign_as(out, GATE)(keys, pilot="summer-email"), "differs in: pilot"),
    "no receipt": (lambda out, _: next((out / "receipts").iterdir()).write_bytes(b"{}"), "this is no registration"),
    "one more": (lambda out, _: (out / "receipts" / "0.json").write_bytes(b"{}"), "has no such registration"),
}


@pytest.mark.parametrize(("spoil", "told"), BROKEN_RECEIPTS.values(), ids=BROKEN_RECEIPTS)
def test_a_receipt_that_does_not_follow_from_the_ledger_is_a_problem_for_a_stranger(exported, out, spoil, told):
    spoil(out, KeyStore(exported[0].workspace))
    [problem] = [line for line in look(out).problems if line.startswith("receipts/")]
    assert told in problem


def test_without_its_receipt_a_stranger_cannot_tell_who_drew_the_arms(out):
    shutil.rmtree(out / "receipts")
    found = look(out)
    assert any("whether the gate drew the arms" in line for line in found.unverified)


def test_a_receipt_that_is_gone_is_not_exported_without(exported, tmp_path):
    stage = exported[0].copy(tmp_path / "workspace")
    for path in receipts_folder(stage.workspace).glob("*.json"):
        path.unlink()
    with pytest.raises(Refused, match="receipt for spring-email is not to be believed"):
        export(stage.workspace, PILOT, tmp_path / "out")


def test_the_keys_of_another_gate_verify_nothing(out, tmp_path):
    stranger, _ = create(tmp_path / "other", "rehearsal")
    for name in (GATE, OWNER):
        enrol(stranger, name)
    problems = "\n".join(verify_outside(out, stranger.promotion / "keys").problems)
    assert "no gate whose key is trusted here has signed it" in problems
    assert "the ledger shows no such key" in problems


def test_evidence_that_does_not_follow_from_the_data_is_found_by_recomputing(prepared, tmp_path, edit):
    """As a Lab and a gate in league could have sealed and signed it: all digests are right."""
    stage = Stage(prepared).copy(tmp_path / "workspace")
    stage.submit()
    stage.decide("stop")
    done = export(stage.workspace, PILOT, tmp_path / "out")
    lied = stage.submit(alter=edit("evidence.json", lambda said: said["arms"][0].update(units=201)))
    shutil.rmtree(done.folder / "package" / "candidate")
    shutil.copytree(lied.folder, done.folder / "package" / "candidate")
    assert any("it is not" in problem or "not sha256" in problem for problem in look(done.folder).problems)
    told = Outside()
    _recomputed(open_package(done.folder / "package"), told, asked=True)
    assert any("does not follow from the sealed data" in problem for problem in told.problems)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one["entries"].pop(2), "is not in its place"),
        (lambda one: one["entries"][-1].update(at="2026-01-20T09:00:00Z"), "was changed after it was written"),
        (lambda one: one["entries"][-2]["body"]["decision"].update(reason="another"), "says something else"),
        (lambda one: one["entries"].__delitem__(slice(4, None)), "no decision on spring-email"),
        (lambda one: one.update(pilot="autumn-email"), "another workspace or pilot"),
        (lambda one: one.update(workspace="another"), "does not open the ledger of this workspace"),
    ],
)
def test_a_ledger_that_was_cut_or_changed_is_found(out, change, said):
    rewrite(out / "ledger.json", change)
    assert said in "\n".join(look(out, checkpoint=out / "checkpoint.json").problems)


def test_a_ledger_that_was_cut_behind_the_decision_is_found_by_a_checkpoint_only(out):
    rewrite(out / "ledger.json", lambda one: one["entries"].pop())
    assert look(out).problems == []
    [problem] = look(out, checkpoint=out / "checkpoint.json").problems
    assert "the chain was cut or replaced" in problem


def test_a_chain_made_anew_without_the_gates_key_is_found_by_what_the_attestation_saw(out):
    """Whoever owns the database can write another chain; the attestation has seen the first one."""

    def forge(one):
        prev = "sha256:" + "0" * 64
        for line in one["entries"]:
            if line["kind"] == "enrolled":
                line["at"] = "2026-01-04T11:00:00Z"
            parts = {key: line[key] for key in ("seq", "at", "kind", "subject")}
            line["prev"] = prev
            line["hash"] = prev = entry_hash(**parts, body=line["body_digest"], prev=prev)

    rewrite(out / "ledger.json", forge)
    assert "is not the one that the attestation has seen" in "\n".join(look(out).problems)


def test_a_key_record_with_other_dates_than_the_ledger_has_is_found(out):
    path = out / "keys" / "gate.yaml"
    path.write_text(path.read_text().replace("2026-01-04T", "2026-01-03T"))
    assert "key gate.yaml: it is not as the ledger enrolled it" in look(out).problems


def test_what_a_key_signed_that_was_revoked_since_counts_only_where_a_checkpoint_dates_it(out, exported, tmp_path):
    stage = exported[0].copy(tmp_path / "workspace")
    key = KeyStore(stage.workspace).public(OWNER, "owner")
    revoke(stage.workspace, key.key_id, "the laptop was stolen")
    shutil.copy(stage.workspace.promotion / "keys" / f"{OWNER}.yaml", out / "keys")
    assert "nobody witnessed the signature before that" in "\n".join(look(out).problems)
    assert look(out, checkpoint=out / "checkpoint.json").problems == []


def test_a_decision_of_two_persons_is_verified_with_both_keys_and_with_neither_alone(prepared, tmp_path):
    stage = Stage(prepared).copy(tmp_path / "workspace")
    stage.people(*({"email": who, "decides": {"tiers": ["high"]}} for who in (OWNER, SECOND)))
    enrol(stage.workspace, SECOND)
    stage.submit(charter={"risk_tier": "high"})
    stage.decide("scale")
    stage.decide("scale", who=SECOND, reason="I have read the evidence as well")
    out = export(stage.workspace, PILOT, tmp_path / "out").folder
    found = look(out)
    assert found.problems == []
    assert f"{SECOND}, {OWNER}" in "\n".join(found.verified) or f"{OWNER}, {SECOND}" in "\n".join(found.verified)
    (out / "keys" / f"{OWNER}.yaml").unlink()
    assert f"its decision owner {OWNER} has not signed it" in "\n".join(look(out).problems)


@pytest.mark.parametrize("words", [["--package", "."], ["--keys", "."], ["--recompute"]])
def test_half_a_question_is_a_misuse(exported, words):
    assert _exit_code(["--workspace", str(exported[0].workspace.root), "promote", "verify", *words]) == 2


def test_a_folder_without_package_or_keys_is_bad_input(out, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="there is no package"):
        verify_outside(tmp_path / "empty", out / "keys")
    with pytest.raises(BadInput, match="there are no public keys"):
        verify_outside(out, tmp_path / "empty")


def parts(out):
    return sorted(path for path in out.rglob("*") if path.is_file() and path.name != "README.md")


def test_one_changed_byte_anywhere_in_what_was_exported_is_found_and_the_file_named(out):
    """Start, middle and end of every file; what nobody signs, the README, proves nothing and is not asked."""
    missed = []
    for path in parts(out):
        sound = path.read_bytes()
        for position in sorted({0, len(sound) // 2, len(sound) - 1}):
            path.write_bytes(sound[:position] + bytes([sound[position] ^ 1]) + sound[position + 1 :])
            problems = look(out, checkpoint=out / "checkpoint.json").problems
            if not any(path.name in problem or path.stem in problem for problem in problems):
                missed.append((path.name, position, problems))
        path.write_bytes(sound)
    assert len(parts(out)) > 10
    assert (missed, look(out, checkpoint=out / "checkpoint.json").problems) == ([], [])


def test_a_stranger_with_nothing_else_verifies_it_as_the_page_says(out, tmp_path):
    """Every command of docs/verify.md, in an empty home, with the exported files and keys alone."""
    page = (Path(__file__).parents[2] / "docs" / "verify.md").read_text()
    block = page.split("```sh\n", 1)[1].split("```", 1)[0]
    home = tmp_path / "home"
    home.mkdir()
    shutil.copytree(out, home / "export")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"HOME": str(home), "PATH": path, "LANG": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", block], cwd=home, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "computed again from the sealed data, with the same numbers" in done.stdout
    assert "PROBLEM" not in done.stdout
    assert digest_json(json.loads((home / "export/package/candidate/manifest.json").read_bytes()))[7:] in done.stdout
    assert REASON in done.stdout
