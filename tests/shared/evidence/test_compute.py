"""From data and promise to evidence: degenerate pilots have problems, real ones their published results."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from shared.core.digests import digest_file
from shared.engines.protocol import IN_TWO_ARMS, PilotData
from shared.evidence.compute import compute
from shared.evidence.model import Evidence
from shared.experiment.metrics import Metric
from tests.makers import make_charter
from tests.real_data import FOLDER, on_real_data
from tests.shared.pilot_data import EARLY, LATE, SPEND, VISIT, pilot_data, promised, two_arms, with_traits

NUMBERS = (
    "estimate",
    "low",
    "high",
    "p",
    "p_adjusted",
    "relative",
    "relative_low",
    "relative_high",
    "bound",
    "p_non_inferior",
)
RNG = np.random.default_rng(20260202)
CONTROL, LETTER = RNG.gamma(2.0, 3.0, 300).round(2), RNG.gamma(2.0, 4.0, 250).round(2)


def spend_effect(folder, control, letter, **changes):
    return compute(promised(**changes), two_arms(folder, control, letter)).effect("letter", "spend")


def test_the_effect_on_a_mean_is_welchs_by_scipy(tmp_path):
    found = spend_effect(tmp_path, CONTROL, LETTER)
    expected = stats.ttest_ind(LETTER, CONTROL, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert (found.p, found.low, found.high) == pytest.approx((expected.pvalue, interval.low, interval.high), rel=1e-9)


def test_the_charters_alpha_sets_the_intervals(tmp_path):
    found = spend_effect(tmp_path, CONTROL, LETTER, sample={"alpha": 0.01, "units_per_arm": 10})
    interval = stats.ttest_ind(LETTER, CONTROL, equal_var=False).confidence_interval(0.99)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_an_effect_that_can_be_evaluated_has_no_problem(tmp_path):
    assert spend_effect(tmp_path, CONTROL, LETTER).problem is None


@pytest.mark.parametrize(
    ("control", "letter", "problem"),
    [
        ([], [1.0, 2.0], "arm control has 0 units"),
        ([1.0, 2.0], [], "arm letter has 0 units"),
        ([1.0], [1.0, 2.0], "arm control has 1 unit"),
        ([1.0, 2.0], [1.0], "arm letter has 1 unit"),
        ([], [], "arm letter has 0 units"),
        ([3.0] * 9, [4.0] * 9, "the metric does not vary in either arm"),
        ([0.0] * 9, [0.0] * 9, "the metric does not vary in either arm"),
        ([1.0, 2.0], [1.0, float("nan")], "arm letter has values that are not finite numbers"),
        ([1.0, float("inf")], [1.0, 2.0], "arm control has values that are not finite numbers"),
        ([1.0, 1e300], [1.0, 2.0], "arm control has values that are not finite numbers"),
    ],
)
def test_a_degenerate_pilot_has_a_problem(tmp_path, control, letter, problem):
    assert spend_effect(tmp_path, control, letter).problem == problem


@pytest.mark.parametrize(
    ("control", "letter"),
    [([], [1.0, 2.0]), ([1.0], [1.0, 2.0]), ([3.0] * 9, [4.0] * 9), ([1.0, 2.0], [1.0, float("nan")])],
)
def test_a_degenerate_pilot_has_no_numbers(tmp_path, control, letter):
    found = spend_effect(
        tmp_path, control, letter, primary={"metric": "visit", "minimum_effect": 0.01}, secondary=(),
        guardrails=[{"metric": "spend", "margin": -1.0}],
    )  # fmt: skip
    assert {name: getattr(found, name) for name in NUMBERS} == dict.fromkeys(NUMBERS)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_evidence_of_values_without_end_still_has_a_digest(tmp_path, value):
    assert compute(promised(), two_arms(tmp_path, [1.0, value], [1.0, 2.0])).digest.startswith("sha256:")


def test_values_without_end_in_one_metric_leave_the_others_alone(tmp_path):
    found = compute(promised(), two_arms(tmp_path, [0.0, 1.0, float("nan")], [1.0, 0.0, 0.0]))
    assert found.effect("letter", "visit").problem is None


def test_a_baseline_near_zero_has_no_relative_lift(tmp_path):
    found = spend_effect(tmp_path, CONTROL - CONTROL.mean(), LETTER - CONTROL.mean())
    assert (found.relative, found.relative_low, found.relative_high) == (None, None, None)


def test_a_lift_over_a_negative_baseline_is_positive_where_it_is_more_by_hand(tmp_path):
    found = spend_effect(tmp_path, CONTROL - 100, LETTER - 100)
    assert found.relative == pytest.approx((LETTER.mean() - CONTROL.mean()) / (100 - CONTROL.mean()), rel=1e-9)
    assert found.relative_low < found.relative < found.relative_high


def test_a_baseline_at_or_below_zero_still_has_an_absolute_effect_by_scipy(tmp_path):
    found = spend_effect(tmp_path, CONTROL - 100, LETTER - 100)
    assert found.p == pytest.approx(stats.ttest_ind(LETTER, CONTROL, equal_var=False).pvalue, rel=1e-6)


def test_huge_means_keep_the_effect_by_scipy(tmp_path):
    found = spend_effect(tmp_path, CONTROL + 1e9, LETTER + 1e9)
    assert found.p == pytest.approx(stats.ttest_ind(LETTER, CONTROL, equal_var=False).pvalue, rel=1e-4)


def test_a_guardrail_is_tested_one_sided_against_its_margin_by_scipy(tmp_path):
    found = spend_effect(
        tmp_path, CONTROL, LETTER, primary={"metric": "visit", "minimum_effect": 0.01}, secondary=(),
        guardrails=[{"metric": "spend", "margin": -1.0}],
    )  # fmt: skip
    expected = stats.ttest_ind(LETTER + 1.0, CONTROL, equal_var=False, alternative="greater").pvalue
    assert found.p_non_inferior == pytest.approx(expected, rel=1e-9)


def test_a_guardrail_where_less_is_better_is_tested_the_other_way_by_scipy(tmp_path):
    less = {"visit": VISIT, "spend": SPEND.model_copy(update={"direction": "decrease"})}
    found = spend_effect(
        tmp_path, CONTROL, LETTER, primary={"metric": "visit", "minimum_effect": 0.01}, secondary=(),
        guardrails=[{"metric": "spend", "margin": 3.0}], metrics=less,
    )  # fmt: skip
    expected = stats.ttest_ind(LETTER, CONTROL, equal_var=False, alternative="less")
    shifted = stats.ttest_ind(LETTER - 3.0, CONTROL, equal_var=False, alternative="less")
    assert (found.bound, found.p_non_inferior) == pytest.approx(
        (expected.confidence_interval(0.95).high, shifted.pvalue), rel=1e-9
    )


def test_only_a_guardrail_has_a_margin(tmp_path):
    found = spend_effect(tmp_path, CONTROL, LETTER)
    assert (found.margin, found.bound, found.p_non_inferior) == (None, None, None)


def two_letters():
    base = make_charter().model_dump(mode="json")
    return [*base["arms"], {**base["arms"][1], "name": "card"}]


def three_arms(folder, **values):
    spends = [(arm, value) for arm, own in values.items() for value in own]
    return pilot_data(
        folder,
        [(f"u{number}", arm, EARLY) for number, (arm, _) in enumerate(spends)],
        [(f"u{number}", LATE, int(value > 0), value) for number, (_, value) in enumerate(spends)],
    )


def test_the_primary_metric_is_adjusted_over_all_arms_by_statsmodels(tmp_path):
    card = RNG.gamma(2.0, 3.3, 250).round(2)
    data = three_arms(tmp_path, control=CONTROL, letter=LETTER, card=card)
    found = compute(promised(arms=two_letters()), data)
    raw = [stats.ttest_ind(values, CONTROL, equal_var=False).pvalue for values in (LETTER, card)]
    adjusted = [found.effect(arm, "spend").p_adjusted for arm in ("letter", "card")]
    assert adjusted == pytest.approx(multipletests(raw, method="holm")[1].tolist(), rel=1e-9)


def test_several_primary_metrics_are_one_family_with_the_arms_by_statsmodels(tmp_path):
    # Some units of every arm spend nothing, so that the share of those who do varies as well.
    control, letter, card = (
        [0.0 if number % every == 0 else value for number, value in enumerate(values)]
        for every, values in ((3, CONTROL), (4, LETTER), (5, RNG.gamma(2.0, 3.3, 250).round(2)))
    )
    data = three_arms(tmp_path, control=control, letter=letter, card=card)
    both = {"secondary": [], "co_primary": [{"metric": "visit", "minimum_effect": 0.01}]}
    found = compute(promised(arms=two_letters(), **both), data)
    family = [found.effect(arm, metric) for arm in ("letter", "card") for metric in ("spend", "visit")]
    raw = [
        stats.ttest_ind(treated, untreated, equal_var=False).pvalue
        for values in (letter, card)
        for treated, untreated in ((values, control), ([v > 0 for v in values], [v > 0 for v in control]))
    ]
    assert [effect.part for effect in family] == ["primary"] * 4
    adjusted = [effect.p_adjusted for effect in family]
    assert adjusted == pytest.approx(multipletests(raw, method="holm")[1].tolist(), rel=1e-9)


def test_an_arm_that_cannot_be_evaluated_lightens_no_other_arms_test(tmp_path):
    found = compute(promised(arms=two_letters()), three_arms(tmp_path, control=CONTROL, letter=LETTER))
    effect = found.effect("letter", "spend")
    assert effect.p_adjusted == pytest.approx(2 * effect.p)


def test_an_arm_that_cannot_be_evaluated_has_no_adjusted_p(tmp_path):
    found = compute(promised(arms=two_letters()), three_arms(tmp_path, control=CONTROL, letter=LETTER))
    assert found.effect("card", "spend").p_adjusted is None


def test_a_secondary_metric_is_not_adjusted(tmp_path):
    assert compute(promised(), two_arms(tmp_path, CONTROL, LETTER)).effect("letter", "visit").p_adjusted is None


def test_every_measured_metric_of_every_treatment_arm_has_an_effect(tmp_path):
    found = compute(promised(arms=two_letters()), two_arms(tmp_path, [], []))
    assert [(effect.arm, effect.metric, effect.part) for effect in found.effects] == [
        ("letter", "spend", "primary"), ("letter", "visit", "secondary"),
        ("card", "spend", "primary"), ("card", "visit", "secondary"),
    ]  # fmt: skip


def test_planned_shares_are_the_charters_weights(tmp_path):
    arms = [{**arm, "weight": weight} for arm, weight in zip(two_letters(), ("2", "1", "1"), strict=True)]
    found = compute(promised(arms=arms), two_arms(tmp_path, [1.0], [1.0]))
    assert [arm.planned_frac for arm in found.arms] == [0.5, 0.25, 0.25]


def test_the_sample_ratio_is_judged_against_the_charters_weights_by_scipy(tmp_path):
    arms = [{**arm, "weight": weight} for arm, weight in zip(two_letters()[:2], ("2", "1"), strict=True)]
    found = compute(promised(arms=arms), two_arms(tmp_path, [1.0] * 70, [1.0] * 30))
    assert found.health.sample_ratio.p == pytest.approx(stats.chisquare([70, 30], [200 / 3, 100 / 3]).pvalue, rel=1e-9)


def test_units_in_two_arms_are_a_share_of_all_exposed_units(tmp_path):
    # One in two arms, two in one: a third.
    data = pilot_data(tmp_path, [(f"u{n}", "control", EARLY) for n in range(3)], conflicts=[("u0", IN_TWO_ARMS)])
    assert compute(promised(), data).health.multiple_frac == pytest.approx(1 / 3)


def test_nobody_exposed_has_no_share_in_two_arms(tmp_path):
    assert compute(promised(), pilot_data(tmp_path)).health.multiple_frac is None


def test_evidence_carries_the_digest_of_every_file_it_was_computed_from(tmp_path):
    data = two_arms(tmp_path, CONTROL, LETTER)
    assert compute(promised(), data).data == {path.name: digest_file(path) for path in data.files}


def test_evidence_carries_the_digest_of_its_promise(tmp_path):
    assert compute(promised(), pilot_data(tmp_path)).promise == promised().digest


def test_units_of_no_known_cluster_have_no_effects_but_reasons(tmp_path):
    found = compute(promised(cluster="household"), two_arms(tmp_path, CONTROL, LETTER))
    for effect in found.effects:
        assert "are in no household that is known" in effect.problem
        assert (effect.estimate, effect.low, effect.p, effect.p_adjusted) == (None, None, None, None)


def test_a_confidence_sequence_says_nothing_of_too_few_units(tmp_path):
    sample = {"units_per_arm": 10, "looks": {"method": "always_valid"}}
    effect = compute(promised(sample=sample), two_arms(tmp_path, CONTROL, LETTER)).effect("letter", "spend")
    assert effect.problem == "too few units for this method of looks"
    assert (effect.estimate, effect.low, effect.p, effect.p_adjusted) == (None, None, None, None)


def test_evidence_survives_its_json_form(tmp_path):
    found = compute(promised(), two_arms(tmp_path, CONTROL, LETTER))
    assert Evidence.model_validate_json(found.model_dump_json()) == found


@pytest.mark.check
def test_the_same_data_gives_the_same_evidence_to_the_last_bit(tmp_path):
    # Large enough for DuckDB to share it among threads, whose sums come together in an order of their own.
    data = two_arms(tmp_path, [], [])
    with duckdb.connect() as connection:
        for path, columns in (
            (
                data.exposures,
                f"""CASE WHEN i % 2 THEN 'letter' ELSE 'control' END AS arm, TIMESTAMPTZ '{EARLY}' AS "at\"""",
            ),
            (data.outcomes, f"""TIMESTAMPTZ '{LATE}' AS "at", 1 AS visit, 1 / (1 + i % 997) AS spend"""),
        ):
            connection.execute(
                f"COPY (SELECT 'e' || i AS event_id, 'u' || i AS unit, {columns} FROM range(300000) AS t(i))"
                f" TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 20000)"
            )
    first = compute(promised(), data)
    assert [arm.units for arm in first.arms] == [150000, 150000]
    assert all(compute(promised(), data) == first for _ in range(5))


