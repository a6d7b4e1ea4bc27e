"""Loading: good rows in, bad rows aside with reasons, unreadable files not at all, nothing lost."""

import json
import os
import signal
import subprocess
import sys

import pytest
import yaml

from factory.load import load, pseudonymise, resolve
from factory.masking import pseudonym_key
from factory.state import open_factory
from factory.warehouse import declarations, open_warehouse, require_contract
from shared.contracts import Column, Contract
from shared.errors import BadInput, Refused
from shared.pseudonym import pseudonym
from tests.makers import make_workspace

HEAD = "customer_id,email,recency,history,zip_code\n"
GOOD = HEAD + "c1,c1@example.com,3,10.5,Urban\nc2,c2@example.com,12,0,Rural\n"


@pytest.fixture
def empty(tmp_path):
    return make_workspace(tmp_path / "workspace")


def file(folder, text, name="customers.csv"):
    path = folder / name
    path.write_text(text)
    return path


def rows(workspace, query="SELECT customer_id, recency, history FROM customers ORDER BY 1"):
    with open_warehouse(workspace, read_only=True) as warehouse:
        return warehouse.execute(query).fetchall()


def test_good_rows_arrive_in_the_contracts_types(empty, tmp_path):
    load(empty, "customers", file(tmp_path, GOOD))
    assert rows(empty) == [("c1", 3, 10.5), ("c2", 12, 0.0)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("c3,c3@example.com,13,1,Urban", "recency must be between 1 and 12"),
        ("c3,c3@example.com,soon,1,Urban", "recency is not a integer"),
        ("c3,c3@example.com,,1,Urban", "recency must not be missing"),
        (",c3@example.com,3,1,Urban", "customer_id must not be missing"),
        ("c3,c3@example.com,3,-1,Urban", "history must be at least 0"),
        ("c3,c3@example.com,3,1,Moon", "zip_code must be one of Urban, Surburban, Rural"),
    ],
)
def test_a_bad_row_is_quarantined_as_it_came_with_its_reason(empty, tmp_path, row, reason):
    result = load(empty, "customers", file(tmp_path, GOOD + row + "\n"))
    assert (result.accepted, result.quarantined) == (2, 1)
    [[number, reasons, content]] = rows(empty, "SELECT row, reasons, content FROM quarantine.customers")
    assert number == 3
    assert [r.replace("a integer", "an integer") for r in reasons] == [reason.replace("a integer", "an integer")]
    assert json.loads(content)["email"] == "c3@example.com"


def test_every_row_of_a_doubled_key_is_quarantined(empty, tmp_path):
    result = load(empty, "customers", file(tmp_path, GOOD + "c1,other@example.com,4,1,Urban\n"))
    assert (result.accepted, result.quarantined) == (1, 2)


def test_a_row_with_two_faults_counts_once_and_keeps_both_reasons(empty, tmp_path):
    result = load(empty, "customers", file(tmp_path, GOOD + "c3,c3@example.com,13,-1,Urban\n"))
    assert result.quarantined == 1
    assert len(result.reasons) == 2


def test_a_known_key_is_replaced_by_a_later_load(empty, tmp_path):
    load(empty, "customers", file(tmp_path, GOOD))
    load(empty, "customers", file(tmp_path, HEAD + "c1,c1@example.com,9,99,Urban\n", "later.csv"))
    assert rows(empty) == [("c1", 9, 99.0), ("c2", 12, 0.0)]


def test_the_same_file_again_is_a_no_op(empty, tmp_path):
    path = file(tmp_path, GOOD)
    load(empty, "customers", path)
    before = open_factory(empty).entries("customers")
    assert load(empty, "customers", path).repeated
    assert open_factory(empty).entries("customers") == before


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "empty"),
        (HEAD, "no rows"),
        ("customer_id,recency\nc1,3\n", "`history` is missing"),
        (HEAD.strip() + ",shoe_size\nc1,c1@example.com,3,1,Urban,42\n", "`shoe_size` is unknown"),
    ],
)
def test_a_file_that_is_not_as_declared_is_rejected_whole(empty, tmp_path, text, what):
    with pytest.raises(BadInput, match=what):
        load(empty, "customers", file(tmp_path, text))
    assert not (empty.factory / "warehouse.duckdb").exists()


def test_a_file_in_another_encoding_is_named_with_its_line(empty, tmp_path):
    path = tmp_path / "customers.csv"
    path.write_bytes(GOOD.encode() + "c3,müller@example.com,3,1,Urban\n".encode("latin-1"))
    with pytest.raises(BadInput) as caught:
        load(empty, "customers", path)
    assert "UTF-8" in caught.value.what
    assert "line" in str(caught.value.where)


def test_a_file_without_a_good_row_is_refused_and_nothing_is_stored(empty, tmp_path):
    with pytest.raises(Refused, match="too few"):
        load(empty, "customers", file(tmp_path, HEAD + "c1,c1@example.com,99,1,Urban\n"))
    assert not (empty.factory / "warehouse.duckdb").exists()


def test_an_unknown_table_names_those_with_a_contract(empty, tmp_path):
    with pytest.raises(BadInput) as caught:
        load(empty, "costumers", file(tmp_path, GOOD))
    assert "customers" in str(caught.value.expected)


def test_a_parquet_file_is_loaded_like_a_csv(empty, tmp_path):
    import duckdb

    csv, parquet = file(tmp_path, GOOD), tmp_path / "customers.parquet"
    duckdb.execute(f"COPY (FROM read_csv('{csv}')) TO '{parquet}' (FORMAT parquet)")
    load(empty, "customers", parquet)
    assert rows(empty) == [("c1", 3, 10.5), ("c2", 12, 0.0)]


