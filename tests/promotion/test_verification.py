import json
import sqlite3
from datetime import timedelta

import pytest

from promotion.audit.verification import verify
from promotion.keys.keyring import keys_folder
from shared.core.digests import canonical
from shared.core.errors import BadInput
from shared.trust.attestation import parse_attestation
from shared.trust.candidate import open_candidate
from shared.trust.record import attestation_path
from tests import forgery
from tests.promotion.cases import Stage


@pytest.fixture(scope="session")
def _decided(prepared, tmp_path_factory):
    stage = Stage(prepared).copy(tmp_path_factory.mktemp("decided") / "workspace")
    digest = stage.submit().digest
    stage.decide("scale")
    return stage, digest


@pytest.fixture
def decided(_decided, tmp_path):
    """A workspace with one decision in it."""
    template, digest = _decided
    stage = template.copy(tmp_path / "workspace")
    stage.digest, stage.attestation = digest, attestation_path(stage.workspace, digest)
    return stage


def problems(stage):
    return verify(stage.workspace).problems


def database(stage):
    connection = sqlite3.connect(stage.workspace.promotion / "promotion.db")
    for name in ("ledger_no_update", "ledger_no_delete", "ledger_no_replace"):
        connection.execute(f"DROP TRIGGER IF EXISTS {name}")
    return connection


def change(stage, statement, *values):
    connection = database(stage)
    with connection:
        assert connection.execute(statement, values).rowcount
    connection.close()


def resign(stage, edit):
    """Edits the attestation's statement and puts it back in canonical form, with the old signatures."""
    from base64 import b64decode, b64encode

    envelope = json.loads(stage.attestation.read_bytes())
    statement = json.loads(b64decode(envelope["payload"]))
    edit(statement["predicate"])
    envelope["payload"] = b64encode(canonical(statement)).decode()
    stage.attestation.write_bytes(canonical(envelope))
    assert parse_attestation(stage.attestation.read_bytes(), where="here")


def test_what_is_sound_is_said_to_be(decided):
    found = verify(decided.workspace)
    assert found.problems == []
    assert [line.split(":")[0] for line in found.verified] == [
        f"candidate {decided.digest[7:19]}",
        f"attestation {decided.digest[7:19]}",
        "receipts",
        f"preflight report {decided.digest[7:19]}",
        "the promotion ledger",
    ]
    assert "cannot be told without a checkpoint" in found.verified[-1]


def test_an_empty_workspace_verifies(make_stage):
    assert verify(make_stage("live").workspace).problems == []


def test_one_candidate_may_be_verified_by_its_digest_or_its_beginning(decided):
    for digest in (decided.digest, decided.digest[7:], decided.digest[:17]):
        assert len(verify(decided.workspace, digest).verified) == 5


def test_an_unknown_digest_is_bad_input(decided):
    with pytest.raises(BadInput, match="no candidate sha256:ffff is known"):
        verify(decided.workspace, "sha256:ffff")


def test_an_attestation_that_has_expired_since_is_still_a_true_record(decided):
    decided.workspace.clock.set(decided.workspace.clock.now() + timedelta(days=4000))
    assert problems(decided) == []


def test_a_candidate_that_was_decided_on_and_is_gone_is_a_problem(decided):
    (decided.workspace.promotion / "intake" / decided.digest[7:]).rename(decided.workspace.root / "gone")
    [problem] = problems(decided)
    assert problem.startswith(f"candidate {decided.digest[7:19]}: this is not a candidate")


def test_a_file_that_cannot_be_read_is_a_problem_of_its_candidate(decided):
    path = open_candidate(decided.workspace.promotion / "intake" / decided.digest[7:]).file("message.txt")
    path.unlink()
    path.symlink_to("nowhere")
    [problem] = problems(decided)
    assert problem.startswith(f"candidate {decided.digest[7:19]}: ")


def test_a_missing_attestation_is_a_problem(decided):
    decided.attestation.unlink()
    assert problems(decided) == [
        f"attestation {decided.digest[7:19]}: the attestation is missing ({decided.attestation.name})"
    ]


