import pytest

from shared.engines.protocol import EARLY, IN_TWO_ARMS, NOT_ASSIGNED
from shared.experiment.draw import AFTER_THE_END


def test_outcomes_that_keep_their_contract_pass(stage, ask):
    [found] = ask("data_quality", stage.case())
    assert found.outcome == "passed"
    assert found.measured["evaluated"] == found.threshold["evaluated"] > 0
    assert found.measured["rows"] == 400


@pytest.mark.parametrize(("units_min", "outcome"), [(400, "passed"), (401, "unevaluable")])
def test_the_least_number_of_units_is_enough(stage, ask, units_min, outcome):
    [found] = ask("data_quality", stage.case(), units_min=units_min)
    assert (found.outcome, found.threshold["units_min"]) == (outcome, units_min)


def test_a_policy_of_before_calls_it_rows(stage, ask):
    [found] = ask("data_quality", stage.case(), rows_min=401)
    assert (found.outcome, found.threshold["units_min"]) == ("unevaluable", 401)


@pytest.mark.parametrize("rows", ["visit = 1", "unit = 'letter-7'"])
def test_units_count_and_not_rows(stage, ask, rows):
    [found] = ask("data_quality", stage.case(outcomes=f"SELECT * FROM outcomes WHERE {rows}"))
    assert (found.outcome, found.measured["units"]) == ("passed", 400)


def test_the_contract_may_ask_for_more_rows_than_the_policy(stage, ask):
    path = stage.workspace.configs / "contracts" / "outcomes.odcs.yaml"
    path.write_text(path.read_text().replace("mustBeGreaterOrEqualTo: 1", "mustBeGreaterOrEqualTo: 401"))
    [found] = ask("data_quality", stage.case())
    assert (found.outcome, found.threshold["rows_min"]) == ("unevaluable", 401)
    assert "record at least 401 outcomes" in found.remedy


def test_a_broken_rule_fails_and_is_named_with_its_rows(stage, ask):
    [found] = ask("data_quality", stage.case(outcomes="SELECT * REPLACE (-1.0 AS spend) FROM outcomes"))
    assert found.outcome == "failed"
    assert "spend must be at least 0 (400 rows)" in found.reason
    assert found.remedy == "mend the source and run again"


def test_a_missing_column_fails(stage, ask):
    [found] = ask("data_quality", stage.case(outcomes="SELECT * EXCLUDE (conversion) FROM outcomes"))
    assert (found.outcome, "conversion must be there" in found.reason) == ("failed", True)


def test_a_missing_value_fails(stage, ask):
    outcomes = "SELECT * REPLACE (nullif(unit, 'letter-7') AS unit) FROM outcomes"
    [found] = ask("data_quality", stage.case(outcomes=outcomes))
    assert (found.outcome, "unit must not be missing (1 row)" in found.reason) == ("failed", True)


def test_zero_rows_are_unevaluable_although_they_break_no_rule(stage, ask):
    [found] = ask("data_quality", stage.case(outcomes="SELECT * FROM outcomes WHERE false"), units_min=1)
    assert (found.outcome, found.measured["rows"]) == ("unevaluable", 0)


def test_a_contract_that_cannot_be_read_is_unevaluable(stage, ask):
    def alter(folder):
        (folder / "files" / "contracts" / "outcomes.odcs.yaml").write_text("schema: [")

    [found] = ask("data_quality", stage.case(alter=alter))
    assert found.outcome == "unevaluable"


def test_outcomes_that_cannot_be_read_are_unevaluable(stage, ask):
    case = stage.case()
    case.candidate.data.outcomes.write_text("not Parquet")
    [found] = ask("data_quality", case)
    assert found.outcome == "unevaluable"


def held(stage, **reasons):
    return stage.case(conflicts={reason.replace("_", " "): rows for reason, rows in reasons.items()})


# Eight hundred rows were recorded; with nine held back it is 1.11 %, with eight 0.99 %.
@pytest.mark.parametrize(("rows", "outcomes"), [(8, ["passed"]), (9, ["passed", "failed"])])
def test_more_than_a_hundredth_of_the_rows_may_not_be_held_back(stage, ask, rows, outcomes):
    found = ask("data_quality", held(stage, unknown_unit=rows - 1, too_late=1))
    assert [each.outcome for each in found] == outcomes


def test_what_was_held_back_is_named_with_its_share(stage, ask):
    [_, found] = ask("data_quality", held(stage, unknown_unit=150, too_late=50))
    assert (found.measured, found.threshold) == (0.2, 0.01)
    assert found.reason == (
        "20.0 % of the recorded rows were held back, and are missing from the effects: "
        "too late (50); unknown unit (150)"
    )


def test_the_bound_itself_is_not_too_much(stage, ask):
    case = held(stage, unknown_unit=200)
    assert [each.outcome for each in ask("data_quality", case, held_back_frac_max=0.2)] == ["passed"]


@pytest.mark.parametrize("reason", [IN_TWO_ARMS, NOT_ASSIGNED, EARLY])
def test_rows_of_which_another_check_speaks_are_not_counted_again(stage, ask, reason):
    assert [each.outcome for each in ask("data_quality", stage.case(conflicts={reason: 300}))] == ["passed"]


def test_several_broken_rules_are_all_named(stage, ask):
    outcomes = "SELECT * REPLACE (-1.0 AS spend, 7 AS visit) FROM outcomes"
    [found] = ask("data_quality", stage.case(outcomes=outcomes))
    assert "(400 rows); " in found.reason


def test_promises_of_before_are_judged_by_rows(stage, ask):
    [found] = ask("data_quality", stage.case(rules=2, outcomes="SELECT * FROM outcomes WHERE visit = 1"), units_min=81)
    assert (found.outcome, found.measured["rows"]) == ("unevaluable", 80)


@pytest.mark.parametrize(("until", "outcomes"), [(None, ["passed", "failed"]), ("2026-01-22", ["passed"])])
def test_what_happened_after_the_end_is_no_loss_where_late_reports_are_taken(stage, ask, until, outcomes):
    box = {"start": "2026-01-05", "end": "2026-01-19", **({"record_until": until} if until else {})}
    found = ask("data_quality", stage.case(charter={"time_box": box}, conflicts={AFTER_THE_END: 40}))
    assert [each.outcome for each in found] == outcomes
