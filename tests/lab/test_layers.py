"""Layers and the workspace's holdout: who takes no part is in no file, in no evidence, and in no lie to the gate."""

from __future__ import annotations

import csv
from decimal import Decimal
from fractions import Fraction

import duckdb
import pytest

from factory.warehouse.snapshots import publish
from lab.charters.drafts import check
from lab.intake.intake import record
from lab.launch.amendment import amend
from lab.launch.launch import end, launch
from lab.pilots.assignment import assign
from lab.pilots.layers import free_slices
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from shared.core.errors import Refused
from shared.data.snapshot import latest_snapshot
from shared.experiment.assignment import within
from shared.experiment.charter import Layer
from tests.lab_makers import (
    CARD,
    INSIDE,
    PILOT,
    STARTS,
    draft,
    exposures_only,
    row,
    units,
    write_csv,
)

SMALL = ("units_per_arm: 150", "units_per_arm: 20")


def layered(start, end, name="mail"):
    return (
        "assignment: pilotplant",
        f"layer: {{name: {name}, start: {start}, end: {end}}}\nassignment: pilotplant",
    )


def open_pilot(workspace, name, *changes):
    draft(workspace, name, (CARD, ""), SMALL, *changes)
    return launch(workspace, name).pilot


def with_holdout(workspace, share="0.2"):
    settings = workspace.configs / "factory.yaml"
    settings.write_text(settings.read_text().replace("holdout_frac: 0\n", f"holdout_frac: {share}\n"))
    publish(workspace)


def in_slice(unit, start, end, layer="mail"):
    return within(f"layer:{layer}", unit, Fraction(start), Fraction(end))


def in_holdout(workspace, unit, share="0.2"):
    return within(f"workspace-holdout:{workspace.id}", unit, Fraction(0), Fraction(share))


def assigned(workspace, name, folder):
    out = folder / f"{name}.csv"
    done = assign(workspace, name, out)
    with out.open() as stream:
        return done, {line["unit"]: line["arm"] for line in csv.DictReader(stream)}


def test_two_pilots_with_slices_apart_share_no_unit_and_leave_none_out(loaded, tmp_path):
    open_pilot(loaded, "one", layered(0, "0.5"))
    open_pilot(loaded, "two", layered("0.5", 1))
    (one, first), (two, second) = (assigned(loaded, name, tmp_path) for name in ("one", "two"))
    everybody = units(loaded)
    assert list(first) == [unit for unit in everybody if in_slice(unit, 0, "0.5")]
    assert list(second) == [unit for unit in everybody if not in_slice(unit, 0, "0.5")]
    assert one.left_out == {"outside the pilot's slice of its layer": len(second)}
    assert two.left_out == {"outside the pilot's slice of its layer": len(first)}


def test_one_unit_from_python_gets_what_the_batch_says_of_all(loaded, tmp_path):
    with_holdout(loaded)
    pilot = open_pilot(loaded, "one", layered("0.25", "0.75"))
    _, batch = assigned(loaded, "one", tmp_path)
    assert {unit: arm for unit in units(loaded) if (arm := pilot.draw(loaded).arm(unit))} == batch


def test_named_units_outside_are_left_out_and_counted(loaded, tmp_path):
    open_pilot(loaded, "one", layered(0, "0.5"))
    chosen = units(loaded)[:40]
    outside = sum(not in_slice(unit, 0, "0.5") for unit in chosen)
    done = assign(
        loaded, "one", tmp_path / "arms.parquet", write_csv(tmp_path / "u.csv", [{"unit": u} for u in chosen])
    )
    assert (done.units, done.left_out) == (40 - outside, {"outside the pilot's slice of its layer": outside})
    assert len(duckdb.execute(f"FROM '{tmp_path / 'arms.parquet'}'").fetchall()) == 40 - outside


def test_a_slice_that_an_open_pilot_holds_is_refused_with_those_that_are_free(loaded):
    open_pilot(loaded, "one", layered("0.25", "0.5"))
    draft(loaded, "two", (CARD, ""), SMALL, layered("0.4", "0.6"))
    with pytest.raises(Refused) as caught:
        launch(loaded, "two")
    [problem] = check(loaded, "two").problems
    assert str(problem) == str(caught.value)
    assert problem.what == "the slice 0.4 to 0.6 of layer `mail` overlaps 0.25 to 0.5 of pilot one (until 2026-01-19)"
    assert problem.expected == "free then: 0 to 0.25, 0.5 to 1"


def test_a_slice_is_free_again_once_its_pilot_was_closed(loaded):
    open_pilot(loaded, "one", layered(0, 1))
    draft(
        loaded,
        "two",
        (CARD, ""),
        SMALL,
        layered(0, 1),
        ("2026-01-05", "2026-01-12"),
        ("end: 2026-01-19", "end: 2026-01-26"),
    )
    [problem] = check(loaded, "two").problems
    assert problem.expected == "free then: nothing before 2026-01-19"
    loaded.clock.set(STARTS.replace(day=7))
    end(loaded, "one", "the printer broke")
    assert check(loaded, "two").problems == []


def test_another_layer_or_a_later_time_box_is_no_overlap(loaded):
    open_pilot(loaded, "one", layered(0, 1))
    draft(loaded, "page", (CARD, ""), SMALL, layered(0, 1, name="page"))
    draft(
        loaded, "later", (CARD, ""), SMALL, layered(0, 1),
        ("time_box: {start: 2026-01-05, end: 2026-01-19}", "time_box: {start: 2026-01-19, end: 2026-02-02}"),
        ("decide_by: 2026-01-26", "decide_by: 2026-02-09"),
    )  # fmt: skip
    assert [check(loaded, name).problems for name in ("page", "later")] == [[], []]


