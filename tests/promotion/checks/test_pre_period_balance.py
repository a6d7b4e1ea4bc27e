"""The arms before the pilot: under the first rules by Welch's test, since the second by drawing them again."""

import numpy as np
import pytest
from scipy.stats import ttest_ind

from tests.promotion.cases import known_before, levels

HISTORY = {"covariates": ["history"]}
ALIKE = levels("n % 7", "history")
APART = levels("n % 7 + CASE arm WHEN 'letter' THEN 1 ELSE 0 END", "history")
P = ttest_ind(np.arange(200) % 7 + 1, np.arange(200) % 7, equal_var=False).pvalue


@pytest.fixture
def found(stage, ask):
    """The one finding on the arms before the pilot, with what is published of their units."""

    def asked(pre_period=None, charter=None, **rule):
        more = {key: rule.pop(key) for key in ("traits", "alter", "arms") if key in rule}
        [one] = ask("pre_period_balance", stage.case(charter=charter, pre_period=pre_period, **more), **rule)
        return one

    return asked


def test_arms_that_were_alike_in_all_that_is_published_pass(found):
    """The arms of the stage are the same to the unit, so that every draw is at least as far apart as they are."""
    one = found()
    assert (one.outcome, one.measured["largest"], one.measured["together"]) == ("passed", 1.0, 1.0)
    # recency, history, two levels of history_segment and of mens, womens, newbie each one; three places: 9 columns.
    assert (one.measured["columns"], one.measured["drawn"]) == (9, 400)


# The fault in a number, in a text, and in what is missing; in columns that no charter names.
APART_BEFORE = {
    "a number": ({"history": "n % 7 + CASE arm WHEN 'letter' THEN 2 ELSE 0 END"}, "letter in history"),
    "a text": ({"zip_code": "CASE WHEN arm = 'letter' AND n < 80 THEN 'Urban' ELSE 'Rural' END"}, "zip_code Urban"),
    "a gap": ({"recency": "CASE WHEN arm = 'letter' AND n < 40 THEN NULL ELSE n % 12 END"}, "recency missing"),
}


@pytest.mark.parametrize(("changes", "where"), APART_BEFORE.values(), ids=APART_BEFORE)
def test_arms_picked_by_a_column_before_the_pilot_fail_though_no_charter_names_it(found, changes, where):
    one = found(known_before(**changes))
    assert one.outcome == "failed"
    assert where in one.measured["where"] or where in one.reason
    assert one.measured["largest"] < 0.0005


def test_arms_that_differ_a_little_in_every_column_fail_all_together(found):
    """No column alone is unusual: each of six has a p near a hundredth, and by chi-square they are one in 1e7."""
    shifted = "n % 7 + CASE WHEN arm = 'letter' AND (n // 7) % 3 = 0 THEN 1.9 ELSE 0 END"
    columns = {
        "history": shifted,
        "recency": "hash(n) % 12 + CASE arm WHEN 'letter' THEN 1 ELSE 0 END",
        "mens": "CAST(hash(n + 1000) % 100 < CASE arm WHEN 'letter' THEN 62 ELSE 48 END AS BIGINT)",
        "womens": "CAST(hash(n + 2000) % 100 < CASE arm WHEN 'letter' THEN 62 ELSE 48 END AS BIGINT)",
        "newbie": "CAST(hash(n + 3000) % 100 < CASE arm WHEN 'letter' THEN 62 ELSE 48 END AS BIGINT)",
    }
    one = found(known_before(**columns))
    assert (one.outcome, one.measured["together"] < 0.0005) == ("failed", True)


def test_a_single_column_fails_that_does_not_show_in_all_together(found):
    """By hand: 0.85 are 4.2 standard errors; in the other columns nothing differs, so that all are no surprise."""
    one = found(known_before(history="n % 7 + CASE arm WHEN 'letter' THEN 0.85 ELSE 0 END"))
    assert (one.outcome, one.measured["where"]) == ("failed", "letter in history")
    assert one.measured["largest"] < 0.0005 < one.measured["together"]


def test_p_above_its_half_of_the_threshold_passes_and_below_it_fails(found):
    changed = known_before(history="n % 7 + CASE arm WHEN 'letter' THEN 0.5 ELSE 0 END")
    p = min(found(changed).measured[name] for name in ("largest", "together"))
    # scipy, by Welch's test of this one column: the largest of nine columns is at most nine times as likely.
    alone = ttest_ind(np.arange(200) % 7 + 0.5, np.arange(200) % 7, equal_var=False).pvalue
    assert alone < p < 9.5 * alone
    assert [found(changed, p_min=2 * p * factor).outcome for factor in (0.99, 1.01)] == ["passed", "failed"]


def test_two_arms_of_households_are_drawn_by_household(stage, ask):
    """Ten households in each arm, each of one history: 0 to 900, and 150 more in the letter's.

    By hand: a difference of 150 where households differ by 287 is 1.2 of their standard errors, and 5.2 of customers'.
    """
    traits = "SELECT unit, CAST(n // 20 AS VARCHAR) || arm AS household FROM units"
    history = "(n // 20) * 100 + CASE arm WHEN 'letter' THEN 150 ELSE 0 END"
    apart = known_before(history=history)

    def case(charter, made=None):
        return stage.case(charter=charter, pre_period=apart, traits=made)

    by_unit = ask("pre_period_balance", case({}))[0]
    sealed = traits.replace("FROM units", f"FROM (SELECT DISTINCT unit, arm, {NUMBER} AS n FROM exposures)")
    by_household = ask(
        "pre_period_balance", case({"pilot": "spring-homes", "cluster": "household"}, sealed), units_per_column=2
    )[0]
    assert (by_unit.measured["drawn"], by_household.measured["drawn"]) == (400, 20)
    assert (by_unit.outcome, by_household.outcome) == ("failed", "passed")
    assert by_household.measured["largest"] > 0.2


