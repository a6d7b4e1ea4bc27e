"""Sizing: a draft's numbers are such that its plan can be kept, or it says what is missing.

Expected numbers come from statsmodels' power of two-sample tests, which has no part in the computation.
"""

import re

import pytest
from statsmodels.stats.power import NormalIndPower, TTestIndPower
from statsmodels.stats.proportion import proportion_effectsize

from lab.charters.briefs import TEMPLATES, assumption, brief
from lab.charters.drafts import check, new
from lab.charters.sample_size import rounded_down, rounded_up
from lab.launch.launch import launch
from lab.pilots.promise import read_charter
from shared.core.errors import BadInput
from shared.experiment.bounds import read_bounds
from shared.experiment.sample_plan import Assumption

NAME = "autumn-mail"
KNOWN = {"visit": Assumption(mean=0.3), "conversion": Assumption(mean=0.25), "spend": Assumption(mean=40, sd=30)}


def drafted(workspace, **said):
    """The draft's charter, and what was said of its size."""
    done = new(workspace, NAME, brief(**said))
    return read_charter(workspace, NAME), done.sizing


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize(
    "metric", ["visit", *(pytest.param(name, marks=pytest.mark.proof) for name in KNOWN if name != "visit")]
)
def test_what_every_template_drafts_of_a_small_shop_launches_and_can_be_scaled(loaded, template, metric):
    _, sizing = drafted(loaded, template=template, metric=metric, assume=KNOWN)
    assert (len(sizing.told), sizing.missing) == (1, ())
    found = check(loaded, NAME)
    assert (found.problems, found.verdict.scale, found.verdict.because) == ([], "possible", ())
    launch(loaded, NAME)


def test_the_units_are_those_that_a_test_of_two_shares_needs(loaded):
    # 90 % for each of the two tests that have to succeed, so that both do in 80 % of the pilots.
    charter, _ = drafted(loaded, metric="visit", minimum_effect=0.2, assume=KNOWN, margin=15, guardrail="spend")
    size = proportion_effectsize(0.5, 0.3)
    expected = NormalIndPower().solve_power(size, power=0.9, alpha=0.05)
    assert charter.sample.units_per_arm == pytest.approx(expected, rel=0.05)
    assert charter.sample.attrition == 0.1


def test_a_difference_that_all_there_are_cannot_show_gives_way_to_one_that_they_can(loaded):
    charter, sizing = drafted(loaded, assume=KNOWN)
    assert charter.primary.minimum_effect > 0.01
    size = proportion_effectsize(0.3 + charter.primary.minimum_effect, 0.3)
    assert NormalIndPower().power(size, charter.sample.units_per_arm, 0.05) == pytest.approx(0.9, abs=0.03)
    assert f"a difference of {charter.primary.minimum_effect:g} in visit" in sizing.told[0]


def test_a_difference_that_was_said_stays_and_what_it_needs_is_missing(loaded):
    charter, sizing = drafted(loaded, assume=KNOWN, minimum_effect=0.01)
    assert charter.primary.minimum_effect == 0.01
    [missing] = [why for why in sizing.missing if why.startswith("visit needs")]
    assert "name a larger smallest difference" in missing
    assert sizing.told == ()
    assert check(loaded, NAME).verdict.scale != "possible"


def test_a_margin_is_one_that_the_units_rule_out(loaded):
    charter, _ = drafted(loaded, assume=KNOWN)
    [rail] = charter.guardrails
    assert rail.metric == "spend"
    power = TTestIndPower().power(
        -rail.margin / KNOWN["spend"].sd, charter.sample.units_per_arm, 0.05, alternative="larger"
    )
    assert power == pytest.approx(0.9, abs=0.05)


def test_a_margin_is_no_wider_than_the_policy_takes(loaded):
    rare = {"visit": Assumption(mean=0.3), "conversion": Assumption(mean=0.004)}
    charter, sizing = drafted(loaded, assume=rare)
    # The stage's policy takes a margin of all that there is, of which nine tenths are left.
    assert read_bounds(loaded, "standard").margin_frac_max == 1
    assert [(rail.metric, rail.margin) for rail in charter.guardrails] == [("conversion", -0.0036)]
    [missing] = sizing.missing
    assert "guard a metric that more customers have a part in" in missing
    found = check(loaded, NAME)
    assert found.problems == []
    assert found.verdict.scale in {"unlikely", "almost surely not"}
    assert found.verdict.because[0].startswith("conversion needs")


