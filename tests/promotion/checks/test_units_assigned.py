import hashlib

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


# `docs/assignment.md` in other words: the share of all buckets below a unit's own.
def place(salt, unit):
    return int.from_bytes(hashlib.sha256(f"{salt}:{unit}".encode()).digest()[:8]) / 2**64


UNITS = [f"{arm}-{number}" for arm in WEIGHTS for number in range(200)]


@pytest.mark.parametrize("assignment", ["pilotplant", "source"])
def test_exposures_outside_the_pilots_slice_fail_whoever_draws_the_arms(stage, ask, assignment):
    charter = {"assignment": assignment, "layer": {"name": "mail", "start": "0.25", "end": "0.75"}}
    [found] = ask("units_assigned", stage.case(charter=charter, alter=as_drawn))
    outside = sum(not 0.25 <= place("layer:mail", unit) < 0.75 for unit in UNITS)
    told = "exposures of units outside the pilot's slice of its layer"
    assert (found.outcome, found.measured[told]) == ("failed", outside)


def test_exposures_of_the_holdout_of_the_gates_own_workspace_fail(stage, ask):
    [found] = ask("units_assigned", stage.case(holdout="0.1"))
    held_out = sum(place(f"workspace-holdout:{stage.workspace.id}", unit) < 0.1 for unit in UNITS)
    assert held_out
    assert (found.outcome, found.measured["exposures of units of the workspace's holdout"]) == ("failed", held_out)


def test_units_that_all_take_part_pass(stage, ask, rewrite):
    charter = {"layer": {"name": "mail", "start": "0.25", "end": "0.75"}}
    salts = f"workspace-holdout:{stage.workspace.id}", "layer:mail"
    inside = [u for u in UNITS if place(salts[0], u) >= 0.1 and 0.25 <= place(salts[1], u) < 0.75]
    kept = rewrite("exposures", f"FROM old WHERE unit IN {tuple(inside)}")
    [found] = ask("units_assigned", stage.case(charter=charter, holdout="0.1", alter=kept))
    assert found.outcome == "passed"
    assert max(found.measured.values()) == 0


def test_an_exposure_of_nobody_is_in_no_slice(stage, ask, rewrite):
    charter = {"layer": {"name": "mail"}}
    nobody = rewrite("exposures", "SELECT * REPLACE (CASE WHEN unit <> 'letter-7' THEN unit END AS unit) FROM old")
    [found] = ask("units_assigned", stage.case(charter=charter, alter=nobody))
    assert found.measured["exposures of units outside the pilot's slice of its layer"] == 1
