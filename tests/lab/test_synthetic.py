"""Synthetic units: a whole pilot runs on them, they show what was planted, and nobody takes them for customers."""

from __future__ import annotations

import csv
import json
from datetime import timedelta

import duckdb
import numpy as np
import pytest

from factory.warehouse.snapshots import publish
from lab.analysis.analysis import analyse
from lab.analysis.submission import submit
from lab.budget.spend_ledger import spend
from lab.forecast.baselines import Known
from lab.intake.intake import record
from lab.launch.launch import launch
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from lab.synthetic.draws import Column, draw, filler, require_drawable
from lab.synthetic.synthetic import Planted, planted, synthesise
from pilotplant import app
from promotion.queue.judgements import judge_named
from shared.core.clock import parse_rfc3339
from shared.core.errors import BadInput, Refused
from shared.core.money import parse_amount
from shared.data import contracts
from shared.experiment.assignment import assign
from shared.stats.power import Baseline
from tests.lab_makers import AFTER, ENDS, INSIDE, PILOT, STARTS, arm_of, draft, salt_of, write_csv
from tests.makers import copy_of

SYNTHETIC = ("population: customers", "population: customers\nsynthetic: true")
ASSUME = ("sample: {", "sample: {assume: {visit: {mean: 0.2}, spend: {mean: 5, sd: 10}, conversion: {mean: 0.1}}, ")
VISITS = Planted("letter", "visit", 0.4)


@pytest.fixture
def made_up(loaded):
    """A launched pilot of synthetic units."""
    draft(loaded, PILOT, SYNTHETIC, ASSUME)
    launch(loaded, PILOT)
    return loaded


