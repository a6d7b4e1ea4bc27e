import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pilotplant.app import app
from promotion.gate.catalogue import GROUPS, catalogue
from promotion.gate.checks import CHECKS
from promotion.gate.policy import read_settings
from shared.core.errors import BadInput

TESTS = Path(__file__).with_name("checks")


@pytest.fixture
def listed(stage):
    return lambda name=None: catalogue(read_settings(stage.workspace), name)


def test_every_check_is_listed_once_by_group(listed):
    found = listed()
    assert sorted(each.name for each in found) == sorted(check.name for check in CHECKS)
    assert [each.group for each in found] == sorted((each.group for each in found), key=GROUPS.index)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_every_check_says_what_it_asks_and_reads_and_has_its_own_tests(check):
    assert check.question.endswith("?")
    assert check.reads
    # tests/promotion/checks/conftest.py holds each of these to all three outcomes.
    assert (TESTS / f"test_{check.name}.py").exists()


def test_every_threshold_says_where_its_default_comes_from(listed):
    silent = [(each.name, threshold.name) for each in listed() for threshold in each.thresholds if not threshold.source]
    assert silent == []


def test_a_threshold_has_its_default_and_what_each_tier_makes_of_it(listed):
    [found] = listed("multiple_exposure")
    [frac] = found.thresholds
    assert (frac.name, frac.default) == ("frac_max", 0.01)
    assert frac.tiers == {"low": 0.01, "standard": 0.01, "high": 0.005}
    assert "GrowthBook" in frac.source


def test_what_a_policy_softens_is_told_apart_from_what_warns_by_default(stage, listed):
    stage.settings(standard={"budget_kept": {"level": "warn"}})
    assert listed("budget_kept")[0].softened == ("standard",)
    assert (listed("aa_fresh")[0].levels["standard"], listed("aa_fresh")[0].softened) == ("warn", ())
    assert not listed("candidate_sealed")[0].waivable
    assert listed("budget_kept")[0].waivable


def test_an_unknown_check_is_named_with_those_that_exist(listed):
    with pytest.raises(BadInput, match="there is no check `sample_size`") as refused:
        listed("sample_size")
    assert "sample_ratio" in str(refused.value.expected)


def test_a_policy_on_a_check_that_does_not_exist_is_an_error(stage):
    path = stage.workspace.configs / "gate.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "tiers": {"low": {"sample_size": {}}}}))
    with pytest.raises(BadInput, match="sample_size"):
        read_settings(stage.workspace)


def test_the_command_lists_all_and_one_in_full(stage):
    def say(*words):
        return CliRunner().invoke(app, ["--workspace", str(stage.workspace.root), "promote", "checks", *words])

    everything, one, as_json = say(), say("sample_ratio"), say("novelty", "--json")
    assert all(group in everything.output for group in GROUPS)
    assert "deviation_floor: low=0.001, standard=0.001, high=0.001 (default 0.001)" in one.output
    assert '"name": "novelty"' in as_json.output


def test_every_verdict_names_what_cannot_change_it(stage):
    stage.submit()
    stage.settings(standard={"budget_kept": {"level": "warn"}})
    words = ["--workspace", str(stage.workspace.root), "promote", "check", "spring-email"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    line = " ".join(shown.output.split())
    warned = "randomised, loss_bounds, recording_gaps, aa_fresh, metrics_vary, budget_kept, portfolio_fdr, "
    warned += "audience_tested"
    assert f"Cannot change this verdict, by the policy: {warned}." in line


def test_an_explained_check_says_what_it_asks_of_whom_and_the_numbers(stage):
    stage.submit()
    words = ["--workspace", str(stage.workspace.root), "promote", "check", "spring-email", "--explain", "sample_ratio"]
    shown, as_json = (CliRunner().invoke(app, [*words, *more]) for more in ([], ["--json"]))
    line = " ".join(shown.output.split())
    assert "sample_ratio (evidence): Do the arms have the sizes that the randomisation planned?" in line
    assert "p_min: low=0.001, standard=0.001, high=0.001 (default 0.001): GrowthBook's" in line
    assert "measured p=1, deviation=0, units=(control=200, letter=200); asked p_min=0.001" in line
    assert json.loads(as_json.stdout)["explained"]["name"] == "sample_ratio"
