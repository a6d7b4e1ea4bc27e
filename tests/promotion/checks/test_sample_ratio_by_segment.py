from tests.promotion.cases import Recorded, levels

ZIP = {"segments": ["zip_code"]}
EVEN = levels("CASE WHEN n % 2 = 0 THEN 'Urban' ELSE 'Rural' END")
# 150 of the letter's units are urban, and 50 of the control's: together as large as planned.
SORTED = levels("CASE WHEN n < CASE arm WHEN 'letter' THEN 150 ELSE 50 END THEN 'Urban' ELSE 'Rural' END")


def test_segments_as_planned_pass(stage, ask):
    [found] = ask("sample_ratio_by_segment", stage.case(charter=ZIP, traits=EVEN))
    assert found.outcome == "passed"


def test_a_segment_that_went_into_one_arm_fails_though_the_whole_is_as_planned(stage, ask):
    case = stage.case(charter=ZIP, traits=SORTED)
    [found] = ask("sample_ratio_by_segment", case)
    assert ask("sample_ratio", case)[0].outcome == "passed"
    assert found.outcome == "failed"
    assert set(found.measured) == {"zip_code: Urban", "zip_code: Rural"}


def test_where_no_segment_is_declared_there_is_nothing_to_ask(stage, ask):
    [found] = ask("sample_ratio_by_segment", stage.case())
    assert (found.outcome, found.reason) == ("passed", "not asked: the charter names no segments")


def test_a_declared_segment_that_nobody_knows_is_unevaluable(stage, ask):
    [found] = ask("sample_ratio_by_segment", stage.case(charter=ZIP))
    assert (found.outcome, "zip_code is not known of any unit" in found.reason) == ("unevaluable", True)
    few = {"control": Recorded(units=7), "letter": Recorded(units=7)}
    assert ask("sample_ratio_by_segment", stage.case(charter=ZIP, traits=EVEN, arms=few))[0].outcome == "unevaluable"
