"""The contract in a snapshot: true of the masked rows, and silent about what is not among them."""

from __future__ import annotations

import csv

import pytest
import yaml

from factory.warehouse.load import load
from factory.warehouse.masked_contract import PSEUDONYM, REDACTED, masked_contract
from factory.warehouse.snapshots import publish
from shared.data.contracts import Column, load_contract
from shared.data.quality import run_suite
from shared.data.snapshot import latest_snapshot
from tests.makers import make_workspace

MEMBERS = """\
# Anna Quist was the first to complain about this table.
apiVersion: v3.1.0
kind: DataContract
id: members
name: members
version: 1.0.0
status: active
schema:
  - name: members
    quality: [{metric: rowCount, mustBeGreaterOrEqualTo: 3}]
    properties:
      - {name: number, logicalType: integer, primaryKey: true, classification: identifier,
         logicalTypeOptions: {minimum: 1000}}
      - {name: nickname, logicalType: string, classification: personal, description: Like quisty}
      - name: age
        logicalType: integer
        required: true
        classification: restricted
        logicalTypeOptions: {minimum: 16, maximum: 99}
        customProperties: [{property: generalise, value: {breaks: [18, 30, 50]}}]
      - name: income
        logicalType: number
        unique: true
        classification: restricted
        logicalTypeOptions: {minimum: 0}
        customProperties: [{property: generalise, value: {width: 5000}}]
      - name: postcode
        logicalType: string
        required: true
        classification: restricted
        logicalTypeOptions: {minLength: 5, maxLength: 5, pattern: "^[0-9]{5}$"}
        customProperties: [{property: generalise, value: {characters: 2}}]
      - name: place
        logicalType: string
        required: true
        classification: restricted
        quality: [{metric: invalidValues, arguments: {validValues: [Berlin, Bern, Ulm]}, mustBe: 0}]
        customProperties: [{property: generalise, value: {characters: 3}}]
      - name: born
        logicalType: date
        required: true
        classification: restricted
        customProperties: [{property: generalise, value: {to: year}}]
      - name: remark
        logicalType: string
        required: true
        classification: restricted
        logicalTypeOptions: {pattern: "^x"}
      - {name: visits, logicalType: integer, logicalTypeOptions: {minimum: 0}}
"""
ROWS = [
    (1001, "quisty", 17, 41234.5, "10115", "Berlin", "1984-07-19", "x1", 3),
    (1002, "bo", 30, 0, "80331", "Bern", "1999-12-31", "x2", 0),
    (1003, "cy", 99, 4999.99, "01067", "Ulm", "2001-01-01", "x3", 7),
]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    folder = tmp_path_factory.mktemp("members")
    workspace = make_workspace(folder / "workspace")
    contract = workspace.configs / "contracts" / "members.odcs.yaml"
    contract.write_text(MEMBERS)
    with (folder / "members.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([column.name for column in load_contract(contract).columns])
        writer.writerows(ROWS)
    assert load(workspace, "members", folder / "members.csv").accepted == 3
    publish(workspace)
    return latest_snapshot(workspace)


def test_the_masked_rows_keep_every_rule_that_the_masked_contract_still_has(snapshot):
    report = run_suite(snapshot.contract("members"), snapshot.table("members"))
    assert (report.outcome, report.breaches, report.problems) == ("passed", (), ())


def test_the_rules_are_those_that_coarse_values_can_keep(snapshot):
    """By hand: bounds in bands, texts of their shown length, no order of uniqueness or pattern left."""
    contract = snapshot.contract("members")
    kept = [
        (
            c.name,
            c.type,
            c.required,
            c.unique,
            c.minimum,
            c.maximum,
            c.min_length,
            c.max_length,
            c.pattern,
            c.valid_values,
        )
        for c in contract.columns
    ]
    assert kept == [
        ("number", "string", True, True, None, None, None, None, "^u_[0-9a-f]{32}$", None),
        ("age", "integer", True, False, 18, 50, None, None, None, None),
        ("income", "number", False, False, 0, None, None, None, None, None),
        ("postcode", "string", True, False, None, None, 2, 2, None, None),
        ("place", "string", False, False, None, None, 3, 3, None, ("Ber",)),
        ("born", "date", True, False, None, None, None, None, None, None),
        ("remark", "string", False, False, None, None, None, None, None, None),
        ("visits", "integer", False, False, 0, None, None, None, None, None),
    ]
    assert (contract.table, contract.primary_key, contract.minimum_rows) == ("members", "number", 3)


def test_each_masked_column_says_what_became_of_it(snapshot):
    document = yaml.safe_load(snapshot.contract_file("members").read_text())
    said = {p["name"]: p.get("transformDescription") for p in document["schema"][0]["properties"]}
    assert said == {
        "number": PSEUDONYM,
        "age": "the lower end of its band, one of 18, 30, 50",
        "income": "the lower end of its band, which is 5000 wide",
        "postcode": "its first 2 characters",
        "place": "its first 3 characters",
        "born": "the first moment of its year",
        "remark": REDACTED,
        "visits": None,
    }


def test_neither_a_personal_column_nor_a_comment_is_in_it(snapshot):
    text = snapshot.contract_file("members").read_text()
    assert "nickname" not in text
    assert "quist" not in text.lower()


def test_what_is_public_throughout_is_described_as_it_was(tmp_path):
    path = tmp_path / "plain.odcs.yaml"
    text = MEMBERS[: MEMBERS.index("      - {name: number")]
    path.write_text(text + "      - {name: day, logicalType: string, primaryKey: true}\n")
    (tmp_path / "masked.odcs.yaml").write_text(masked_contract(path))
    assert load_contract(tmp_path / "masked.odcs.yaml") == load_contract(path)
    assert load_contract(path).columns == (Column("day", "string", required=True, unique=True),)
