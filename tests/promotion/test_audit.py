"""The audit: who decided what on which evidence, as of a date."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from pilotplant.app import _exit_code
from promotion.audit.audit import audit, moment_of
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from promotion.keys.keyring import keys_folder
from shared.core.clock import rfc3339
from shared.core.errors import BadInput
from shared.trust.attestation import read_attestation
from shared.trust.keys import read_public
from shared.trust.record import attestation_path
from tests.makers import OWNER
from tests.promotion.cases import JUDGED, REASON, Stage

LATER = JUDGED + timedelta(days=3)
NOW = LATER + timedelta(days=1)


@pytest.fixture(scope="module")
def template(prepared, tmp_path_factory):
    stage = Stage(prepared).copy(tmp_path_factory.mktemp("audited") / "workspace")
    first = stage.submit().digest
    stage.decide("scale")
    stage.submit(charter={"pilot": "summer-email"})
    stage.workspace.clock.set(LATER)
    decide(stage.workspace, "summer-email", Asked("stop", OWNER, "nobody came to the shop", insight="summer is quiet"))
    stage.digest = first
    return stage


@pytest.fixture
def stage(template, tmp_path):
    """Two decisions, three days apart."""
    copied = template.copy(tmp_path / "workspace")
    copied.digest = template.digest
    return copied


def change(stage, *statements):
    with sqlite3.connect(stage.workspace.promotion / "promotion.db") as connection:
        connection.execute("DROP TRIGGER IF EXISTS ledger_no_update")
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_a_decision_is_told_with_owner_evidence_policy_verdict_keys_and_mode(stage):
    found = audit(stage.workspace, NOW)
    attestation = read_attestation(attestation_path(stage.workspace, stage.digest))
    predicate = attestation.predicate
    keys = {key.name: key for key in read_public(keys_folder(stage.workspace))}
    first = found.rulings[0]
    assert (first.pilot, first.word, first.arm, first.release) == (
        "spring-email", "scale", "letter", "spring-email-letter",
    )  # fmt: skip
    assert (first.owner, first.reason, first.verdict, first.mode) == (OWNER, REASON, "admit", "rehearsal")
    assert (first.candidate, first.attestation) == (stage.digest, attestation.digest)
    assert (first.evidence, first.policy) == (predicate.evidence, predicate.policy)
    assert {(key.key_id, key.role) for key in first.keys} == {
        (keys["gate"].key_id, "gate"),
        (keys[OWNER].key_id, "owner"),
    }
    assert (found.problems, [one.problems for one in found.rulings]) == ((), [(), ()])


@pytest.mark.parametrize(
    ("as_of", "pilots"),
    [
        (JUDGED.date() - timedelta(days=1), []),
        (JUDGED.date(), ["spring-email"]),
        (LATER.date() - timedelta(days=1), ["spring-email"]),
        (LATER.date(), ["spring-email", "summer-email"]),
        (rfc3339(JUDGED + timedelta(hours=1)), ["spring-email"]),
        (rfc3339(JUDGED - timedelta(seconds=1)), []),
    ],
)
def test_what_was_decided_later_is_left_out(stage, as_of, pilots):
    assert [one.pilot for one in audit(stage.workspace, moment_of(str(as_of))).rulings] == pilots


def test_a_date_includes_its_last_moment():
    assert moment_of("2026-11-27") == datetime(2026, 11, 27, 23, 59, 59, 999999, UTC)
    assert moment_of("2026-11-27T18:00:00+02:00") == datetime(2026, 11, 27, 16, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "2026-11-27T18:00:00", "", "2026-11-2x"])
def test_what_is_no_date_is_bad_input(text):
    with pytest.raises(BadInput, match="is not a date"):
        moment_of(text)


def test_a_lost_attestation_is_named_and_the_gates_copy_still_tells(stage):
    attestation_path(stage.workspace, stage.digest).unlink()
    found = audit(stage.workspace, NOW)
    assert found.rulings[0].verdict == "admit"
    assert any("the attestation is missing" in problem for problem in found.rulings[0].problems)
    assert found.rulings[1].problems == ()


def test_without_any_attestation_that_fits_the_decision_is_told_and_nothing_is_made_up(stage):
    attestation_path(stage.workspace, stage.digest).unlink()
    change(stage, "UPDATE decisions SET envelope = x'00' WHERE pilot = 'spring-email'")
    first = audit(stage.workspace, NOW).rulings[0]
    assert (first.word, first.evidence, first.verdict, first.keys) == ("scale", None, None, ())
    assert any("no attestation is left that the ledger's digest fits" in problem for problem in first.problems)


def test_an_edited_entry_is_told_as_it_stands_and_named(stage):
    change(stage, "UPDATE ledger SET body = replace(body, 'scale', 'stop') WHERE subject = 'spring-email'")
    found = audit(stage.workspace, NOW)
    assert found.rulings[0].word == "stop"
    assert any("was changed after it was written" in problem for problem in found.rulings[0].problems)
    assert any("its decision is not the one that the ledger has" in problem for problem in found.rulings[0].problems)


def test_an_entry_whose_time_was_moved_out_of_sight_is_named_all_the_same(stage):
    change(stage, "UPDATE ledger SET at = '2099-01-01T00:00:00Z' WHERE kind = 'decided' AND subject = 'spring-email'")
    found = audit(stage.workspace, NOW)
    assert [one.pilot for one in found.rulings] == ["summer-email"]
    assert any("(decided) was changed after it was written" in problem for problem in found.problems)


def test_a_key_whose_record_was_changed_vouches_for_nobody(stage):
    path = keys_folder(stage.workspace) / f"{OWNER}.yaml"
    path.write_text(path.read_text().replace("role: owner", "role: gate"))
    found = audit(stage.workspace, NOW)
    assert [key.role for key in found.rulings[0].keys] == ["gate"]
    assert any(f"key {OWNER}: its record was changed" in problem for problem in found.problems)


def test_the_command_prints_both_ways_and_its_exit_code_hides_no_problem(stage, capsys):
    asked = ["--workspace", str(stage.workspace.root), "promote", "audit", "--as-of", str(LATER.date())]
    assert _exit_code([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema_version"], [one["pilot"] for one in told["decisions"]]) == (
        1,
        ["spring-email", "summer-email"],
    )
    assert _exit_code(asked) == 0
    text = capsys.readouterr().out
    assert "spring-email: scale letter by owner@example.com, 2026-01-20 08:00 UTC (rehearsal)" in text
    assert stage.digest in text
    attestation_path(stage.workspace, stage.digest).unlink()
    assert _exit_code(asked) == 3
    assert "PROBLEM" in capsys.readouterr().out
    assert _exit_code([*asked[:-1], "soon"]) == 2


def test_nothing_decided_is_said(stage, capsys):
    asked = ["--workspace", str(stage.workspace.root), "promote", "audit", "--as-of", "2020-01-01"]
    assert _exit_code(asked) == 0
    assert capsys.readouterr().out == "Nothing had been decided.\n"