# Real data, published results: the MineThatData e-mail challenge (Hillstrom 2008), beside the project.


@pytest.fixture(scope="module")
def hillstrom(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hillstrom")
    data, source = PilotData.in_folder(folder), FOLDER / "hillstrom.csv"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            "CREATE TABLE t AS SELECT 'c' || row_number() OVER () AS unit, CASE segment WHEN 'No E-Mail' THEN 'control'"
            f" WHEN 'Mens E-Mail' THEN 'mens' ELSE 'womens' END AS arm, * FROM read_csv('{source}')"
        )
        for path, query in (
            (data.exposures, f"SELECT unit AS event_id, unit, arm, TIMESTAMPTZ '{EARLY}' AS \"at\" FROM t"),
            (
                data.outcomes,
                f"SELECT unit AS event_id, unit, TIMESTAMPTZ '{LATE}' AS \"at\", visit, conversion, spend FROM t"
                " WHERE visit > 0",
            ),
            (data.conflicts, "SELECT '' AS kind, '' AS event_id, '' AS unit, '' AS reason WHERE false"),
        ):
            connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    letter = make_charter().model_dump(mode="json")["arms"][1]
    metrics = {
        "visit": VISIT,
        "conversion": Metric(kind="proportion", column="conversion", unit="share"),
        "spend": SPEND,
    }
    promise = promised(
        metrics,
        arms=[{"name": "control"}, {**letter, "name": "mens"}, {**letter, "name": "womens"}],
        primary={"metric": "visit", "minimum_effect": 0.01},
        guardrails=[{"metric": "spend", "margin": -0.1}],
        secondary=["conversion"],
        budget={"media": Decimal("10.00"), "currency": "USD"},
    )
    return compute(promise, data)


