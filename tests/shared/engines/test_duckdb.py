"""The engine: moments and counts by DuckDB against numpy and counting by hand."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import time

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.engines.by_arm import Scope
from shared.engines.duckdb import DuckDB
from shared.engines.protocol import IN_TWO_ARMS, PilotData, Question, value_of
from shared.evidence.health.losses import bounds
from shared.experiment.metrics import Metric
from shared.stats.summaries import Moments
from tests.shared.engines.rows import moment, write_rows
from tests.shared.pilot_data import EARLY, LATE, SPEND, VISIT, pilot_data, two_arms

METRICS = {"visit": VISIT, "spend": SPEND}


def summarise(data, metrics=METRICS, **asked):
    return DuckDB().summarise(data, Question(metrics, **asked))


def moments(data, arm="control", metric="spend", metrics=METRICS):
    cells, name = summarise(data, metrics).arms.of(arm=arm), value_of(metric)
    [n], [mean], [m2] = cells.n, cells.means[name], cells.product(name, name)
    return Moments(n=n, mean=mean, m2=m2)


def test_the_moments_of_a_mean_are_numpys(tmp_path):
    values = np.random.default_rng(1).gamma(1.0, 20.0, 500).round(2)
    found = moments(two_arms(tmp_path, values, [1.0]))
    expected = (500, values.mean(), ((values - values.mean()) ** 2).sum())
    assert (found.n, found.mean, found.m2) == pytest.approx(expected, rel=1e-12)


def test_the_moments_of_a_proportion_follow_from_its_share_by_hand(tmp_path):
    # 3 of 10: m2 = n p (1 - p) = 10 x .3 x .7.
    found = moments(two_arms(tmp_path, [1.0] * 3 + [0.0] * 7, [1.0]), metric="visit")
    assert (found.n, found.mean, found.m2) == pytest.approx((10, 0.3, 2.1))


def test_a_unit_without_outcome_counts_as_zero(tmp_path):
    data = pilot_data(tmp_path, [("u1", "control", EARLY), ("u2", "control", EARLY)], [("u1", LATE, 1, 10.0)])
    assert (moments(data).n, moments(data).mean) == (2, 5.0)


def test_the_outcomes_of_a_unit_add_up(tmp_path):
    data = pilot_data(tmp_path, [("u1", "control", EARLY)], [("u1", LATE, 1, 10.0), ("u1", LATE, 1, 5.0)])
    assert moments(data).mean == 15.0


def test_several_visits_of_a_unit_are_one(tmp_path):
    data = pilot_data(tmp_path, [("u1", "control", EARLY)], [("u1", LATE, 1, 0.0), ("u1", LATE, 1, 0.0)])
    assert moments(data, metric="visit").mean == 1.0


def test_several_exposures_of_a_unit_to_one_arm_are_one_unit(tmp_path):
    data = pilot_data(tmp_path, [("u1", "control", EARLY), ("u1", "control", LATE)], [("u1", LATE, 1, 10.0)])
    assert (moments(data).n, moments(data).mean) == (1, 10.0)


def test_an_outcome_before_the_first_exposure_does_not_count(tmp_path):
    data = pilot_data(tmp_path, [("u1", "control", LATE)], [("u1", EARLY, 1, 10.0)])
    assert moments(data).mean == 0.0


def test_an_outcome_at_the_moment_of_the_first_exposure_counts(tmp_path):
    data = pilot_data(tmp_path, [("u1", "control", LATE)], [("u1", LATE, 1, 10.0)])
    assert moments(data).mean == 10.0


def test_an_outcome_between_two_exposures_counts(tmp_path):
    data = pilot_data(
        tmp_path,
        [("u1", "control", "2026-01-05 00:00:00+00"), ("u1", "control", "2026-01-07 00:00:00+00")],
        [("u1", "2026-01-06 00:00:00+00", 1, 10.0)],
    )
    assert moments(data).mean == 10.0


def test_an_outcome_of_somebody_who_was_not_exposed_does_not_count(tmp_path):
    data = pilot_data(tmp_path, [("u1", "control", EARLY)], [("stranger", LATE, 1, 10.0)])
    assert (moments(data).n, moments(data).mean) == (1, 0.0)


def test_a_unit_seen_in_two_arms_counts_in_none(tmp_path):
    exposures = [("u1", "control", EARLY), ("u1", "letter", EARLY), ("u2", "control", EARLY)]
    assert summarise(pilot_data(tmp_path, exposures), METRICS).units == {"control": 1}


def test_a_unit_seen_in_two_arms_is_counted_as_multiple(tmp_path):
    exposures = [("u1", "control", EARLY), ("u1", "letter", EARLY), ("u2", "control", EARLY)]
    assert summarise(pilot_data(tmp_path, exposures), METRICS).multiple_units == 1


def test_a_unit_whose_second_arm_was_held_back_at_intake_counts_in_none(tmp_path):
    data = pilot_data(
        tmp_path, [("u1", "control", EARLY), ("u2", "control", EARLY)], conflicts=[("u1", IN_TWO_ARMS)] * 2
    )
    assert summarise(data, METRICS).units == {"control": 1}


def test_a_unit_held_back_for_another_reason_still_counts(tmp_path):
    data = pilot_data(tmp_path, [("u1", "control", EARLY)], conflicts=[("u1", "unit unknown")])
    assert summarise(data, METRICS).units == {"control": 1}


def test_rows_held_back_are_counted_by_reason(tmp_path):
    data = pilot_data(tmp_path, conflicts=[("u1", "late"), ("u2", "late"), (None, "unit unknown")])
    assert summarise(data, METRICS).conflicts == {"late": 2, "unit unknown": 1}


def test_exposures_and_outcomes_are_counted_as_rows(tmp_path):
    data = pilot_data(tmp_path, [("u1", "control", EARLY)] * 3, [("u1", LATE, 1, 1.0)] * 2)
    found = summarise(data, METRICS)
    assert (found.exposures, found.outcomes) == (3, 2)


def test_nobody_exposed_is_no_arm_at_all(tmp_path):
    found = summarise(pilot_data(tmp_path), METRICS)
    assert (found.units, len(found.arms), found.first_exposure, found.last_exposure) == ({}, 0, None, None)


@pytest.fixture
def elsewhere(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
    assert os.environ.get("TZ") != "America/New_York"


def test_first_and_last_exposure_are_utc_wherever_the_machine_is(tmp_path, elsewhere):
    found = summarise(pilot_data(tmp_path, [("u1", "control", LATE), ("u2", "letter", EARLY)]), METRICS)
    assert (found.first_exposure, found.last_exposure) == ("2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z")


# A true variance of 4 around a mean of 1e9, by construction.
HUGE = [1e9 - 2.0, 1e9 + 2.0] * 500


def test_a_mean_of_a_billion_keeps_the_true_variance(tmp_path):
    found = moments(two_arms(tmp_path, HUGE, [1.0]))
    assert found.m2 / found.n == pytest.approx(4.0, rel=1e-12)


def test_a_naive_sum_of_squares_would_lose_that_variance():
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT 1e9 + CASE WHEN i % 2 = 0 THEN 2.0 ELSE -2.0 END AS x FROM range(10000) r(i)"
        )
        naive = connection.execute("SELECT sum(x * x) / count(*) - avg(x) * avg(x) FROM t").fetchone()[0]
    assert abs(naive - 4.0) > 1.0


def test_a_constant_has_no_variance_at_all(tmp_path):
    assert moments(two_arms(tmp_path, [0.1] * 300, [1.0])).m2 == 0.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e200])
def test_values_without_end_give_moments_that_say_so(tmp_path, value):
    assert not moments(two_arms(tmp_path, [1.0, value], [1.0])).finite


def test_columns_named_like_sql_are_no_sql(tmp_path):
    odd = {'sum"; DROP': Metric(kind="mean", column="spend", unit="USD")}
    assert moments(two_arms(tmp_path, [2.0, 4.0], [1.0]), metric='sum"; DROP', metrics=odd).mean == 3.0


@pytest.mark.parametrize("name", ["a[1]", "a*", "a?", "it's", "arm=letter", "Łódź"])
def test_a_folder_of_any_name_is_read_under_exactly_that_name(tmp_path, name):
    two_arms(tmp_path / "a1", [7.0, 7.0], [1.0])
    plain = two_arms(tmp_path / "plain", [2.0, 4.0], [1.0])
    plain.exposures.parent.rename(tmp_path / name)
    assert moments(PilotData.in_folder(tmp_path / name)).mean == 3.0


def test_the_three_files_are_found_by_their_names(tmp_path):
    assert [path.name for path in PilotData.in_folder(tmp_path).files] == [
        "exposures.parquet", "outcomes.parquet", "conflicts.parquet",
    ]  # fmt: skip


AT = "2026-03-02 12:00"


def told(folder, traits, arms=None):
    """Exposures of these units, all in the control arm but where `arms` says otherwise, with their traits."""
    arms = arms or {}
    return write_rows(folder, [(unit, arms.get(unit, "control"), AT) for unit in traits], traits=traits)


def test_what_is_told_twice_of_a_unit_is_not_known_of_it(tmp_path):
    data = told(tmp_path, {"a": {"zone": "Urban"}, "b": {"zone": "Rural"}})
    with duckdb.connect() as connection:
        both = tmp_path / "both.parquet"
        connection.execute(f"COPY (FROM '{data.traits}' UNION ALL SELECT 'a', 'Rural') TO '{both}' (FORMAT parquet)")
    both.rename(data.traits)
    found = summarise(data, segments=("zone",))
    assert found.segment_units == {"zone": {("control", "Rural"): 1, ("control", None): 1}}
    assert found.untraited == {"zone": 1}


def test_a_unit_in_two_arms_is_counted_even_where_it_is_in_no_cluster(tmp_path):
    data = write_rows(
        tmp_path,
        [("a", "control", AT), ("a", "letter", AT), ("b", "control", AT)],
        traits={"a": {"home": None}, "b": {"home": "h1"}},
    )
    found = summarise(data, cluster="home")
    assert (found.multiple_units, found.units, found.clusters) == (1, {"control": 1}, {"control": 1})


def test_a_column_of_too_many_levels_is_named_and_has_no_cells(tmp_path):
    traits = {f"u{n}": {"id": n, "decade": n // 10, "many": n % 100} for n in range(101)}
    found = summarise(told(tmp_path, traits), segments=("id", "decade", "many"), strata="id")
    assert (found.crowded, found.strata, set(found.segments)) == (("id",), None, {"decade", "many"})
    assert set(found.segment_units) == {"decade", "many"}
    assert len(found.segments["many"]) == 100


def test_levels_are_text_whatever_the_column_holds(tmp_path):
    found = summarise(told(tmp_path, {"a": {"plan": 2}, "b": {"plan": 10}}), segments=("plan",))
    assert found.segments["plan"].keys["level"].tolist() == ["10", "2"]


@pytest.mark.parametrize("known", [{"a": {"zone": "Urban"}}, None])
def test_a_covariate_that_nobody_has_is_no_number(tmp_path, known):
    data = write_rows(tmp_path, [("a", "control", AT), ("b", "control", AT)], traits=known)
    found = summarise(data, covariates=("before",))
    assert found.untraited == {"before": 2}
    assert np.isnan(found.arms.means["covariate:before"]).all()


def test_a_covariate_of_text_is_not_known(tmp_path):
    found = summarise(told(tmp_path, {"a": {"before": "much"}, "b": {"before": "2.5"}}), covariates=("before",))
    assert (found.untraited, found.arms.means["covariate:before"].tolist()) == ({"before": 1}, [2.5])


def test_an_infinite_covariate_stays_infinite(tmp_path):
    data = told(tmp_path, {"a": {"before": float("inf")}, "b": {"before": None}, "c": {"before": 1.0}})
    assert not np.isfinite(summarise(data, covariates=("before",)).arms.means["covariate:before"]).any()


@pytest.mark.proof
def test_equal_data_give_equal_moments_to_the_last_bit(tmp_path):
    values = np.random.default_rng(3).lognormal(3.0, 2.0, 3_000)
    data = two_arms(tmp_path, values, values[::-1])
    first, second = summarise(data).arms, summarise(data).arms
    assert {name: found.tolist() for name, found in first.products.items()} == {
        name: found.tolist() for name, found in second.products.items()
    }


SCOPE = Scope(
    ("control", "letter"), True, moment("2026-01-05 00:00"), moment("2026-01-19 00:00"), moment("2026-01-19 00:00"),
    ("m",), (None,),
)  # fmt: skip


def with_column(path, name, values, kind):
    """The outcomes with one column more."""
    table = pq.read_table(path)
    pq.write_table(table.append_column(name, pa.array(values, kind)), path)


@pytest.mark.parametrize(
    ("kind", "accepted", "said", "expression", "worth"),
    [
        (pa.string(), ["paid", "aborted"], "refunded", "CASE WHEN extra = 'refunded' THEN 7 ELSE 0 END", 7.0),
        (pa.bool_(), [True, False], "true", "CASE WHEN extra THEN 7 ELSE 0 END", 7.0),
        (pa.date32(), [dt.date(2026, 1, 6)] * 2, "2026-01-08", "CASE WHEN extra = '2026-01-08' THEN 7 ELSE 0 END", 7.0),
    ],
)
def test_what_a_held_back_row_says_counts_in_columns_of_any_kind(tmp_path, kind, accepted, said, expression, worth):
    exposures = [("u1", "control", EARLY), ("u2", "letter", EARLY)]
    held = [("u1", "spend is not a number", "outcomes", "control", "control", LATE, json.dumps({"extra": said}))]
    data = write_rows(tmp_path, exposures, [("u1", LATE, 1, 1.0), ("u2", LATE, 1, 1.0)], held)
    with_column(data.outcomes, "extra", accepted, kind)
    own = Metric(kind="mean", expression=expression, unit="-")
    asked = {"scope": SCOPE, "everything": True}
    whole, counted = (summarise(data, {"m": own}, **(asked if every else {})) for every in (True, False))
    gained = [each.arms.of(arm="control").means[value_of("m")][0] for each in (whole, counted)]
    assert gained[0] - gained[1] == pytest.approx(worth)


def test_a_bound_that_is_no_number_is_none(tmp_path):
    """A unit that spends without end, and one that was lost: no mean is left to bound."""
    exposures = [(f"u{n}", "letter" if n % 2 else "control", EARLY) for n in range(8)]
    outcomes = [(f"u{n}", LATE, 1, float("inf") if n == 1 else 1.0) for n in range(6)]
    held = [("u6", "late", "outcomes", "control", "control", LATE, json.dumps({"visit": "1", "spend": "2"}))]
    data = write_rows(tmp_path, exposures, outcomes, held)
    spend = Metric(kind="mean", column="spend", unit="USD")
    told = summarise(data, {"m": spend}, scope=SCOPE).by_arm
    assert not math.isfinite(told.trimmed["letter", "m"].high)
    assert bounds(told) == ()
