"""Rows in conflict: each is held back with its reason and counted, none is lost, and the evidence leaves them out."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from lab.intake.judgement import Judge
from lab.pilots.assignment import assign, population_sql
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from pilotplant import app
from shared.core.clock import rfc3339
from shared.core.errors import Undecided
from shared.data.contracts import Column
from shared.data.readers import read_raw
from shared.data.tabular import connect
from shared.data.typed import typed_sql
from shared.state.workspace import Workspace
from tests.lab_makers import (
    AFTER,
    CARD,
    ENDS,
    INSIDE,
    PILOT,
    STARTS,
    arm_of,
    by_arm,
    copy_of,
    draft,
    exposures_only,
    outcomes_only,
    results,
    row,
    stage_copy,
    units,
    write_csv,
)

pytestmark = pytest.mark.check


@pytest.fixture
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """A pilot that draws its own arms, an hour before its end."""
    workspace = stage_copy(request, tmp_path / "workspace", "launched")
    workspace.clock.set(INSIDE)
    return workspace


@pytest.fixture
def outside(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    """A pilot of two arms that come from the system that exposes, an hour before its end."""
    workspace = stage_copy(request, tmp_path / "workspace", "loaded")
    draft(workspace, PILOT, ("assignment: pilotplant", "assignment: source"), (CARD, ""))
    said(workspace, "lab", "launch", PILOT)
    workspace.clock.set(INSIDE)
    return workspace


def said(workspace: Workspace, *arguments: str | Path, code: int = 0):
    """What a command says with --json."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        ended = app._exit_code(["--workspace", str(workspace.root), *map(str, arguments), "--json"])
    assert ended == code, printed.getvalue()
    return json.loads(printed.getvalue())


def recorded(workspace: Workspace, folder: Path, rows, name="rows.csv", code: int = 0):
    """Records rows; returns (exposures, outcomes, duplicates, {reason: rows}), after checking that they add up."""
    file = write_csv(folder / name, rows)
    found = said(workspace, "lab", "record", PILOT, file, code=code)
    held = {entry["reason"]: entry["rows"] for entry in found["quarantined"]}
    accepted = found["accepted"]
    sides = 2 if "exposed_at" in rows[0] else 1
    assert accepted["exposures"] + accepted["outcomes"] + found["duplicates"] + sum(held.values()) == sides * len(rows)
    return accepted["exposures"], accepted["outcomes"], found["duplicates"], held


def sample(workspace: Workspace, size: int = 10):
    """A few rows that are as they should be."""
    return [row(f"e{n}", unit, arm_of(unit)) for n, unit in enumerate(units(workspace)[:size])]


def another(arm: str) -> str:
    """An arm of the charter that is not this one."""
    return "card" if arm != "card" else "letter"


def when(**after_start: float) -> str:
    """A moment, counted from the first of the time box."""
    return rfc3339(STARTS + timedelta(**after_start))


EXPOSURES = {
    "unknown unit": {"unit": "u_nobody"},
    "unknown arm": {"arm": "leaflet"},
    "outside the time box": {"at": when(minutes=-1)},
    "in the future": {"at": rfc3339(INSIDE + timedelta(minutes=30))},
    "at is not a timestamp": {"at": "yesterday"},
    "unit is missing": {"unit": None},
    "arm is missing": {"arm": None},
    "event_id is missing": {"event_id": None},
    "at is missing": {"at": None},
}
OUTCOMES = {
    "unknown unit": {"unit": "u_nobody"},
    "outside the time box": {"at": when(days=14)},
    "visit is missing": {"visit": None},
    "spend is missing": {"spend": None},
}


@pytest.mark.parametrize("reason", EXPOSURES)
def test_an_exposure_in_conflict_is_held_back_with_its_reason(running, tmp_path, reason):
    rows = exposures_only(sample(running))
    rows[3] |= EXPOSURES[reason]
    exposures, _, duplicates, held = recorded(running, tmp_path, rows)
    assert (exposures, duplicates, held) == (9, 0, {reason: 1})


