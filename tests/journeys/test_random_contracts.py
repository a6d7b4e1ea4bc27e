"""Random contracts: what is accepted when it is read goes the whole way to a verdict, and nothing dies later."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
import yaml

from factory.preflight.report import preflight
from factory.warehouse.load import load
from factory.warehouse.snapshots import publish
from lab.analysis.analysis import analyse
from lab.analysis.submission import submit
from lab.intake.intake import record
from lab.intake.judgement import USED_AGAIN
from lab.launch.launch import launch
from promotion.queue.judgements import judge_named
from shared.core.clock import rfc3339
from shared.core.errors import BadInput
from shared.experiment.assignment import assign
from tests.lab_makers import AFTER, CARD, INSIDE, PILOT, STARTS, draft, row, salt_of, stage_copy, units, write_csv
from tests.random_contracts import Made, made

pytestmark = pytest.mark.check

EARLY = 4
IN_CI, IN_PROOF = range(3), range(3, 200)


@pytest.fixture
def workspace(request, tmp_path):
    return stage_copy(request, tmp_path / "workspace", "loaded")


@pytest.mark.parametrize("seed", [*IN_CI, *(pytest.param(seed, marks=pytest.mark.proof) for seed in IN_PROOF)])
def test_a_contract_goes_the_whole_way_or_is_refused_as_it_is_read(workspace, tmp_path, seed):
    contracts = made(seed)
    write(workspace, contracts)
    (tmp_path / "customers.csv").write_text(contracts.customers, encoding="utf-8", newline="")
    loaded = load(workspace, "customers", tmp_path / "customers.csv", replace=True)
    assert (loaded.accepted, loaded.reasons) == (contracts.customers.count("@example.com"), {})
    publish(workspace)
    draft_of(workspace, contracts)
    launch(workspace, PILOT)
    workspace.clock.set(INSIDE)
    rows = [*results(workspace, contracts, Random(seed))]
    recorded = record(workspace, PILOT, write_csv(tmp_path / "results.csv", rows))
    assert (recorded.outcomes, recorded.conflicts, recorded.early) == (len(rows), {}, EARLY)
    workspace.clock.set(AFTER)
    found = analyse(workspace, PILOT)
    assert {effect.metric for effect in found.evidence.effects} >= {"visit", *contracts.metrics}
    require_every_answer(workspace)


def require_every_answer(workspace) -> None:
    """Takes an analysed pilot before the gate, which has to answer whatever it asks."""
    submit(workspace, PILOT)
    preflight(workspace, PILOT)
    [(_, judgement)] = judge_named(workspace, PILOT)
    unanswered = {f.check: f.reason for f in judgement.findings if f.outcome == "unevaluable"}
    # No A/A certificate was asked for, and few units lie in many groups; no check may be left open by anything else.
    assert set(unanswered) <= {"aa_fresh", "segments_unharmed"}, unanswered


def write(workspace, contracts: Made) -> None:
    """Puts the contracts and their metrics in place of those that there are."""
    for table, document in (("customers", contracts.population), ("outcomes", contracts.outcomes)):
        path = workspace.configs / "contracts" / f"{table}.odcs.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    path = workspace.configs / "metrics.yaml"
    catalogue = yaml.safe_load(path.read_text())
    catalogue["metrics"] |= contracts.metrics
    path.write_text(yaml.safe_dump(catalogue, sort_keys=False))


def draft_of(workspace, contracts: Made) -> None:
    # As a careful author writes it: of names like `on` YAML makes something else, unless they are in quotes.
    named = {name: columns for name, columns in contracts.said.items() if columns}
    said = yaml.safe_dump(named, default_flow_style=None, width=1_000) if named else ""
    draft(
        workspace,
        PILOT,
        (CARD, ""),  # a second treatment would double what is rendered, and no contract reads it
        ("secondary: [conversion]", f"secondary: [{', '.join(['conversion', *contracts.metrics])}]"),
        ("guardrails:", f"{said}guardrails:"),
        ("units_per_arm: 150", "units_per_arm: 60"),
        ('fields: [zip_code]\n      schedule: {cron: "0 9 * * 1"}', 'schedule: {cron: "0 9 * * 1"}'),
        ("For our {{ zip_code }} customers", "For our customers"),
    )
    folder = workspace.pilots / PILOT
    (folder / "audience.sql").write_text("SELECT customer_id AS unit FROM customers\n")
    (folder / "message.txt").write_text("Dear customer.\n")


def results(workspace, contracts: Made, rng: Random):
    """A row of every unit, over twelve days; of the first ones the outcome lies before the exposure."""
    for number, unit in enumerate(units(workspace)):
        visit = rng.randint(0, 1)
        came = STARTS + timedelta(days=number >= EARLY and 1 + number % 12, hours=10)
        told = {"visit": visit, "conversion": visit * rng.randint(0, 1), "spend": 10.0 * visit}
        arm = assign(salt_of(), unit, {"control": 1, "letter": 1})
        yield row(f"e-{number}", unit, arm, at=rfc3339(came)) | told | contracts.outcome(rng)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "_day", "logicalType": "date"}, "names that begin with `_`"),
        ({"name": "arm", "logicalType": "string"}, "is called `arm` like one of exposures"),
        ({"name": "Exposed_At", "logicalType": "timestamp"}, "is called `exposed_at` like one of exposures"),
        ({"name": "group", "physicalName": "ARM", "logicalType": "string"}, "is called `arm` like one of exposures"),
        ({"name": "when", "logicalType": "date", "logicalTypeOptions": {"format": "ww"}}, "`ww` of the format"),
    ],
)
def test_what_could_not_go_the_whole_way_is_refused_at_the_launch(workspace, change, said):
    path = workspace.configs / "contracts" / "outcomes.odcs.yaml"
    document = yaml.safe_load(path.read_text())
    document["schema"][0]["properties"].append(change)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    with pytest.raises(BadInput, match=said):
        launch(workspace, PILOT)


# Names that our SQL has for its own columns where it reads outcomes, after one that it has not.
OURS = ("plain", "day", "row", "said", "held", "one", "since", "first_at", "entity", "v0")


def test_outcomes_may_have_columns_with_names_of_ours(workspace, tmp_path):
    found = measured(workspace, tmp_path, dict.fromkeys(OURS, "integer"), {name: ("proportion", name) for name in OURS})
    for effects in (found.effects, found.completeness.everything):
        told = {effect.metric: effect.model_dump(exclude={"metric"}) for effect in effects if effect.metric in OURS}
        assert told == dict.fromkeys(OURS, told["plain"])


@pytest.mark.parametrize("kind", ["proportion", "mean", "count"])
def test_a_boolean_is_measured_as_the_number_that_it_is(workspace, tmp_path, kind):
    metrics = {"flagged": (kind, "flag"), "numbered": (kind, "number")}
    found = measured(workspace, tmp_path, {"flag": "boolean", "number": "integer"}, metrics)
    flagged, numbered = (found.effect("letter", name).model_dump(exclude={"metric"}) for name in metrics)
    assert flagged == numbered


def measured(workspace, tmp_path, columns, metrics):
    """The evidence of a pilot whose outcomes have these columns too, each one where its customer visited and else zero.

    Some outcomes are held back, some come again, one says something else then, and one lies before its exposure.
    """
    path = workspace.configs / "contracts" / "outcomes.odcs.yaml"
    document = yaml.safe_load(path.read_text())
    document["schema"][0]["properties"] += [
        {"name": name, "logicalType": kind, "required": True} for name, kind in columns.items()
    ]
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    path = workspace.configs / "metrics.yaml"
    catalogue = yaml.safe_load(path.read_text())
    catalogue["metrics"] |= {
        name: {"kind": kind, "column": column, "unit": "x"} for name, (kind, column) in metrics.items()
    }
    path.write_text(yaml.safe_dump(catalogue, sort_keys=False))
    guards = "".join(f"  - {{metric: {name}, margin: -0.9}}\n" for name in metrics)
    draft(
        workspace, PILOT, (CARD, ""), ("units_per_arm: 150", "units_per_arm: 60"), ("secondary:", f"{guards}secondary:")
    )
    launch(workspace, PILOT)
    workspace.clock.set(INSIDE)
    rows = []
    for number, unit in enumerate(units(workspace)[:240]):
        visit = int(number % 3 == 0)
        came = STARTS + timedelta(days=number > 0 and 1 + number % 12, hours=10)
        told = {"visit": visit, "conversion": 0, "spend": 10.0 * visit} | dict.fromkeys(columns, visit)
        rows.append(
            row(f"e-{number}", unit, assign(salt_of(), unit, {"control": 1, "letter": 1}), at=rfc3339(came)) | told
        )
    record(workspace, PILOT, write_csv(tmp_path / "first.csv", [r | {"spend": -1} for r in rows[:9]] + rows[9:200]))
    again = [rows[190] | {"spend": 7.5}, *rows[191:]]
    done = record(workspace, PILOT, write_csv(tmp_path / "second.csv", again))
    assert (done.outcomes, done.duplicates, done.conflicts) == (40, 19, {USED_AGAIN: 1})
    workspace.clock.set(AFTER)
    found = analyse(workspace, PILOT)
    require_every_answer(workspace)
    return found.evidence