@on_real_data
@pytest.mark.parametrize(
    ("arm", "metric", "scale", "published", "digits"),
    [
        ("mens", "visit", 100, (7.66, 7.00, 8.32), 0.005),
        ("mens", "conversion", 100, (0.68, 0.50, 0.86), 0.005),
        ("mens", "spend", 1, (0.770, 0.485, 1.055), 0.0005),
        ("womens", "spend", 1, (0.424, 0.169, 0.680), 0.0005),
    ],
)
def test_a_real_experiment_has_its_published_effects(hillstrom, arm, metric, scale, published, digits):
    found = hillstrom.effect(arm, metric)
    assert [scale * found.estimate, scale * found.low, scale * found.high] == pytest.approx(
        published, abs=digits * 1.01
    )


@on_real_data
def test_a_real_experiment_has_its_published_numbers_of_units(hillstrom):
    assert [arm.units for arm in hillstrom.arms] == [21306, 21307, 21387]


@on_real_data
@pytest.mark.parametrize(("arm", "visit"), [("control", 10.62), ("mens", 18.28), ("womens", 15.14)])
def test_a_real_experiment_has_its_published_visit_rates(hillstrom, arm, visit):
    assert 100 * hillstrom.arm(arm).moments["visit"].mean == pytest.approx(visit, abs=0.005)