def test_an_attestation_that_the_ledger_knows_nothing_of_is_a_problem(decided):
    stranger = decided.attestation.with_name("0" * 64 + ".json")
    stranger.write_bytes(decided.attestation.read_bytes())
    assert problems(decided) == [f"attestation {stranger.name}: the ledger has no such decision"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda predicate: predicate["decision"].update(reason="for another reason altogether"),
        lambda predicate: predicate.update(verdict="refuse"),
        lambda predicate: predicate.update(expires="2999-01-01T00:00:00Z"),
        lambda predicate: predicate.update(time_verified="once"),
        lambda predicate: predicate.update(ledgers={}),
        lambda predicate: predicate["ledgers"]["promotion"].update(seq="many"),
        lambda predicate: predicate.update(mode="live"),
    ],
)
def test_an_attestation_that_was_written_anew_is_named(decided, edit):
    resign(decided, edit)
    found = problems(decided)
    name = f"attestation {decided.digest[7:19]}: "
    assert f"{name}it is not the one that the ledger has" in found
    assert all(problem.startswith(name) for problem in found)


@pytest.mark.parametrize(
    ("old", "new"),
    [("role: owner", "role: gate"), ("mode: rehearsal", "mode: live"), ("schema_version: 1", "schema_version:  1")],
)
def test_a_key_record_that_was_changed_is_named(decided, old, new):
    path = keys_folder(decided.workspace) / "owner@example.com.yaml"
    path.write_text(path.read_text().replace(old, new))
    assert "key owner@example.com: its record was changed after it was enrolled (owner@example.com.yaml)" in problems(
        decided
    )


def test_a_key_record_that_is_gone_is_named(decided):
    (keys_folder(decided.workspace) / "gate.yaml").unlink()
    assert "key gate: its record is missing" in problems(decided)


def test_a_key_that_was_never_enrolled_is_named(decided):
    folder = keys_folder(decided.workspace)
    text = (folder / "owner@example.com.yaml").read_text()
    (folder / "x@example.com.yaml").write_text(text.replace("owner@", "x@"))
    assert problems(decided) == ["key x@example.com: its record was changed after it was enrolled (x@example.com.yaml)"]


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE decisions SET candidate = 'sha256:0'", "decision on spring-email: its table differs"),
        ("UPDATE decisions SET pilot = 'summer-email'", "decision on summer-email: its table differs"),
        ("UPDATE decisions SET envelope = x'00'", "decision on spring-email: its table differs"),
        ("DELETE FROM decisions", "decision on spring-email: its table differs"),
        ("UPDATE promises SET at = '2020-01-01T00:00:00Z'", "promise sha256:"),
        ("UPDATE promises SET pilot = 'summer-email'", "promise sha256:"),
        ("UPDATE promises SET ledger_seq = 1", "promise sha256:"),
        ("DELETE FROM promises", "promise sha256:"),
    ],
)
def test_tables_that_differ_from_the_ledger_are_named(decided, statement, named):
    change(decided, statement)
    assert [problem for problem in problems(decided) if problem.startswith(named)]


def test_a_decision_dropped_from_ledger_and_table_is_found_by_its_attestation(decided):
    change(decided, "DELETE FROM ledger WHERE kind = 'decided'")
    change(decided, "DELETE FROM decisions")
    assert problems(decided) == [f"attestation {decided.attestation.name}: the ledger has no such decision"]


def test_a_ledger_that_was_written_anew_is_found_by_the_attestations_witness(decided):
    """A forger who rehashes every entry cannot change the head that gate and owner have signed."""
    connection = database(decided)
    forgery.rewrite(connection, lambda _, kind: "2026-01-01T00:00:00Z" if kind == "registered" else None)
    connection.close()
    found = problems(decided)
    assert any("is not the one that was witnessed; the chain was cut or replaced" in problem for problem in found)


def test_a_workspace_whose_mark_was_changed_to_live_is_found(decided):
    path, policy = decided.workspace.root / "workspace.json", decided.workspace.configs / "gate.yaml"
    path.write_text(path.read_text().replace("rehearsal", "live"))
    # Whoever does that takes the rehearsal's seed out as well, which a live workspace refuses.
    policy.write_text(policy.read_text().replace("nonce_seed: stage\n", ""))
    from shared.state.workspace import open_workspace

    [problem] = verify(open_workspace(decided.workspace.root)).problems
    assert problem.startswith("the promotion ledger: entry 1 cannot be believed")


def test_a_database_that_is_none_is_a_problem_and_no_crash(decided):
    for path in decided.workspace.promotion.glob("promotion.db*"):
        path.unlink()
    (decided.workspace.promotion / "promotion.db").write_bytes(b"not a database at all" * 100)
    [problem] = problems(decided)
    assert problem.startswith("the promotion ledger: the database is damaged")
