"""Symptoms: each finds what was planted, leaves the healthy alone, and says where it could not look."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_ind

from shared.engines.protocol import covariate, early_of, late_of, per_of, value_of
from shared.evidence.health.context import HealthContext
from shared.evidence.health.symptoms import CHECKS, symptoms
from shared.evidence.model import Effect, SegmentEffect
from shared.experiment.metrics import Metric
from tests.makers import make_charter
from tests.shared.summaries import summary_of

SPEND = Metric(kind="mean", column="spend", unit="USD")
VISIT = Metric(kind="proportion", column="visit", unit="share")
PLANNED = {"control": 0.5, "letter": 0.5}
UNITS = 400
ARM = np.repeat(["control", "letter"], UNITS)
RNG = np.random.default_rng(20260101)
NOISE = RNG.normal(10, 2, 2 * UNITS)


MORE = RNG.normal(10, 2, 2 * UNITS)
FOUND = NOISE[UNITS:].mean() - NOISE[:UNITS].mean()
SE = math.sqrt(sum(part.var(ddof=1) / UNITS for part in (NOISE[:UNITS], NOISE[UNITS:])))


def effect(estimate=FOUND, se=SE, **said):
    numbers = {"estimate": estimate, "se": se, "low": estimate - 0.2, "high": estimate + 0.2, "p": 0.001}
    return Effect(**{"arm": "letter", "metric": "spend", "part": "primary", "p_adjusted": 0.001, **numbers, **said})


def silent(problem):
    return Effect(arm="letter", metric="spend", part="primary", problem=problem)


def context(summary=None, *, charter=None, metrics=None, effects=None, segments=(), complete=True):
    primary = {"metric": "spend", "minimum_effect": 0.1}
    return HealthContext(
        charter=make_charter(**{"primary": primary, **(charter or {})}),
        metrics=metrics or {"spend": SPEND},
        planned=PLANNED,
        summary=summary or summary_of(ARM, {value_of("spend"): NOISE}),
        effects=[effect()] if effects is None else effects,
        segments=segments,
        complete=complete,
    )


def found(check, look):
    return [symptom for symptom in symptoms(look) if symptom.check == check]


def test_every_check_says_something_even_of_nothing():
    nobody = summary_of(["control", "letter"], {value_of("spend"): [0.0, 0.0]}, units={}, day_units={}, outcome_days={})
    told = symptoms(context(nobody, effects=[silent("no data")]))
    assert len({symptom.check for symptom in told}) == len(CHECKS)
    # Of no metrics and no effects nothing is wrong; nothing else is good of nobody.
    assert {symptom.check for symptom in told if symptom.state == "good"} <= {"left_out_alike", "test_domain"}


def test_a_healthy_pilot_has_no_warning():
    tenure = (ARM, {early_of("spend"): NOISE, late_of("spend"): MORE})
    look = context(
        summary_of(ARM, {value_of("spend"): NOISE, covariate("history"): MORE}, tenure=tenure,
                   segments={"zip_code": ["Urban", "Rural"] * UNITS}, untraited={"history": 0}),
        charter={"covariates": ["history"], "segments": ["zip_code"]},
        segments=[SegmentEffect(segment="zip_code", level="Urban", arm="letter", metric="spend", units=(200, 200),
                                estimate=0.5, low=0.1, high=0.9, p=0.02, p_adjusted=0.04)],
    )  # fmt: skip
    assert {symptom.check: symptom.state for symptom in symptoms(look)} == {
        "sample_ratio_by_day": "good", "sample_ratio_by_segment": "good", "multiple_exposure": "good",
        "pre_period_balance": "good", "traits_known": "good", "left_out_alike": "good",
        "recording_gaps": "good", "weekdays_complete": "good",
        "novelty": "good", "segment_reversals": "good", "outlier_influence": "good",
        "test_domain": "good", "improbably_good": "good",
        "metrics_vary": "good",
    }  # fmt: skip


def test_one_day_of_the_wrong_size_is_named():
    units = {("control", "2026-01-05"): 500, ("letter", "2026-01-05"): 500,
             ("control", "2026-01-06"): 700, ("letter", "2026-01-06"): 500}  # fmt: skip
    [told] = found("sample_ratio_by_day", context(summary_of(ARM, {value_of("spend"): NOISE}, day_units=units)))
    assert (told.state, told.where) == ("warning", "2026-01-06")


def test_one_segment_of_the_wrong_size_is_named():
    levels = ["Urban"] * 100 + ["Rural"] * 300 + ["Urban"] * 300 + ["Rural"] * 100
    look = context(summary_of(ARM, {value_of("spend"): NOISE}, segments={"zip_code": levels}),
                charter={"segments": ["zip_code"]})  # fmt: skip
    told = found("sample_ratio_by_segment", look)
    assert [(each.state, each.where) for each in told] == [
        ("warning", "zip_code: Rural"), ("warning", "zip_code: Urban"),
    ]  # fmt: skip


@pytest.mark.parametrize(("multiple", "state"), [(8, "good"), (9, "warning")])
def test_one_per_cent_in_two_arms_is_the_limit(multiple, state):
    # 8 of 808 are 0.99 %, 9 of 809 are 1.11 %.
    [told] = found("multiple_exposure", context(summary_of(ARM, {value_of("spend"): NOISE}, multiple_units=multiple)))
    assert told.state == state


def test_arms_that_differed_before_the_pilot_are_named_by_scipys_p():
    history = NOISE + np.where(ARM == "letter", 0.7, 0.0)
    look = context(summary_of(ARM, {value_of("spend"): NOISE, covariate("history"): history}),
                charter={"covariates": ["history"]})  # fmt: skip
    [told] = found("pre_period_balance", look)
    expected = ttest_ind(history[ARM == "letter"], history[ARM == "control"], equal_var=False).pvalue
    assert (told.state, told.where, told.measured) == ("warning", "history", pytest.approx(expected, rel=1e-9))


@pytest.mark.parametrize(("having", "state"), [(250, "warning"), (290, "good")])
def test_units_left_out_of_one_arm_more_than_of_the_other_are_found(having, state):
    # 300 of 400 in the control; z by hand about 3.8 for 250 and 0.8 for 290.
    there = np.concatenate([np.arange(UNITS) < 300, np.arange(UNITS) < having]).astype(float)
    rating = SPEND.model_copy(update={"no_outcome": "left_out"})
    look = context(
        summary_of(ARM, {value_of("spend"): NOISE * there, per_of("spend"): there}), metrics={"spend": rating}
    )
    [told] = found("left_out_alike", look)
    assert told.state == state


@pytest.mark.parametrize(("having", "state"), [(UNITS - 30, "warning"), (UNITS - 5, "good"), (UNITS, "good")])
def test_units_left_out_of_one_arm_only_are_found(having, state):
    # All of the control's 400; z by hand, pooled, about 5.6 for 370 and 2.2 for 395.
    there = np.concatenate([np.ones(UNITS), np.arange(UNITS) < having]).astype(float)
    rating = SPEND.model_copy(update={"no_outcome": "left_out"})
    look = context(
        summary_of(ARM, {value_of("spend"): NOISE * there, per_of("spend"): there}), metrics={"spend": rating}
    )
    [told] = found("left_out_alike", look)
    assert told.state == state


def test_a_covariate_that_is_the_same_for_all_cannot_be_compared():
    look = context(summary_of(ARM, {value_of("spend"): NOISE, covariate("history"): np.ones(len(ARM))}),
                charter={"covariates": ["history"]})  # fmt: skip
    [told] = found("pre_period_balance", look)
    assert told.state == "unevaluable"


def test_a_recording_that_was_down_is_found_and_dated():
    days = {f"2026-01-{day:02}": 50 for day in range(5, 19) if day not in {9, 10}}
    [told] = found("recording_gaps", context(summary_of(ARM, {value_of("spend"): NOISE}, outcome_days=days)))
    assert (told.state, told.where) == ("warning", "2026-01-09")
    # Poisson by hand: 12 x 50 outcomes in 14 days; two empty ones, 14 places.
    assert told.measured == pytest.approx(14 * math.exp(-2 * 600 / 14), rel=1e-9)


def test_a_quiet_day_where_little_happens_is_chance():
    days = {"2026-01-05": 1, "2026-01-07": 1, "2026-01-10": 2}
    [told] = found("recording_gaps", context(summary_of(ARM, {value_of("spend"): NOISE}, outcome_days=days)))
    assert told.state == "good"


def test_a_weekday_that_never_was_is_named_once_the_time_box_is_over():
    days = {f"2026-01-{day:02}": 50 for day in range(5, 19) if day not in {10, 11, 17, 18}}
    summary = summary_of(ARM, {value_of("spend"): NOISE}, outcome_days=days)
    [told] = found("weekdays_complete", context(summary))
    assert (told.state, told.reason) == ("warning", "nothing was ever recorded on a Saturday, Sunday")
    [told] = found("weekdays_complete", context(summary, complete=False))
    assert told.state == "unevaluable"


# A mail goes out within two hours, and what it brings dies away.
MAILED = {"first_exposure": "2026-01-05T09:00:00Z", "last_exposure": "2026-01-05T11:00:00Z"}
DYING = {"2026-01-05": 300, "2026-01-06": 20, "2026-01-15": 3}


@pytest.mark.parametrize("check", ["recording_gaps", "weekdays_complete"])
@pytest.mark.parametrize(
    ("exposure", "exposed", "state"),
    [
        ("once", {}, "good"),
        ("once", {"exposures": len(ARM) + 40}, "good"),  # one in twenty had bounced, and was sent again
        ("once", {"last_exposure": "2026-01-07T08:59:59Z"}, "good"),
        ("repeated", {}, "warning"),
        # Whoever says once, and does otherwise, is asked like all.
        ("once", {"exposures": 2 * len(ARM)}, "warning"),
        ("once", {"last_exposure": "2026-01-08T09:00:00Z"}, "warning"),
    ],
)
def test_of_a_mail_that_goes_out_once_no_later_day_is_asked_for(check, exposure, exposed, state):
    summary = summary_of(ARM, {value_of("spend"): NOISE}, outcome_days=DYING, **{**MAILED, **exposed})
    [told] = found(check, context(summary, charter={"exposure": exposure}))
    assert told.state == state


# Each unit met it twice.
AGAIN = {"exposures": 2 * len(ARM)}


def test_an_effect_that_wears_off_is_found_by_scipys_p():
    letter = ARM == "letter"
    early, late = NOISE + 1.0 * letter, MORE + 0.1 * letter
    summary = summary_of(
        ARM, {value_of("spend"): NOISE}, tenure=(ARM, {early_of("spend"): early, late_of("spend"): late}), **AGAIN
    )
    [told] = found("novelty", context(summary))
    assert told.told == "the effect on spend wears off as time passes since the exposure (letter)"
    change = late - early
    expected = ttest_ind(change[letter], change[~letter], equal_var=False).pvalue
    assert (told.state, told.measured) == ("warning", pytest.approx(expected, rel=1e-9))


def test_an_effect_that_grows_is_no_novelty():
    letter = ARM == "letter"
    early, late = NOISE + 0.3 * letter, MORE + 3.0 * letter
    summary = summary_of(
        ARM, {value_of("spend"): NOISE}, tenure=(ARM, {early_of("spend"): early, late_of("spend"): late})
    )
    [told] = found("novelty", context(summary))
    assert told.state == "good"


def test_without_units_exposed_early_enough_novelty_cannot_be_asked():
    [told] = found("novelty", context(summary_of(ARM, {value_of("spend"): NOISE}, **AGAIN)))
    assert told.state == "unevaluable"


UNEVEN = np.repeat(["control", "letter"], [1_800, 200])
ON_LETTER = {
    "novelty": context(summary_of(
        ARM, {value_of("spend"): NOISE}, **AGAIN,
        tenure=(ARM, {early_of("spend"): NOISE + (ARM == "letter"), late_of("spend"): MORE}),
    )),
    "outlier_influence": context(
        summary_of(ARM, {value_of("spend"): np.append(NOISE[:-1], 5_000.0)}), effects=[effect(12.5)]
    ),
    "improbably_good": context(effects=[effect(2.0)]),
    "metrics_vary": context(effects=[silent("the metric does not vary")]),
    "test_domain": context(summary_of(UNEVEN, {value_of("spend"): (np.arange(2_000) % 10 == 0).astype(float)})),
    "segment_reversals": context(effects=[effect(0.5)], segments=[
        SegmentEffect(segment="zip_code", level="Rural", arm="letter", metric="spend", units=(200, 200),
                      estimate=-0.4, low=-0.6, high=-0.2, p=0.001, p_adjusted=0.01)
    ]),
}  # fmt: skip


@pytest.mark.parametrize("check", ON_LETTER)
def test_what_is_told_of_one_arm_names_it(check):
    [told] = found(check, ON_LETTER[check])
    assert (told.state, told.arm, told.told) == ("warning", "letter", f"{told.reason} (letter)")


def test_an_arm_that_is_named_is_not_named_twice():
    [told] = found("metrics_vary", context(effects=[silent("arm letter has no outcome at all")]))
    assert told.told == "arm letter has no outcome at all"


@pytest.mark.parametrize("often", [1.0, 1.2, 1.4])
def test_what_units_saw_once_does_not_wear_off(often):
    letter = ARM == "letter"
    tenure = (ARM, {early_of("spend"): NOISE + 1.0 * letter, late_of("spend"): MORE + 0.1 * letter})
    summary = summary_of(ARM, {value_of("spend"): NOISE}, tenure=tenure, exposures=round(often * len(ARM)))
    [told] = found("novelty", context(summary))
    assert (told.state, told.reason) == ("good", f"{often:.1f} exposures per unit: what is seen once does not wear off")


def test_a_pilot_of_before_is_asked_about_novelty_as_it_was_promised():
    letter = ARM == "letter"
    tenure = (ARM, {early_of("spend"): NOISE + 1.0 * letter, late_of("spend"): MORE + 0.1 * letter})
    look = replace(context(summary_of(ARM, {value_of("spend"): NOISE}, tenure=tenure)), rules=2)
    [told] = found("novelty", look)
    assert (told.state, told.reason.startswith("the effect on spend wears off")) == ("warning", True)


@pytest.mark.parametrize(("rules", "state"), [(3, "warning"), (2, "good")])
def test_one_unit_that_inflates_its_own_arms_noise_is_found_nevertheless(rules, state):
    """One unit of an arm spends 100 and all others about 10: most of the difference is that one's."""
    values = NOISE.copy()
    at = int(np.flatnonzero(ARM == "letter")[0])
    values[at] = 100.0
    summary = summary_of(ARM, {value_of("spend"): values})
    arms = [values[name == ARM] for name in ("letter", "control")]
    estimate = float(arms[0].mean() - arms[1].mean())
    se = math.sqrt(sum(part.var(ddof=1) / len(part) for part in arms))
    look = replace(context(summary, effects=[effect(estimate, se)]), rules=rules)
    [told] = found("outlier_influence", look)
    # A difference that is one unit's turns its sign, or not, by the others' noise; by the old rule only that counts.
    turned = told.measured * estimate < 0
    assert told.state == ("warning" if turned else state)
    assert told.measured == pytest.approx(float(np.delete(values, at)[np.delete(ARM, at) == "letter"].mean()) -
                                          _without_its_extreme(arms[1]))  # fmt: skip