def read(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_whole_pilot_runs_on_them_and_the_gate_admits_what_was_planted(made_up, tmp_path):
    out = tmp_path / "made-up.csv"
    done = synthesise(made_up, PILOT, out, effects=[VISITS])
    made_up.clock.set(INSIDE)
    recorded = record(made_up, PILOT, out)
    assert (recorded.exposures, recorded.outcomes, recorded.conflicts) == (600, 600, {})
    assert done.last < INSIDE < done.ends
    spend(made_up, PILOT, parse_amount("40.00"), "printing")
    made_up.clock.set(AFTER)
    found = {(e.arm, e.metric): e for e in analyse(made_up, PILOT).evidence.effects}
    assert found["letter", "visit"].low < 0.4 < found["letter", "visit"].high
    assert found["card", "visit"].low < 0 < found["card", "visit"].high
    submit(made_up, PILOT)
    [(_, judgement)] = judge_named(made_up, PILOT)
    assert judgement.verdict_on("card") == "refuse"
    [real] = [f for f in judgement.findings if f.check == "units_real"]
    assert (real.outcome, real.reason) == ("passed", "synthetic units, in a rehearsal")
    asked = [f for f in judgement.of_arm("letter") if f.check not in {"guardrails", "guardrails_powered"}]
    others = [f for f in asked if "the Factory has not tried this candidate yet" not in f.reason]
    assert {f.outcome for f in others if f.level == "block"} == {"passed"}


def test_the_same_seed_gives_the_same_file_and_another_one_another(made_up, tmp_path):
    files = [tmp_path / f"{n}.csv" for n in range(3)]
    for file, seed in zip(files, (1, 1, 2), strict=True):
        synthesise(made_up, PILOT, file, effects=[VISITS], seed=seed)
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


def test_results_are_those_of_the_arms_whenever_their_snapshot_was_published(loaded, tmp_path):
    written = []
    for workspace in (loaded, copy_of(loaded, tmp_path / "later")):
        draft(workspace, PILOT, SYNTHETIC, ASSUME)
        publish(workspace)
        launched = launch(workspace, PILOT).pilot.promise
        synthesise(workspace, PILOT, tmp_path / "made-up.csv", effects=[VISITS])
        written.append((launched.source, [row["visit"] for row in read(tmp_path / "made-up.csv")]))
    (first, values), (second, again) = written
    assert first != second
    assert values == again


def test_every_event_is_marked_assigned_inside_the_time_box_and_after_its_exposure(made_up, tmp_path):
    synthesise(made_up, PILOT, tmp_path / "made-up.csv")
    rows = read(tmp_path / "made-up.csv")
    assert len({row["event_id"] for row in rows}) == len(rows) == 600
    for row in rows:
        assert row["event_id"].startswith(f"synthetic-{PILOT}-")
        assert row["arm"] == arm_of(row["unit"])
        exposed, happened = parse_rfc3339(row["exposed_at"]), parse_rfc3339(row["at"])
        assert STARTS <= exposed < happened <= exposed + timedelta(days=1)
        assert happened <= ENDS - timedelta(days=1)


def test_columns_have_the_moments_that_were_assumed_and_go_together(made_up, tmp_path):
    synthesise(made_up, PILOT, tmp_path / "made-up.parquet")
    query = "SELECT avg(visit), avg(spend), stddev(spend), count(*) FILTER (conversion = 1 AND visit = 0) FROM '{}'"
    [(visit, spent, sd, impossible)] = duckdb.execute(query.format(tmp_path / "made-up.parquet")).fetchall()
    # Within four standard errors of 600 units: sqrt(.16/600) = .016 and 10/sqrt(600) = .41.
    assert visit == pytest.approx(0.2, abs=0.066)
    assert spent == pytest.approx(5, abs=1.7)
    assert sd == pytest.approx(10, abs=4)
    assert impossible == 0


def test_some_units_are_a_part_of_all(made_up, tmp_path):
    done = synthesise(made_up, PILOT, tmp_path / "some.csv", units=60)
    assert sum(done.per_arm.values()) == len(read(tmp_path / "some.csv")) == 60
    for units in (0, 601):
        with pytest.raises(BadInput, match="units cannot be drawn"):
            synthesise(made_up, PILOT, tmp_path / "none.csv", units=units)


def test_arms_of_a_source_are_drawn_by_their_weights(loaded, tmp_path):
    heavy = ("- name: letter", "- name: letter\n    weight: 4")
    draft(
        loaded,
        PILOT,
        SYNTHETIC,
        ASSUME,
        ("pilotplant\n", "source\n"),
        heavy,
        ("units_per_arm: 150", "units_per_arm: 50"),
    )
    launch(loaded, PILOT)
    found = synthesise(loaded, PILOT, tmp_path / "made-up.csv").per_arm
    assert found["letter"] == pytest.approx(400, abs=50)
    assert sum(found.values()) == 600


def test_a_pilot_of_real_units_has_none_made_up(launched, tmp_path):
    with pytest.raises(Refused, match="promises real units"):
        synthesise(launched, PILOT, tmp_path / "made-up.csv")
    assert not (tmp_path / "made-up.csv").exists()


@pytest.mark.parametrize("event", ["synthetic-x-1", "Synthetic-1", "  SYNTHETIC-"])
def test_a_pilot_of_real_units_takes_no_made_up_event(launched, tmp_path, event):
    launched.clock.set(INSIDE)
    room = open_lab(launched)
    unit = "u_" + "0" * 32
    row = {
        "event_id": event, "unit": unit, "arm": assign(salt_of(), unit, {"control": 1}),
        "exposed_at": "2026-01-06T09:00:00Z", "at": "2026-01-06T10:00:00Z", "visit": 0, "conversion": 0, "spend": 0,
    }  # fmt: skip
    real = {**row, "event_id": "mail-1"}
    with pytest.raises(Refused, match="the events are made up") as caught:
        record(launched, PILOT, write_csv(tmp_path / "rows.csv", [real, row]))
    assert caught.value.where.endswith("rows.csv, row 2")
    assert [entry.kind for entry in room.entries(PILOT)] == ["launched"]


@pytest.mark.parametrize(
    ("effect", "told"),
    [
        (Planted("control", "visit", 0.1), "`control` is no arm that an effect can be planted in"),
        (Planted("letter", "clicks", 0.1), "`clicks` is no metric that an effect can be planted in"),
        (Planted("letter", "visit", 0.9), "with the effect +0.9, `visit` would be 1.1 on average"),
        (Planted("letter", "spend", -6.0), "with the effect -6, `spend` would be -1 on average"),
    ],
)
def test_an_effect_that_cannot_be_leaves_no_file(made_up, tmp_path, effect, told):
    with pytest.raises(BadInput) as caught:
        synthesise(made_up, PILOT, tmp_path / "made-up.csv", effects=[effect])
    assert caught.value.what == told
    assert list(tmp_path.glob("*.csv*")) == []
    assert [entry.kind for entry in open_lab(made_up).entries(PILOT)] == ["launched"]


def test_a_file_that_cannot_be_written_or_units_that_are_not_there_change_nothing(made_up, tmp_path):
    for out, units in ((tmp_path / "made-up.txt", None), (tmp_path / "no" / "a.csv", None), (tmp_path / "a.csv", 601)):
        with pytest.raises(BadInput):
            synthesise(made_up, PILOT, out, units=units)
    assert [entry.kind for entry in open_lab(made_up).entries(PILOT)] == ["launched"]


def test_two_effects_in_one_place_are_bad_input(made_up, tmp_path):
    with pytest.raises(BadInput, match="two effects are planted"):
        synthesise(made_up, PILOT, tmp_path / "made-up.csv", effects=[VISITS, VISITS])


@pytest.mark.parametrize("text", ["visit=0.1", "letter:visit", "letter:visit=much", "letter:visit=nan", ":=1", ""])
def test_an_effect_is_written_in_one_way(text):
    with pytest.raises(BadInput, match="is no effect"):
        planted(text)


def test_an_effect_is_read_as_it_is_written():
    assert planted("letter:visit=-0.02") == Planted("letter", "visit", -0.02)


def test_without_a_baseline_nothing_is_drawn(loaded, tmp_path):
    draft(loaded, PILOT, SYNTHETIC)
    launch(loaded, PILOT)
    with pytest.raises(BadInput, match="`visit` cannot be drawn: no history of `visit`"):
        synthesise(loaded, PILOT, tmp_path / "made-up.csv")


def test_a_pilot_that_is_over_takes_none(made_up, tmp_path):
    made_up.clock.set(ENDS)
    with pytest.raises(Refused, match="takes no more data"):
        synthesise(made_up, PILOT, tmp_path / "made-up.csv")


def test_values_of_the_snapshot_are_drawn_and_stretched_by_an_effect(loaded, tmp_path):
    metrics = loaded.configs / "metrics.yaml"
    metrics.write_text(metrics.read_text().replace("column: spend\n", "column: spend\n    history: history\n"))
    draft(loaded, PILOT, SYNTHETIC, ("sample: {", "sample: {assume: {visit: {mean: 0.2}, conversion: {mean: 0.1}}, "))
    launch(loaded, PILOT)
    out = tmp_path / "made-up.csv"
    done = synthesise(loaded, PILOT, out, effects=[Planted("letter", "spend", 85.0)])
    assert done.sources["spend"] == "`history` of 600 rows of table `customers`"
    [(least, most, mean)] = duckdb.execute(
        f"SELECT min(spend), max(spend), avg(spend) FROM '{out}' WHERE arm <> 'letter'"
    ).fetchall()
    # The stage's history goes from 10.25 to 160 in steps of a quarter, 85.125 on average.
    assert 10.25 <= least <= most <= 160
    assert mean == pytest.approx(85.125, abs=9)
    [(planted_mean,)] = duckdb.execute(f"SELECT avg(spend) FROM '{out}' WHERE arm = 'letter'").fetchall()
    assert planted_mean == pytest.approx(170, abs=26)


def test_whoever_looks_is_told(made_up, tmp_path, capsys):
    def run(*words):
        capsys.readouterr()
        assert app._exit_code(["--workspace", str(made_up.root), "lab", *words]) == 0
        return capsys.readouterr().out

    out = tmp_path / "made-up.csv"
    said = run("synthesise", PILOT, "--effect", "letter:visit=0.4", "--out", str(out))
    assert "600 made-up units: control" in said
    assert "Planted: letter visit +0.4." in said
    assert "a rehearsal's clock can be moved there:\n  pilotplant clock 2026-01-18T12:00:00Z" in said
    machine = json.loads(run("synthesise", PILOT, "--effect", "letter:visit=0.4", "--out", str(out), "--json"))
    assert (machine["synthetic"], machine["record_before"]) == (True, "2026-01-19T00:00:00Z")
    made_up.clock.set(INSIDE)
    record(made_up, PILOT, out)
    assert "synthetic" in " ".join(run("list").split())
    assert json.loads(run("list", "--json"))["pilots"][0]["synthetic"] is True
    assert run("show", PILOT).startswith(f"{PILOT} (synthetic): running")
    assert "Synthetic units: these numbers say nothing about customers." in run("analyse", PILOT)
    [page] = (get_pilot(open_lab(made_up), PILOT).folder / "analyses").glob("*/report.html")
    assert "<strong>Synthetic units.</strong>" in page.read_text()


# Single columns.

UNITS = 50_000


def column(kind="number", **rules):
    return contracts.Column(name="value", type=kind, required=True, **rules)


def drawn(of, mean, sd, effect=0.0):
    plan = Column(
        of,
        "value",
        Known(Baseline.of(mean, sd**2, share=False, never_negative=of.minimum == 0), "a test"),
        {"letter": effect},
    )
    rng = np.random.default_rng(4)
    return np.array(draw(plan, np.array(["letter"] * UNITS, dtype=object), rng.random(UNITS), rng))


@pytest.mark.parametrize(
    ("of", "mean", "sd"),
    [
        (column(minimum=0), 4.0, 6.0),
        (column(), -3.0, 2.0),
        (column("integer", minimum=0), 3.0, 2.5),
        (column("integer", minimum=0), 3.0, 3.0**0.5),
        (column("integer", valid_values=(0, 1)), 0.3, 0.21**0.5),
    ],
)
def test_a_column_has_its_baselines_mean_and_spread(of, mean, sd):
    values = drawn(of, mean, sd)
    assert values.mean() == pytest.approx(mean, abs=4 * sd / UNITS**0.5 + 0.005)
    assert values.std() == pytest.approx(sd, rel=0.04)
    if of.type == "integer":
        assert all(float(value).is_integer() for value in values)


@pytest.mark.parametrize("of", [column(minimum=0), column(), column("integer", minimum=0)])
def test_an_effect_moves_the_mean_by_itself(of):
    assert drawn(of, 4.0, 3.0, effect=1.0).mean() == pytest.approx(5.0, abs=0.1)


def test_a_mean_of_listed_values_cannot_be_drawn():
    known = Known(Baseline(3.0, 1.0), "a test")
    with pytest.raises(BadInput, match="takes some values only"):
        require_drawable(Column(column("integer", valid_values=(1, 5)), "value", known))


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (column(valid_values=(7, 8)), 7),
        (column(minimum=3), 3),
        (column(minimum=-3, maximum=-1), -1),
        (column("boolean"), "false"),
        (column("string", min_length=3), "---"),
    ],
)
def test_a_column_that_nobody_measures_holds_the_plainest_value(of, expected):
    assert filler(of) == expected


@pytest.mark.parametrize("of", [column("date"), column("string", pattern="^a$")])
def test_a_column_that_would_have_to_be_guessed_is_bad_input(of):
    with pytest.raises(BadInput, match="no metric of the charter says what it holds"):
        filler(of)
