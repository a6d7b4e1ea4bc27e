import hashlib

import duckdb
import pytest

from shared.experiment.assignment import assign
from tests.promotion.cases import ENDS, LAUNCHED

WEIGHTS = {"control": 1, "letter": 1}
# The stage is a rehearsal with a seed: its nonce is the SHA-256 of seed and name, the salt as docs/assignment.md says.
NONCE = hashlib.sha256(b"stage:spring-email").hexdigest()[:32]
SALT = f"pilot:spring-email:{NONCE}"


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


def as_drawn(folder, salt=SALT):
    """Gives every unit the arm that Python's assignment draws; the check uses SQL's."""
    path = folder / "data" / "exposures.parquet"
    rows = duckdb.sql(f"FROM read_parquet('{path}')").to_arrow_table()
    arms = [assign(salt, unit, WEIGHTS) for unit in rows.column("unit").to_pylist()]
    rows = rows.set_column(rows.column_names.index("arm"), "arm", [arms])
    duckdb.execute(f"COPY (FROM rows) TO '{path}' (FORMAT parquet)")


def test_units_in_the_arm_that_was_drawn_pass(stage, ask):
    [found] = ask("units_assigned", stage.case(charter={"assignment": "pilotplant"}, alter=as_drawn))
    assert found.outcome == "passed"


def test_units_sorted_into_arms_by_a_lying_lab_fail(stage, ask):
    """The fixture's units are sorted by their names, which the salted hash knows nothing of."""
    [found] = ask("units_assigned", stage.case(charter={"assignment": "pilotplant"}))
    wrong = sum(assign(SALT, f"{arm}-{number}", WEIGHTS) != arm for arm in WEIGHTS for number in range(200))
    assert (found.outcome, max(found.measured.values())) == ("failed", wrong)


def test_arms_of_another_source_are_its_word(stage, ask):
    [found] = ask("units_assigned", stage.case())
    assert (found.outcome, "source" in found.reason) == ("passed", True)


@pytest.mark.parametrize(("name", "moment"), [("exposures", ENDS), ("outcomes", ENDS), ("outcomes", LAUNCHED)])
def test_a_row_outside_the_time_box_fails(stage, ask, rewrite, name, moment):
    query = f"SELECT * REPLACE (TIMESTAMPTZ '{moment.isoformat()}' AS \"at\") FROM old"
    [found] = ask("units_assigned", stage.case(alter=rewrite(name, query)))
    assert found.outcome == "failed"


def salt_by(seed, name):
    """What draws the arms of that name where the gate's seed is this one."""
    return f"pilot:spring-email:{hashlib.sha256(f'{seed}:{name}'.encode()).hexdigest()[:32]}"


@pytest.mark.parametrize(
    "chosen",
    ["pilot:spring-email", salt_by("stage", "autumn-email"), salt_by("lucky", "spring-email")],
    ids=["by the name alone", "by another name's nonce", "by a nonce that somebody liked better"],
)
def test_arms_drawn_by_what_can_be_chosen_fail(stage, ask, chosen):
    """What could be ground before the gate drew: 12,000 names were tried in 22 seconds."""
    [found] = ask(
        "units_assigned",
        stage.case(charter={"assignment": "pilotplant"}, alter=lambda folder: as_drawn(folder, chosen)),
    )
    wrong = sum(assign(SALT, unit, WEIGHTS) != assign(chosen, unit, WEIGHTS) for unit in UNITS)
    assert (found.outcome, max(found.measured.values())) == ("failed", wrong)


@pytest.mark.parametrize(
    ("name", "value"), [("nonce", "0" * 32), ("promise", "sha256:" + "0" * 64), ("at", "2026-01-01T00:00:00Z")]
)
def test_a_candidate_with_another_registration_than_the_gates_fails(stage, ask, edit, name, value):
    other = edit("registration.json", lambda said: said.update({name: value}))
    [found] = ask("units_assigned", stage.case(alter=other))
    assert (found.outcome, found.measured) == ("failed", {name: value})


def test_a_candidate_that_does_not_say_its_nonce_is_unevaluable(stage, ask):
    [found] = ask("units_assigned", stage.case(alter=lambda folder: (folder / "registration.json").unlink()))
    assert (found.outcome, "does not say by which nonce" in found.reason) == ("unevaluable", True)


def test_a_pilot_that_the_gate_never_drew_for_is_unevaluable(stage, ask):
    [found] = ask("units_assigned", stage.case(registered=None))
    assert (found.outcome, "holds no draw" in found.reason) == ("unevaluable", True)


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