@pytest.mark.parametrize("reason", OUTCOMES)
def test_an_outcome_in_conflict_is_held_back_with_its_reason(running, tmp_path, reason):
    rows = outcomes_only(sample(running))
    rows[3] |= OUTCOMES[reason]
    _, outcomes, duplicates, held = recorded(running, tmp_path, rows)
    assert (outcomes, duplicates, held) == (9, 0, {reason: 1})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spend": -0.01}, "spend"),
        ({"visit": 2}, "visit"),
        ({"conversion": -1}, "conversion"),
        ({"visit": "often"}, "visit is not"),
        ({"visit": "0.5"}, "visit is not"),
        ({"spend": "12,50"}, "spend is not"),
    ],
)
def test_an_outcome_that_breaks_its_contract_is_held_back_with_the_rule(running, tmp_path, change, words):
    rows = outcomes_only(sample(running))
    rows[3] |= change
    _, outcomes, _, held = recorded(running, tmp_path, rows)
    assert outcomes == 9
    [(reason, count)] = held.items()
    assert count == 1
    assert reason.startswith(words)


def test_exposures_in_another_arm_than_the_assigned_one_do_not_count(running, tmp_path):
    rows = exposures_only(sample(running))
    for line in rows[:4]:
        line["arm"] = another(line["arm"])
    assert recorded(running, tmp_path, rows) == (6, 0, 0, {"not the arm that was assigned": 4})


def test_exposures_before_the_gates_deposit_do_not_count(request, tmp_path):
    workspace = stage_copy(request, tmp_path / "workspace", "loaded")
    draft(workspace, PILOT, (CARD, ""))
    workspace.clock.set(STARTS + timedelta(hours=12))
    said(workspace, "lab", "launch", PILOT)
    workspace.clock.set(INSIDE)
    pilot = get_pilot(open_lab(workspace), PILOT)
    assert pilot.deposited_at >= STARTS + timedelta(hours=12)
    assign(workspace, PILOT, tmp_path / "arms.csv")
    arms = dict(line.split(",") for line in (tmp_path / "arms.csv").read_text().splitlines()[1:11])
    rows = exposures_only(row(f"e{n}", unit, arm) for n, (unit, arm) in enumerate(arms.items()))
    for line in rows[:3]:
        line["at"] = when(hours=11, minutes=59)
    assert recorded(workspace, tmp_path, rows) == (7, 0, 0, {"before the gate took in the charter": 3})


def test_an_event_said_twice_is_a_duplicate_and_said_otherwise_a_conflict(running, tmp_path):
    rows = exposures_only(sample(running))
    twice = [*rows, dict(rows[0]), rows[1] | {"at": when(days=2)}]
    held = {"event id used again with other content": 1}
    assert recorded(running, tmp_path, twice) == (10, 0, 1, held)
    # The same in a file of its own.
    assert recorded(running, tmp_path, twice[10:], "again.csv") == (0, 0, 1, held)


def test_an_outcome_said_twice_is_a_duplicate_and_said_otherwise_a_conflict(running, tmp_path):
    rows = outcomes_only(sample(running))
    held = {"event id used again with other content": 1}
    assert recorded(running, tmp_path, [*rows, dict(rows[0]), rows[1] | {"spend": 99}]) == (0, 10, 1, held)
    assert recorded(running, tmp_path, [rows[2] | {"visit": 1}, rows[3]], "again.csv") == (0, 0, 1, held)


