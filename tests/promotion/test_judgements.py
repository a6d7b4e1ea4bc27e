import json

import pytest
import typer

from pilotplant.app import run
from promotion.queue.judgements import judge_named
from shared.core.errors import BadInput
from tests.promotion.cases import GOOD, Recorded

WEAK = {**GOOD, "letter": Recorded(visits=24)}


def check(stage, capsys, *words):
    """Exit code and JSON of `promote check`."""
    code = run(["--workspace", str(stage.workspace.root), "promote", "check", *words, "--json"])
    return (code if isinstance(code, int) else 0), json.loads(capsys.readouterr().out)


def test_a_pilots_name_means_its_latest_candidate(stage):
    stage.submit(arms=WEAK, later=1)
    stage.submit(later=2)
    [(case, judgement)] = judge_named(stage.workspace, "spring-email")
    assert (case.candidate.manifest.ledger["seq"], judgement.verdict) == (4, "admit")


def test_a_digest_or_its_beginning_means_that_candidate(stage):
    first = stage.submit(arms=WEAK, later=1)
    stage.submit(later=2)
    for name in (first.digest, first.folder.name, first.folder.name[:8]):
        [(case, judgement)] = judge_named(stage.workspace, name)
        assert (case.candidate.digest, judgement.verdict) == (first.digest, "refuse")


@pytest.mark.parametrize("name", ["summer-email", "sha256:", ""])
def test_a_name_that_means_nothing_is_bad_input(stage, name):
    stage.submit()
    with pytest.raises(BadInput, match="no candidate of"):
        judge_named(stage.workspace, name)


def test_the_charters_tier_chooses_the_policy(stage):
    stage.settings(low={"primary_effect": {"level": "warn"}})
    stage.submit(arms=WEAK, charter={"risk_tier": "low"})
    [(_, judgement)] = judge_named(stage.workspace, "spring-email")
    assert judgement.verdict == "admit"


def test_where_the_charter_cannot_be_read_the_strictest_policy_applies(stage):
    stage.settings(low={"time_box": {"level": "warn"}}, standard={"time_box": {"level": "warn"}})
    candidate = stage.submit()
    (candidate.folder / "promise.json").write_text("{")
    [(_, judgement)] = judge_named(stage.workspace, "spring-email")
    assert {finding.level for finding in judgement.findings if finding.check == "time_box"} == {"block"}


def test_all_are_those_that_wait(stage):
    stage.submit()
    stage.submit(charter={"pilot": "autumn-email"}, arms=WEAK)
    stage.decide("stop")
    assert [case.charter.pilot for case, _ in judge_named(stage.workspace, None)] == ["autumn-email"]


def test_there_must_be_a_check_to_explain(stage):
    with pytest.raises(BadInput, match="there is no check `luck`"):
        judge_named(stage.workspace, None, explain="luck")


@pytest.mark.parametrize(("arms", "code", "verdict"), [(GOOD, 0, "admit"), (WEAK, 3, "refuse"), ({}, 4, "undecided")])
def test_the_commands_exit_code_is_the_verdicts(stage, capsys, arms, code, verdict):
    stage.submit(arms=arms)
    found, said = check(stage, capsys, "spring-email")
    assert (found, said["verdict"], said["arms"]) == (code, verdict, {"letter": verdict})


def test_explaining_a_check_that_passed_does_not_turn_a_refusal_into_an_admission(stage, capsys):
    stage.submit(arms=WEAK)
    code, said = check(stage, capsys, "spring-email", "--explain", "sample_ratio")
    assert (code, said["verdict"], said["arms"]) == (3, "refuse", {"letter": "refuse"})
    assert [finding["check"] for finding in said["findings"]] == ["sample_ratio"]


def test_checking_decides_and_writes_nothing(stage, capsys):
    candidate = stage.submit()
    check(stage, capsys, "spring-email")
    assert sorted(path.name for path in candidate.folder.parent.iterdir()) == [candidate.folder.name]
    assert not (stage.workspace.promotion / "attestations").exists()


def test_neither_a_name_nor_all_is_a_usage_error(stage):
    with pytest.raises(typer.BadParameter):
        run(["--workspace", str(stage.workspace.root), "promote", "check"])