def test_a_pilot_is_not_made_longer_into_a_slice_that_another_takes_then(loaded, tmp_path):
    at_any_time = ("units_per_arm: 20", "units_per_arm: 20, looks: {method: always_valid}")
    first = (CARD, ""), SMALL, at_any_time, layered(0, "0.5")
    pilot = open_pilot(loaded, "one", at_any_time, layered(0, "0.5"))
    later = (
        ("time_box: {start: 2026-01-05, end: 2026-01-19}", "time_box: {start: 2026-01-19, end: 2026-02-02}"),
        ("decide_by: 2026-01-26", "decide_by: 2026-02-09"),
    )
    open_pilot(loaded, "two", layered(0, "0.5"), *later)
    loaded.clock.set(INSIDE)
    unit = next(unit for unit in units(loaded) if pilot.draw(loaded).arm(unit))
    exposure = row("e1", unit, pilot.draw(loaded).arm(unit), exposed_at="2026-01-06T09:00:00Z")
    record(loaded, "one", write_csv(tmp_path / "one.csv", exposures_only([exposure])))
    longer = [("end: 2026-01-19", "end: 2026-01-26"), ("decide_by: 2026-01-26", "decide_by: 2026-02-02")]
    draft(loaded, "one", *first, *longer)
    with pytest.raises(Refused, match=r"overlaps 0 to 0\.5 of pilot two"):
        amend(loaded, "one", "the letters came back late")


@pytest.mark.parametrize(
    ("mine", "clashes"),
    [((), True), ((layered(0, "0.5", name="page"),), True), ((layered("0.5", 1),), False)],
    ids=["without a layer", "in another layer", "in a slice apart"],
)
def test_check_names_the_running_pilots_that_may_touch_the_same_units(loaded, mine, clashes):
    open_pilot(loaded, "one", layered(0, "0.5"))
    draft(loaded, "two", (CARD, ""), SMALL, *mine)
    found = check(loaded, "two").forecast.clashes
    assert [clash.startswith("pilot one runs on `customers` until 2026-01-19") for clash in found] == [True] * clashes


@pytest.mark.parametrize(
    ("taken", "free"),
    [
        ([], [("0", "1")]),
        ([("0", "1")], []),
        ([("0.5", "0.75"), ("0.1", "0.2")], [("0", "0.1"), ("0.2", "0.5"), ("0.75", "1")]),
        ([("0.1", "0.9"), ("0.2", "0.3"), ("0.9", "1")], [("0", "0.1")]),
    ],
)
def test_what_is_left_of_a_layer(taken, free):
    found = free_slices([Layer(name="mail", start=start, end=end) for start, end in taken])
    assert found == [(Decimal(start), Decimal(end)) for start, end in free]


def test_the_plan_counts_only_those_who_take_part(loaded):
    with_holdout(loaded)
    draft(loaded, PILOT, (CARD, ""), layered(0, "0.5"))
    found = check(loaded, PILOT)
    # 600 customers, four fifths of them outside the holdout, half of those in the slice; two equal arms.
    said = found.forecast_json()
    assert (said["taking_part"], said["units_per_arm"]) == (240, {"control": 120, "letter": 120})
    [problem] = found.problems
    assert problem.what == "the plan needs 150 units per arm, and the smallest can get 120"


def test_the_promise_keeps_the_holdout_of_its_snapshot(loaded, tmp_path):
    with_holdout(loaded)
    pilot = open_pilot(loaded, "one")
    settings = loaded.configs / "factory.yaml"
    settings.write_text(settings.read_text().replace("holdout_frac: 0.2\n", "holdout_frac: 0.3\n"))
    publish(loaded)
    assert (latest_snapshot(loaded).manifest.holdout_frac, pilot.promise.holdout_frac) == (
        Decimal("0.3"),
        Decimal("0.2"),
    )
    done, arms = assigned(loaded, "one", tmp_path)
    assert list(arms) == [unit for unit in units(loaded) if not in_holdout(loaded, unit)]
    assert done.left_out == {"of the workspace's holdout": 600 - len(arms)}


@pytest.mark.parametrize("assignment", ["pilotplant", "source"])
def test_exposures_of_units_that_take_no_part_are_held_back(loaded, tmp_path, assignment):
    with_holdout(loaded)
    changes = [layered(0, "0.5")] + ([("assignment: pilotplant", "assignment: source")] * (assignment == "source"))
    pilot = open_pilot(loaded, "one", *changes)
    loaded.clock.set(INSIDE)
    arms = {unit: pilot.draw(loaded).arm(unit) for unit in units(loaded)}
    rows = [row(f"e{n}", unit, arm or "letter") for n, (unit, arm) in enumerate(arms.items())]
    held = [unit for unit in arms if in_holdout(loaded, unit)]
    outside = [unit for unit in arms if unit not in held and not in_slice(unit, 0, "0.5")]
    done = record(loaded, "one", write_csv(tmp_path / "exposures.csv", exposures_only(rows)))
    assert done.exposures == 600 - len(held) - len(outside)
    assert done.conflicts == {
        "of the workspace's holdout": len(held),
        "outside the pilot's slice of its layer": len(outside),
    }


def test_launching_again_under_the_same_promise_does_nothing(loaded):
    with_holdout(loaded)
    open_pilot(loaded, "one", layered(0, "0.5"))
    assert launch(loaded, "one").repeated
    assert get_pilot(open_lab(loaded), "one").charter.layer == Layer(name="mail", start="0", end="0.5")