HOUSEHOLDS = {unit: str(number // 4) for number, unit in enumerate(sorted(UNITS))}
CLUSTERED = {"assignment": "pilotplant", "cluster": "household"}


def by_household(
    folder, households=HOUSEHOLDS, traits="SELECT unit, CAST(household AS BIGINT) AS household FROM traits"
):
    """Gives every unit the arm of its household, by Python's assignment, and seals the households beside."""
    path = folder / "data" / "exposures.parquet"
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE traits (unit VARCHAR, household VARCHAR, arm VARCHAR)")
        rows = [(unit, household, assign(SALT, household, WEIGHTS)) for unit, household in households.items()]
        connection.executemany("INSERT INTO traits VALUES (?, ?, ?)", rows)
        connection.execute(f"CREATE TABLE exposures AS FROM read_parquet('{path}')")
        connection.execute(
            f"COPY (SELECT e.* REPLACE (t.arm AS arm) FROM exposures e JOIN traits t USING (unit)) "
            f"TO '{path}' (FORMAT parquet)"
        )
        if traits:
            connection.execute(f"COPY ({traits}) TO '{folder / 'data' / 'traits.parquet'}' (FORMAT parquet)")


def test_units_in_the_arm_of_their_cluster_pass(stage, ask):
    [found] = ask("units_assigned", stage.case(charter=CLUSTERED, alter=by_household))
    assert (found.outcome, max(found.measured.values())) == ("passed", 0)
    assert "the arm that was drawn for their `household`" in found.reason


def test_units_in_the_arm_of_their_own_fail_where_arms_are_drawn_by_cluster(stage, ask):
    def alter(folder):
        by_household(folder)
        as_drawn(folder)

    [found] = ask("units_assigned", stage.case(charter=CLUSTERED, alter=alter))
    wrong = sum(assign(SALT, unit, WEIGHTS) != assign(SALT, HOUSEHOLDS[unit], WEIGHTS) for unit in UNITS)
    told = "exposures in another arm than the salted hash draws for their `household`"
    assert wrong
    assert (found.outcome, found.measured[told]) == ("failed", wrong)


@pytest.mark.parametrize(
    ("traits", "unknown"),
    [
        (None, 400),
        ("SELECT unit, NULL::BIGINT AS household FROM traits", 400),
        ("SELECT unit, household FROM traits WHERE unit <> 'letter-7'", 1),
        ("SELECT unit, household FROM traits UNION ALL SELECT 'letter-7', '0'", 1),
    ],
)
def test_a_unit_whose_cluster_is_not_known_takes_no_part(stage, ask, traits, unknown):
    [found] = ask(
        "units_assigned", stage.case(charter=CLUSTERED, alter=lambda folder: by_household(folder, traits=traits))
    )
    assert (found.outcome, found.measured["exposures of units without a cluster"]) == ("failed", unknown)


def test_clusters_that_cannot_be_read_are_unevaluable(stage, ask):
    [found] = ask(
        "units_assigned",
        stage.case(charter=CLUSTERED, alter=lambda f: by_household(f, traits="SELECT unit FROM traits")),
    )
    assert found.outcome == "unevaluable"


def test_a_cluster_outside_the_pilots_slice_fails_whoever_draws_the_arms(stage, ask):
    charter = {
        "assignment": "source",
        "cluster": "household",
        "layer": {"name": "mail", "start": "0.25", "end": "0.75"},
    }
    [found] = ask("units_assigned", stage.case(charter=charter, alter=by_household))
    outside = sum(not 0.25 <= place("layer:mail", HOUSEHOLDS[unit]) < 0.75 for unit in UNITS)
    told = "exposures of units outside the pilot's slice of its layer"
    assert (found.outcome, found.measured[told]) == ("failed", outside)


@pytest.mark.parametrize("missing", [0, 3])
def test_an_exposure_of_a_unit_that_was_not_eligible_is_found(stage, ask, missing):
    listed = [f"{arm}-{n}" for arm in ("control", "letter") for n in range(200)][missing:]
    charter = stage.charter(eligible="audience.sql").model_dump(mode="json")
    [found] = ask("units_assigned", stage.case(charter=charter, eligible=listed))
    assert found.outcome == ("failed" if missing else "passed")
    assert ("3 exposures of units not eligible" in found.reason) == bool(missing)
