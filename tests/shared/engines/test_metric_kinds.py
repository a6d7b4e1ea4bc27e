"""Counts, ratios, windows and caps: the engine against numpy, statsmodels and counting by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import statsmodels.api as sm
from scipy import stats

from shared.engines.duckdb import DuckDB
from shared.engines.protocol import Question, per_of, value_of
from shared.evidence.compute import compute
from shared.evidence.model import Evidence
from shared.evidence.recorded import recorded
from shared.experiment.metrics import Metric
from shared.stats.estimates import differences
from shared.stats.quantiles import ranks
from shared.stats.summaries import Moments, QuantileMoments, RatioMoments
from tests.shared.pilot_data import EARLY, LATE, pilot_data, promised, two_arms

DAY = "2026-01-{:02} 00:00:00+00"
SPEND_PER_VISIT = Metric(kind="ratio", column="spend", denominator="visit", unit="USD per visit")
RNG = np.random.default_rng(20260303)


def metric(**content):
    return Metric.model_validate({"kind": "mean", "column": "spend", "unit": "USD", **content})


def summarise(data, metric):
    return DuckDB().summarise(data, Question({"m": metric}))


def moments(data, metric, arm="control"):
    cells, v, d = summarise(data, metric).arms.of(arm=arm), value_of("m"), per_of("m")
    [n], [mean], [m2] = cells.n, cells.means[v], cells.product(v, v)
    if metric.per is None:
        return Moments(n=n, mean=mean, m2=m2)
    [per], [per_m2], [co] = cells.means[d], cells.product(d, d), cells.product(v, d)
    return RatioMoments(n=n, value=mean, per=per, value_m2=m2, per_m2=per_m2, co=co)


def quantile(data, metric):
    return summarise(data, metric).quantiles["control"]["m"]


def mean(data, arm="control", **content):
    return moments(data, metric(**content), arm).mean


def test_a_count_is_of_outcomes_and_zero_for_a_unit_without_any(tmp_path):
    exposures = [(unit, "control", EARLY) for unit in ("u1", "u2", "u3")]
    data = pilot_data(tmp_path, exposures, [("u1", LATE, 1, 0.0), ("u1", LATE, 0, 9.0), ("u2", LATE, 0, 1.0)])
    assert mean(data, kind="count", column=None) == 1.0
    assert mean(data, kind="count", column="visit") == pytest.approx(1 / 3)
    assert mean(data, kind="count", column=None, expression="spend > 5") == pytest.approx(1 / 3)


def test_an_expression_is_computed_for_each_outcome_and_then_summed(tmp_path):
    data = pilot_data(tmp_path, [("u1", "control", EARLY)], [("u1", LATE, 1, 10.0), ("u1", LATE, 0, 4.0)])
    assert mean(data, column=None, expression="CASE WHEN visit = 1 THEN spend - 2 ELSE 0 END") == 8.0


def test_an_expression_that_cannot_be_computed_is_a_gap_and_no_zero(tmp_path):
    data = two_arms(tmp_path, [1.0, 2.0], [3.0, 4.0])
    metrics = {
        "spend": metric(column=None, expression="unit"),
        "visit": metric(kind="count", column="visit"),
    }
    found = compute(promised(metrics), data).effect("letter", "spend")
    assert (found.estimate, found.problem) == (None, "4 outcomes have no value of it")


@pytest.mark.parametrize("kind", ["proportion", "count", "mean"])
@pytest.mark.parametrize(
    "expression", ["spend / visit > 20", "CASE WHEN spend / visit > 20 THEN 1 ELSE 0 END", "visit / spend > 20"]
)
def test_a_division_by_zero_is_a_gap_and_no_success(tmp_path, kind, expression):
    # DuckDB's own arithmetic makes NaN and infinities of it, which are above every number.
    rows = [("u1", LATE, 0, 0.0), ("u2", LATE, 2, 10.0)]
    data = pilot_data(tmp_path, [("u1", "control", EARLY), ("u2", "control", EARLY)], rows)
    asked = metric(kind=kind, column=None, expression=expression)
    assert (summarise(data, asked).unvalued, moments(data, asked).mean) == ({"m": 1}, 0.0)


@pytest.mark.parametrize("kind", ["proportion", "count"])
def test_what_is_not_a_number_is_a_gap_and_no_success(tmp_path, kind):
    # DuckDB sorts NaN above every number.
    data = two_arms(tmp_path, [float("nan"), 0.0], [1.0])
    asked = metric(kind=kind)
    assert (summarise(data, asked).unvalued, moments(data, asked).mean) == ({"m": 1}, 0.0)


@pytest.mark.parametrize(
    "expression", ["CASE WHEN spend > 0 THEN 1 ELSE 0 END", "greatest(spend, 0)", "spend > 0 OR visit > 0"]
)
def test_a_gap_stays_one_whatever_an_expression_would_make_of_it(tmp_path, expression):
    rows = [("u1", LATE, 1, None), ("u2", LATE, 1, 10.0)]
    data = pilot_data(tmp_path, [("u1", "control", EARLY), ("u2", "control", EARLY)], rows)
    assert summarise(data, metric(column=None, expression=expression)).unvalued == {"m": 1}


def test_only_outcomes_in_the_window_after_the_first_exposure_count(tmp_path):
    # Exposed on the 5th and again on the 9th: seven days end with the 11th.
    exposures = [("u1", "control", DAY.format(5)), ("u1", "control", DAY.format(9))]
    outcomes = [
        ("u1", DAY.format(4), 1, 1.0), ("u1", DAY.format(5), 1, 2.0), ("u1", "2026-01-11 23:59:59+00", 1, 4.0),
        ("u1", DAY.format(12), 1, 8.0),
    ]  # fmt: skip
    data = pilot_data(tmp_path, exposures, outcomes)
    assert mean(data, window_days=7) == 6.0
    assert mean(data) == 14.0
    assert mean(data, kind="count", column=None, window_days=7) == 2.0


def test_an_outcome_outside_every_window_is_zero_and_not_missing(tmp_path):
    data = pilot_data(tmp_path, [("u1", "control", DAY.format(5))], [("u1", DAY.format(20), 1, None)])
    asked = metric(window_days=7)
    assert (moments(data, asked).mean, summarise(data, asked).unvalued) == (0.0, {"m": 0})


def test_a_cap_holds_each_units_sum_and_not_each_outcome(tmp_path):
    exposures = [("u1", "control", EARLY), ("u2", "control", EARLY)]
    data = pilot_data(tmp_path, exposures, [("u1", LATE, 1, 80.0), ("u1", LATE, 1, 80.0), ("u2", LATE, 1, 10.0)])
    assert mean(data, cap=100) == 55.0


def test_a_cap_by_quantile_is_of_both_arms_together_by_numpy(tmp_path):
    control = np.concatenate([RNG.gamma(1.0, 20.0, 200), np.zeros(150)])
    letter = RNG.gamma(1.0, 90.0, 220)
    pooled = np.concatenate([control, letter])
    cap = np.quantile(pooled[pooled > 0], 0.9)
    data = two_arms(tmp_path, control, letter)
    for arm, values in (("control", control), ("letter", letter)):
        found = moments(data, metric(cap_quantile=0.9), arm)
        held = np.minimum(values, cap)
        assert (found.mean, found.m2) == pytest.approx((held.mean(), held.var() * held.size), rel=1e-9)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("cap", [{"cap": 100}, {"cap_quantile": 0.9}])
def test_a_cap_hides_no_value_without_end(tmp_path, value, cap):
    data = two_arms(tmp_path, [1.0, 2.0, value], [3.0, 4.0])
    assert not moments(data, metric(**cap)).finite


def ratio_data(folder, arms):
    """Each unit has one outcome with `spend` and `visit` as given."""
    rows = [(arm, n, d) for arm, pairs in arms.items() for n, d in pairs]
    return pilot_data(
        folder,
        [(f"u{at}", arm, EARLY) for at, (arm, _, _) in enumerate(rows)],
        [(f"u{at}", LATE, int(d), float(n)) for at, (_, n, d) in enumerate(rows)],
    )


def drawn(units, each):
    visits = RNG.poisson(2.0, units) + (RNG.random(units) < 0.7)
    return [(RNG.gamma(2.0, each) * visit + RNG.normal(0, 1), visit) for visit in visits]


ARMS = {"control": drawn(400, 5.0), "letter": drawn(350, 6.0)}


def test_the_moments_of_a_ratio_are_numpys(tmp_path):
    values, visits = np.array(ARMS["control"]).T
    found = moments(ratio_data(tmp_path, ARMS), SPEND_PER_VISIT)
    co = np.cov(values, visits, ddof=0)[0, 1] * values.size
    expected = (values.mean(), visits.mean(), values.var() * values.size, visits.var() * values.size, co)
    assert (found.value, found.per, found.value_m2, found.per_m2, found.co) == pytest.approx(expected, rel=1e-9)
    assert found.mean == pytest.approx(values.sum() / visits.sum())


def test_the_error_of_a_ratio_is_that_of_a_weighted_regression_by_statsmodels(tmp_path):
    # A ratio of sums is the weighted mean of v / d with weights d; its heteroscedasticity-robust error (HC0) is the
    # delta method's with n instead of n - 1.
    values, visits = np.array(ARMS["letter"]).T
    inside = visits > 0
    rates = sm.WLS(values[inside] / visits[inside], np.ones(inside.sum()), weights=visits[inside]).fit(cov_type="HC0")
    pairs = [(v, d) for v, d in ARMS["letter"] if d > 0]
    data = ratio_data(tmp_path, {"control": ARMS["control"], "letter": pairs})
    found = recorded([moments(data, SPEND_PER_VISIT, "letter")]).at(0)
    assert found.mean == pytest.approx(rates.params[0], rel=1e-9)
    assert math.sqrt(found.variance * (found.n - 1) / found.n) == pytest.approx(rates.bse[0], rel=1e-9)


def test_the_effect_on_a_ratio_is_welchs_on_linearised_units_by_scipy(tmp_path):
    lines = []
    for arm in ("letter", "control"):
        values, visits = np.array(ARMS[arm]).T
        ratio = values.sum() / visits.sum()
        lines.append(ratio + (values - ratio * visits) / visits.mean())
    expected = stats.ttest_ind(*lines, equal_var=False)
    interval = expected.confidence_interval(0.95)
    metrics = {"spend": SPEND_PER_VISIT, "visit": metric(kind="mean", column="visit")}
    found = compute(promised(metrics), ratio_data(tmp_path, ARMS)).effect("letter", "spend")
    assert (found.estimate, found.p) == pytest.approx((lines[0].mean() - lines[1].mean(), expected.pvalue), rel=1e-7)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-7)


@pytest.mark.parametrize(
    ("control", "problem"),
    [
        ([(1.0, 0), (2.0, 0), (3.0, 0)], "in arm control the denominator is zero"),
        ([(1.0, 1), (2.0, 0), (3.0, 0)], "in arm control the denominator is not clearly above zero"),
        ([(1.0, 1)], "arm control has 1 unit"),
        ([(float("nan"), 1), (2.0, 2)], "arm control has values that are not finite numbers"),
    ],
)
def test_a_ratio_that_means_nothing_has_a_problem_and_no_number(tmp_path, control, problem):
    metrics = {"spend": SPEND_PER_VISIT, "visit": metric(kind="mean", column="visit")}
    evidence = compute(promised(metrics), ratio_data(tmp_path, {**ARMS, "control": control}))
    found = evidence.effect("letter", "spend")
    assert (found.estimate, found.p, found.problem) == (None, None, problem)
    assert evidence.digest.startswith("sha256:")


def test_a_ratio_that_is_the_same_for_every_unit_does_not_vary(tmp_path):
    # 0.1 times 0.1 and so on are not exact: what is left must not count as a variance.
    same = {arm: [(0.1 * visits, visits) for visits in (1, 2, 3, 5, 7) * 20] for arm in ("control", "letter")}
    metrics = {"spend": SPEND_PER_VISIT, "visit": metric(kind="mean", column="visit")}
    found = compute(promised(metrics), ratio_data(tmp_path, same)).effect("letter", "spend")
    assert found.problem == "the metric does not vary in either arm"


def test_merged_ratio_moments_are_those_of_the_union_by_numpy():
    values, visits = np.array(ARMS["control"]).T

    def of(part):
        v, d = values[part], visits[part]
        dv, dd = v - v.mean(), d - d.mean()
        return RatioMoments(
            n=v.size, value=v.mean(), per=d.mean(), value_m2=dv @ dv, per_m2=dd @ dd, co=dv @ dd
        )  # fmt: skip

    merged, union = of(slice(0, 90)).merge(of(slice(90, None))), of(slice(None))
    assert merged.model_dump() == pytest.approx(union.model_dump(), rel=1e-9)


HIGH = metric(kind="quantile", quantile=0.9)


def quantile_effect(folder, control, letter):
    metrics = {"spend": HIGH, "visit": metric(kind="mean", column="visit")}
    evidence = compute(promised(metrics), two_arms(folder, control, letter))
    return evidence, evidence.effect("letter", "spend")


def test_a_quantile_and_its_limits_are_values_of_the_binomials_ranks_by_scipy(tmp_path):
    values = RNG.gamma(2.0, 20.0, 1000)
    found = quantile(two_arms(tmp_path, values, [1.0]), HIGH)
    assert found.value == np.quantile(values, 0.9, method="inverted_cdf")
    # The exact chance that the quantile lies between the two values is the binomial's between their ranks.
    low, high = (np.searchsorted(np.sort(values), limit) + 1 for limit in (found.low, found.high))
    assert 0.95 <= stats.binom.cdf(high - 1, 1000, 0.9) - stats.binom.cdf(low - 1, 1000, 0.9) < 0.965


@pytest.mark.proof
@pytest.mark.parametrize("draw", [RNG.lognormal, lambda _, __, n: RNG.exponential(20.0, n) * (RNG.random(n) < 0.5)])
def test_equal_arms_differ_in_a_quantile_as_often_as_alpha_says(draw):
    # 4,000 pilots of two equal arms: five standard errors of a share of 5 % are 1.7 %.
    n, missed = 500, 0
    low, mid, high = (rank - 1 for rank in ranks(n, 0.9))
    for _ in range(4000):
        arms = (np.sort(draw(3.0, 1.0, n)) for _arm in range(2))
        quantiles = [QuantileMoments(n=n, quantile=0.9, value=x[mid], low=x[low], high=x[high]) for x in arms]
        found = recorded(quantiles)
        missed += differences(found.at(0), found.at(1)).p() < 0.05
    assert missed / 4000 == pytest.approx(0.05, abs=0.017)


def test_the_error_of_a_quantile_is_that_of_its_density_by_theory(tmp_path):
    # Exponential with mean 20: the density at the 0.9 quantile is 0.1 / 20, and the error sqrt(.9 x .1 / n) over it.
    n = 40_000
    values = stats.expon.ppf((np.arange(n) + 0.5) / n, scale=20.0)
    mean = recorded([quantile(two_arms_fast(tmp_path, values), HIGH)]).at(0)
    assert math.sqrt(mean.variance) == pytest.approx(math.sqrt(0.09 / n) / (0.1 / 20), rel=0.02)


def two_arms_fast(folder, values):
    """Like `two_arms` with all units in the control arm, written at once."""
    data = two_arms(folder, [1.0], [1.0])
    frame = pa.table({"value": values})
    with duckdb.connect() as connection:
        connection.register("drawn", frame)
        connection.execute("CREATE TABLE t AS SELECT 'u' || row_number() OVER () AS unit, value FROM drawn")
        for path, columns in (
            (data.exposures, f"unit AS event_id, unit, 'control' AS arm, TIMESTAMPTZ '{EARLY}' AS at"),
            (data.outcomes, f"unit AS event_id, unit, TIMESTAMPTZ '{LATE}' AS at, 1 AS visit, value AS spend"),
        ):
            connection.execute(f"COPY (SELECT {columns} FROM t) TO '{path}' (FORMAT parquet)")
    return data


def test_an_effect_on_a_quantile_is_the_difference_of_both_with_its_error(tmp_path):
    control, letter = RNG.gamma(2.0, 20.0, 400), RNG.gamma(2.0, 40.0, 300)
    evidence, found = quantile_effect(tmp_path, control, letter)
    high, low = (np.quantile(arm, 0.9, method="inverted_cdf") for arm in (letter, control))
    assert found.estimate == pytest.approx(high - low)
    assert found.relative == pytest.approx(high / low - 1)
    assert found.low < high - low < found.high
    assert evidence.arm("letter").moments["spend"].quantile == 0.9


@pytest.mark.parametrize(
    ("control", "problem"),
    [
        ([1.0, 2.0, 3.0], "in arm control 3 units are too few for the quantile"),
        ([0.0] * 290 + [5.0] * 10, "in arm control many units share the value at the quantile"),
        ([*range(299), float("nan")], "arm control has values that are not finite numbers"),
        ([*range(299), float("inf")], "arm control has values that are not finite numbers"),
    ],
)
def test_a_quantile_that_means_nothing_has_a_problem_and_no_number(tmp_path, control, problem):
    evidence, found = quantile_effect(tmp_path, control, RNG.gamma(2.0, 40.0, 300))
    assert (found.estimate, found.p, found.problem) == (None, None, problem)
    assert evidence.digest.startswith("sha256:")


def test_equal_data_give_equal_evidence_for_every_kind(tmp_path):
    known = {
        "spend": SPEND_PER_VISIT,
        "visit": metric(column="spend", cap_quantile=0.8, window_days=3),
        "high": HIGH,
    }
    data, promise = ratio_data(tmp_path, ARMS), promised(known, secondary=["visit", "high"])
    first = compute(promise, data)
    assert [effect.problem for effect in first.effects] == [None] * 3
    assert compute(promise, data).digest == first.digest
    assert Evidence.model_validate_json(json.dumps(first.as_json())) == first


RATING = metric(kind="mean", no_outcome="left_out")


def test_units_without_an_outcome_are_left_out_where_the_metric_says_so_by_scipy(tmp_path):
    """The mean among those who have one, and its error as of a sample of them, to what the delta method leaves out."""
    letter, control = RNG.gamma(2.0, 20.0, 3000), RNG.gamma(2.0, 18.0, 3000)
    data = two_arms(tmp_path, control, letter)
    silent = [(f"s{number}", ("control", "letter")[number % 2], EARLY) for number in range(500)]
    with duckdb.connect() as connection:
        connection.execute('CREATE TABLE s (unit VARCHAR, arm VARCHAR, "at" TIMESTAMPTZ)')
        connection.executemany("INSERT INTO s VALUES (?, ?, ?)", silent)
        connection.execute(
            f"COPY (FROM '{data.exposures}' UNION ALL SELECT unit, unit, arm, \"at\" FROM s) TO '{data.exposures}.new' "
            "(FORMAT parquet)"
        )
    Path(f"{data.exposures}.new").replace(data.exposures)
    metrics = {"spend": RATING, "visit": metric(kind="mean", column="visit")}
    evidence = compute(promised(metrics), data)
    found, expected = evidence.effect("letter", "spend"), stats.ttest_ind(letter, control, equal_var=False)
    assert evidence.no_outcome == {"spend": "left_out", "visit": "zero"}
    assert [arm.units for arm in evidence.arms] == [3250, 3250]
    assert found.estimate == pytest.approx(letter.mean() - control.mean(), rel=1e-9)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()), rel=2e-3)


def test_an_outcome_without_a_value_is_left_out_as_well(tmp_path):
    data = pilot_data(
        tmp_path,
        [(f"u{n}", ("control", "letter")[n % 2], EARLY) for n in range(8)],
        [(f"u{n}", LATE, 1, None if n < 2 else float(n)) for n in range(8)],
    )
    metrics = {"spend": RATING, "visit": metric(kind="mean", column="visit")}
    found = compute(promised(metrics), data).arm("control").moments["spend"]
    # Units 2, 4 and 6 of the control have a value.
    assert (found.mean, found.n, found.per) == (pytest.approx(4.0), 4, 0.75)


@pytest.mark.parametrize("kind", ["count", "ratio", "quantile"])
def test_only_a_mean_or_a_proportion_leaves_units_out(kind):
    more = {"ratio": {"denominator": "visit"}, "quantile": {"quantile": 0.9}}.get(kind, {})
    with pytest.raises(ValueError, match="left_out"):
        metric(kind=kind, no_outcome="left_out", **more)
