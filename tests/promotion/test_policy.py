import pytest
import yaml

from promotion.gate.checks import CHECKS
from promotion.gate.policy import read_settings
from promotion.state import open_promotion
from shared.core.errors import BadInput
from shared.state.workspace import create

# A workspace without a history has nothing to certify; the reasons of the others stand in docs/gate.md.
WARNED_OF = {
    "low": {
        "aa_fresh",
        "recording_gaps",
        "metrics_vary",
        "domain",
        "improbably_good",
        "portfolio_fdr",
        "loss_bounds",
        "audience_tested",
        "randomised",
    },
    "standard": {"aa_fresh", "recording_gaps", "metrics_vary", "portfolio_fdr", "loss_bounds", "audience_tested"},
    "high": {"aa_fresh", "loss_bounds", "audience_tested"},
}


def tiers(stage, **said):
    """Rewrites the tiers of `configs/gate.yaml` to these words and no others."""
    path = stage.workspace.configs / "gate.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "tiers": said}))


@pytest.mark.parametrize("tier", WARNED_OF)
def test_the_settings_of_a_new_workspace_block_on_all_but_a_few_checks(tmp_path, tier):
    policy = read_settings(create(tmp_path / "new", "rehearsal")[0]).policy(tier)
    assert list(policy.rules) == [check.name for check in CHECKS]
    assert {name for name, rule in policy.rules.items() if rule.level != "block"} == WARNED_OF[tier]


def test_a_tier_that_is_not_named_has_every_checks_defaults(stage):
    tiers(stage, low={"budget_kept": {"level": "warn"}})
    rules = read_settings(stage.workspace).policy("high").rules
    assert rules == {check.name: check.rule() for check in CHECKS}


def test_a_threshold_of_one_tier_is_of_that_tier_only(stage):
    stage.settings(high={"multiple_exposure": {"frac_max": 0.002}})
    settings = read_settings(stage.workspace)
    found = [settings.policy(tier).rules["multiple_exposure"].frac_max for tier in ("low", "standard", "high")]
    assert found == [0.01, 0.01, 0.002]


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"standard": {"sample_ration": {}}}, "sample_ratio"),
        ({"standard": {"sample_ratio": {"p_max": 0.1}}}, "p_min"),
        ({"medium": {}}, "standard"),
        ({"standard": {"sample_ratio": {"level": "ignore"}}}, "warn"),
        ({"standard": {"sample_ratio": {"p_min": 0}}}, "something else than 0"),
        ({"standard": {"sample_ratio": {"p_min": ".nan"}}}, "something else"),
        ({"standard": {"multiple_exposure": {"frac_max": 1}}}, "something else than 1"),
        ({"standard": {"data_quality": {"rows_min": 0}}}, "something else than 0"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_bad_input_that_names_what_is_valid(stage, said, named):
    tiers(stage, **said)
    with pytest.raises(BadInput) as refused:
        read_settings(stage.workspace)
    assert named in str(refused.value)


def test_a_policys_digest_tells_tiers_levels_and_thresholds_apart(stage):
    digests = {read_settings(stage.workspace).policy(tier).digest for tier in ("low", "standard", "high")}
    stage.settings(standard={"budget_kept": {"level": "warn"}})
    digests.add(read_settings(stage.workspace).policy("standard").digest)
    stage.settings(standard={"multiple_exposure": {"frac_max": 0.02}})
    digests.add(read_settings(stage.workspace).policy("standard").digest)
    assert len(digests) == 5


def test_a_policys_digest_does_not_depend_on_what_is_left_to_default(stage, tmp_path):
    tiers(stage, standard={"sample_ratio": {"p_min": 0.001}})
    said = read_settings(stage.workspace).policy("standard").digest
    tiers(stage)
    assert read_settings(stage.workspace).policy("standard").digest == said
    other, _ = create(tmp_path / "other", "live")
    assert read_settings(other).policy("standard").digest == said


@pytest.mark.parametrize("days", [0, 3651])
def test_a_package_is_valid_for_a_day_at_least_and_ten_years_at_most(stage, days):
    path = stage.workspace.configs / "gate.yaml"
    path.write_text(path.read_text().replace("valid_days: 180", f"valid_days: {days}"))
    with pytest.raises(BadInput, match="valid_days"):
        read_settings(stage.workspace)


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"portfolo": {"bound": 0.1}}, "portfolio"),
        ({"nonce_sed": "ours"}, "nonce_seed"),
        ({"portfolio": {"bound": 2}}, "bound"),
        ({"valid_days": 0}, "valid_days"),
    ],
)
def test_settings_that_cannot_be_meant_are_found_when_the_room_is_opened(stage, said, named):
    """A promise is registered under these, for ever: a misspelt one may not be passed over for its default."""
    path = stage.workspace.configs / "gate.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **said}))
    with pytest.raises(BadInput) as refused:
        open_promotion(stage.workspace)
    assert named in str(refused.value)