def test_a_unit_in_two_arms_of_one_file_keeps_none_of_them_in_the_effects(outside, tmp_path):
    members = units(outside)
    rows = exposures_only(row(f"e{n}", unit, ("control", "letter")[n % 2]) for n, unit in enumerate(members))
    rows.append(rows[0] | {"event_id": "again", "arm": "letter"})
    assert recorded(outside, tmp_path, rows) == (600, 0, 0, {"unit in two arms": 1})
    outside.clock.set(AFTER)
    found = said(outside, "lab", "analyse", PILOT)
    assert found["arms"] == {"control": 299, "letter": 300}
    multiple = next(entry for entry in found["health"] if entry["name"] == "multiple_exposure")
    # One of 600 exposed units.
    assert (multiple["units"], multiple["frac"]) == (1, pytest.approx(1 / 600))


def test_a_unit_in_two_arms_of_two_files_is_found_as_well(outside, tmp_path):
    members = units(outside)
    rows = exposures_only(row(f"e{n}", unit, ("control", "letter")[n % 2]) for n, unit in enumerate(members))
    assert recorded(outside, tmp_path, rows)[0] == 600
    moved = [line | {"event_id": f"again-{n}", "arm": "letter"} for n, line in enumerate(rows[:20:2])]
    assert recorded(outside, tmp_path, moved, "moved.csv", code=2) == (0, 0, 0, {"unit in two arms": 10})
    outside.clock.set(AFTER)
    found = said(outside, "lab", "analyse", PILOT)
    assert found["arms"] == {"control": 290, "letter": 300}
    conflicts = next(entry for entry in found["health"] if entry["name"] == "conflicts")
    assert conflicts["rows"] == {"unit in two arms": 10}


def test_a_unit_that_got_its_own_arm_and_another_one_is_in_two_arms(running, tmp_path):
    """Wherever Pilot Plant draws the arms, the second one is held back, and the unit has seen it all the same."""
    content = results(running)
    for line in content:
        line |= {"event_id": line["event_id"] + "-first"}
    assert recorded(running, tmp_path, content)[:2] == (600, 600)
    sizes = {arm: len(members) for arm, members in by_arm(running).items()}
    strayed = [line for line in exposures_only(content) if line["arm"] == "control"][:30]
    strayed = [line | {"event_id": f"second-{n}", "arm": "letter"} for n, line in enumerate(strayed)]
    held = {"not the arm that was assigned": 30}
    assert recorded(running, tmp_path, strayed, "strayed.csv", code=2) == (0, 0, 0, held)
    running.clock.set(AFTER)
    found = said(running, "lab", "analyse", PILOT)
    assert found["arms"] == sizes | {"control": sizes["control"] - 30}
    multiple = next(entry for entry in found["health"] if entry["name"] == "multiple_exposure")
    assert (multiple["units"], multiple["frac"]) == (30, pytest.approx(30 / 600))
    said(running, "lab", "submit", PILOT)
    findings = said(running, "promote", "check", PILOT, code=3)["findings"]
    [finding] = [entry for entry in findings if entry["check"] == "multiple_exposure"]
    assert finding["outcome"] == "failed"


def test_a_file_with_every_conflict_adds_up(running, tmp_path):
    rows = sample(running, 40)
    rows[0] |= {"unit": "u_nobody"}  # neither exposure nor outcome
    rows[1] |= {"arm": "leaflet"}  # no exposure; the outcome stands
    rows[2] |= {"arm": another(rows[2]["arm"])}
    rows[3] |= {"exposed_at": rfc3339(ENDS)}
    rows[4] |= {"at": when(days=-1)}
    rows[5] |= {"spend": -5}
    rows[6] |= {"visit": "x"}
    rows[7] |= {"at": None, "visit": None, "conversion": None, "spend": None}  # an exposure only
    rows += [dict(rows[8]), rows[9] | {"exposed_at": when(days=3), "visit": 1}]
    write_csv(tmp_path / "all.csv", rows)
    found = said(running, "lab", "record", PILOT, tmp_path / "all.csv")
    held = {entry["reason"]: entry["rows"] for entry in found["quarantined"]}
    # 42 exposures less one stranger, two wrong arms, one too late, one said otherwise, one duplicate.
    # 41 outcomes less one stranger, one too early, two breaches, one said otherwise, one duplicate.
    assert found["accepted"] == {"exposures": 36, "outcomes": 35}
    assert found["duplicates"] == 2
    assert sum(held.values()) == 5 + 5
    assert held["unknown unit"] == held["outside the time box"] == held["event id used again with other content"] == 2
    assert held["unknown arm"] == held["not the arm that was assigned"] == 1


