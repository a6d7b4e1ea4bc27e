"""Finished tests that ran elsewhere: brought in as they were, kept for ever, learned from, and never scaled.

Expected effects come from SciPy's and pandas' own computations on the same files.
"""

import json
import math
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from scipy.stats import chisquare, norm, ttest_ind, ttest_ind_from_stats

from lab.charters.drafts import check, new
from lab.forecast.forecast import forecast
from lab.forecast.past_pilots import elsewhere
from lab.insights.insights import insights
from lab.insights.retrospective.store import bring_in, retrospectives
from lab.insights.similarity import similar
from lab.launch.launch import launch
from lab.pilots.pilot import get_pilot
from lab.pilots.promise import freeze
from lab.state import open_lab
from pilotplant.app import _exit_code
from shared.core.errors import BadInput, Refused
from shared.evidence.model import RATIO_P_MIN
from tests.lab_makers import PILOT, draft

REAL = os.environ.get("PILOTPLANT_REAL_DATA")
real = pytest.mark.skipif(REAL is None, reason="PILOTPLANT_REAL_DATA does not say where the real data lie")
NUMBERS = {"units": "units", "sum": "sum", "sum_squares": "squares"}
ARMS = {
    "schema_version": 1, "rows": "arms", "arm": "arm", "control": "A", "weights": "equal",
    "started": "2025-03-03", "ended": "2025-03-17", "belief": "a shorter mail", "channel": "file",
    "metrics": {"spend": {"metric": "spend", "arm": NUMBERS}},
}  # fmt: skip
SPENT = {"A": [1.0, 2.0, 4.0, 8.0, 3.0, 2.5], "B": [2.0, 5.0, 9.0, 7.0, 6.0, 4.5]}


def mapped(folder, said):
    path = folder / "mapping.yaml"
    path.write_text(yaml.safe_dump(said, sort_keys=False), encoding="utf-8")
    return path


def summed(spent):
    return pd.DataFrame(
        [{"arm": arm, "units": len(v), "sum": sum(v), "squares": sum(x * x for x in v)} for arm, v in spent.items()]
    )


def kept(workspace, folder, frame, said, name="spring-2025", suffix="csv"):
    file = folder / f"export.{suffix}"
    frame.to_parquet(file) if suffix == "parquet" else frame.to_csv(file, index=False)
    return bring_in(workspace, name, file, mapping=mapped(folder, said)).tests


def welch(treated, control):
    found = ttest_ind(treated, control, equal_var=False)
    ends = found.confidence_interval(0.95)
    return pytest.approx([sum(treated) / len(treated) - sum(control) / len(control), ends.low, ends.high, found.pvalue])


def numbers(effect):
    return [effect.estimate, effect.low, effect.high, effect.p]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_sums_of_arms_have_the_effects_of_the_values_themselves(loaded, tmp_path, suffix):
    [test] = kept(loaded, tmp_path, summed(SPENT), ARMS, suffix=suffix)
    [effect] = test.shown.effects
    assert numbers(effect) == welch(SPENT["B"], SPENT["A"])
    assert (effect.part, test.test.days, test.test.population) == ("primary", 14, "customers")


def test_rows_of_units_have_the_effects_of_the_values_themselves(loaded, tmp_path):
    rows = [
        {"user": f"{arm}{n}", "arm": arm, "spent": value / 2, "visited": int(value > 4)}
        for arm, values in SPENT.items() for n, value in enumerate(values) for _ in range(2)
    ]  # fmt: skip
    rows += [{"user": "both", "arm": arm, "spent": 99, "visited": 1} for arm in "AB"]
    said = ARMS | {
        "rows": "units", "unit": "user",
        "metrics": {"spend": {"metric": "spend", "column": "spent"}, "visit": {"metric": "visit", "column": "visited"}},
    }  # fmt: skip
    [test] = kept(loaded, tmp_path, pd.DataFrame(rows), said)
    spend, visit = test.shown.effects
    assert numbers(spend) == welch(SPENT["B"], SPENT["A"])
    assert numbers(visit) == welch(*([int(value > 4) for value in SPENT[arm]] for arm in "BA"))
    crossed = next(found for found in test.shown.health if found.check == "multiple_exposure")
    assert (crossed.state, crossed.measured) == ("warning", 1)