def households(folder, sizes, mixed=0):
    """Households of these sizes, drawn for both arms in turn; of the first `mixed` the last unit is in another arm."""
    exposures, outcomes, names = [], [], []
    for house, size in enumerate(sizes):
        for person in range(size):
            astray = house < mixed and person == size - 1
            unit, arm = f"u{house}-{person}", ("control", "letter")[(house + astray) % 2]
            exposures.append((unit, arm, EARLY))
            outcomes.append((unit, LATE, person % 2, float((house + person) % 5)))
            names.append((unit, f"h{house}"))
    data = pilot_data(folder, exposures, outcomes)
    return with_traits(data, unit=[unit for unit, _ in names], household=[house for _, house in names])


def test_the_sample_ratio_is_of_what_arms_were_drawn_for_by_scipy(tmp_path):
    # 60 households in either arm, those of the letter arm twice as large: as many as planned, by what was drawn.
    evidence = compute(promised(cluster="household"), households(tmp_path, [5, 10] * 60))
    assert evidence.health.sample_ratio.p == pytest.approx(float(stats.chisquare([60, 60]).pvalue), rel=1e-9)
    assert {day.p for day in evidence.days} == {1.0}
    assert [s.state for s in evidence.health.symptoms if s.check == "sample_ratio_by_day"] == ["good"]


def test_clusters_in_two_arms_are_a_share_of_all_clusters_by_hand(tmp_path):
    evidence = compute(promised(cluster="household"), households(tmp_path, [10] * 100, mixed=4))
    assert (evidence.health.multiple_units, evidence.health.multiple_frac) == (4, 0.04)


def test_strata_of_which_nothing_is_known_do_not_make_way_for_the_plain_estimate(tmp_path):
    found = compute(promised(strata="place"), two_arms(tmp_path, [1.0, 2.0] * 50, [2.0, 3.0] * 50))
    assert [effect.p for effect in found.effects] == [None, None]
    assert {effect.problem for effect in found.effects} == {"`place` is not known of any unit"}


def test_nobody_exposed_has_no_effect_in_strata_either(tmp_path):
    found = compute(promised(strata="place", covariates=["history"]), pilot_data(tmp_path))
    assert [effect.p for effect in found.effects] == [None, None]