@pytest.mark.parametrize(
    ("gain", "where", "more", "state"),
    [
        # All others lose a tenth, and one unit of the control makes that 1.16: less than what its own noise allows.
        (-0.1, "control", 424, "warning"),
        (3.0, "letter", 400, "warning"), (-3.0, "letter", -400, "warning"), (3.0, "control", -400, "warning"),
        (3.0, "letter", 100, "good"),
    ],
)  # fmt: skip
def test_a_unit_that_moves_an_effect_without_turning_it_is_found_in_either_arm(gain, where, more, state):
    values = 3 * np.tile(NOISE[:UNITS], 2) + np.where(ARM == "letter", gain, 0.0)
    values[np.argmax(where == ARM)] += more
    letter, control = values[ARM == "letter"], values[ARM == "control"]
    estimate = float(letter.mean() - control.mean())
    se = math.sqrt((letter.var(ddof=1) + control.var(ddof=1)) / UNITS)
    [told] = found("outlier_influence",
                   context(summary_of(ARM, {value_of("spend"): values}), effects=[effect(estimate, se)]))  # fmt: skip
    left = _without_its_extreme(letter) - _without_its_extreme(control)
    assert left * estimate > 0
    assert (told.state, told.measured, told.threshold) == (state, pytest.approx(left), pytest.approx(estimate))


