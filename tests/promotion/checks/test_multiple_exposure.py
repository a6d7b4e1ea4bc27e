import pytest


# 400 units were exposed, so four of them are exactly the one per cent that is allowed.
@pytest.mark.parametrize(("doubled", "outcome"), [(0, "passed"), (4, "passed"), (5, "failed")])
def test_one_per_cent_in_two_arms_is_the_most(stage, ask, doubled, outcome):
    [found] = ask("multiple_exposure", stage.case(in_two_arms=doubled))
    assert (found.outcome, found.measured, found.threshold) == (outcome, doubled / 400, 0.01)


def test_a_failure_counts_the_units_and_says_what_to_look_for(stage, ask):
    [found] = ask("multiple_exposure", stage.case(in_two_arms=6))
    assert found.reason == "6 units (1.50 %) were seen in two arms"
    assert "does it draw by visit or by device?" in found.remedy  # a case's arms are drawn elsewhere


def test_where_the_gate_drew_the_arms_the_list_is_what_was_not_kept(stage, ask):
    case = stage.case(in_two_arms=6, charter=stage.charter(assignment="pilotplant").model_dump(mode="json"))
    [found] = ask("multiple_exposure", case)
    assert (found.outcome, "look every arm up in the list" in found.remedy) == ("failed", True)


def test_units_that_the_lab_let_through_in_two_arms_are_found_all_the_same(stage, ask):
    def let_through(folder):
        import duckdb

        path = folder / "data" / "exposures.parquet"
        with duckdb.connect() as connection:
            connection.execute(f"CREATE TABLE t AS SELECT * FROM '{path}'")
            connection.execute("INSERT INTO t SELECT 'again' || event_id, unit, 'letter', \"at\" FROM t LIMIT 5")
            connection.execute(f"COPY t TO '{path}' (FORMAT parquet)")

    [found] = ask("multiple_exposure", stage.case(alter=let_through))
    assert (found.outcome, found.measured) == ("failed", 5 / 400)


def test_a_policy_may_ask_for_less(stage, ask):
    [found] = ask("multiple_exposure", stage.case(in_two_arms=4), frac_max=0.005)
    assert found.outcome == "failed"


def test_nobody_is_unevaluable(stage, ask):
    [found] = ask("multiple_exposure", stage.case(arms={}))
    assert (found.outcome, found.remedy) == ("unevaluable", "record exposures")
