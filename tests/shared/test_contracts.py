"""What a contract file may say, and what becomes of it."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from shared.core.errors import BadInput
from shared.data.contracts import Column, load_contract, parse_contract

CONFIGS = Path(__file__).parents[2] / "configs" / "contracts"
SMALL = """\
apiVersion: v3.1.0
kind: DataContract
id: small
name: small
version: 1.0.0
status: active
schema:
  - name: people
    properties:
      - name: id
        logicalType: string
        primaryKey: true
      - name: age
        logicalType: integer
"""


def parsed(**changes):
    """SMALL with other keys in its second property."""
    document = yaml.safe_load(SMALL)
    document["schema"][0]["properties"][1].update(changes)
    return parse_contract(document, where="small.odcs.yaml")


def refused(**changes):
    with pytest.raises(BadInput) as caught:
        parsed(**changes)
    return str(caught.value)


def listed(*values):
    return [{"metric": "invalidValues", "arguments": {"validValues": list(values)}, "mustBe": 0}]


def test_the_customers_contract_names_the_columns_of_the_example_data():
    contract = load_contract(CONFIGS / "customers.odcs.yaml")
    assert [column.name for column in contract.columns] == [
        "customer_id", "email", "recency", "history_segment", "history",
        "mens", "womens", "zip_code", "newbie", "channel",
    ]  # fmt: skip


def test_the_customers_contract_keeps_id_and_address_from_the_lab():
    contract = load_contract(CONFIGS / "customers.odcs.yaml")
    kept = {column.name: column.classification for column in contract.columns if column.classification != "public"}
    assert kept == {"customer_id": "identifier", "email": "personal"}


def test_the_customers_contract_bounds_recency():
    columns = load_contract(CONFIGS / "customers.odcs.yaml").columns
    assert columns[2] == Column("recency", "integer", required=True, minimum=1, maximum=12)


def test_the_outcomes_contract_is_keyed_by_its_events():
    contract = load_contract(CONFIGS / "outcomes.odcs.yaml")
    assert (contract.table, contract.primary_key, contract.minimum_rows) == ("outcomes", "event_id", 1)


def test_a_primary_key_is_required_and_unique():
    assert parsed().columns[0] == Column("id", "string", required=True, unique=True)


def test_minimum_rows_come_from_the_row_count_rule():
    document = yaml.safe_load(SMALL)
    document["schema"][0]["quality"] = [{"metric": "rowCount", "mustBeGreaterOrEqualTo": 500}]
    assert parse_contract(document, where="here").minimum_rows == 500


def test_minimum_rows_default_to_one():
    assert parsed().minimum_rows == 1


@pytest.mark.parametrize(
    ("logical", "physical"),
    [
        ("string", "VARCHAR"),
        ("integer", "BIGINT"),
        ("number", "DOUBLE"),
        ("boolean", "BOOLEAN"),
        ("date", "DATE"),
        ("timestamp", "TIMESTAMPTZ"),
    ],
)
def test_every_logical_type_has_a_type_in_duckdb(logical, physical):
    assert parsed(logicalType=logical).columns[1].duckdb_type == physical


def test_options_become_rules():
    column = parsed(
        logicalType="string", logicalTypeOptions={"minLength": 2, "maxLength": 5, "pattern": "^[a-z]+$"}
    ).columns[1]
    assert (column.min_length, column.max_length, column.pattern) == (2, 5, "^[a-z]+$")


def test_valid_values_keep_their_order():
    assert parsed(quality=listed(3, 1, 2)).columns[1].valid_values == (3, 1, 2)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"logicalType": "object"}, "logicalType"),
        ({"logicalTypeOptions": {"pattern": "x"}}, "pattern does not apply to integer"),
        ({"logicalTypeOptions": {"minimum": 5, "maximum": 4}}, "minimum 5 is above maximum 4"),
        ({"logicalTypeOptions": {"minimum": True}}, "must be a finite number"),
        ({"logicalTypeOptions": {"minimum": float("nan")}}, "must be a finite number"),
        ({"logicalTypeOptions": {"maximum": 2**53 + 1}}, "2^53"),
        ({"logicalTypeOptions": {"multipleOf": 2}}, "multipleOf"),
        ({"logicalType": "string", "logicalTypeOptions": {"pattern": "(?=x)"}}, "not a regular expression"),
        ({"logicalType": "string", "logicalTypeOptions": {"minLength": 3, "maxLength": 2}}, "minLength 3 is above"),
        ({"quality": listed("a")}, "'a' is not of type integer"),
        ({"quality": listed(True)}, "True is not of type integer"),
        ({"quality": listed()}, "validValues"),
        ({"quality": [{"metric": "nullValues", "mustBe": 0}]}, "metric"),
        ({"quality": [{**listed(1)[0], "mustBe": 5}]}, "mustBe"),
        ({"quality": [{"type": "sql", "query": "SELECT 1", "mustBe": 1}]}, "type"),
        ({"required": "yes"}, "required"),
        ({"classification": "Personal"}, "classification"),
        ({"name": "two words"}, "letters, digits and underscores"),
        ({"name": "ID"}, "given twice"),
        ({"primaryKey": True}, "each has its `primaryKeyPosition`"),
        ({"physicalType": "INT"}, "physicalType"),
    ],
)
def test_what_is_not_enforced_is_refused_by_name(changes, says):
    assert says in refused(**changes)


def test_a_table_without_primary_key_is_refused():
    document = yaml.safe_load(SMALL)
    del document["schema"][0]["properties"][0]["primaryKey"]
    with pytest.raises(BadInput, match="a property must have"):
        parse_contract(document, where="here")


@pytest.mark.parametrize("tables", [0, 2])
def test_a_contract_has_exactly_one_table(tables):
    document = yaml.safe_load(SMALL)
    document["schema"] = [copy.deepcopy(document["schema"][0]) for _ in range(tables)]
    with pytest.raises(BadInput, match="schema"):
        parse_contract(document, where="here")


def test_another_version_of_the_standard_is_refused():
    with pytest.raises(BadInput, match="apiVersion"):
        parse_contract({**yaml.safe_load(SMALL), "apiVersion": "v2.2.2"}, where="here")


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_a_document_that_is_no_mapping_is_refused(document):
    with pytest.raises(BadInput, match="where: here"):
        parse_contract(document, where="here")


def test_an_error_in_a_file_names_the_line(tmp_path):
    path = tmp_path / "small.odcs.yaml"
    path.write_text(SMALL.replace("logicalType: integer", "logicalType: whole"))
    with pytest.raises(BadInput) as caught:
        load_contract(path)
    assert caught.value.where == f"{path}, line 14"


def test_broken_yaml_names_the_line(tmp_path):
    path = tmp_path / "small.odcs.yaml"
    path.write_text(SMALL + "  - [")
    with pytest.raises(BadInput, match=r"line 1[45]"):
        load_contract(path)


def test_a_missing_file_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        load_contract(tmp_path / "none.odcs.yaml")
