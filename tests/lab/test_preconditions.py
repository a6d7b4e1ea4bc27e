"""Obstacles: what could not end well is not begun, and everything that stands in the way is said at once."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from importlib import resources

import duckdb
import pytest

from factory.warehouse.snapshots import publish
from lab.charters.drafts import check
from lab.launch.launch import launch
from lab.launch.preconditions import examine
from lab.pilots.promise import freeze
from lab.state import open_lab
from shared.core.errors import BadInput, Refused
from shared.data.snapshot import Snapshot
from tests.lab_makers import CARD, PILOT, draft


def problems(workspace):
    """What keeps the draft from being launched."""
    return examine(open_lab(workspace), freeze(workspace, PILOT)).problems


def change(path, old, new):
    """Replaces a text in a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (("owner: owner@", "owner: stranger@"), BadInput, "nobody is known as stranger@example.com"),
        (("owner: owner@", "owner: requester@"), Refused, "would decide on their own request"),
        (("units_per_arm: 150", "units_per_arm: 400"), Refused, "the smallest can get 300"),
        (
            ("fields: [zip_code]", "fields: [zip_code, email]"),
            BadInput,
            "uses column `email`, which table",
        ),
        (
            ("population: customers", "population: customers\nsegments: [shoe_size]"),
            BadInput,
            "names column `shoe_size`",
        ),
        (("population: customers", "population: customers\ncovariates: [email]"), BadInput, "names column `email`"),
        (("population: customers", "population: customers\ncovariates: [zip_code]"), BadInput, "is no number"),
        (("population: customers", "population: customers\nsources: [orders]"), BadInput, "names table `orders`"),
        (("media: 100.00", "media: 90000.00"), Refused, "the pilot asks for 90,000.00 USD"),
        (("currency: USD", "currency: EUR"), BadInput, "the pilot's budget is in EUR"),
        (
            ("start: 2026-01-05, end: 2026-01-19", "start: 2025-12-29, end: 2026-01-12"),
            Refused,
            "the time box began on 2025-12-29, and today is 2026-01-04",
        ),
    ],
)
def test_each_obstacle_is_found_and_says_what_to_do(loaded, change, error, told):
    draft(loaded, PILOT, (CARD, ""), change)
    found = problems(loaded)
    assert isinstance(found[0], error)
    assert told in found[0].what
    assert all(problem.where for problem in found)
    assert all(problem.remedy or problem.expected for problem in found)


@pytest.mark.parametrize(
    ("sandbox", "told"), [("{rows: 299}", "more than 299 rows"), ("{seconds: 0.01}", "stopped after 0.01 s")]
)
def test_an_audience_may_use_what_the_labs_settings_say(loaded, sandbox, told):
    """The audience has 300 units."""
    draft(loaded, PILOT, (CARD, ""))
    path = loaded.configs / "lab.yaml"
    before = path.read_text()
    path.write_text(re.sub("(?m)^sandbox:.*$", f"sandbox: {sandbox}", before))
    [found] = problems(loaded)
    assert told in found.what
    assert found.remedy.endswith("or have `sandbox` in configs/lab.yaml raised")
    path.write_text(re.sub("(?m)^sandbox:.*$", "sandbox: {rows: 20000000, seconds: 600}", before))
    assert problems(loaded) == []


@pytest.mark.parametrize("zone", ["localtime", "posix/Europe/Berlin", "right/UTC", "Office"])
@pytest.mark.parametrize(
    "place",
    [
        ("end: 2026-01-19}", "end: 2026-01-19, timezone: ZONE}"),
        ('cron: "0 9 * * 1"}', 'cron: "0 9 * * 1", timezone: ZONE}'),
    ],
    ids=["time box", "schedule"],
)
def test_a_zone_of_this_machine_alone_is_not_launched(loaded, zones_of_this_machine, place, zone):
    """DuckDB could not analyse such a pilot, nor Prefect schedule its play."""
    old, new = place
    draft(loaded, PILOT, (CARD, ""), (old, new.replace("ZONE", zone)))
    assert [found.what for found in problems(loaded)] == [f"`timezone: {zone}` means something on this machine only"]