NUMBER = "CAST(split_part(unit, '-', 2) AS BIGINT)"


def test_at_most_one_column_for_twenty_customers_is_compared_and_the_others_are_named(found):
    """400 customers have room for 20 columns at 20 each, and for 4 at 100: the first that fit."""
    one = found(units_per_column=100)
    assert one.measured["columns"] == 4
    assert one.measured["left_out"] == ["womens", "zip_code", "newbie"]
    assert "not compared, with so few units: womens, zip_code, newbie" in one.reason


def test_what_the_charter_names_is_compared_first(found):
    charter = {"segments": ["zip_code"]}
    one = found(charter=charter, traits=levels("n % 3"), units_per_column=100)
    assert one.measured["left_out"] == ["history_segment", "history", "mens", "womens", "newbie"]


@pytest.mark.parametrize("lost", ["history", "zip_code", "recency"])
def test_a_published_column_that_is_not_sealed_is_unevaluable(found, lost):
    one = found(f"SELECT * EXCLUDE ({lost}) FROM ({known_before()})")
    assert (one.outcome, f"lacks {lost}" in one.reason) == ("unevaluable", True)


def test_without_what_was_known_before_it_is_unevaluable(found):
    one = found(alter=lambda folder: (folder / "data" / "pre_period.parquet").unlink())
    assert (one.outcome, "is not sealed" in one.reason) == ("unevaluable", True)


def test_a_unit_that_is_in_it_twice_is_unevaluable(found):
    one = found(f"SELECT * FROM ({known_before()}) UNION ALL (FROM ({known_before()}) LIMIT 1)")
    assert (one.outcome, "more than once" in one.reason) == ("unevaluable", True)


def test_units_that_it_does_not_know_count_as_missing(found):
    """Sixty of one arm: whoever drops rows of one arm is seen by what is missing."""
    one = found(f"SELECT * FROM ({known_before()}) WHERE NOT (unit LIKE 'letter-%' AND {NUMBER} < 60)")
    assert (one.outcome, "missing" in one.measured["where"]) == ("failed", True)


def test_nothing_that_varies_is_unevaluable(found):
    one = found("SELECT DISTINCT unit, 1 AS recency, 'a' AS history_segment, 1.0 AS history, 0 AS mens, 0 AS womens, "
                "'Urban' AS zip_code, 0 AS newbie, 'Web' AS channel FROM units")  # fmt: skip
    assert (one.outcome, "nothing published tells them apart" in one.reason) == ("unevaluable", True)


def test_too_few_customers_are_unevaluable(found):
    one = found(units_per_column=1_000)
    assert (one.outcome, "400 units are too few" in one.reason) == ("unevaluable", True)


def test_too_few_draws_to_fail_by_are_no_policy():
    from promotion.gate.checks.sample.pre_period_balance import PrePeriodBalanceRule

    with pytest.raises(ValueError, match="at least 2000 do"):
        PrePeriodBalanceRule(rerandomisations=1_999)


# The first rules.


@pytest.fixture
def first(stage):
    """A case under the first rules, which were sealed without what was known before."""

    def case(**changes):
        return stage.case(rules=1, **changes)

    return case


def test_arms_that_were_alike_pass(first, ask):
    [found] = ask("pre_period_balance", first(charter=HISTORY, traits=ALIKE))
    assert found.outcome == "passed"
    assert found.reason.startswith("the arms were alike in history before the pilot began (least p ")


def test_arms_that_differed_before_fail_by_scipys_p(first, ask):
    [found] = ask("pre_period_balance", first(charter=HISTORY, traits=APART))
    assert found.outcome == "failed"
    assert found.measured == {"letter history": pytest.approx(P, rel=1e-9)}
    assert "a new draw" in found.remedy


def test_p_above_its_threshold_passes_and_below_it_fails(first, ask):
    case = first(charter=HISTORY, traits=APART)
    assert [ask("pre_period_balance", case, p_min=P * factor, rerandomisations=5_000_000)[0].outcome
            for factor in (0.99, 1.01)] == ["passed", "failed"]  # fmt: skip


def test_without_covariates_there_is_nothing_to_ask_unless_the_policy_requires_some(first, ask):
    case = first()
    [found] = ask("pre_period_balance", case)
    assert (found.outcome, found.reason.startswith("not asked")) == ("passed", True)
    assert ask("pre_period_balance", case, required=True)[0].outcome == "unevaluable"


@pytest.mark.parametrize("traits", [levels("1", "history"), None])
def test_a_declared_covariate_that_says_nothing_is_unevaluable(first, ask, traits):
    [found] = ask("pre_period_balance", first(charter=HISTORY, traits=traits))
    assert (found.outcome, "history cannot be compared" in found.reason) == ("unevaluable", True)


@pytest.mark.parametrize(
    "value", ["DATE '9999-12-31'", "9007199254740993 + n", "DATE '1600-01-01' + CAST(n AS INTEGER)"]
)
def test_a_date_or_number_of_any_size_is_compared(found, value):
    """As warehouses write that something never ends."""
    one = found(known_before(recency=f"CASE WHEN n % 2 = 0 THEN {value} ELSE NULL END"))
    assert one.outcome == "passed"


def test_nobody_exposed_is_unevaluable_and_says_so(stage, ask):
    [one] = ask("pre_period_balance", stage.case(exposures="SELECT * FROM exposures WHERE false"))
    assert one.outcome == "unevaluable"
    assert "nobody is in letter, control" in one.reason