def test_a_margin_stays_clear_of_the_policys_limit(loaded):
    """The gate measures it by what was observed, which is below what was assumed in every other pilot."""
    path = loaded.configs / "gate.yaml"
    text, changed = re.subn(r"margin_frac_max: 1\b", "margin_frac_max: 0.5", path.read_text())
    assert changed
    path.write_text(text)
    assert read_bounds(loaded, "standard").margin_frac_max == 0.5
    charter, _ = drafted(loaded, assume={"visit": Assumption(mean=0.3), "conversion": Assumption(mean=0.02)})
    assert [rail.margin for rail in charter.guardrails] == [pytest.approx(-0.9 * 0.5 * 0.02, rel=0.01)]


def test_a_margin_and_units_that_were_said_stay(loaded):
    charter, sizing = drafted(loaded, assume=KNOWN, margin=0.5, units_per_arm=120, guardrail="spend")
    assert (charter.sample.units_per_arm, charter.guardrails[0].margin) == (120, -0.5)
    assert [why.split()[0] for why in sizing.missing] == ["spend"]


def test_it_guards_a_metric_of_which_something_is_known(loaded):
    charter, _ = drafted(loaded, assume={"visit": Assumption(mean=0.3), "conversion": Assumption(mean=0.25)})
    assert [rail.metric for rail in charter.guardrails] == ["conversion"]


def test_where_nothing_is_known_it_says_what_is_missing_and_leaves_nobody_out(loaded):
    charter, sizing = drafted(loaded)
    assert [why.split("`")[1] for why in sizing.missing] == ["visit", "spend"]
    assert "--assume visit=SHARE" in sizing.missing[0]
    assert "--assume spend=MEAN:SD" in sizing.missing[1]
    assert charter.sample.attrition is None


def test_the_history_of_the_teams_own_table_is_enough(loaded):
    path = loaded.configs / "metrics.yaml"
    path.write_text(path.read_text().replace("    column: spend\n", "    column: spend\n    history: history\n"))
    charter, sizing = drafted(loaded, metric="spend", guardrail="visit", assume={"visit": Assumption(mean=0.3)})
    assert sizing.missing == ()
    assert "by `history` of 600 rows of table `customers`" in sizing.told[0]
    assert charter.sample.assume.keys() == {"visit"}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("visit", "does not say what a metric is"),
        ("visit=", "does not say what a metric is"),
        ("visit=often", "does not say what a metric is"),
        ("spend=1:-2", "does not say what a metric is"),
        ("=0.1", "names no metric"),
        ("visit=nan", "does not say what a metric is"),
    ],
)
def test_an_assumption_that_is_none_is_refused(said, told):
    with pytest.raises(BadInput, match=told):
        assumption(said)


@pytest.mark.parametrize("said", [{"visit": Assumption(mean=2)}, {"spend": Assumption(mean=2)}])
def test_an_assumption_that_cannot_be_leaves_no_draft_behind(loaded, said):
    with pytest.raises(BadInput, match="`assume` of"):
        new(loaded, NAME, brief(assume=said))
    assert not (loaded.pilots / NAME).exists()


def test_an_assumption_of_what_is_not_measured_is_refused(loaded):
    with pytest.raises(BadInput, match="`clicks` is not measured here"):
        new(loaded, NAME, brief(assume={"clicks": Assumption(mean=0.1)}))


def test_numbers_are_rounded_to_the_side_that_keeps_the_plan():
    assert [rounded_up(n) for n in (7, 144, 1_441, 21_384)] == [7, 144, 1_450, 21_400]
    assert [rounded_down(x) for x in (0.0029, 0.00299, 12.9, 0.5)] == [0.0029, 0.0029, 12, 0.5]


@pytest.mark.parametrize("customers", [3, 20, 26])
def test_a_table_that_is_too_small_for_any_test_is_told_so(loaded, monkeypatch, customers):
    monkeypatch.setattr("lab.charters.sample_size.taking_part", lambda _frozen: customers)
    charter, sizing = drafted(loaded, assume=KNOWN)
    assert "too few for any test: take a larger table" in sizing.missing[-1]
    assert charter.primary.minimum_effect == 0.01


def test_no_share_is_asked_to_rise_beyond_one(loaded, monkeypatch):
    monkeypatch.setattr("lab.charters.sample_size.taking_part", lambda _frozen: 60)
    charter, sizing = drafted(loaded, assume=KNOWN | {"visit": Assumption(mean=0.97)})
    assert charter.primary.minimum_effect < 0.03
    assert any(why.startswith("visit needs") for why in sizing.missing)