def test_a_mean_without_a_spread_is_no_effect(loaded, tmp_path):
    frame = pd.DataFrame(
        {"arm": ["A", "B", "C"], "units": [100, 100, 100], "m": [1.0, 1.5, 2.0], "v": [2.0, None, 2.0]}
    )
    said = ARMS | {"metrics": {"spend": {"metric": "spend", "arm": {"units": "units", "mean": "m", "variance": "v"}}}}
    [test] = kept(loaded, tmp_path, frame, said)
    one, other = test.shown.effects
    assert (one.estimate, "no variance" in one.problem) == (None, True)
    expected = ttest_ind_from_stats(2.0, math.sqrt(2), 100, 1.0, math.sqrt(2), 100, equal_var=False)
    assert (other.arm, other.p) == ("C", pytest.approx(expected.pvalue))


def test_uneven_arms_are_flagged_and_forecasts_do_not_use_them(loaded, tmp_path):
    said = ARMS | {"metrics": {"visit": {"metric": "visit", "arm": {"units": "units", "count": "n"}}}}
    frame = pd.DataFrame({"arm": ["A", "B"], "units": [10_000, 9_500], "n": [2_000, 2_100]})
    [test] = kept(loaded, tmp_path, frame, said)
    assert test.shown.sample_ratio.p == pytest.approx(chisquare([10_000, 9_500]).pvalue)
    assert not test.shown.sound
    assert elsewhere(open_lab(loaded), freeze(loaded, PILOT).promise.charter) == []
    assert "Do not trust these effects" in test.report.read_text()
    [insight] = [each for each in insights(open_lab(loaded)) if each.retrospective]
    assert insight.effect is None


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([(10_000, 10_010)], "forecasts and insights use its effects"),
        ([(10_000, 9_500)], "no forecast and no insight uses its effects"),
        ([(10_000, 10_010), (10_000, 9_500)], "forecasts and insights use the effects of the 1 that can be trusted"),
    ],
)
def test_the_command_says_whose_effects_are_used(loaded, tmp_path, capsys, sizes, told):
    said = ARMS | {"metrics": {"visit": {"metric": "visit", "arm": {"units": "units", "count": "n"}}}, "test": "test"}
    pd.DataFrame(
        [
            (f"t{n}", arm, units, units // 5)
            for n, pair in enumerate(sizes)
            for arm, units in zip("AB", pair, strict=True)
        ],
        columns=["test", "arm", "units", "n"],
    ).to_csv(tmp_path / "export.csv", index=False)
    words = ("lab", "import", "mails", str(tmp_path / "export.csv"), "--mapping", str(mapped(tmp_path, said)))
    assert _exit_code(["--workspace", str(loaded.root), *words]) == 0
    assert told in capsys.readouterr().out


def test_where_nobody_says_how_large_the_arms_were_meant_to_be_the_ratio_cannot_be_asked(loaded, tmp_path):
    [test] = kept(loaded, tmp_path, summed(SPENT), ARMS | {"weights": "unknown"})
    ratio = next(found for found in test.shown.health if found.check == "sample_ratio")
    assert ratio.state == "unevaluable"


def many(loaded, tmp_path, count=12):
    """So many sound tests on visits, of which B brings two to three points more."""
    frame = pd.DataFrame(
        [{"test": f"t{n}", "arm": arm, "units": 5_000, "n": 1_000 + (arm == "B") * (100 + 5 * n)}
         for n in range(count) for arm in "AB"]
    )  # fmt: skip
    said = ARMS | {"test": "test", "metrics": {"visit": {"metric": "visit", "arm": {"units": "units", "count": "n"}}}}
    return kept(loaded, tmp_path, frame, said)


def test_the_forecast_of_the_same_metric_begins_with_them(loaded, tmp_path):
    before = forecast(open_lab(loaded), freeze(loaded, PILOT))
    assert [o.baseline for o in before.metric_powers if o.metric == "visit"] == [None]
    many(loaded, tmp_path)
    new(loaded, "autumn-mail")
    found = check(loaded, "autumn-mail").forecast
    [visit] = [metric_power for metric_power in found.metric_powers if metric_power.metric == "visit"]
    assert visit.baseline.baseline.mean == pytest.approx(0.2)
    assert visit.baseline.source == "control units of 12 retrospective tests"


def test_ten_of_them_are_a_prior(loaded, tmp_path):
    many(loaded, tmp_path)
    path = loaded.pilots / PILOT / "charter.yaml"
    assumed = "sample: {assume: {spend: {mean: 5, sd: 20}}, "
    path.write_text(path.read_text().replace("sample: {", assumed, 1))
    prior = forecast(open_lab(loaded), freeze(loaded, PILOT)).chances.prior
    assert prior.pilots == 12
    assert prior.mean == pytest.approx(sum(100 + 5 * n for n in range(12)) / 12 / 5_000, rel=0.05)


def test_a_test_of_another_channel_says_nothing_of_the_effects(loaded, tmp_path):
    kept(loaded, tmp_path, summed(SPENT), ARMS | {"channel": "mail"})
    charter = freeze(loaded, PILOT).promise.charter
    [past] = elsewhere(open_lab(loaded), charter)
    metric = freeze(loaded, PILOT).promise.metrics["spend"]
    assert list(past.effects(charter, "spend", metric)) == []
    assert past.control("spend", metric).mean == pytest.approx(sum(SPENT["A"]) / 6)


def test_it_teaches_and_is_found_by_what_was_tried(loaded, tmp_path):
    kept(loaded, tmp_path, summed(SPENT), ARMS | {"belief": "letters with a card bring customers back"})
    [found] = [each for each in insights(open_lab(loaded), "card") if each.retrospective]
    assert (found.word, found.signed, found.direction) == ("retrospective", False, "no difference shown")
    names = [each.insight.pilot for each in similar(open_lab(loaded), freeze(loaded, PILOT).promise.charter)]
    assert names in ([], ["spring-2025"])


def test_the_same_once_more_does_nothing_and_other_numbers_are_refused(loaded, tmp_path):
    first = kept(loaded, tmp_path, summed(SPENT), ARMS)
    file, mapping = tmp_path / "export.csv", tmp_path / "mapping.yaml"
    again = bring_in(loaded, "spring-2025", file, mapping=mapping)
    assert (again.tests[0].test, again.repeated) == (first[0].test, {"spring-2025"})
    file.write_text(file.read_text().replace("6,", "7,", 1))
    with pytest.raises(Refused, match="was brought in before, with other numbers"):
        bring_in(loaded, "spring-2025", file, mapping=mapping)
    assert [each.test for each in retrospectives(open_lab(loaded))] == [first[0].test]


def test_one_bad_test_of_a_file_keeps_all_of_them_out(loaded, tmp_path):
    frame = pd.DataFrame(
        [{"test": t, "arm": arm, "units": 10, "n": n} for t, n in (("one", 5), ("two", 11)) for arm in "AB"]
    )
    said = ARMS | {"test": "test", "metrics": {"visit": {"metric": "visit", "arm": {"units": "units", "count": "n"}}}}
    with pytest.raises(BadInput, match="11 of 10 units did it"):
        kept(loaded, tmp_path, frame, said)
    assert retrospectives(open_lab(loaded)) == []


FINE = {"arm": ["A", "B"], "units": [10, 10], "sum": [1, 2], "squares": [1, 2]}


@pytest.mark.parametrize(
    ("frame", "said", "told"),
    [
        ({"arm": ["A", "B"], "units": [10, 10]}, {}, "the file has no column `sum`"),
        ({"arm": ["A", "B"], "units": [10, "ten"], "sum": [1, 2], "squares": [1, 2]}, {}, "`ten` in column `units`"),
        ({"arm": ["A", "B"], "units": [10, 1.5], "sum": [1, 2], "squares": [1, 2]}, {}, "is no number of units"),
        ({"arm": ["A", "A"], "units": [10, 10], "sum": [1, 2], "squares": [1, 2]}, {}, "arm `A` has spend twice"),
        ({"arm": ["B", "C"], "units": [10, 10], "sum": [1, 2], "squares": [1, 2]}, {}, "there is no arm `A`"),
        ({"arm": ["A"], "units": [10], "sum": [1], "squares": [1]}, {}, "a control and a treatment"),
        ({"arm": ["A", "B"], "units": [10, 10], "sum": [10, 20], "squares": [1, 99]}, {}, "which no values can have"),
        (FINE, {"ended": "2031-01-01"}, "still to come"),
        (FINE, {"weights": {"A": 1}}, "how large arm `B`"),
        ({**FINE, "day": ["x", "x"]}, {"started": "day"}, "`x` in column `day` is no day"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(loaded, tmp_path, frame, said, told):
    with pytest.raises(BadInput, match=told):
        kept(loaded, tmp_path, pd.DataFrame(frame), ARMS | said)
    assert retrospectives(open_lab(loaded)) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"metrics": {"spend": {"metric": "spend"}}}, "in rows of arms it has `arm`"),
        ({"metrics": {"spend": {"arm": NUMBERS}}}, "which `metric`"),
        ({"metrics": {"spend": {"kind": "mean", "arm": NUMBERS}}}, "has a `unit:`"),
        ({"metrics": {"spend": {"metric": "spend", "arm": {"units": "n"}}}}, "one of `count`, `sum` and `mean`"),
        ({"metrics": {"clicks": {"metric": "clicks", "arm": NUMBERS}}}, "there is no metric `clicks`"),
        ({"rows": "people"}, "'units', 'arms'"),
    ],
)
def test_a_mapping_that_says_too_little_is_named(loaded, tmp_path, change, told):
    with pytest.raises(BadInput, match=told):
        kept(loaded, tmp_path, summed(SPENT), ARMS | change)


