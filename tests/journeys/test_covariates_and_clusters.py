"""Charters that name covariates, segments, strata or a cluster go their whole way in a rehearsal."""

from __future__ import annotations

import csv
import math
from collections import Counter

import duckdb
import pytest

from factory.warehouse.load import load
from factory.warehouse.snapshots import publish
from lab.analysis.analysis import analyse
from lab.analysis.submission import submit
from lab.budget.spend_ledger import spend
from lab.charters.drafts import check
from lab.intake.intake import record
from lab.launch.launch import launch
from lab.pilots.assignment import assign
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from lab.synthetic.synthetic import Planted, synthesise
from promotion.gate.case import Case
from promotion.gate.checks.sample.units_assigned import units_assigned
from promotion.queue.judgements import judge_named
from promotion.state import open_promotion
from shared.core.errors import Refused
from shared.core.money import parse_amount
from shared.data.snapshot import latest_snapshot
from shared.experiment.assignment import bucket
from shared.trust.candidate import open_candidate
from tests.lab_makers import AFTER, CARD, ENDS, INSIDE, PILOT, STARTS, draft, row, salt_of, stage_copy, write_csv
from tests.makers import copy_of

pytestmark = pytest.mark.check

HOUSEHOLD = """\
      - name: household
        logicalType: string
        classification: identifier
        description: Who lives at one address; the Lab sees a pseudonym.
      - name: recency
"""
# Of 600 customers the last six live nowhere that is known; the others live in threes.
HOMELESS, SIZE = 6, 3
COVARIATES = (
    "population: customers\ncovariates: [history, recency]\nsegments: [zip_code]\nstrata: zip_code\nsynthetic: true"
)
CLUSTER = "population: customers\ncluster: household\ncovariates: [history]\nsynthetic: true"
ASSUME = ("sample: {", "sample: {assume: {visit: {mean: 0.2}, spend: {mean: 5, sd: 10}, conversion: {mean: 0.1}}, ")
VISITS = Planted("letter", "visit", 0.4)


@pytest.fixture(scope="module")
def made(request, tmp_path_factory):
    """The day before: a snapshot whose customers live in households."""
    folder = tmp_path_factory.mktemp("homes")
    workspace = stage_copy(request, folder / "workspace", "loaded")
    contract = workspace.configs / "contracts" / "customers.odcs.yaml"
    text = contract.read_text()
    assert "      - name: recency\n" in text
    contract.write_text(text.replace("      - name: recency\n", HOUSEHOLD))
    export = folder / "customers.csv"
    with export.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("customer_id", "email", "household", "recency", "history", "zip_code"))
        for n in range(1, 601):
            home = f"H{n // SIZE:04d}" if n <= 600 - HOMELESS else ""
            place = ("Urban", "Surburban", "Rural")[n % 3]
            writer.writerow((f"C{n:06d}", f"c{n:06d}@example.com", home, n % 12 + 1, 10 + n / 4, place))
    (workspace.factory / "warehouse.duckdb").unlink()  # whose customers were loaded under the other contract
    load(workspace, "customers", export)
    publish(workspace)
    return workspace


@pytest.fixture
def homes(made, tmp_path):
    return copy_of(made, tmp_path / "workspace")


def households(workspace):
    """Each unit's household, or None, as the snapshot has them."""
    path = latest_snapshot(workspace).table("customers")
    with duckdb.connect() as connection:
        return dict(connection.execute(f"SELECT customer_id, household FROM '{path}' ORDER BY 1").fetchall())


def run_whole(workspace, tmp_path, named):
    """Launch, made-up results, a cost, analysis and candidate."""
    draft(workspace, PILOT, ("population: customers", named), ASSUME)
    launch(workspace, PILOT)
    out = tmp_path / "made-up.csv"
    synthesise(workspace, PILOT, out, effects=[VISITS])
    workspace.clock.set(INSIDE)
    recorded = record(workspace, PILOT, out)
    spend(workspace, PILOT, parse_amount("40.00"), "printing")
    workspace.clock.set(AFTER)
    found = analyse(workspace, PILOT)
    return recorded, found, submit(workspace, PILOT).candidate