@pytest.mark.parametrize("cron", ["0 9 15W * *", "0 9 w20 * *", "0 9 31 2 1", "30 8-18/2 30-31 FEB mon-fri"])
def test_a_schedule_of_which_prefect_makes_no_runs_is_not_launched(loaded, cron):
    draft(loaded, PILOT, (CARD, ""), ('cron: "0 9 * * 1"', f'cron: "{cron}"'))
    assert [found.what for found in problems(loaded)] == [f"no release would ever run by the schedule `{cron}`"]


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/Argentina/Buenos_Aires", "Etc/GMT+12", "CET", "UTC"])
def test_a_zone_of_the_tz_database_is_launched(loaded, zone):
    draft(loaded, PILOT, (CARD, ""), ("end: 2026-01-19}", f"end: 2026-01-19, timezone: {zone}}}"))
    assert problems(loaded) == []


def test_what_the_snapshot_publishes_may_be_named(loaded):
    named = "population: customers\ncovariates: [history, recency]\nsegments: [zip_code]\nsources: [customers]"
    draft(loaded, PILOT, (CARD, ""), ("population: customers", named))
    assert problems(loaded) == []


def test_an_id_that_is_no_identifier_makes_no_units(loaded, monkeypatch):
    real = Snapshot.contract

    def published(snapshot, name):
        contract = real(snapshot, name)
        return replace(contract, columns=tuple(replace(c, classification="public") for c in contract.columns))

    monkeypatch.setattr(Snapshot, "contract", published)
    assert "has no key that is classified as an identifier" in problems(loaded)[0].what


def test_outcomes_whose_contract_lacks_what_a_metric_reads_are_an_obstacle(loaded):
    metrics = loaded.configs / "metrics.yaml"
    metrics.write_text(metrics.read_text().replace("column: spend", "column: basket"))
    [problem] = problems(loaded)
    assert problem.what == "metric `spend` reads column `basket`, which the outcomes do not have as a number"
    assert problem.expected == "one of: visit, conversion, spend"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "logicalType: number\n        required: true",
            "logicalType: number",
            "metric `spend` reads column `spend`, which may be missing, and a gap would count as 0",
        ),
        (
            "name: at\n        logicalType: timestamp",
            "name: at\n        logicalType: date",
            "the contract of outcomes has no column `at` that is a timestamp and required",
        ),
        (
            "name: unit\n        logicalType: string\n        required: true",
            "name: unit\n        logicalType: string",
            "the contract of outcomes has no column `unit` that is a string and required",
        ),
        (
            "name: event_id\n        logicalType: string",
            "name: event_id\n        logicalType: integer",
            "the contract of outcomes has no column `event_id` that is a string and required",
        ),
        (
            "name: visit\n",
            "name: email\n        logicalType: string\n        classification: personal\n      - name: visit\n",
            "column `email` of the outcomes is classified as personal, and would lie in the Lab as it is",
        ),
        (
            "name: visit\n",
            "name: card\n        logicalType: string\n        classification: identifier\n      - name: visit\n",
            "column `card` of the outcomes is classified as identifier, and would lie in the Lab as it is",
        ),
        (
            "name: visit\n",
            "name: age\n        logicalType: integer\n        classification: restricted\n      - name: visit\n",
            "column `age` of the outcomes is classified as restricted, and would lie in the Lab as it is",
        ),
    ],
)
def test_a_contract_of_outcomes_that_could_not_be_kept_or_judged_is_an_obstacle(loaded, old, new, told):
    change(loaded.configs / "contracts" / "outcomes.odcs.yaml", old, new)
    [problem] = problems(loaded)
    assert problem.what == told
    assert problem.where == "configs/contracts/outcomes.odcs.yaml"
    assert problem.remedy or problem.expected


