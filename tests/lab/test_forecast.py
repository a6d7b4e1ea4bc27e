"""The forecast: what a draft is told of itself comes from somewhere, or is not said."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

import duckdb
import pytest

from lab.analysis.analysis import analyse
from lab.charters.drafts import check
from lab.forecast.forecast import _prior, forecast
from lab.forecast.past_pilots import past_pilots
from lab.forecast.text import lines, metric_rows
from lab.intake.intake import record
from lab.launch.launch import launch
from lab.pilots.layers import clashes
from lab.pilots.promise import freeze
from lab.state import open_lab
from pilotplant import app
from shared.core.errors import BadInput
from shared.core.jsonable import jsonable
from shared.data.snapshot import LiveRelease
from shared.stats.prior import PILOTS_MIN
from tests.lab_makers import (
    AFTER,
    CARD,
    DEADLINE,
    ENDS,
    INSIDE,
    PILOT,
    by_arm,
    draft,
    results,
    write_csv,
)

NEXT = "summer-mail"
LATER = [("2026-01-05", "2026-02-02"), ("2026-01-19", "2026-02-16"), ("2026-01-26", "2026-02-23")]
ASSUME = ("sample: {", "sample: {assume: {visit: {mean: 0.2}, spend: {mean: 5, sd: 20}, conversion: {mean: 0.1}}, ")


def foretold(workspace, name=PILOT):
    return jsonable(check(workspace, name).forecast)


def metric(found, name):
    return next(entry for entry in found["metrics"] if entry["metric"] == name)


def history(workspace, **columns):
    """Names the history of metrics in the catalogue."""
    path = workspace.configs / "metrics.yaml"
    text = path.read_text()
    for name, column in columns.items():
        text = text.replace(f"    column: {name}\n", f"    column: {name}\n    history: {column}\n")
    path.write_text(text)


def test_without_history_nothing_is_made_up(loaded):
    found = foretold(loaded)
    assert found["chances"] is None
    assert [metric(found, name)["mean"] for name in ("visit", "spend", "conversion")] == [None] * 3
    say = "say what you assume: `assume: {visit: {mean: …}}` under `sample`"
    late = ". Until then its numbers in the charter are first checked by the gate, when nothing can be changed"
    assert found["cannot_be_forecast"] == [
        f"`visit` cannot be forecast: no history of `visit`; {say}{late}",
        "`spend` cannot be forecast: no history of `spend`; "
        "say what you assume: `assume: {spend: {mean: …, sd: …}}` under `sample`" + late,
        "`conversion` cannot be forecast: no history of `conversion`; "
        "say what you assume: `assume: {conversion: {mean: …}}` under `sample`",
        "costs cannot be forecast: no past pilot of `customers` has recorded any",
    ]
    assert check(loaded, PILOT).plot is None


def test_the_charters_assumption_comes_first(submitted):
    submitted.clock.set(AFTER)
    draft(submitted, NEXT, *LATER, ASSUME)
    visit = metric(foretold(submitted, NEXT), "visit")
    assert (visit["mean"], visit["sd"], visit["source"]) == (0.2, pytest.approx(0.4), "the charter's assumption")


def test_a_past_pilots_control_arm_comes_before_the_snapshots_history(submitted):
    submitted.clock.set(AFTER)
    draft(submitted, NEXT, *LATER)
    control = by_arm(submitted)["control"]
    visit = metric(foretold(submitted, NEXT), "visit")
    # Every tenth unit of the control visits.
    assert visit["mean"] == pytest.approx(-(-len(control) // 10) / len(control))
    assert visit["source"] == "control units of 1 past pilot"


def test_past_pilots_of_another_length_say_so(submitted):
    submitted.clock.set(AFTER)
    draft(submitted, NEXT, ("2026-01-05", "2026-02-02"), ("2026-01-19", "2026-02-09"), LATER[2])
    assert metric(foretold(submitted, NEXT), "visit")["source"] == "control units of 1 past pilot, over 14 days"


def test_a_metric_that_was_defined_otherwise_then_is_no_precedent(submitted):
    submitted.clock.set(AFTER)
    draft(submitted, NEXT, *LATER)
    path = submitted.configs / "metrics.yaml"
    path.write_text(path.read_text().replace("column: visit", "column: conversion"))
    assert "no history of `visit`" in metric(foretold(submitted, NEXT), "visit")["problem"]


def test_the_snapshots_history_is_read_where_the_catalogue_names_it(loaded):
    history(loaded, spend="history")
    spend = metric(foretold(loaded), "spend")
    table = freeze(loaded, PILOT).snapshot.table("customers")
    [(mean, sd)] = duckdb.execute(f"SELECT avg(history), stddev_samp(history) FROM '{table}'").fetchall()
    assert (spend["mean"], spend["sd"]) == (pytest.approx(mean), pytest.approx(sd))
    assert spend["source"] == "`history` of 600 rows of table `customers`"


def test_a_history_that_the_snapshot_does_not_publish_as_a_number_is_none(loaded):
    history(loaded, visit="zip_code")
    problem = metric(foretold(loaded), "visit")["problem"]
    assert problem.startswith("table `customers` publishes no number `zip_code` as history of `visit`")


def test_a_history_with_gaps_is_none(loaded):
    # The stage's customers have no `mens`, which the contract lets be missing.
    history(loaded, visit="mens")
    problem = metric(foretold(loaded), "visit")["problem"]
    assert problem.startswith("`mens` of table `customers` lacks 600 of 600 values")


@pytest.mark.parametrize(
    ("assume", "told"),
    [
        ("visit: {mean: 10}", "`assume` of `visit` is not a share"),
        ("visit: {mean: 0.1, sd: 0.3}", "`assume` of `visit` is not a share"),
        ("spend: {mean: 10}", "`assume` of `spend` lacks `sd`"),
        ("clicks: {mean: 0.1}", "`assume` names `clicks`, which is neither primary, guardrail nor secondary"),
    ],
)
def test_an_assumption_that_cannot_be_is_bad_input(loaded, assume, told):
    draft(loaded, PILOT, ("sample: {", f"sample: {{assume: {{{assume}}}, "))
    with pytest.raises(BadInput) as caught:
        check(loaded, PILOT)
    assert told in str(caught.value)


def test_numbers_are_those_of_the_plan(loaded):
    draft(loaded, PILOT, ASSUME, (CARD, ""))
    found = foretold(loaded)
    visit, spend = metric(found, "visit"), metric(found, "spend")
    # By hand, normal: se = sqrt(.16/300 + .25*.75/300) = .0340, so the power for .05 is P(z > 1.96 - 1.47) = .312.
    assert visit["power"] == pytest.approx(0.312, abs=0.005)
    # With one guardrail each test misses one time in ten, so that both succeed four times in five:
    # (1.96 + 1.2816)^2 * (.16 + .1875) / .05^2 = 1,461.
    assert visit["units_needed"] == pytest.approx(1_461, abs=2)
    # se = 20 * sqrt(2/300) = 1.633; P(z > 1.645 - 0.9/1.633) = .137.
    assert spend["power"] == pytest.approx(0.137, abs=0.005)
    chances = found["chances"]
    assert sum(chances["expected"].values()) == pytest.approx(1)
    assert chances["prior"] == {"mean": 0.0, "sd": 0.05, "df": None, "pilots": 0}
    assert chances["no_effect"]["scale"] < chances["expected"]["scale"] < 1


RAIL = "guardrails:\n  - {metric: spend, margin: -0.9}\n"


@pytest.mark.parametrize(
    ("changes", "each", "units", "said"),
    [
        # One guardrail: each test misses one time in ten, so that both succeed four times in five.
        ((), "90 %", 1_461,
         "Units needed: for a primary metric and the guardrail to succeed together with the planned power of 80 %, "
         "each test needs 90 %."),
        # Two: one time in fifteen. (1.96 + 1.5011)^2 * (.16 + .1875) / .05^2.
        (((RAIL, RAIL + "  - {metric: conversion, margin: -0.2}\n"), ("[conversion]", "[]")), "93 %", 1_665,
         "Units needed: for a primary metric and the 2 guardrails to succeed together with the planned power of 80 %, "
         "each test needs 93 %."),
        # A plan of 90 % misses one time in twenty. (1.96 + 1.6449)^2 * (.16 + .1875) / .05^2.
        ((("sample: {", "sample: {power: 0.9, "),), "95 %", 1_806,
         "Units needed: for a primary metric and the guardrail to succeed together with the planned power of 90 %, "
         "each test needs 95 %."),
        # Without a guardrail the test has the planned power itself. (1.96 + 0.8416)^2 * (.16 + .1875) / .05^2.
        (((RAIL, ""), ("[conversion]", "[conversion, spend]")), "80 %", 1_091, None),
    ],
)  # fmt: skip
def test_units_needed_are_told_with_the_power_that_they_are_for(loaded, changes, each, units, said):
    draft(loaded, PILOT, ASSUME, (CARD, ""), *changes)
    found = check(loaded, PILOT)
    [needed] = [row[-1] for row in metric_rows(found.forecast, found.metrics) if row[0] == "visit"]
    number, _, power = needed.partition(" for ")
    assert (int(number.replace(",", "")), power) == (pytest.approx(units, abs=3), each)
    assert [line for line in lines(found.forecast, found.metrics) if line.startswith("Units needed")] == (
        [said] if said else []
    )


@pytest.mark.check
def test_the_same_charter_gives_the_same_forecast_and_plot_and_another_one_another(loaded):
    draft(loaded, PILOT, ASSUME)
    first = check(loaded, PILOT)
    plot = first.plot.read_bytes()
    again = check(loaded, PILOT)
    assert again.forecast_json() == first.forecast_json()
    assert again.plot.read_bytes() == plot
    draft(loaded, PILOT, ASSUME, ("minimum_effect: 0.05", "minimum_effect: 0.051"))
    assert check(loaded, PILOT).forecast_json()["chances"] != first.forecast_json()["chances"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("population: customers", "population: customers\ncluster: zip_code"), "for arms by cluster (`zip_code`)"),
    ],
)
def test_a_plan_that_the_simulation_does_not_know_has_no_chances(loaded, change, told):
    draft(loaded, PILOT, ASSUME, change)
    found = foretold(loaded)
    assert found["chances"] is None
    assert any(told in reason for reason in found["cannot_be_forecast"])


def test_looks_have_chances_and_need_more_units(loaded):
    draft(loaded, PILOT, ASSUME, (CARD, ""))
    one = foretold(loaded)
    agreed = "looks: {method: group_sequential, at: [0.2, 0.4, 0.6, 0.8, 1], spending: pocock}, units_per_arm"
    draft(loaded, PILOT, ASSUME, (CARD, ""), ("units_per_arm", agreed))
    five = foretold(loaded)
    assert sum(five["chances"]["expected"].values()) == pytest.approx(1)
    # Jennison and Turnbull 2000, table 2.2: Pocock's five looks at .05 and power .9 take 1.207 times the units.
    ratio = metric(five, "visit")["units_needed"] / metric(one, "visit")["units_needed"]
    assert ratio == pytest.approx(1.207, abs=0.02)
    assert metric(five, "visit")["power"] < metric(one, "visit")["power"]


def test_of_looks_at_any_time_only_the_end_is_forecast_and_that_is_said(loaded):
    draft(loaded, PILOT, ASSUME, (CARD, ""), ("units_per_arm", "looks: {method: always_valid}, units_per_arm"))
    found = foretold(loaded)
    # 300 units per arm are fewer than a sequence begins with.
    expected = found["chances"]["expected"]
    assert expected["undecided"] + expected["too_few_units"] == pytest.approx(1)
    assert metric(found, "visit")["power"] == 0
    assert any("looks before the end" in reason for reason in found["cannot_be_forecast"])


def test_the_plot_lies_in_the_lab_and_leaves_the_draft_as_it_was(loaded):
    draft(loaded, PILOT, ASSUME)
    before = sorted(loaded.pilots.rglob("*"))
    found = check(loaded, PILOT)
    assert found.plot == loaded.lab / "forecasts" / f"{PILOT}.svg"
    assert found.plot.read_text().count("<svg") == 1
    assert sorted(loaded.pilots.rglob("*")) == before


def test_a_plot_that_no_longer_holds_is_removed(loaded):
    draft(loaded, PILOT, ASSUME)
    plot = check(loaded, PILOT).plot
    draft(loaded, PILOT)
    assert check(loaded, PILOT).plot is None
    assert not plot.exists()


def test_units_come_as_fast_as_they_did_and_cost_what_they_did(submitted):
    submitted.clock.set(AFTER)
    draft(submitted, NEXT, *LATER)
    found = foretold(submitted, NEXT)
    # 600 units on one day, for 40 dollars.
    assert found["units_per_day"] == 600
    assert found["cost"]["expected"] == {"amount": "40.00", "currency": "USD"}
    assert found["cost"]["pilots"] == 1
    # For five points 845 units per arm are needed, and there are 200.
    assert found["days_needed"] is None
    draft(submitted, NEXT, *LATER, ("minimum_effect: 0.05", "minimum_effect: 0.3"))
    assert foretold(submitted, NEXT)["days_needed"] == 7


def test_units_come_until_the_enrolment_ends_and_the_days_after_it_are_needed_as_well(submitted):
    submitted.clock.set(AFTER)
    draft(submitted, NEXT, *LATER, ("minimum_effect: 0.05", "minimum_effect: 0.3"))
    whole = foretold(submitted, NEXT)
    enrolling = ("time_box: {", "time_box: {enrol_until: 2026-02-03, ")
    draft(submitted, NEXT, *LATER, ("minimum_effect: 0.05", "minimum_effect: 0.3"), enrolling)
    found = foretold(submitted, NEXT)
    # 600 units came on a day, which is everybody; a week is needed for them, and the rest of the box for watching.
    assert found["units_per_arm"] == whole["units_per_arm"]
    assert found["days_needed"] == (date(2026, 2, 16) - date(2026, 2, 2)).days


def test_a_pilot_whose_arms_are_not_as_planned_is_no_precedent(launched, tmp_path):
    launched.clock.set(INSIDE)
    rows = [line for n, line in enumerate(results(launched)) if line["arm"] != "control" or n % 2]
    record(launched, PILOT, write_csv(tmp_path / "rows.csv", rows))
    launched.clock.set(AFTER)
    analyse(launched, PILOT)
    draft(launched, NEXT, *LATER)
    found = foretold(launched, NEXT)
    assert (metric(found, "visit")["mean"], found["units_per_day"], found["cost"]) == (None, None, None)


def test_a_damaged_analysis_is_no_precedent(submitted):
    submitted.clock.set(AFTER)
    [evidence] = (submitted.lab / "pilots" / PILOT / "analyses").glob("*/evidence.json")
    evidence.write_text("{")
    draft(submitted, NEXT, *LATER)
    assert metric(foretold(submitted, NEXT), "visit")["mean"] is None


def test_a_running_pilot_of_the_same_units_is_a_clash(launched):
    draft(launched, NEXT)
    [clash] = foretold(launched, NEXT)["clashes"]
    assert clash.startswith(f"pilot {PILOT} runs on `customers` until 2026-01-19, and the two may share units")


def test_slices_of_one_layer_that_lie_apart_do_not_clash(loaded):
    def slice_of(start, end):
        return ("population: customers", f"population: customers\nlayer: {{name: mail, start: {start}, end: {end}}}")

    small = ("units_per_arm: 150", "units_per_arm: 50")
    draft(loaded, PILOT, slice_of(0, 0.5), small)
    launch(loaded, PILOT)
    draft(loaded, NEXT, slice_of(0.5, 1), small)
    assert foretold(loaded, NEXT)["clashes"] == []
    draft(loaded, NEXT, slice_of(0.4, 1), small)
    assert len(foretold(loaded, NEXT)["clashes"]) == 1


def test_a_pilot_at_another_time_or_over_does_not_clash(launched):
    draft(launched, NEXT, *LATER)
    assert foretold(launched, NEXT)["clashes"] == []
    launched.clock.set(ENDS + timedelta(minutes=1))
    draft(launched, NEXT)
    assert foretold(launched, NEXT)["clashes"] == []


def test_synthetic_units_clash_with_nobody_and_teach_only_synthetic_pilots(loaded, tmp_path):
    synthetic = ("population: customers", "population: customers\nsynthetic: true")
    draft(loaded, PILOT, synthetic)
    launch(loaded, PILOT)
    draft(loaded, NEXT)
    assert foretold(loaded, NEXT)["clashes"] == []
    loaded.clock.set(INSIDE)
    record(loaded, PILOT, write_csv(tmp_path / "rows.csv", results(loaded)))
    loaded.clock.set(AFTER)
    analyse(loaded, PILOT)
    draft(loaded, NEXT, *LATER)
    assert metric(foretold(loaded, NEXT), "visit")["mean"] is None
    draft(loaded, NEXT, *LATER, synthetic)
    assert metric(foretold(loaded, NEXT), "visit")["mean"] is not None


def test_live_releases_of_the_same_customers_are_told(launched):
    frozen = freeze(launched, PILOT)
    releases = tuple(LiveRelease(name=f"{p}-letter", pilot=p, arm="letter") for p in (PILOT, "unknown"))
    snapshot = frozen.snapshot
    manifest = snapshot.manifest.model_copy(update={"releases": releases})
    changed = type(frozen)(frozen.promise, frozen.files, type(snapshot)(snapshot.folder, manifest))
    known, unknown = clashes(open_lab(launched), changed)
    assert known.startswith("release spring-mail-letter is live on `customers`: all arms get its messages as well")
    assert unknown.startswith("release unknown-letter is live, and the Lab does not know whom it reaches")


def decided(workspace, insight):
    """The owner stops the submitted pilot."""
    words = [
        "promote",
        "decide",
        PILOT,
        "stop",
        "--as",
        "owner@example.com",
        "--reason",
        "it is not worth its cost",
        "--insight",
        insight,
    ]
    assert app._exit_code(["--workspace", str(workspace.root), *words]) == 0


def test_similar_insights_are_told_and_strange_ones_are_not(submitted):
    submitted.clock.set(AFTER)
    decided(submitted, "a letter brings visits from those who came back after the last one")
    draft(submitted, NEXT, *LATER)
    [found] = foretold(submitted, NEXT)["insights"]
    assert (found["pilot"], found["decision"]) == (PILOT, "stop")
    assert 0.12 < found["likeness"] <= 1
    other = [
        ("because: they came back after the last letter", "because: radio costs nothing"),
        ("we_believe: a letter", "we_believe: jingles"),
        ("will: bring visits", "will: raise turnover"),
        ("primary: {metric: visit", "primary: {metric: conversion"),
        ("secondary: [conversion]", "secondary: [visit]"),
        ("- name: letter", "- name: jingle"),
    ]
    draft(submitted, NEXT, *LATER, *other)
    found = foretold(submitted, NEXT)["insights"]
    assert all(insight["likeness"] < 0.5 for insight in found)


def test_silence_is_no_insight(launched):
    launched.clock.set(DEADLINE)
    draft(launched, NEXT, *LATER)
    assert foretold(launched, NEXT)["insights"] == []


def test_check_says_it_to_people_and_to_machines(loaded, capsys):
    draft(loaded, PILOT, ASSUME)
    words = ["--workspace", str(loaded.root), "lab", "check", PILOT]
    assert app._exit_code(words) == 0
    said = capsys.readouterr().out
    for words_ in (
        "Without a treatment: visit, spend, conversion by the charter's assumption.",
        "Expected effects: around +0.00 pp, give or take 5.00 pp. That is a default",
        "Time: nobody knows how fast units come",
        "Note: costs cannot be forecast",
        "Too small: visit needs",
        "may scale",
        "Plot: ",
    ):
        assert words_ in said
    assert app._exit_code([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["forecast"]
    assert set(found) == {
        "days", "population", "taking_part", "units_per_arm", "units_per_day", "planned_units_per_arm", "days_needed",
        "budget", "metrics", "chances", "cannot_be_forecast", "cost", "clashes", "insights", "audiences", "plot",
    }  # fmt: skip


def test_past_pilots_of_the_kind_replace_the_default_prior(submitted):
    submitted.clock.set(AFTER)
    draft(submitted, NEXT, *LATER)
    room, frozen = open_lab(submitted), freeze(submitted, NEXT)
    [past] = past_pilots(room, frozen.promise.charter)
    found = forecast(room, frozen)
    assert found.chances.prior.pilots == 0
    assert _prior(frozen, [past] * (PILOTS_MIN - 1), "visit") is None
    prior = _prior(frozen, [past] * PILOTS_MIN, "visit")
    assert (prior.pilots, prior.df) == (PILOTS_MIN, PILOTS_MIN - 2)
    estimates = [past.evidence.effect(arm, "visit").estimate for arm in ("letter", "card")]
    assert min(estimates) < prior.mean < max(estimates)
    learned = replace(found, chances=replace(found.chances, prior=prior))
    assert any(
        line.endswith(", by 10 past pilots and tests of this kind.") for line in lines(learned, frozen.promise.metrics)
    )


def test_pilots_of_another_channel_are_of_another_kind(submitted):
    submitted.clock.set(AFTER)
    draft(submitted, NEXT, *LATER)
    frozen = freeze(submitted, NEXT)
    charter = frozen.promise.charter
    [past] = past_pilots(open_lab(submitted), charter)
    visit = frozen.promise.metrics["visit"]
    assert len(list(past.effects(charter, "visit", visit))) == 2
    arms = tuple(
        arm if arm.play is None else arm.model_copy(update={"play": arm.play.model_copy(update={"channel": "post"})})
        for arm in charter.arms
    )
    assert list(past.effects(charter.model_copy(update={"arms": arms}), "visit", visit)) == []