def test_rows_that_come_late_and_out_of_order_count_like_those_that_came_in_order(running, tmp_path):
    """The same rows in four files: outcomes before exposures, later days before earlier ones, each file shuffled."""
    content = results(running)
    in_order = copy_of(running, tmp_path / "in-order")
    recorded(in_order, tmp_path, content)
    later = [line for line in content if line["at"] >= when(days=6)]
    earlier = [line for line in content if line["at"] < when(days=6)]
    files = [outcomes_only(later), outcomes_only(earlier), exposures_only(later), exposures_only(earlier)]
    for number, rows in enumerate(files):
        exposures, outcomes, duplicates, held = recorded(running, tmp_path, rows[::-1], f"{number}.csv")
        assert (exposures + outcomes, duplicates, held) == (len(rows), 0, {})
    found = []
    for workspace in (in_order, running):
        workspace.clock.set(AFTER)
        found.append(said(workspace, "lab", "analyse", PILOT))
    assert found[0]["evidence"] == found[1]["evidence"]


def test_an_outcome_before_its_units_first_exposure_is_held_back_whichever_came_in_first(running, tmp_path):
    content = results(running)
    early = {line["event_id"] for line in content[::50]}  # in both arms
    for line in content:
        if line["event_id"] in early:
            line["at"] = when(days=1, hours=8)  # everybody is exposed at nine that day
    swapped = copy_of(running, tmp_path / "swapped")
    exposures, outcomes = exposures_only(content), outcomes_only(content)
    for workspace, files in ((running, (exposures, outcomes)), (swapped, (outcomes, exposures))):
        for number, rows in enumerate(files):
            file = write_csv(tmp_path / f"{workspace.root.name}-{number}.csv", rows)
            found = said(workspace, "lab", "record", PILOT, file)
            assert (found["early_outcomes"], found["quarantined"]) == (12 * number, [])
        workspace.clock.set(AFTER)
        found = said(workspace, "lab", "analyse", PILOT)
        conflicts = next(entry for entry in found["health"] if entry["name"] == "conflicts")
        assert conflicts["rows"] == {"outcome before its unit's first exposure": 12}
        said(workspace, "lab", "submit", PILOT)
        [sealed] = [path for path in (workspace.promotion / "intake").iterdir() if path.name[0] != "."]
        held = duckdb.execute(f"SELECT kind, event_id FROM '{sealed}/data/conflicts.parquet'").fetchall()
        assert set(held) == {("outcomes", event) for event in early}
        [(left,)] = duckdb.execute(f"SELECT count(*) FROM '{sealed}/data/outcomes.parquet'").fetchall()
        assert left == 600 - 12
        # No arm has caused them: they say nothing against the data's quality.
        said(workspace, "factory", "preflight", PILOT)
        findings = said(workspace, "promote", "check", PILOT)["findings"]
        assert [entry["outcome"] for entry in findings if entry["check"] == "data_quality"] == ["passed"]


def test_an_earlier_exposure_that_comes_in_late_brings_its_outcomes_back(running, tmp_path):
    rows = sample(running, 20)
    for line in rows:
        line |= {"at": when(days=1, hours=8), "visit": 1}
    recorded(running, tmp_path, rows)
    assert said(running, "lab", "analyse", PILOT)["interim"]
    interim = exposures_only(rows)[:5]
    for line in interim:
        line |= {"event_id": line["event_id"] + "-first", "at": when(days=1, hours=7)}
    recorded(running, tmp_path, interim, "late.csv")
    running.clock.set(AFTER)
    found = said(running, "lab", "analyse", PILOT)
    conflicts = next(entry for entry in found["health"] if entry["name"] == "conflicts")
    assert conflicts["rows"] == {"outcome before its unit's first exposure": 15}