def _without_its_extreme(values):
    return float(np.delete(values, np.argmax(np.abs(values - values.mean()))).mean())


@pytest.mark.parametrize(
    ("planned", "units", "rules", "state"),
    [
        ((1, 2), (100, 201), 3, "good"), ((1, 2), (100, 201), 2, "warning"), ((1, 2), (100, 225), 3, "warning"),
        ((1, 3), (100, 300), 3, "warning"), ((1, 1), (100, 201), 3, "good"), ((1, 2.1), (100, 205), 3, "warning"),
    ],
)  # fmt: skip
def test_arms_are_uneven_by_their_plan_and_not_by_a_unit_more(planned, units, rules, state):
    names = np.repeat(["control", "letter"], units)
    values = (np.arange(len(names)) % 10 == 0).astype(float)
    look = context(summary_of(names, {value_of("spend"): values}))
    look = replace(
        look, rules=rules, planned={"control": planned[0] / sum(planned), "letter": planned[1] / sum(planned)}
    )
    [told] = found("test_domain", look)
    assert told.state == state
    if state == "warning" and rules > 2:
        # A tenth of the smaller arm's units have one: Kish's number is that tenth, of whichever arm it is less in.
        assert told.measured == pytest.approx(10, abs=1)


def test_a_segment_against_the_whole_is_named():
    against = SegmentEffect(segment="zip_code", level="Rural", arm="letter", metric="spend", units=(200, 200),
                            estimate=-0.4, low=-0.6, high=-0.2, p=0.001, p_adjusted=0.01)  # fmt: skip
    look = context(charter={"segments": ["zip_code"]}, segments=[against], effects=[effect(0.5)])
    [told] = found("segment_reversals", look)
    assert (told.state, told.where) == ("warning", "zip_code: Rural")
    [told] = found(
        "segment_reversals", context(segments=[against.model_copy(update={"p_adjusted": 0.06})], effects=[effect(0.5)])
    )
    assert told.state == "good"