@pytest.fixture(scope="module")
def by_household(made, tmp_path_factory):
    """A pilot by household that has gone the whole way to the gate: its workspace, and all that `run_whole` returns."""
    folder = tmp_path_factory.mktemp("by-household")
    workspace = copy_of(made, folder / "workspace")
    return workspace, *run_whole(workspace, folder, CLUSTER)


def traits(candidate):
    with duckdb.connect() as connection:
        found = connection.execute(f"FROM '{candidate.data.traits}'")
        return [column[0] for column in found.description], found.fetchall()


def assigned(case):
    [found] = list(units_assigned.run(case, units_assigned.rule()))
    return found


def test_covariates_segments_and_strata_go_with_the_data_to_the_gate(homes, tmp_path):
    recorded, analysis, candidate = run_whole(homes, tmp_path, COVARIATES)
    assert (recorded.exposures, recorded.conflicts) == (600, {})
    columns, rows = traits(candidate)
    assert (columns, len(rows)) == (["unit", "history", "recency", "zip_code"], 600)
    assert [unit for unit, *_ in rows] == list(households(homes))
    assert candidate.manifest.files["data/traits.parquet"] == analysis.evidence.data["traits.parquet"]
    [(_, judgement)] = judge_named(homes, PILOT)
    by_name = {f.check: f for f in judgement.findings}
    assert by_name["units_assigned"].outcome == "passed"
    assert by_name["evidence_recomputed"].outcome == "passed"
    # The evidence uses them, keeps the plain estimate beside it, and the page shows all of it.
    visit = analysis.evidence.effect("letter", "visit")
    assert visit.estimate is not None
    assert visit.plain is not None
    assert {found.segment for found in analysis.evidence.segments} == {"zip_code"}
    page = analysis.report.read_text()
    for told in ("adjusted for history, recency", "the groups of zip_code weighed alike", "In segments", "Over time"):
        assert told in page
    assert {path.name for path in analysis.folder.glob("*.svg")} == {"effects.svg"}


def test_a_pilot_is_scaled_at_a_look_that_was_agreed_on(homes, tmp_path):
    """Half of the time box is over, the boundary is crossed, and the gate admits what the rest of it allows."""
    looks = ("units_per_arm: 150}", "units_per_arm: 150, looks: {method: group_sequential, at: [0.5, 1]}}")
    draft(homes, PILOT, looks, ASSUME, ("population: customers", "population: customers\nsynthetic: true"))
    launch(homes, PILOT)
    out = tmp_path / "made-up.csv"
    synthesise(homes, PILOT, out, effects=[VISITS])
    homes.clock.set(STARTS + (ENDS - STARTS) / 2)
    record(homes, PILOT, out)
    spend(homes, PILOT, parse_amount("40.00"), "printing")
    analysis = analyse(homes, PILOT)
    assert analysis.interim
    assert (analysis.evidence.standing, [look.effects[0].crossed for look in analysis.evidence.looks]) == (
        "decisive", [True],
    )  # fmt: skip
    assert "Interim, at a look that was agreed on" in analysis.report.read_text()
    submit(homes, PILOT)
    [(_, judgement)] = judge_named(homes, PILOT)
    by_name = {f.check: f.outcome for f in judgement.findings if f.arm in {None, "letter"}}
    asked = ("time_box", "sample_planned", "evidence_recomputed", "primary_effect")
    assert [by_name[name] for name in asked] == ["passed"] * len(asked)