def test_names_are_shared_with_pilots(launched, tmp_path):
    with pytest.raises(Refused, match=f"there is a pilot {PILOT} already"):
        kept(launched, tmp_path, summed(SPENT), ARMS, name=PILOT)
    kept(launched, tmp_path, summed(SPENT), ARMS)
    with pytest.raises(Refused, match="there is a retrospective test spring-2025 already"):
        new(launched, "spring-2025")
    with pytest.raises(Refused, match="it ran elsewhere"):
        get_pilot(open_lab(launched), "spring-2025")


@pytest.mark.parametrize(
    "words",
    [
        ("promote", "check", "spring-2025"),
        ("promote", "summary", "spring-2025"),
        ("lab", "submit", "spring-2025"),
        ("factory", "preflight", "spring-2025"),
        (
            "promote",
            "decide",
            "spring-2025",
            "scale",
            "--arm",
            "B",
            "--as",
            "owner@example.com",
            "--reason",
            "it won by a mile",
        ),
    ],
)
def test_the_gate_admits_none_and_says_why(loaded, tmp_path, capsys, words):
    kept(loaded, tmp_path, summed(SPENT), ARMS)
    capsys.readouterr()
    assert _exit_code(["--workspace", str(loaded.root), *words]) == 3
    assert "nothing was promised before its numbers were known" in capsys.readouterr().err