def test_outcomes_that_are_told_apart_by_anything_but_the_event_are_an_obstacle(loaded):
    path = loaded.configs / "contracts" / "outcomes.odcs.yaml"
    change(path, "        primaryKey: true\n", "")
    change(path, "name: unit\n", "name: unit\n        primaryKey: true\n")
    [problem] = problems(loaded)
    assert problem.what == "the key of the outcomes is `unit`"


def restrict(workspace, rest):
    """Publishes again, with what a customer has spent restricted."""
    contract = workspace.configs / "contracts" / "customers.odcs.yaml"
    change(contract, "name: history\n", f"name: history\n        classification: restricted\n{rest}")
    publish(workspace)


def test_a_message_cannot_print_a_redacted_column(loaded):
    restrict(loaded, "")
    draft(loaded, PILOT, (CARD, ""), ("fields: [zip_code]", "fields: [zip_code, history]"))
    [problem] = problems(loaded)
    assert problem.what == "arm `letter` uses column `history`, which table `customers` does not publish"
    assert "history," not in problem.expected


def test_a_message_can_print_a_coarse_column_and_an_audience_select_by_it(loaded):
    restrict(loaded, "        customProperties: [{property: generalise, value: {width: 50}}]\n")
    draft(loaded, PILOT, (CARD, ""), ("fields: [zip_code]", "fields: [zip_code, history]"))
    (loaded.pilots / PILOT / "audience.sql").write_text(
        "SELECT customer_id AS unit FROM customers WHERE history = 50\n"
    )
    (loaded.pilots / PILOT / "message.txt").write_text("You spent {{ history }} or more.\n")
    # They spent 10.25, 10.50, … dollars: from 50 to 99.75 in steps of a quarter is 200 of them.
    assert problems(loaded) == []
    assert check(loaded, PILOT).audiences == {"letter": 200}


def test_an_audience_is_run_and_counted_before_the_launch(loaded):
    table = freeze(loaded, PILOT).snapshot.table("customers")
    [(expected,)] = duckdb.execute(f"SELECT count(*) FROM '{table}' WHERE recency <= 6").fetchall()
    assert check(loaded, PILOT).audiences == {"letter": expected, "card": expected}


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT customer_id AS unit FROM customers WHERE loyalty > 3", "loyalty"),
        ("SELECT customer_id AS unit FROM customers WHERE recency > 99", "selects nobody today"),
        ("SELECT zip_code AS unit FROM customers", "selects 3 units not of table `customers`"),
    ],
)
def test_an_audience_that_would_not_reach_customers_is_an_obstacle(loaded, sql, told):
    (loaded.pilots / PILOT / "audience.sql").write_text(sql + "\n")
    found = problems(loaded)
    assert found
    assert all(told in problem.what for problem in found)
    assert found[0].remedy or found[0].expected


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (("requester: requester@", "risk_tier: high\nrequester: requester@"), "may decide low, standard risk"),
        (("media: 100.00", "media: 5000.01"), "may decide up to 5,000.00 USD, the budget is 5,000.01 USD"),
    ],
)
def test_an_owner_who_could_not_decide_it_is_an_obstacle(loaded, edit, told):
    draft(loaded, PILOT, (CARD, ""), edit)
    [problem] = problems(loaded)
    assert told in problem.what


def test_an_owner_who_decides_nothing_is_an_obstacle(loaded):
    change(loaded.configs / "people.yaml", "requester@", "somebody@")
    draft(
        loaded, PILOT, (CARD, ""), ("owner: owner@", "owner: somebody@"), ("requester: requester@", "requester: owner@")
    )
    [problem] = problems(loaded)
    assert problem.what == "somebody@example.com is not entitled to decide anything"


@pytest.mark.parametrize(("tier", "told"), [("low", []), ("standard", ["owner@example.com would decide on"])])
def test_only_a_pilot_of_low_risk_may_be_decided_by_whoever_asked(loaded, tier, told):
    asked = ("requester: requester@", f"risk_tier: {tier}\nrequester: owner@")
    draft(loaded, PILOT, (CARD, ""), asked)
    found = [problem.what for problem in problems(loaded)]
    assert len(found) == len(told)
    assert all("would decide on their own request" in what for what in found)


