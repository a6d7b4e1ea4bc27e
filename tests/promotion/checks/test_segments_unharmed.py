import pytest

from tests.promotion.cases import levels

ZIP = {"segments": ["zip_code"]}
EVEN = levels("CASE WHEN n % 2 = 0 THEN 'Urban' ELSE 'Rural' END")
# In the country half of the control visits, and of the letter's one in ten; in town all is as it was.
HARM = """SELECT * EXCLUDE (n) REPLACE (CASE WHEN n % 2 = 1 THEN
          CAST(n < CASE WHEN starts_with(unit, 'letter') THEN 20 ELSE 100 END AS BIGINT) ELSE visit END AS visit)
          FROM (SELECT *, CAST(split_part(unit, '-', 2) AS INTEGER) AS n FROM outcomes)"""


def test_segments_that_all_gain_pass(stage, ask):
    [found] = ask("segments_unharmed", stage.case(charter=ZIP, traits=EVEN))
    assert (found.arm, found.outcome) == ("letter", "passed")
    assert found.measured["unknown_frac"] == 0


def test_a_segment_that_is_harmed_fails_and_is_named(stage, ask):
    [found] = ask("segments_unharmed", stage.case(charter=ZIP, traits=EVEN, outcomes=HARM))
    assert (found.arm, found.outcome) == ("letter", "failed")
    assert found.reason.startswith("significantly worse where zip_code is Rural (visit -40")


def test_harm_within_chance_passes(stage, ask):
    case = stage.case(charter=ZIP, traits=EVEN, outcomes=HARM)
    [p] = ask("segments_unharmed", case)[0].measured["least p_adjusted"].values()
    assert [ask("segments_unharmed", case, fdr_max=p * factor)[0].outcome for factor in (1.01, 0.99)] == [
        "failed", "passed",
    ]  # fmt: skip


def test_where_no_segment_is_declared_none_is_harmed(stage, ask):
    [found] = ask("segments_unharmed", stage.case())
    assert (found.outcome, found.reason) == ("passed", "not asked: the charter names no segments")


@pytest.mark.parametrize(("few", "outcome"), [(10, "passed"), (11, "unevaluable")])
def test_a_twentieth_of_the_units_may_be_in_segments_that_say_nothing(stage, ask, few, outcome):
    # The first of either arm all visit, so that nothing varies among them.
    traits = levels(f"CASE WHEN n < {few} THEN 'Island' ELSE 'Mainland' END")
    [found] = ask("segments_unharmed", stage.case(charter=ZIP, traits=traits))
    assert (found.outcome, found.measured["unknown_frac"]) == (outcome, pytest.approx(few / 200))


@pytest.mark.parametrize("traits", [None, levels("'place ' || n")])
def test_a_declared_segment_that_is_none_is_unevaluable(stage, ask, traits):
    [found] = ask("segments_unharmed", stage.case(charter=ZIP, traits=traits))
    assert (found.outcome, found.measured["unknown_frac"]) == ("unevaluable", 1.0)


EVERYWHERE = """SELECT * EXCLUDE (n) REPLACE (CAST(n < CASE WHEN starts_with(unit, 'letter') THEN 20 ELSE 100 END
                AS BIGINT) AS visit) FROM (SELECT *, CAST(split_part(unit, '-', 2) AS INTEGER) AS n FROM outcomes)"""


def test_every_segment_that_is_harmed_is_named(stage, ask):
    [found] = ask("segments_unharmed", stage.case(charter=ZIP, traits=EVEN, outcomes=EVERYWHERE))
    assert found.outcome == "failed"
    assert "); zip_code is Urban (visit -40" in found.reason


def test_harm_at_the_very_level_fails(stage, ask):
    case = stage.case(charter=ZIP, traits=EVEN, outcomes=HARM)
    [p] = ask("segments_unharmed", case)[0].measured["least p_adjusted"].values()
    assert ask("segments_unharmed", case, fdr_max=p)[0].outcome == "failed"


def test_a_level_has_to_tell_of_each_primary_metric(stage, ask):
    # Of the islanders everybody spends the same, so that only their visits can be compared.
    charter = {
        **ZIP,
        "primary": {"metric": "spend", "minimum_effect": 0.1},
        "co_primary": [{"metric": "visit", "minimum_effect": 0.1}],
        "guardrails": [],
    }
    traits = levels("CASE WHEN n % 4 = 0 THEN 'Island' ELSE 'Mainland' END")
    [found] = ask("segments_unharmed", stage.case(charter=charter, traits=traits))
    assert (found.outcome, found.measured["unknown_frac"]) == ("unevaluable", 0.25)


def test_of_many_silent_levels_the_first_five_are_named(stage, ask):
    traits = levels("CASE WHEN n < 7 THEN 'Island ' || n ELSE 'Mainland' END")
    [found] = ask("segments_unharmed", stage.case(charter=ZIP, traits=traits), unknown_frac_max=0.01)
    assert found.outcome == "unevaluable"
    assert found.reason.count("Island") == 5
