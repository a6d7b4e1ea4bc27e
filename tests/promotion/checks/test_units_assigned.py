import duckdb
import pytest

from shared.assignment import assign, pilot_salt
from tests.promotion.cases import ENDS, LAUNCHED

WEIGHTS = {"control": 1, "letter": 1}


@pytest.fixture
def rewrite():
    """Rewrites one sealed table before it is sealed."""

    def make(name, query):
        def alter(folder):
            path = folder / "data" / f"{name}.parquet"
            duckdb.execute(f"CREATE OR REPLACE TABLE old AS FROM read_parquet('{path}')")
            duckdb.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")

        return alter

    return make


def as_drawn(folder):
    """Gives every unit the arm that Python's assignment draws; the check uses SQL's."""
    path = folder / "data" / "exposures.parquet"
    rows = duckdb.sql(f"FROM read_parquet('{path}')").to_arrow_table()
    arms = [assign(pilot_salt("spring-email"), unit, WEIGHTS) for unit in rows.column("unit").to_pylist()]
    rows = rows.set_column(rows.column_names.index("arm"), "arm", [arms])
    duckdb.execute(f"COPY (FROM rows) TO '{path}' (FORMAT parquet)")


def test_units_in_the_arm_that_was_drawn_pass(stage, ask):
    [found] = ask("units_assigned", stage.case(charter={"assignment": "pilotplant"}, alter=as_drawn))
    assert found.outcome == "passed"


def test_units_sorted_into_arms_by_a_lying_lab_fail(stage, ask):
    """The fixture's units are sorted by their names, which the salted hash knows nothing of."""
    [found] = ask("units_assigned", stage.case(charter={"assignment": "pilotplant"}))
    wrong = sum(
        assign(pilot_salt("spring-email"), f"{arm}-{number}", WEIGHTS) != arm
        for arm in WEIGHTS
        for number in range(200)
    )
    assert (found.outcome, max(found.measured.values())) == ("failed", wrong)


def test_arms_of_another_source_are_its_word(stage, ask):
    [found] = ask("units_assigned", stage.case())
    assert (found.outcome, "source" in found.reason) == ("passed", True)


@pytest.mark.parametrize(("name", "moment"), [("exposures", ENDS), ("outcomes", ENDS), ("outcomes", LAUNCHED)])
def test_a_row_outside_the_time_box_fails(stage, ask, rewrite, name, moment):
    query = f"SELECT * REPLACE (TIMESTAMPTZ '{moment.isoformat()}' AS \"at\") FROM old"
    [found] = ask("units_assigned", stage.case(alter=rewrite(name, query)))
    assert found.outcome == "failed"


def test_no_rows_are_unevaluable(stage, ask):
    [found] = ask("units_assigned", stage.case(arms={}))
    assert found.outcome == "unevaluable"