GROWTHBOOK = {
    "result": {
        "id": "snp_1", "dateUpdated": "2025-05-02T08:00:00Z", "experimentId": "exp_7", "phase": "0",
        "dateStart": "2025-04-01T00:00:00Z", "dateEnd": "2025-04-15T00:00:00Z", "dimension": {"type": "none"},
        "settings": {}, "queryIds": [],
        "results": [{
            "dimension": "", "totalUsers": 8_000, "checks": {"srm": 0.4},
            "metrics": [
                {"metricId": "met_a", "variations": [
                    {"variationId": "0", "users": 4_000, "analyses": [
                        {"engine": "frequentist", "numerator": 800, "denominator": 4_000, "mean": 0.2, "stddev": 0.4}]},
                    {"variationId": "1", "users": 4_010, "analyses": [
                        {"engine": "frequentist", "numerator": 962.4, "denominator": 4_010, "mean": 0.24,
                         "stddev": 0.4271}]},
                ]},
                {"metricId": "met_b", "variations": [
                    {"variationId": "0", "users": 4_000, "analyses": [
                        {"engine": "bayesian", "mean": 3.0, "stddev": 0}]},
                    {"variationId": "1", "users": 4_010, "analyses": [
                        {"engine": "bayesian", "mean": 3.1, "stddev": 9}]},
                ]},
            ],
        }],
    }
}  # fmt: skip