def test_a_value_that_must_be_unique_and_is_not_is_held_back_in_one_file_and_across_files(running, tmp_path):
    contract = running.configs / "contracts" / "outcomes.odcs.yaml"
    unique = Column("ticket", "string", unique=True)
    rows = [
        {**line, "ticket": f"t{n // 2}" if n < 4 else f"t{n}"} for n, line in enumerate(outcomes_only(sample(running)))
    ]
    assert contract.exists()
    room = open_lab(running)
    pilot = get_pilot(room, PILOT)
    with connect() as connection:
        read_raw(connection, write_csv(tmp_path / "tickets.csv", rows), "raw")
        connection.execute(f"CREATE TEMP VIEW population AS {population_sql(running, pilot)}")
        columns = [*pilot.contract.columns, unique]
        connection.execute(f"CREATE TEMP TABLE known_outcomes AS SELECT {typed_sql(columns, [])}")
        connection.execute("UPDATE known_outcomes SET event_id = 'before', ticket = 't9'")
        judged = Judge(room, pilot, connection).outcomes(columns, "raw", [column.name for column in columns])
        held = connection.execute(judged.conflicts_sql).fetchall()
    assert [(event, reason) for _, event, _, reason, *_ in held] == [
        (f"e{n}", "ticket must be unique") for n in (0, 1, 2, 3, 9)
    ]


def test_a_pattern_that_cannot_be_read_is_a_file_that_cannot_be_judged(running, tmp_path):
    room = open_lab(running)
    pilot = get_pilot(room, PILOT)
    with connect() as connection:
        read_raw(connection, write_csv(tmp_path / "rows.csv", outcomes_only(sample(running))), "raw")
        connection.execute(f"CREATE TEMP VIEW population AS {population_sql(running, pilot)}")
        columns = [
            *pilot.contract.columns[:2],
            Column("at", "timestamp"),
            Column("note", "string", pattern="(?=ahead)"),
        ]
        with pytest.raises(Undecided, match="the rows cannot be judged"):
            Judge(room, pilot, connection).outcomes(
                columns, "(SELECT *, 'x' AS note FROM raw)", ["event_id", "unit", "at", "note"]
            )


def test_what_was_held_back_can_be_looked_at(running, tmp_path):
    rows = exposures_only(sample(running))
    rows[0] |= {"arm": "leaflet"}
    recorded(running, tmp_path, rows)
    found = said(running, "lab", "sql", PILOT, "SELECT kind, event_id, unit, reason FROM conflicts")
    assert found["rows"] == [["exposures", "e0", rows[0]["unit"], "unknown arm"]]


def test_a_file_of_which_nothing_counts_says_why_what_to_do_and_ends_with_two(running, tmp_path, capsys):
    rows = exposures_only(sample(running))
    for line in rows:
        line["arm"] = "leaflet"
    file = write_csv(tmp_path / "rows.csv", rows)
    for again in (False, True):
        capsys.readouterr()
        assert app._exit_code(["--workspace", str(running.root), "lab", "record", PILOT, str(file)]) == 2
        told = capsys.readouterr().out
        assert ("recorded before" in told) == again
        assert "Nothing in rows.csv counts" in told
        assert "Held back 10 rows: unknown arm" in told
        assert f'pilotplant lab sql {PILOT} "SELECT * FROM conflicts LIMIT 10"' in told
        assert "What to do: correct the file" in told
    # What was held back is kept, so that it can be looked at.
    assert len(said(running, "lab", "sql", PILOT, "SELECT * FROM conflicts")["rows"]) == 10