@pytest.mark.proof
@pytest.mark.parametrize("point", ["factory.load._store", "factory.load._remember"])
def test_a_load_killed_before_it_was_recorded_is_finished_by_the_same_command(empty, tmp_path, point):
    path = file(tmp_path, GOOD + "c3,c3@example.com,13,1,Urban\n")
    module, name = point.rsplit(".", 1)
    script = f"""
import os, signal
from pathlib import Path
import {module} as module
from shared.workspace import open_workspace
module.{name} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
module.load(open_workspace(Path({str(empty.root)!r})), "customers", Path({str(path)!r}))
"""
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120, check=False)
    assert died.returncode == -signal.SIGKILL
    result = load(empty, "customers", path)
    assert not result.repeated
    assert len(rows(empty)) == 2
    assert rows(empty, "SELECT count(*) FROM quarantine.customers") == [(1,)]


@pytest.mark.proof
def test_two_loads_at_once_wait_for_each_other(empty, tmp_path):
    files = [file(tmp_path, HEAD + f"d{n},d{n}@example.com,3,1,Urban\n", f"{n}.csv") for n in range(3)]
    script = (
        "import sys; from pathlib import Path; from factory.load import load; from shared.workspace import *; "
        "load(open_workspace(Path(sys.argv[1])), 'customers', Path(sys.argv[2]))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(empty.root), str(path)], env=os.environ) for path in files
    ]
    assert [process.wait(timeout=120) for process in started] == [0, 0, 0]
    assert [row[0] for row in rows(empty)] == ["d0", "d1", "d2"]


def contract_file(workspace):
    return workspace.configs / "contracts" / "customers.odcs.yaml"


def with_columns(path, change):
    """Rewrites a contract with its columns changed."""
    document = yaml.safe_load(path.read_text())
    [table] = document["schema"]
    table["properties"] = change(table["properties"])
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def test_a_contract_in_another_order_still_puts_every_value_into_its_own_column(empty, tmp_path):
    load(empty, "customers", file(tmp_path, GOOD))
    with_columns(contract_file(empty), lambda columns: columns[::-1])
    load(empty, "customers", file(tmp_path, HEAD + "c3,c3@example.com,5,7,Rural\n", "later.csv"))
    found = rows(empty, "SELECT customer_id, email, recency, history, zip_code FROM customers ORDER BY 1")
    assert found[0] == ("c1", "c1@example.com", 3, 10.5, "Urban")
    assert found[2] == ("c3", "c3@example.com", 5, 7.0, "Rural")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda columns: [c for c in columns if c["name"] != "zip_code"],
            "`zip_code` is VARCHAR in the warehouse and missing in the contract",
        ),
        (
            lambda columns: [*columns, {"name": "score", "logicalType": "integer"}],
            "`score` is missing in the warehouse and BIGINT in the contract",
        ),
        (
            lambda columns: [
                {"name": "history", "logicalType": "string"} if column["name"] == "history" else column
                for column in columns
            ],
            "`history` is DOUBLE in the warehouse and VARCHAR in the contract",
        ),
    ],
)
def test_a_table_is_not_loaded_under_another_contract(empty, tmp_path, change, said):
    load(empty, "customers", file(tmp_path, GOOD))
    with_columns(contract_file(empty), change)
    names = [column["name"] for column in yaml.safe_load(contract_file(empty).read_text())["schema"][0]["properties"]]
    values = {"customer_id": "c1", "email": "n@example.com", "recency": "9", "history": "9", "zip_code": "Rural"}
    line = ",".join(values.get(name, "") for name in names)
    with pytest.raises(BadInput) as caught:
        load(empty, "customers", file(tmp_path, ",".join(names) + f"\n{line}\n", "later.csv"))
    assert said in caught.value.what
    assert caught.value.where == "configs/contracts/customers.odcs.yaml"
    assert rows(empty) == [("c1", 3, 10.5), ("c2", 12, 0.0)]


def test_every_type_of_a_contract_is_the_type_that_the_warehouse_tells(empty):
    kinds = ("string", "integer", "number", "boolean", "date", "timestamp")
    columns = tuple(Column(name=kind, type=kind) for kind in kinds)
    contract = Contract(id="t", name="t", version="1", table="t", primary_key="string", columns=columns)
    with open_warehouse(empty) as warehouse:
        described = ", ".join(f'"{name}" {kind}' for name, kind in declarations(contract).items())
        warehouse.execute(f"CREATE TABLE t ({described})")
        require_contract(warehouse, contract)


def test_pseudonymise_replaces_ids_and_resolve_brings_them_back(empty, tmp_path):
    load(empty, "customers", file(tmp_path, GOOD))
    reported = file(tmp_path, "customer_id,visit\nc2,1\nc1,0\n", "reported.csv")
    masked, back = tmp_path / "masked.csv", tmp_path / "back.csv"
    assert pseudonymise(empty, reported, masked, column="customer_id") == 2
    key = pseudonym_key(empty)
    assert masked.read_text().splitlines() == ["unit,visit", f"{pseudonym(key, 'c2')},1", f"{pseudonym(key, 'c1')},0"]
    assert resolve(empty, masked, back, table="customers") == 2
    assert [line.split(",")[0] for line in back.read_text().splitlines()] == ["id", "c2", "c1"]


def test_resolve_refuses_a_unit_that_is_nobody_here(empty, tmp_path):
    load(empty, "customers", file(tmp_path, GOOD))
    with pytest.raises(BadInput, match="1 units are nobody"):
        resolve(empty, file(tmp_path, "unit\nu_stranger\n", "units.csv"), tmp_path / "out.csv", table="customers")
    assert not (tmp_path / "out.csv").exists()