def test_an_export_of_growthbook_is_read_as_it_is(loaded, tmp_path):
    """The form is that of docs.growthbook.io/api; mean and deviation are of users."""
    file = tmp_path / "exp_7.json"
    file.write_text(json.dumps(GROWTHBOOK))
    [test] = bring_in(loaded, "page-2025", file).tests
    one, other = test.shown.effects
    expected = ttest_ind_from_stats(0.24, 0.4271, 4_010, 0.2, 0.4, 4_000, equal_var=False)
    assert (one.estimate, one.p) == (pytest.approx(0.04), pytest.approx(expected.pvalue))
    assert "no variance" in other.problem
    assert (test.test.source, test.test.days, test.shown.sample_ratio.p) == ("exp_7", 14, 0.4)


def test_a_mapping_says_which_of_our_metrics_one_of_growthbooks_is(loaded, tmp_path):
    file = tmp_path / "exp_7.json"
    file.write_text(json.dumps([GROWTHBOOK["result"]]))
    said = {"schema_version": 1, "rows": "growthbook", "metrics": {"met_a": {"metric": "visit"}}}
    [test] = bring_in(loaded, "page-2025", file, mapping=mapped(tmp_path, said)).tests
    assert [effect.metric for effect in test.shown.effects] == ["met_a"]
    metric = freeze(loaded, PILOT).promise.metrics["visit"]
    [past] = elsewhere(open_lab(loaded), freeze(loaded, PILOT).promise.charter)
    assert past.control("visit", metric).mean == pytest.approx(0.2)


@pytest.mark.parametrize("content", ["", "[]x", "{}", '{"result": {"results": []}}', '"text"'])
def test_what_is_no_export_is_refused(loaded, tmp_path, content):
    file = tmp_path / "exp.json"
    file.write_text(content)
    with pytest.raises(BadInput, match="no export of GrowthBook's results"):
        bring_in(loaded, "page-2025", file)


def mapping_of(name):
    """A mapping of docs/retrospective.md, as it stands there."""
    page = (Path(__file__).parents[2] / "docs" / "retrospective.md").read_text(encoding="utf-8")
    blocks = [block.split("\n", 1)[1] for block in page.split("```")[1::2] if block.startswith("yaml")]
    return yaml.safe_load(next(block for block in blocks if name in block))


@pytest.mark.proof
@real
def test_the_experiments_of_asos_have_the_effects_of_their_last_checkpoints(loaded, tmp_path):
    done = bring_in(
        loaded, "asos", Path(REAL) / "asos_dev.parquet", mapping=mapped(tmp_path, mapping_of("experiment_id"))
    )
    frame = pd.read_parquet(Path(REAL) / "asos_dev.parquet").sort_values("time_since_start")
    last = frame.groupby(["experiment_id", "variant_id", "metric_id"]).tail(1)
    last = last.set_index(["experiment_id", "variant_id", "metric_id"])
    assert len(done.tests) == last.index.get_level_values(0).nunique() == 38
    seen = 0
    for test in done.tests:
        assert test.shown.sample_ratio.p is None  # nobody published the intended splits
        for effect in test.shown.effects:
            row = last.loc[(test.test.source, int(effect.arm), int(effect.metric))]
            if pd.isna(row.variance_c) or pd.isna(row.variance_t):
                assert effect.problem is not None
                continue
            se = math.sqrt(row.variance_t / row.count_t + row.variance_c / row.count_c)
            estimate = row.mean_t - row.mean_c
            # With millions of users Welch's t is the normal distribution, to more digits than are printed.
            expected = [estimate, estimate - norm.ppf(0.975) * se, estimate + norm.ppf(0.975) * se]
            assert numbers(effect)[:3] == pytest.approx(expected, rel=1e-4, abs=1e-7)
            seen += 1
    assert seen == 194


