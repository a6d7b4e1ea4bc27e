import json

import pytest

from pilotplant.app import _exit_code
from promotion.decisions.decision import preview
from promotion.decisions.draft import Asked
from promotion.decisions.execution import Act, OnDisk, steps
from promotion.decisions.handover import package_path
from promotion.decisions.proposal import Proposed
from promotion.state import open_promotion
from shared.core.digests import digest_file
from shared.core.errors import Refused, Undecided
from shared.trust.decision import Decision
from shared.trust.keys import KeyStore
from shared.trust.record import attestation_path
from tests.makers import OWNER, RELEASE
from tests.promotion.cases import GOOD, INSIGHT, REASON, Recorded

DIGEST = "sha256:" + "a" * 64


def decision(word, **more):
    return Decision(word=word, owner=OWNER, reason=REASON, at="2026-01-20T08:00:00Z", **more)


def files(workspace):
    """Every file with its digest; what SQLite keeps for its readers' locks is none of the workspace's content."""
    found = (path for path in workspace.root.rglob("*") if path.is_file() and not path.name.endswith("-shm"))
    return {str(path.relative_to(workspace.root)): digest_file(path) for path in found}


def lasting(predicate):
    """What is signed, without what the clock and the lot say."""
    findings = [(finding.check, finding.arm, finding.outcome) for finding in predicate.findings]
    signers = [(one.name, one.key_id, one.reason) for one in predicate.signatories]
    fleeting = {"nonce", "time_verified", "expires", "findings", "decision", "signatories"}
    said = predicate.decision.model_copy(update={"at": ""})
    return predicate.model_dump(mode="json", exclude=fleeting), findings, signers, said


def ask(stage, word="scale", **more):
    return preview(stage.workspace, "spring-email", Asked(word, OWNER, REASON, **more))


@pytest.mark.parametrize(
    ("said", "acts"),
    [
        (decision("scale", arm="letter", release=RELEASE), [Act.WRITE_ATTESTATION, Act.LAY_PACKAGE]),
        (decision("revise", successor="spring-email-2"), [Act.WRITE_ATTESTATION, Act.OPEN_DRAFT]),
        (decision("stop", insight=INSIGHT), [Act.WRITE_ATTESTATION]),
    ],
)
def test_each_word_has_its_steps_and_what_is_on_disk_says_which_are_done(stage, said, acts):
    planned = steps(stage.workspace, DIGEST, said, OnDisk())
    assert [step.act for step in planned] == acts
    assert not any(step.done for step in planned)
    assert all(step.done for step in steps(stage.workspace, DIGEST, said, OnDisk(True, True, True)))
    half = steps(stage.workspace, DIGEST, said, OnDisk(attestation=True))
    assert [step.done for step in half] == [True, False][: len(acts)]


@pytest.mark.parametrize("word", ["scale", "revise", "stop"])
def test_a_preview_shows_the_steps_that_the_decision_then_takes_and_writes_nothing(stage, word):
    stage.submit()
    before, ledger = files(stage.workspace), open_promotion(stage.workspace).entries()
    shown = ask(stage, word, insight=INSIGHT if word == "stop" else None)
    assert (files(stage.workspace), open_promotion(stage.workspace).entries()) == (before, ledger)
    done = stage.decide(word)
    assert done.steps == shown.steps
    assert all(step.target.exists() for step in shown.steps)
    assert lasting(shown.predicate) == lasting(done.attestation.predicate)


def test_the_preview_of_a_decision_that_was_made_says_what_is_left_to_do(stage):
    candidate = stage.submit()
    stage.decide("scale")
    assert [(step.act, step.done) for step in ask(stage).steps] == [
        (Act.WRITE_ATTESTATION, True), (Act.LAY_PACKAGE, True),
    ]  # fmt: skip
    (package_path(stage.workspace, candidate.digest) / "candidate" / "evidence.json").write_text("{}")
    attestation_path(stage.workspace, candidate.digest).write_text("{}")
    shown = ask(stage)
    assert (shown.repeated, [step.done for step in shown.steps]) == (True, [False, False])
    assert stage.decide("scale").steps == shown.steps
    assert all(step.done for step in ask(stage).steps)


