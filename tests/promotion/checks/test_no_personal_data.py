from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.experiment.charter import RULES
from shared.trust.candidate import SPEND, read_json, write_json
from tests.promotion.cases import DAYS, EXPOSED, GOOD, TRIED, _write_data

WITH_ORDERS = "SELECT *, '555-123-4567' AS order_no FROM outcomes"


@pytest.fixture
def found(ask_of):
    def one(personal, shadow_run=None, **rule):
        preflight = {"at": TRIED, "personal": personal, "shadow_run": shadow_run or {}}
        [recorded, finding] = ask_of("no_personal_data", preflight, **rule)
        assert (recorded.outcome, recorded.arm) == ("passed", None)
        return finding

    return one


def test_messages_without_personal_data_pass_and_what_was_looked_for_is_told(found):
    finding = found({})
    assert (finding.outcome, finding.arm) == ("passed", "letter")
    assert "customer_id, email" in finding.reason


@pytest.mark.parametrize(
    ("personal", "said"),
    [
        ({"pseudonyms": 1}, "pseudonym in 1"),
        ({"addresses": 2}, "e-mail address"),
        ({"values": {"customer_id": 1}}, "own `customer_id` in 1"),
        ({"values": {"email": 1}}, "own `email` in 1"),
        ({"fields": {"email": "personal"}}, "print `email`"),
        ({"fields": {"customer_id": "identifier"}}, "print `customer_id`"),
    ],
)
def test_personal_data_of_any_kind_fails_and_is_named(found, personal, said):
    finding = found(personal)
    assert finding.outcome == "failed"
    assert said in finding.reason


def test_one_namesake_in_a_thousand_is_no_leak_and_an_identifier_always_is(found):
    many = {"messages": 1_000}
    assert found({"values": {"email": 1}}, many).outcome == "passed"
    assert found({"values": {"email": 2}}, many).outcome == "failed"
    assert found({"values": {"customer_id": 1}}, many).outcome == "failed"
    assert found({"values": {"email": 1}}, many, values_frac_max=0).outcome == "failed"


@pytest.mark.parametrize("shadow_run", [{"personal": None}, {"messages": 0}, {"refusals": ["no"], "personal": None}])
def test_where_nothing_was_rendered_nothing_can_be_said(found, shadow_run):
    assert found({}, shadow_run).outcome == "unevaluable"


def recorded(ask, stage, **changes):
    """What is said of what was recorded; keywords as for `submit`."""
    found = ask("no_personal_data", stage.case(**changes))
    assert [finding.arm for finding in found] == [None, "letter"]
    return found[0]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        # The instance told: 200 addresses in event ids; and two others of its kind.
        ("SELECT * REPLACE (CASE WHEN row_number() OVER () <= 200 THEN 'c' || row_number() OVER () || '@example.com' "
         "ELSE event_id END AS event_id) FROM outcomes", "200 values of outcomes.event_id"),
        ("SELECT * REPLACE (CASE row_number() OVER () WHEN 1 THEN '+49 170 1234567' ELSE unit END AS unit) "
         "FROM outcomes",
         "1 value of outcomes.unit"),
        ("SELECT *, CASE WHEN row_number() OVER () <= 2 THEN 'ask anna@example.com' END AS note FROM outcomes",
         "2 values of outcomes.note"),
    ],
)  # fmt: skip
def test_what_was_recorded_fails_where_an_address_or_number_is_found(ask, stage, query, told):
    finding = recorded(ask, stage, outcomes=query)
    assert finding.outcome == "failed"
    assert told in finding.reason
    assert "@" not in finding.reason


def test_a_cost_that_names_somebody_fails(ask, stage):
    def gift(folder):
        spent = read_json(folder / SPEND)
        spent["entries"][0]["purpose"] = "a gift for anna@example.com"
        write_json(folder / SPEND, spent)

    finding = recorded(ask, stage, alter=gift)
    assert finding.outcome == "failed"
    assert "1 value of costs" in finding.reason


def test_rows_that_cannot_be_read_are_no_pass(ask, stage):
    case = stage.case()
    case.candidate.data.conflicts.unlink()
    [finding] = ask("no_personal_data", case)
    assert finding.outcome == "unevaluable"


def test_a_promise_of_an_earlier_build_is_asked_of_its_messages_alone(ask, monkeypatch, stage):
    monkeypatch.setattr("promotion.gate.checks.release.no_personal_data.RECORDED_SINCE", RULES + 1)
    found = ask("no_personal_data", stage.case())
    assert [finding.arm for finding in found] == ["letter"]


def allowed(stage):
    """Has the contract's outcomes carry order numbers that look like telephone numbers, by a pattern."""
    path = stage.workspace.configs / "contracts" / "outcomes.odcs.yaml"
    number = "      - name: order_no\n        logicalType: string\n        logicalTypeOptions:\n"
    path.write_text(path.read_text() + number + "          pattern: '^[0-9]{3}-[0-9]{3}-[0-9]{4}$'\n")


@pytest.mark.parametrize(
    ("said", "outcome", "told"),
    [
        ({"order_no": "555-123-4567", "spend": "-3"}, "passed", "no id and no text"),
        ({"order_no": "ask +49 170 1234567"}, "failed", "1 value of conflicts.said.order_no"),
        ({"spend": "anna@example.com"}, "failed", "1 value of conflicts.said.spend"),
        ({"remark": "anna@example.com"}, "failed", "1 value of conflicts.said"),
    ],
)
def test_what_a_pattern_allows_is_allowed_in_rows_that_were_held_back_too(ask, stage, said, outcome, told):
    allowed(stage)
    row = {"kind": "outcomes", "event_id": "h-1", "unit": "control-1", "reason": "outside the time box",
           "arm": "control", "assigned": None, "at": "2026-01-20 09:00:00+00", "said": json.dumps(said)}  # fmt: skip

    def held(folder):
        _write_data(folder, GOOD, EXPOSED, {}, {"outcomes": WITH_ORDERS, "exposures": "FROM exposures"}, DAYS)
        pq.write_table(pa.table({name: pa.array([value], pa.string()) for name, value in row.items()}),
                       folder / "conflicts.parquet")  # fmt: skip

    finding = recorded(ask, stage, recorded=held)
    assert finding.outcome == outcome
    assert told in finding.reason