@pytest.mark.check
@real
@pytest.mark.parametrize("count", [50, pytest.param(200, marks=pytest.mark.proof)])
def test_headline_tests_of_upworthy_have_their_effects_and_broken_arms_are_flagged(loaded, tmp_path, count):
    frame = pd.read_parquet(Path(REAL) / "upworthy_dev.parquet")
    chosen = sorted(frame.clickability_test_id.unique())[:: 2_400 // count][:count]
    frame = frame[frame.clickability_test_id.isin(chosen)]
    frame.to_parquet(tmp_path / "headlines.parquet")
    done = bring_in(
        loaded, "headline", tmp_path / "headlines.parquet", mapping=mapped(tmp_path, mapping_of("impressions"))
    )
    assert len(done.tests) == count
    flagged = {True: [], False: []}
    for test in done.tests:
        rows = frame[frame.clickability_test_id == test.test.source].reset_index(drop=True)
        if len(rows) > 1:
            p = chisquare(rows.impressions).pvalue
            assert test.shown.sample_ratio.p == pytest.approx(p, abs=1e-12)
            flagged[201325 <= rows.test_week[0] <= 201401].append(p < RATIO_P_MIN)
        for effect in test.shown.effects:
            row, control = rows.loc[int(effect.arm) - 1], rows.loc[0]
            treated, untreated = row.clicks / row.impressions, control.clicks / control.impressions
            if effect.problem is None:
                assert effect.estimate == pytest.approx(treated - untreated)
    # The publishers name the weeks in which the randomisation was broken (Matias et al. 2021).
    assert sum(flagged[True]) > 0.4 * len(flagged[True]) > 0
    assert sum(flagged[False]) < 0.05 * len(flagged[False])


def test_a_kept_test_is_listed_by_its_name(loaded, tmp_path):
    assert retrospectives(open_lab(loaded)) == []
    kept(loaded, tmp_path, summed(SPENT), ARMS)
    [found] = retrospectives(open_lab(loaded))
    assert (found.test.name, found.test.source) == ("spring-2025", None)


def test_the_primary_metric_is_the_first_one_of_the_mapping_and_stays_it(loaded, tmp_path):
    frame = pd.DataFrame({"arm": ["Z", "A"], "units": [100, 100], "n": [20, 40], "m": [1.0, 1.1], "v": [2.0, 2.0]})
    said = ARMS | {"control": "Z", "metrics": {
        "visit": {"metric": "visit", "arm": {"units": "units", "count": "n"}},
        "spend": {"metric": "spend", "arm": {"units": "units", "mean": "m", "variance": "v"}},
    }}  # fmt: skip
    [test] = kept(loaded, tmp_path, frame, said)
    [again] = retrospectives(open_lab(loaded))
    for found in (test, again):
        assert [(e.metric, e.part) for e in found.shown.effects] == [("visit", "primary"), ("spend", "secondary")]
        assert [*found.test.units] == ["Z", "A"]
    [insight] = [each for each in insights(open_lab(loaded)) if each.retrospective]
    assert (insight.metric, insight.direction) == ("visit", "rose")


@pytest.mark.parametrize("ids", [("exp_a", "exp_a"), ("exp_AB", "exp_ab")])
def test_two_experiments_of_one_name_are_refused_together(loaded, tmp_path, ids):
    file = tmp_path / "all.json"
    file.write_text(json.dumps([GROWTHBOOK["result"] | {"experimentId": each} for each in ids]))
    with pytest.raises(BadInput, match="two tests of the file would be called page-"):
        bring_in(loaded, "page", file)
    assert retrospectives(open_lab(loaded)) == []


@pytest.mark.parametrize(
    ("arms", "users"), [(["A", ""], ["u1", "u2"]), (["A", "B"], ["u1", " "]), (["A", None], ["u1", "u2"])]
)
def test_a_row_without_its_unit_or_arm_is_named(loaded, tmp_path, arms, users):
    said = ARMS | {"rows": "units", "unit": "user", "metrics": {"spend": {"metric": "spend", "column": "spent"}}}
    frame = pd.DataFrame({"user": users, "arm": arms, "spent": [1, 2]})
    with pytest.raises(BadInput, match="a row names no"):
        kept(loaded, tmp_path, frame, said)


def test_a_test_ends_with_the_last_of_its_days(loaded, tmp_path):
    said = ARMS | {"rows": "units", "unit": "user", "started": "day", "ended": "day",
                   "metrics": {"spend": {"metric": "spend", "column": "spent"}}}  # fmt: skip
    days = [f"2025-01-{n:02}" for n in range(1, 15)]
    frame = pd.DataFrame({"user": range(14), "arm": ["A", "B"] * 7, "spent": range(14), "day": days})
    [test] = kept(loaded, tmp_path, frame, said)
    assert (str(test.test.started), str(test.test.ended)) == ("2025-01-01", "2025-01-14")


@pytest.mark.parametrize(
    "changes", [{"belief": "as ada@example.com said"}, {"control": "ada@example.com"}, {"control": "+49 170 1234567"}]
)
def test_nothing_personal_is_kept(loaded, tmp_path, changes):
    frame = summed({changes.get("control", "A"): SPENT["A"], "B": SPENT["B"]})
    with pytest.raises(BadInput, match="looks like"):
        kept(loaded, tmp_path, frame, ARMS | changes)
    assert retrospectives(open_lab(loaded)) == []


@pytest.mark.parametrize("units", ["nan", "inf", "-1", "1e400"])
def test_numbers_of_units_that_are_none_are_named(loaded, tmp_path, units):
    frame = pd.DataFrame({"arm": ["A", "B"], "units": ["10", units], "sum": [1, 2], "squares": [1, 2]})
    with pytest.raises(BadInput):
        kept(loaded, tmp_path, frame, ARMS)


@pytest.mark.parametrize("content", [[], "one"])
def test_an_export_without_a_comparison_is_refused(loaded, tmp_path, content):
    if content == "one":
        result = json.loads(json.dumps(GROWTHBOOK["result"]))
        for metric in result["results"][0]["metrics"]:
            del metric["variations"][1]
        content = [result]
    file = tmp_path / "exp.json"
    file.write_text(json.dumps(content))
    with pytest.raises(BadInput, match=r"no export of GrowthBook's|one variation only"):
        bring_in(loaded, "page-2025", file)


def test_a_metric_that_was_not_said_to_be_ours_counts_for_no_forecast(loaded, tmp_path):
    own = {"kind": "proportion", "unit": "share of customers", "arm": {"units": "units", "count": "n"}}
    frame = pd.DataFrame({"arm": ["A", "B"], "units": [100, 100], "n": [20, 40]})
    kept(loaded, tmp_path, frame, ARMS | {"metrics": {"visit": own}})
    promise = freeze(loaded, PILOT).promise
    [past] = elsewhere(open_lab(loaded), promise.charter)
    assert past.control("visit", promise.metrics["visit"]) is None


def test_the_forecast_says_of_how_many_nobody_knows_whether_units_were_lost(loaded, tmp_path):
    frame = pd.DataFrame({"arm": ["A", "B"], "units": [5_000, 5_000], "n": [1_000, 1_100]})
    said = ARMS | {
        "weights": "unknown",
        "metrics": {"visit": {"metric": "visit", "arm": {"units": "units", "count": "n"}}},
    }
    kept(loaded, tmp_path, frame, said)
    new(loaded, "autumn-mail")
    [visit] = [each for each in check(loaded, "autumn-mail").forecast.metric_powers if each.metric == "visit"]
    assert visit.baseline.source.endswith("1 retrospective test (of 1 nobody knows whether units were lost)")


def test_no_pilot_hides_behind_a_finished_test(loaded, tmp_path):
    kept(loaded, tmp_path, summed(SPENT), ARMS, name="autumn-mail")
    draft(loaded, PILOT)
    folder = loaded.pilots / "autumn-mail"
    shutil.copytree(loaded.pilots / PILOT, folder)
    charter = folder / "charter.yaml"
    charter.write_text(charter.read_text().replace(f"pilot: {PILOT}", "pilot: autumn-mail"))
    with pytest.raises(Refused, match="there is a retrospective test autumn-mail already"):
        launch(loaded, "autumn-mail")


@pytest.mark.parametrize("weights", [{"A": math.nan, "B": 1.0}, {"A": math.inf, "B": 1.0}, {"A": 0.0, "B": 1.0}])
def test_weights_that_are_none_are_named(loaded, tmp_path, weights):
    with pytest.raises(BadInput, match="`weights` are above zero"):
        kept(loaded, tmp_path, summed(SPENT), ARMS | {"weights": weights})


@pytest.mark.parametrize("changes", [{"units": [1e300, 10]}, {"squares": [1e308, 1e308], "sum": [1e200, 1e200]}])
def test_numbers_beyond_computing_are_named(loaded, tmp_path, changes):
    frame = pd.DataFrame(FINE | {"arm": ["A", "B"], "squares": [2, 2]} | changes)
    with pytest.raises(BadInput):
        kept(loaded, tmp_path, frame, ARMS)
