from tests.promotion.cases import GOOD, Recorded, levels

ZIP = {"segments": ["zip_code"]}
BY_PLACE = levels("arm || ' place ' || n % 4")


def test_units_drawn_one_by_one_pass(stage, ask):
    [found] = ask("analysis_unit", stage.case(charter=ZIP, traits=levels("'place ' || n % 4")))
    assert (found.outcome, found.measured["chance"]) == ("passed", {"zip_code": 1.0})


def test_places_that_are_in_one_arm_alone_were_what_was_drawn(stage, ask):
    [found] = ask("analysis_unit", stage.case(charter=ZIP, traits=BY_PLACE))
    assert (found.outcome, "cluster: zip_code" in found.remedy) == ("failed", True)
    assert found.measured["chance"]["zip_code"] < 1e-100


def test_a_charter_that_draws_by_the_place_passes(stage, ask):
    traits = f"SELECT unit, zip_code, zip_code AS household FROM ({levels('arm || n // 4')})"
    [found] = ask("analysis_unit", stage.case(charter={"cluster": "household"}, traits=traits))
    assert (found.outcome, found.measured["analysed"]) == ("passed", {"control": 50, "letter": 50})


def test_an_arm_without_anybody_is_unevaluable(stage, ask):
    [found] = ask("analysis_unit", stage.case(arms={**GOOD, "letter": Recorded(units=0)}))
    assert found.outcome == "unevaluable"