@pytest.fixture
def bounded(loaded):
    """The stage under the policy of a new workspace, which the tests' own pilots are too small for."""
    with resources.as_file(resources.files("configs")) as folder:
        shutil.copy(folder / "gate.yaml", loaded.configs / "gate.yaml")
    return loaded


ASSUMED = "units_per_arm: 150, assume: {spend: {mean: 1.6, sd: 9}}"


@pytest.mark.parametrize(
    ("old", "new", "told", "asked"),
    [
        ("units_per_arm: 150", "units_per_arm: 150, alpha: 0.2", "`sample.alpha`: an error rate", "0.05 or less"),
        ("units_per_arm: 150", "units_per_arm: 150, alpha: 0.1", "`sample.alpha`: an error rate", "0.05 or less"),
        ("units_per_arm: 150", "units_per_arm: 150, guardrail_alpha: 0.2", "`sample.guardrail_alpha`: an error rate",
         "0.05 or less"),
        ("units_per_arm: 150", "units_per_arm: 150, power: 0.5", "`sample.power`: a power of 0.5", "0.8 or more"),
        ("units_per_arm: 150", "units_per_arm: 2", "`sample.units_per_arm`: 2 units per arm", "100 or more"),
        ("units_per_arm: 150", "units_per_arm: 50", "`sample.units_per_arm`: 50 units per arm", "100 or more"),
        ("units_per_arm: 150", "units_per_arm: 99", "`sample.units_per_arm`: 99 units per arm", "100 or more"),
        ("margin: -0.9", "margin: -1001.0", "`guardrails[0].margin`: spend can hardly get worse by 1001",
         "-1000 or closer to zero"),
        ("margin: -0.9", "margin: -1000000000.0", "`guardrails[0].margin`: spend can hardly get worse by 1e+09",
         "-1000 or closer to zero"),
        # Half of the 1.60 dollars that are assumed is 0.80.
        ("units_per_arm: 150", ASSUMED, "`guardrails[0].margin`: a margin of -0.9 would let spend get worse",
         "-0.8 or closer to zero"),
        ("minimum_effect: 0.05", "minimum_effect: 1.5", "`primary.minimum_effect`: a gain of 1.5 in visit cannot be",
         "1 or less"),
    ],
)  # fmt: skip
def test_a_promise_that_nothing_could_break_is_not_launched(bounded, old, new, told, asked):
    draft(bounded, PILOT, (CARD, ""), (old, new))
    [problem] = problems(bounded)
    assert problem.expected.startswith(asked)
    assert isinstance(problem, Refused)
    assert problem.what.startswith(told)
    assert problem.remedy
    with pytest.raises(Refused, match=re.escape(told)):
        launch(bounded, PILOT)
    assert not room_entries(bounded, "launched")


def test_the_bound_that_is_named_is_the_one_that_is_held_to(bounded):
    """No more than 1.60 dollars can be lost, and 0.80 may be."""
    draft(bounded, PILOT, (CARD, ""), ("units_per_arm: 150", ASSUMED), ("margin: -0.9", "margin: -50.0"))
    [problem] = problems(bounded)
    assert problem.expected.startswith("-0.8 or closer to zero")


def test_a_margin_of_less_than_half_of_what_is_assumed_is_launched(bounded):
    draft(bounded, PILOT, (CARD, ""), ("units_per_arm: 150", ASSUMED.replace("1.6", "1.9")))
    assert problems(bounded) == []


def test_what_an_earlier_build_promised_is_not_held_to_bounds(bounded):
    draft(bounded, PILOT, (CARD, ""), ("units_per_arm: 150", "units_per_arm: 2, alpha: 0.2"))
    assert examine(open_lab(bounded), freeze(bounded, PILOT, rules=1)).problems == []


def room_entries(workspace, kind):
    return [entry for entry in open_lab(workspace).entries() if entry.kind == kind]