def test_a_preview_is_refused_and_undecided_where_the_decision_would_be(stage):
    stage.submit(arms={**GOOD, "letter": Recorded(visits=24)})
    with pytest.raises(Refused, match="the gate does not admit"):
        ask(stage)
    stage.people({"email": "other@example.com", "decides": {"tiers": ["standard"]}})
    with pytest.raises(Refused, match="owner@"):
        ask(stage, "stop", insight=INSIGHT)


def test_a_preview_is_undecided_where_the_gate_cannot_say(stage):
    stage.submit(charter={"guardrails": []})
    with pytest.raises(Undecided):
        ask(stage)


def test_a_preview_is_refused_where_the_private_key_is_not_here(stage):
    stage.submit()
    (KeyStore(stage.workspace).folder / f"{OWNER}.pem").unlink()
    with pytest.raises(Refused, match="is not on this machine"):
        ask(stage)


def test_the_preview_of_a_first_signature_is_a_proposal(stage):
    stage.people(*({"email": who, "decides": {"tiers": ["high"]}} for who in (OWNER, "second@example.com")))
    stage.submit(charter={"risk_tier": "high"})
    before = files(stage.workspace)
    shown = ask(stage)
    assert (shown.awaits, shown.repeated, shown.steps) == ("person", False, ())
    assert files(stage.workspace) == before
    assert isinstance(stage.decide("scale"), Proposed)
    assert ask(stage).repeated


@pytest.mark.parametrize(
    ("submitted", "code", "told"),
    [
        ({}, 0, ["1. Then: write the attestation", "2. Then: lay candidate", "Nothing was signed or written."]),
        ({"arms": {**GOOD, "letter": Recorded(visits=24)}}, 3, []),
        ({"charter": {"guardrails": []}}, 4, []),
        ({"charter": {"risk_tier": "high"}}, 4, ["would be proposed by", "second signature", "Nothing was signed"]),
    ],
)
def test_the_dry_run_exits_as_the_real_command_would_and_leaves_every_file_as_it_was(
    stage, capsys, submitted, code, told
):
    stage.people(*({"email": who, "decides": {"tiers": ["standard", "high"]}} for who in (OWNER, "two@example.com")))
    stage.submit(**submitted)
    before = files(stage.workspace)
    command = ["--workspace", str(stage.workspace.root), "promote", "decide", "spring-email", "scale", "--as", OWNER,
               "--reason", REASON]  # fmt: skip
    assert _exit_code([*command, "--dry-run"]) == code
    text = capsys.readouterr().out
    assert all(line in text for line in told), text
    assert files(stage.workspace) == before
    assert _exit_code(command) == code


def test_the_dry_run_gives_steps_and_predicate_as_json(stage, capsys):
    stage.submit()
    command = ["promote", "decide", "spring-email", "scale", "--as", OWNER, "--reason", REASON, "--dry-run", "--json"]
    assert _exit_code(["--workspace", str(stage.workspace.root), *command]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["dry_run"], told["signers"], told["predicate"]["verdict"]) == (True, ["gate", OWNER], "admit")
    assert [(step["step"], step["done"]) for step in told["steps"]] == [
        ("write_attestation", False), ("lay_package", False),
    ]  # fmt: skip


def test_the_dry_run_of_a_waiver_signs_nothing_and_is_refused_where_the_waiver_would_be(stage, capsys):
    right = {"checks": ["sample_planned"], "tiers": ["standard"]}
    stage.people({"email": OWNER, "decides": {"tiers": ["standard"]}, "waives": [right]})
    stage.submit(charter={"sample": {"units_per_arm": 300}})
    before = files(stage.workspace)
    command = ["--workspace", str(stage.workspace.root), "promote", "waive", "spring-email", "sample_planned",
               "--as", OWNER, "--reason", REASON, "--until", "2026-01-24"]  # fmt: skip
    assert _exit_code([*command, "--dry-run"]) == 0
    assert "would be waived by owner@example.com" in capsys.readouterr().out
    refused = [part if part != "sample_planned" else "candidate_sealed" for part in command]
    assert [_exit_code([*refused, "--dry-run"]), _exit_code(refused)] == [3, 3]
    assert files(stage.workspace) == before
    assert [_exit_code(command), _exit_code([*command, "--dry-run"])] == [0, 0]
    assert "nothing new would be signed" in capsys.readouterr().out
