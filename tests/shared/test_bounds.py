"""Bounds: which numbers of a promise mean nothing; every expected bound is worked out by hand beside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import BadInput
from shared.data.contracts import Contract, load_contract
from shared.experiment.bounds import Bounds, Level, never_negative, objections, read_bounds
from shared.experiment.charter import Promise
from shared.experiment.metrics import Metric
from shared.state.workspace import create
from tests.makers import make_charter

BOUNDS = Bounds()
VISIT = Metric(kind="proportion", column="visit", unit="share")
SPEND = Metric(kind="mean", column="spend", unit="USD")
GAIN = Metric(kind="mean", expression="spend - 2", unit="USD")
LEAVES = Metric(kind="proportion", column="left", unit="share", direction="decrease")
METRICS = {"visit": VISIT, "spend": SPEND, "gain": GAIN, "leaves": LEAVES}
# A tenth visit and spend 2.00 dollars on average; what a unit brings goes to both sides of nothing; 4 in 100 leave.
LEVELS = {
    "visit": Level(0.1, 0.3, never_negative=True, source="known"),
    "spend": Level(2.0, 5.0, never_negative=True, source="known"),
    "gain": Level(0.1, 5.0, never_negative=False, source="known"),
    "leaves": Level(0.04, 0.196, never_negative=True, source="known"),
}
SOUND = {
    "primary": {"metric": "visit", "minimum_effect": 0.01},
    "guardrails": [{"metric": "spend", "margin": -0.3}],
    "sample": {"units_per_arm": 1_000},
}


def promise(**changes):
    charter = make_charter(**{**SOUND, **changes})
    return Promise(charter=charter, metrics={name: METRICS[name] for name in charter.measured}, files={}, rules=2)


def parts(levels=LEVELS, bounds=BOUNDS, **changes):
    return [each.part for each in objections(promise(**changes), bounds, levels)]


def rail(metric, margin):
    primary = {"metric": "visit" if metric != "visit" else "spend", "minimum_effect": 0.1}
    return {"primary": primary, "guardrails": [{"metric": metric, "margin": margin}]}


def test_nothing_speaks_against_a_sound_promise():
    assert parts() == []


@pytest.mark.parametrize("alpha", [0.2, 0.1, 0.051])
def test_an_error_rate_above_a_twentieth_is_no_test(alpha):
    [found] = objections(promise(sample={"units_per_arm": 1_000, "alpha": alpha}), BOUNDS, LEVELS)
    assert (found.part, found.measured, found.threshold) == ("sample.alpha", alpha, 0.05)


def test_the_error_rate_of_guardrails_has_the_same_bound():
    assert parts(sample={"units_per_arm": 1_000, "guardrail_alpha": 0.2}) == ["sample.guardrail_alpha"]
    assert parts(sample={"units_per_arm": 1_000, "guardrail_alpha": 0.05}) == []


@pytest.mark.parametrize("power", [0.5, 0.7, 0.79])
def test_a_plan_that_misses_more_than_a_fifth_is_none(power):
    assert parts(sample={"units_per_arm": 1_000, "power": power}) == ["sample.power"]


@pytest.mark.parametrize("units", [2, 50, 99])
def test_a_handful_of_units_shows_nothing(units):
    assert parts(sample={"units_per_arm": units}) == ["sample.units_per_arm"]


def test_a_hundred_units_are_taken():
    assert parts(sample={"units_per_arm": 100}) == []


# A weight of 1 beside 99 is just a hundredth; 1 beside 100 is 0.0099.
@pytest.mark.parametrize(("other", "against"), [("99", []), ("100", ["arms[0].weight"]), ("10000", ["arms[0].weight"])])
def test_an_arm_gets_a_hundredth_at_least(other, against):
    arms = [arm.model_dump() for arm in make_charter().arms]
    assert parts(arms=[{**arms[0], "weight": "1"}, {**arms[1], "weight": other}]) == against


# The time box of the tests has 14 days; without one so short, a quarter has 91.
@pytest.mark.parametrize(
    ("window", "box", "against"),
    [(14, "2026-01-19", 0), (15, "2026-01-19", 1), (92, "2026-05-25", 1), (91, "2026-05-25", 0)],
)
def test_a_window_is_no_longer_than_the_time_box_and_a_quarter(window, box, against):
    made = promise(time_box={"start": "2026-01-05", "end": box}, decide_by="2026-06-01")
    windowed = made.model_copy(
        update={"metrics": {**made.metrics, "visit": VISIT.model_copy(update={"window_days": window})}}
    )
    assert [each.part for each in objections(windowed, BOUNDS, LEVELS)] == ["metrics.visit.window_days"] * against


# Of a tenth 0.9 are left above it; a thousandth of it is 0.0001.
@pytest.mark.parametrize(("effect", "against"), [(0.9, 0), (0.91, 1), (1.5, 1), (1e-9, 1), (0.00009, 1), (0.00011, 0)])
def test_a_minimum_effect_is_possible_and_more_than_next_to_nothing(effect, against):
    found = parts(primary={"metric": "visit", "minimum_effect": effect})
    assert found == ["primary.minimum_effect"] * against


def test_every_primary_metric_is_asked():
    further = {"co_primary": [{"metric": "leaves", "minimum_effect": 0.05}]}
    # Four in a hundred leave, so that five fewer cannot.
    assert parts(**further) == ["co_primary[0].minimum_effect"]


# Half of 2.00 dollars is 1.00; nobody can spend 2.00 less than 2.00 on average and be there.
@pytest.mark.parametrize(("margin", "against"), [(-1.0, 0), (-1.01, 1), (-2.0, 1), (-50.0, 1), (-1e9, 1)])
def test_a_margin_keeps_half_of_what_it_protects(margin, against):
    assert parts(**rail("spend", margin)) == ["guardrails[0].margin"] * against


@pytest.mark.parametrize(("margin", "against"), [(-0.05, 0), (-0.06, 1), (-0.1, 1), (-0.99, 1)])
def test_a_margin_of_a_share_keeps_half_of_it_as_well(margin, against):
    assert parts(**rail("visit", margin)) == ["guardrails[0].margin"] * against


# Its standard deviation is 5.00 dollars, of which half is 2.50, whatever its mean near nothing.
@pytest.mark.parametrize(("margin", "against"), [(-2.5, 0), (-2.6, 1), (-1e9, 1)])
def test_a_margin_of_what_may_be_below_zero_is_measured_by_its_spread(margin, against):
    assert parts(**rail("gain", margin)) == ["guardrails[0].margin"] * against


# The standard deviation of 4 in 100 is 19.6 in 100, of which half is 9.8.
@pytest.mark.parametrize(("margin", "against"), [(0.01, 0), (0.098, 0), (0.099, 1), (0.97, 1)])
def test_a_margin_of_what_is_rare_and_bad_is_measured_by_its_spread(margin, against):
    assert parts(**rail("leaves", margin)) == ["guardrails[0].margin"] * against


@pytest.mark.parametrize(("margin", "against"), [(-1e9, 1), (-1000.5, 1), (-1000.0, 0)])
def test_without_a_baseline_a_margin_has_a_bound_all_the_same(margin, against):
    assert parts(levels={}, **rail("spend", margin)) == ["guardrails[0].margin"] * against


def test_without_a_baseline_a_share_falls_by_no_more_than_half_of_everybody():
    assert parts(levels={}, **rail("visit", -0.5)) == []
    assert parts(levels={}, **rail("visit", -0.51)) == ["guardrails[0].margin"]
    assert parts(levels={}, primary={"metric": "visit", "minimum_effect": 1.01}) == ["primary.minimum_effect"]


def test_what_is_not_known_is_said_with_what_to_do():
    [found] = objections(promise(**rail("spend", -1e9)), BOUNDS, {})
    assert "is not known" in found.reason
    assert "`assume`" in found.remedy


def test_nothing_can_be_lost_of_what_nobody_has():
    empty = {**LEVELS, "spend": Level(0.0, 0.0, never_negative=True, source="known")}
    assert parts(levels=empty) == ["guardrails[0].margin"]


@pytest.mark.parametrize(("worse_than", "against"), [(-1.9, 0), (-2.0, 1), (-1e9, 1)])
def test_a_kill_criterion_can_be_met(worse_than, against):
    kill = [{"metric": "spend", "worse_than": worse_than}]
    assert parts(kill_criteria=kill) == ["kill_criteria[0].worse_than"] * against


def test_everything_is_objected_to_at_once():
    bad = {
        "sample": {"units_per_arm": 2, "alpha": 0.2, "power": 0.5},
        "guardrails": [{"metric": "spend", "margin": -1e9}],
    }
    assert parts(**bad) == ["sample.alpha", "sample.power", "sample.units_per_arm", "guardrails[0].margin"]


@given(st.floats(1e-6, 1e6), st.floats(0.01, 1), st.floats(1e-3, 10))
def test_a_margin_within_half_of_the_baseline_is_taken_in_any_currency(mean, frac, rate):
    """Whoever counts in cents gets the same answer as whoever counts in dollars."""

    def against(by):
        levels = {**LEVELS, "spend": Level(mean * by, None, never_negative=True, source="known")}
        return parts(levels=levels, **{**rail("spend", -mean * frac * by), "primary": SOUND["primary"]})

    if abs(frac - BOUNDS.margin_frac_max) > 1e-9:
        assert against(1.0) == against(rate) == ["guardrails[0].margin"] * (frac > BOUNDS.margin_frac_max)


def test_by_kind_or_by_contract_a_metric_is_never_below_zero(tmp_path):
    outcomes: Contract = load_contract(
        create(tmp_path / "team", "live")[0].configs / "contracts" / "outcomes.odcs.yaml"
    )
    ratio = Metric(kind="ratio", column="spend", denominator="conversion", unit="USD")
    assert [never_negative(metric, outcomes) for metric in (VISIT, SPEND, GAIN, ratio)] == [True, True, False, False]


def test_lab_and_gate_read_the_same_bounds(tmp_path):
    from promotion.gate.policy import read_settings

    workspace = create(tmp_path / "team", "live")[0]
    for tier in ("low", "standard", "high"):
        rule = read_settings(workspace).policy(tier).rules["promise_reasonable"]
        read = read_bounds(workspace, tier)
        assert all(getattr(rule, name) == getattr(read, name) for name in Bounds.model_fields)
    assert read_bounds(workspace, "low").alpha_max == 0.1


def test_a_misspelt_bound_is_an_error_with_its_line(tmp_path):
    workspace = create(tmp_path / "team", "live")[0]
    path = workspace.configs / "gate.yaml"
    path.write_text(path.read_text().replace("alpha_max", "alpha_most"))
    with pytest.raises(BadInput) as raised:
        read_bounds(workspace, "low")
    assert "line" in str(raised.value.where)
    assert "alpha_max" in str(raised.value.expected)