def test_a_clustered_pilot_gives_each_household_one_arm_all_the_way(by_household):
    homes, recorded, _, candidate = by_household
    known = {unit: home for unit, home in households(homes).items() if home}
    assert len(known) == 600 - HOMELESS
    assert (recorded.exposures, recorded.conflicts) == (len(known), {})
    columns, rows = traits(candidate)
    assert columns == ["unit", "household", "history"]
    assert {unit: home for unit, home, _ in rows} == known
    with duckdb.connect() as connection:
        arms = dict(connection.execute(f"SELECT unit, arm FROM '{candidate.data.exposures}'").fetchall())
    # Three equal arms: a household's third of all buckets, by hand.
    order = ("control", "letter", "card")
    assert arms == {unit: order[bucket(salt_of(), home) * 3 // 2**52] for unit, home in known.items()}
    [(_, judgement)] = judge_named(homes, PILOT)
    [found] = [f for f in judgement.findings if f.check == "units_assigned"]
    assert (found.outcome, "for their `household`" in found.reason) == ("passed", True)


@pytest.mark.parametrize(
    ("part", "query"),
    [
        ("exposures", "SELECT * REPLACE (CASE arm WHEN 'control' THEN 'letter' ELSE 'control' END AS arm) FROM old"),
        ("traits", "SELECT * REPLACE (household || '-' AS household) FROM old"),
        ("traits", "SELECT * FROM old LIMIT 100"),
    ],
)
def test_the_gate_finds_exposures_in_another_arm_than_their_clusters(by_household, tmp_path, part, query):
    workspace, *_, sealed = by_household
    homes = copy_of(workspace, tmp_path / "workspace")
    candidate, room = open_candidate(homes.promotion / "intake" / sealed.folder.name), open_promotion(homes)
    assert assigned(Case(room, candidate, room.now())).outcome == "passed"
    path = candidate.folder / "data" / f"{part}.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE old AS FROM read_parquet('{path}')")
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    assert assigned(Case(room, open_candidate(candidate.folder), room.now())).outcome == "failed"


def test_a_list_of_arms_leaves_out_who_has_no_household_and_says_so(homes, tmp_path):
    draft(homes, PILOT, ("population: customers", CLUSTER), ASSUME)
    launch(homes, PILOT)
    done = assign(homes, PILOT, tmp_path / "arms.csv")
    with (tmp_path / "arms.csv").open() as stream:
        arms = {line["unit"]: line["arm"] for line in csv.DictReader(stream)}
    pilot, home = get_pilot(open_lab(homes), PILOT), households(homes)
    assert (done.units, done.left_out) == (600 - HOMELESS, {"without a cluster": HOMELESS})
    assert arms == {u: arm for u in home if (arm := pilot.draw(homes).arm(u, home[u]))}
    together: dict[str, set[str]] = {}
    for unit, arm in arms.items():
        together.setdefault(home[unit], set()).add(arm)
    assert {len(found) for found in together.values()} == {1}
    assert len(together) == len(arms) // SIZE + 1


def test_named_units_get_the_arm_of_their_household(homes, tmp_path):
    draft(homes, PILOT, ("population: customers", CLUSTER), ASSUME)
    launch(homes, PILOT)
    home, pilot = households(homes), get_pilot(open_lab(homes), PILOT)
    chosen = [*list(home)[:20], next(unit for unit in home if home[unit] is None)]
    file = write_csv(tmp_path / "named.csv", [{"unit": unit} for unit in [*chosen, *chosen[:5]]])
    assign(homes, PILOT, tmp_path / "arms.parquet", file)
    found = duckdb.execute(f"SELECT unit, arm FROM '{tmp_path / 'arms.parquet'}' ORDER BY 1").fetchall()
    assert dict(found) == {u: a for u in chosen if (a := pilot.draw(homes).arm(u, home[u]))}


def test_the_intake_holds_back_an_exposure_in_another_arm_than_its_household_has(homes, tmp_path):
    draft(homes, PILOT, ("population: customers", CLUSTER), ASSUME)
    pilot = launch(homes, PILOT).pilot
    homes.clock.set(INSIDE)
    home = households(homes)
    own = {unit: pilot.draw(homes).arm(unit, home[unit]) for unit in home}
    first, second, *_ = (unit for unit in home if home[unit])
    homeless = next(unit for unit in home if home[unit] is None)
    other = next(arm for arm in ("control", "letter") if arm != own[second])
    rows = [
        row(f"e{n}", unit, arm)
        for n, (unit, arm) in enumerate([(first, own[first]), (second, other), (homeless, "letter")])
    ]
    done = record(homes, PILOT, write_csv(tmp_path / "rows.csv", rows))
    assert done.exposures == 1
    assert done.conflicts == {"not the arm that was assigned": 1, "without a cluster": 1}


def test_a_source_that_draws_by_household_is_made_up_as_one(homes, tmp_path):
    named = CLUSTER + "\nlayer: {name: mail, end: 0.5}"
    draft(homes, PILOT, ("population: customers", named), ("assignment: pilotplant", "assignment: source"), ASSUME,
          ("units_per_arm: 150", "units_per_arm: 20"))  # fmt: skip
    launch(homes, PILOT)
    synthesise(homes, PILOT, tmp_path / "made-up.csv")
    homes.clock.set(INSIDE)
    with (tmp_path / "made-up.csv").open() as stream:
        arms = {line["unit"]: line["arm"] for line in csv.DictReader(stream)}
    home = households(homes)
    assert len({(home[unit], arm) for unit, arm in arms.items()}) == len({home[unit] for unit in arms})
    assert set(arms.values()) == {"control", "letter", "card"}
    assert set(arms) == {u for u in home if home[u] and bucket("layer:mail", home[u]) < 2**51}
    assert record(homes, PILOT, tmp_path / "made-up.csv").conflicts == {}


def test_slices_of_one_layer_that_are_drawn_by_different_things_are_refused(homes):
    small = ("units_per_arm: 150", "units_per_arm: 20")
    layer = "\nlayer: {{name: mail, start: {}, end: {}}}"
    draft(
        homes, "by-unit", (CARD, ""), small, ("population: customers", "population: customers" + layer.format(0, 0.5))
    )
    launch(homes, "by-unit")
    by_home = "population: customers\ncluster: household" + layer.format(0.5, 1)
    draft(homes, "by-home", (CARD, ""), small, ("population: customers", by_home))
    with pytest.raises(Refused, match=r"is drawn by `household`, and may share units with 0 to 0\.5 of pilot by-unit"):
        launch(homes, "by-home")
    assert any("by-unit" in clash for clash in check(homes, "by-home").forecast_json()["clashes"])
    draft(homes, "by-home", (CARD, ""), small, ("population: customers", by_home.replace("name: mail", "name: home")))
    launch(homes, "by-home")
    beside = by_home.replace("name: mail, start: 0.5, end: 1", "name: home, start: 0, end: 0.5")
    draft(homes, "by-home-2", (CARD, ""), small, ("population: customers", beside))
    launch(homes, "by-home-2")


def test_the_forecast_counts_who_has_a_household_and_widens_by_the_design_effect(homes):
    metrics = homes.configs / "metrics.yaml"
    named = ("population: customers", "population: customers\ncluster: household")
    draft(homes, PILOT, named)
    unknown = check(homes, PILOT).forecast_json()
    assert unknown["taking_part"] == 600 - HOMELESS
    assert unknown["chances"] is None
    metrics.write_text(metrics.read_text().replace("column: spend\n", "column: spend\n    history: history\n", 1))
    found = {m["metric"]: m for m in check(homes, PILOT).forecast_json()["metrics"]}["spend"]
    # Three customers in a row spent nearly the same, of 600 who differ: a likeness of almost 1.
    path = latest_snapshot(homes).table("customers")
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT household, history FROM '{path}' WHERE household IS NOT NULL").fetchall()
    sizes = Counter(home for home, _ in rows)
    m = sum(n * n for n in sizes.values()) / len(rows)
    assert 0.99 < (found["design_effect"] - 1) / (m - 1) < 1
    assert math.isclose(m, 3, rel_tol=0.01)
    alone = {m["metric"]: m for m in _without_cluster(homes)}["spend"]
    assert found["units_needed"] == pytest.approx(alone["units_needed"] * found["design_effect"], rel=0.02)
    assert found["power"] < alone["power"]


def _without_cluster(workspace):
    draft(workspace, PILOT)
    return check(workspace, PILOT).forecast_json()["metrics"]