def test_one_unit_that_carries_the_effect_is_found_and_what_is_left_is_numpys():
    spend = NOISE.copy()
    spend[-1] = 5_000.0
    difference = spend[ARM == "letter"].mean() - spend[ARM == "control"].mean()
    se = math.sqrt(sum(spend[arm == ARM].var(ddof=1) / UNITS for arm in ("letter", "control")))
    [told] = found("outlier_influence",
                   context(summary_of(ARM, {value_of("spend"): spend}), effects=[effect(difference, se)]))  # fmt: skip

    def without(values):
        return np.delete(values, np.argmax(np.abs(values - values.mean()))).mean()

    left = without(spend[ARM == "letter"]) - without(spend[ARM == "control"])
    assert (told.state, told.measured) == ("warning", pytest.approx(left, rel=1e-9))


def test_a_share_has_no_outliers():
    look = context(summary_of(ARM, {value_of("visit"): (NOISE > 10).astype(float)}), metrics={"visit": VISIT},
                charter={"primary": {"metric": "visit", "minimum_effect": 0.01}},
                effects=[effect(metric="visit")])  # fmt: skip
    [told] = found("outlier_influence", look)
    assert told.state == "good"


@pytest.mark.parametrize(("estimate", "state"), [(0.99, "good"), (1.01, "warning"), (-1.01, "warning")])
def test_ten_times_what_is_worth_scaling_is_too_good_to_be_true(estimate, state):
    [told] = found("improbably_good", context(effects=[effect(estimate)]))
    assert told.state == state


def test_a_metric_that_does_not_vary_is_named():
    [told] = found("metrics_vary", context(effects=[silent("the metric does not vary")]))
    assert (told.state, told.metric) == ("warning", "spend")


def test_units_that_the_population_does_not_know_are_counted():
    # 41 of 800 units are 5.1 %.
    look = context(summary_of(ARM, {value_of("spend"): NOISE}, untraited={"history": 41, "zip_code": 40}))
    [told] = found("traits_known", look)
    assert (told.state, told.where) == ("warning", "history")


@pytest.mark.parametrize(
    ("hits", "larger", "state"), [(10, 1_800, "warning"), (150, 400, "good"), (150, 1_800, "warning")]
)
def test_a_small_arm_of_which_few_have_any_is_warned_of(hits, larger, state):
    """A share's effective number is that of the hits in the smaller arm: 10, or 150. Arms of up to 2 : 1 are even."""
    visits = np.concatenate([np.arange(larger) < hits * larger // 200, np.arange(200) < hits]).astype(float)
    arm = np.repeat(["control", "letter"], [larger, 200])
    look = context(summary_of(arm, {value_of("visit"): visits}), metrics={"visit": VISIT},
                charter={"primary": {"metric": "visit", "minimum_effect": 0.01}},
                effects=[effect(metric="visit")])  # fmt: skip
    assert [told.state for told in found("test_domain", look)] == [state]
