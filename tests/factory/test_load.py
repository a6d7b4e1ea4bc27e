"""Loading: good rows in, bad rows aside with reasons, unreadable files not at all, nothing lost."""

import json
import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
import yaml

from factory.runtime.measures import measures
from factory.state.room import open_factory
from factory.state.settings import warehouse_path
from factory.warehouse.load import load
from factory.warehouse.snapshots import publish
from factory.warehouse.tables import list_tables
from factory.warehouse.warehouse import (
    PRIMARY_KEY,
    columns_of,
    count,
    declarations,
    export_masked,
    has_index,
    open_warehouse,
    require_contract,
)
from pilotplant.app import _exit_code
from shared.core.clock import parse_rfc3339
from shared.core.errors import BadInput, Refused
from shared.data import quality
from shared.data.contracts import Column, Contract
from shared.data.tabular import connect_within
from tests.makers import customers_csv, make_workspace

HEAD = "customer_id,email,recency,history,zip_code\n"
GOOD = HEAD + "c1,c1@example.com,3,10.5,Urban\nc2,c2@example.com,12,0,Rural\n"


@pytest.fixture
def strict(tmp_path):
    """A workspace with the settings that every new one has."""
    return make_workspace(tmp_path / "workspace")


@pytest.fixture
def empty(strict):
    """One where two rows of three may be bad: files here are short."""
    settings = strict.configs / "factory.yaml"
    settings.write_text(settings.read_text() + "quarantined_frac_max: 0.7\n")
    return strict


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
        ("c3,c3@example.com,soon,1,Urban", "recency is not an integer"),
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


def last_loaded(workspace):
    return list_tables(workspace, "customers")[0].loaded_at


def test_the_same_file_again_changes_nothing_but_the_table_s_date(empty, tmp_path):
    path = file(tmp_path, GOOD)
    load(empty, "customers", path)
    before, room = last_loaded(empty), open_factory(empty)
    facts = measures(empty)
    empty.clock.set(room.now() + timedelta(days=3))
    assert load(empty, "customers", path).repeated
    assert [entry.kind for entry in room.entries("customers")] == ["loaded", "confirmed"]
    assert parse_rfc3339(last_loaded(empty)) - parse_rfc3339(before) > timedelta(days=2)
    assert measures(empty) == facts


def test_the_same_file_is_judged_anew_once_the_contract_was_corrected(empty, tmp_path):
    path = file(tmp_path, GOOD + "c3,c3@example.com,13,1,Urban\n")
    assert load(empty, "customers", path).quarantined == 1
    contract_file(empty).write_text(contract_file(empty).read_text().replace("maximum: 12", "maximum: 13"))
    again = load(empty, "customers", path)
    assert (again.repeated, again.accepted, again.quarantined) == (False, 3, 0)
    assert list_tables(empty, "customers")[0].quarantined == 0


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


@pytest.mark.parametrize("text", ["Kundennummer;Umsatz\n17;3\n", "id,orders\n17,3\n"])
def test_where_the_examples_contract_stands_in_the_way_it_says_so(empty, tmp_path, text):
    with pytest.raises(BadInput) as caught:
        load(empty, "customers", file(tmp_path, text))
    assert "the contract is the example's; draft one of this file: pilotplant factory contract customers" in str(
        caught.value.remedy
    )


def test_a_file_in_another_encoding_is_named_with_its_line(empty, tmp_path):
    path = tmp_path / "customers.csv"
    path.write_bytes(GOOD.encode() + "c3,müller@example.com,3,1,Urban\n".encode("latin-1"))
    with pytest.raises(BadInput) as caught:
        load(empty, "customers", path)
    assert "UTF-8" in caught.value.what
    assert "line" in str(caught.value.where)


def test_a_file_without_a_good_row_is_refused_and_nothing_is_stored(empty, tmp_path):
    with pytest.raises(Refused, match="no row is good"):
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
@pytest.mark.parametrize("point", ["factory.warehouse.load._store", "factory.warehouse.load._remember"])
def test_a_load_killed_before_it_was_recorded_is_finished_by_the_same_command(empty, tmp_path, point):
    path = file(tmp_path, GOOD + "c3,c3@example.com,13,1,Urban\n")
    module, name = point.rsplit(".", 1)
    script = f"""
import os, signal
from pathlib import Path
import {module} as module
from shared.state.workspace import open_workspace
module.{name} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
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
        "import sys; from pathlib import Path; from factory.warehouse.load import load; "
        "from shared.state.workspace import *; "
        "load(open_workspace(Path(sys.argv[1])), 'customers', Path(sys.argv[2]))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(empty.root), str(path)], env=os.environ) for path in files
    ]
    assert [process.wait(timeout=120) for process in started] == [0, 0, 0]
    assert [row[0] for row in rows(empty)] == ["d0", "d1", "d2"]


@pytest.mark.parametrize("bad", ["c3,c3@example.com,13,1,Urban", "c3,c3@example.com,3,-1,Urban"])
def test_a_row_that_came_later_and_was_accepted_is_held_back_no_more(empty, tmp_path, bad):
    load(empty, "customers", file(tmp_path, f"{GOOD}{bad}\nc4,c4@example.com,99,1,Urban\n"))
    load(empty, "customers", file(tmp_path, HEAD + "c3,c3@example.com,3,1,Urban\n", "corrected.csv"))
    [facts] = list_tables(empty, "customers")
    assert (facts.rows, facts.quarantined, [held.first for held in facts.held]) == (3, 1, [(4,)])


def test_a_load_with_fewer_columns_leaves_the_others_as_they_were(empty, tmp_path):
    load(empty, "customers", file(tmp_path, GOOD))
    names = "customer_id,recency,history\n"
    result = load(empty, "customers", file(tmp_path, names + "c1,9,99\nc3,4,5\n", "fewer.csv"))
    assert (result.new, result.renewed) == (1, 1)
    assert {"email", "zip_code"} <= set(result.kept)
    assert rows(empty, "SELECT customer_id, email, recency, history, zip_code FROM customers ORDER BY 1") == [
        ("c1", "c1@example.com", 9, 99.0, "Urban"), ("c2", "c2@example.com", 12, 0.0, "Rural"),
        ("c3", None, 4, 5.0, None),
    ]  # fmt: skip


def test_a_parquet_file_with_fewer_columns_leaves_the_others_under_a_key_of_several(empty, tmp_path):
    import duckdb

    orders(empty, [*ORDERS, {"name": "note", "logicalType": "string"}])
    load(empty, "orders", file(tmp_path, "order_id,line,amount,note\n1,1,10,first\n1,2,20,second\n", "orders.csv"))
    fewer = tmp_path / "fewer.parquet"
    duckdb.execute(f"COPY (SELECT 2 AS line, 1 AS order_id, 'new' AS note) TO '{fewer}' (FORMAT parquet)")
    assert load(empty, "orders", fewer).kept == ("amount",)
    assert rows(empty, "FROM orders ORDER BY 1, 2") == [(1, 1, 10.0, "first"), (1, 2, 20.0, "new")]


def test_a_file_of_keys_alone_adds_rows_and_changes_none(empty, tmp_path):
    with_columns(contract_file(empty), lambda columns: [{**c, "required": bool(c.get("primaryKey"))} for c in columns])
    load(empty, "customers", file(tmp_path, GOOD))
    load(empty, "customers", file(tmp_path, "customer_id\nc2\nc9\n", "keys.csv"))
    assert rows(empty) == [("c1", 3, 10.5), ("c2", 12, 0.0), ("c9", None, None)]


@pytest.mark.parametrize(("bad", "refused"), [(1, False), (2, True)])
def test_more_bad_rows_than_the_settings_allow_are_refused_with_the_reasons(strict, tmp_path, bad, refused):
    good = [f"g{n},g{n}@example.com,3,1,Urban" for n in range(9)]
    path = file(tmp_path, HEAD + "\n".join([*good, *(f"b{n},b{n}@example.com,99,1,Urban" for n in range(bad))]))
    if not refused:
        assert load(strict, "customers", path).quarantined == 1
        return
    with pytest.raises(Refused) as caught:
        load(strict, "customers", path)
    assert caught.value.what.startswith("2 of 11 rows would be quarantined (18.2%)")
    assert "recency must be between 1 and 12 (2 rows: 10, 11)" in caught.value.remedy
    assert not (strict.factory / "warehouse.duckdb").exists()


@pytest.mark.parametrize(("value", "why"), [("soon", "recency is not an integer"), ("", "recency must not be missing")])
def test_rows_that_cannot_be_read_or_lack_a_value_count_among_the_bad_ones(strict, tmp_path, value, why):
    lines = [f"c{n},c{n}@example.com,{value if n < 3 else 3},1,Urban" for n in range(9)]
    with pytest.raises(Refused, match="3 of 9 rows would be quarantined") as caught:
        load(strict, "customers", file(tmp_path, HEAD + "\n".join(lines)))
    assert f"{why} (3 rows: 1, 2, 3)" in caught.value.remedy.replace("a integer", "an integer")


def test_a_key_that_is_none_is_doubted(strict, tmp_path):
    path = file(tmp_path, HEAD + "".join(f"c{n // 4},c{n}@example.com,3,1,Urban\n" for n in range(41)))
    with pytest.raises(Refused, match="40 of 41 rows") as caught:
        load(strict, "customers", path)
    assert "Does customer_id really tell the rows apart?" in caught.value.remedy


LINES = "order_id,line,amount\n1,1,10\n1,2,20\n2,1,30\n"
ORDERS = [
    {"name": "order_id", "logicalType": "integer", "primaryKey": True, "primaryKeyPosition": 1},
    {"name": "line", "logicalType": "integer", "primaryKey": True, "primaryKeyPosition": 2},
    {"name": "amount", "logicalType": "number"},
]


def orders(workspace, columns=ORDERS):
    path = workspace.configs / "contracts" / "orders.odcs.yaml"
    document = yaml.safe_load(contract_file(workspace).read_text())
    [table] = document["schema"]
    table |= {"name": "orders", "properties": columns}
    table.pop("physicalName", None)
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def test_several_columns_may_tell_the_rows_apart_together(empty, tmp_path):
    orders(empty)
    load(empty, "orders", file(tmp_path, LINES, "orders.csv"))
    load(empty, "orders", file(tmp_path, "order_id,line,amount\n1,2,25\n2,2,40\n", "more.csv"))
    assert rows(empty, "FROM orders ORDER BY 1, 2") == [(1, 1, 10.0), (1, 2, 25.0), (2, 1, 30.0), (2, 2, 40.0)]


def test_of_a_key_of_several_columns_only_both_together_are_doubled(empty, tmp_path):
    orders(empty)
    result = load(empty, "orders", file(tmp_path, LINES + "2,1,31\n", "orders.csv"))
    assert (result.accepted, result.reasons) == (2, {"order_id, line must be unique together": 2})


def test_of_a_key_of_several_columns_a_row_clears_what_was_held_back_of_both_together(empty, tmp_path):
    orders(empty)
    load(empty, "orders", file(tmp_path, LINES + "2,2,x\n2,3,x\n", "orders.csv"))
    load(empty, "orders", file(tmp_path, "order_id,line,amount\n2,3,40\n", "more.csv"))
    assert rows(empty, "SELECT row FROM quarantine.orders") == [(4,)]


@pytest.mark.parametrize("name", ["content", "raw", "row", "reasons", "file", "held", "g", "q", "excluded", "reason"])
def test_a_column_may_have_a_name_of_ours(empty, tmp_path, name):
    orders(empty, [*ORDERS, {"name": name, "logicalType": "string"}])
    head = f"order_id,line,amount,{name}\n"
    load(empty, "orders", file(tmp_path, head + "1,1,10,Hello\n1,x,20,there\n", "orders.csv"))
    [(content,)] = rows(empty, "SELECT content FROM quarantine.orders")
    assert json.loads(content) == {"_row": 2, "order_id": "1", "line": "x", "amount": "20", name: "there"}
    load(empty, "orders", file(tmp_path, head + "1,1,10,Hello\n1,2,20,again\n", "more.csv"))
    assert rows(empty, f'SELECT line, "{name}" FROM orders ORDER BY 1') == [(1, "Hello"), (2, "again")]


@pytest.mark.parametrize(
    ("kind", "options", "held", "good"),
    [
        ("integer", {}, " 007 ", "7"), ("timestamp", {}, "2026-05-14T11:23:45Z", "2026-05-14 13:23:45 +0200"),
        ("date", {"format": "dd.MM.yyyy"}, "14.05.2026", "2026-05-14"), ("string", {}, "a'b", "a'b"),
    ],
)  # fmt: skip
def test_a_row_clears_what_was_held_back_of_its_key_however_that_was_written(
    empty, tmp_path, kind, options, held, good
):
    key = {"name": "key", "logicalType": kind, "primaryKey": True, "logicalTypeOptions": options}
    orders(empty, [key, {"name": "amount", "logicalType": "number"}])
    other = {"integer": "8", "timestamp": "2026-01-01", "date": "2026-01-01", "string": "b"}[kind]
    load(empty, "orders", file(tmp_path, f"key,amount\n{held},x\n{other},1\n", "bad.csv"))
    assert list_tables(empty, "orders")[0].quarantined == 1
    load(empty, "orders", file(tmp_path, f"key,amount\n{good},2\n", "good.csv"))
    assert list_tables(empty, "orders")[0].quarantined == 0


def test_a_table_s_least_rows_are_asked_of_the_table_and_not_of_a_correction(empty, tmp_path):
    path = contract_file(empty)
    document = yaml.safe_load(path.read_text())
    document["schema"][0]["quality"] = [{"metric": "rowCount", "mustBeGreaterOrEqualTo": 2}]
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    one = HEAD + "c1,c1@example.com,9,99,Urban\n"
    with pytest.raises(Refused, match="would have 1 rows, which are too few"):
        load(empty, "customers", file(tmp_path, one, "one.csv"))
    load(empty, "customers", file(tmp_path, GOOD))
    assert load(empty, "customers", file(tmp_path, one, "one.csv")).renewed == 1
    with pytest.raises(Refused, match="too few"):
        load(empty, "customers", tmp_path / "one.csv", replace=True)
    assert rows(empty) == [("c1", 9, 99.0), ("c2", 12, 0.0)]


def test_what_an_earlier_build_loaded_goes_on_with_a_format_that_nobody_keeps(empty, tmp_path):
    load(empty, "customers", file(tmp_path, GOOD))
    with_columns(
        contract_file(empty),
        lambda columns: [
            {**c, "logicalTypeOptions": {"format": "byte"}} if c["name"] == "email" else c for c in columns
        ],
    )
    assert publish(empty).left_out == {}
    with pytest.raises(BadInput, match="`byte` is not kept here"):
        load(empty, "customers", file(tmp_path, GOOD + "c3,c3@example.com,4,1,Urban\n", "more.csv"))


def test_a_file_may_call_columns_by_their_physical_names(empty, tmp_path):
    orders(empty, [{**column, "physicalName": f"{column['name'].title()} (shop)"} for column in ORDERS])
    text = "Line (shop);Order_Id (shop);amount\n1;1;10,5\n2;1;20\n"
    load(empty, "orders", file(tmp_path, text, "orders.csv"))
    assert rows(empty, "FROM orders ORDER BY 1, 2") == [(1, 1, 10.5), (1, 2, 20.0)]
    publish(empty)
    assert "physicalName" not in next(empty.lab.glob("snapshots/[!.]*/orders.odcs.yaml")).read_text()


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ({"name": "_line", "logicalType": "integer"}, "names that begin with `_`"),
        ({"name": "day", "logicalType": "date", "logicalTypeOptions": {"format": "QQ"}}, "`QQ` of the format"),
        ({"name": "day", "logicalType": "date", "logicalTypeOptions": {"format": "MM.yyyy"}}, "must name the day once"),
        (
            {"name": "m", "logicalType": "string", "logicalTypeOptions": {"format": "password"}},
            "`password` is not kept",
        ),
    ],
)
def test_what_a_contract_says_and_nobody_would_keep_is_refused(empty, tmp_path, column, said):
    orders(empty, [*ORDERS, column])
    with pytest.raises(BadInput, match=said):
        load(empty, "orders", file(tmp_path, LINES, "orders.csv"))


@pytest.mark.parametrize(
    ("name", "good", "bad", "said"),
    [
        ("email", "a@example.com", "b.example.com", "be a email"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567", "be a uuid"),
        ("ipv4", "192.0.2.255", "192.0.2.256", "be a ipv4"),
    ],
)
def test_a_format_of_texts_is_kept(empty, tmp_path, name, good, bad, said):
    orders(empty, [*ORDERS, {"name": "mark", "logicalType": "string", "logicalTypeOptions": {"format": name}}])
    text = f"order_id,line,mark\n1,1,{good}\n1,2,{bad}\n"
    assert load(empty, "orders", file(tmp_path, text, "orders.csv")).reasons == {f"mark must {said}": 1}


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
    contract = Contract(id="t", name="t", version="1", table="t", key=("string",), columns=columns)
    with open_warehouse(empty) as warehouse:
        described = ", ".join(f'"{name}" {kind}' for name, kind in declarations(contract).items())
        warehouse.execute(f"CREATE TABLE t ({described})")
        require_contract(warehouse, contract)


def test_what_a_killed_process_had_spilled_is_gone_with_the_next_load(strict, tmp_path):
    load(strict, "customers", customers_csv(tmp_path / "customers.csv"))
    left = warehouse_path(strict).with_name("warehouse.duckdb.tmp")
    left.mkdir()
    (left / "duckdb_temp_storage_S96K-0.tmp").write_bytes(b"c00001@example.com")
    load(strict, "customers", customers_csv(tmp_path / "more.csv", rows=201))
    assert not left.exists()


def test_a_table_of_an_earlier_build_goes_on_under_its_index(strict, tmp_path):
    """Until 0.1 a table had an index of its keys; that it has one tells its key, as a comment does since."""
    load(strict, "customers", customers_csv(tmp_path / "customers.csv"))
    with open_warehouse(strict) as warehouse:
        now = columns_of(warehouse, "customers")
        columns = ", ".join(f"{name} {kind.removesuffix(PRIMARY_KEY)}" for name, kind in now.items())
        warehouse.execute("ALTER TABLE customers RENAME TO later")
        warehouse.execute(f"CREATE TABLE customers ({columns}, PRIMARY KEY (customer_id))")
        warehouse.execute("INSERT INTO customers BY NAME FROM later")
        warehouse.execute("DROP TABLE later")
        assert columns_of(warehouse, "customers") == now
    result = load(strict, "customers", customers_csv(tmp_path / "more.csv", rows=201))
    assert (result.new, result.renewed) == (1, 200)
    with open_warehouse(strict, read_only=True) as warehouse:
        assert (count(warehouse, "customers"), columns_of(warehouse, "customers")) == (201, now)
        assert not has_index(warehouse, "customers")


def test_a_key_that_somebody_doubled_by_hand_is_refused_where_units_are_selected(strict, tmp_path):
    load(strict, "customers", customers_csv(tmp_path / "customers.csv"))
    export_masked(strict, ["customers"], tmp_path / "once")
    with open_warehouse(strict) as warehouse:
        warehouse.execute("INSERT INTO customers SELECT * FROM customers WHERE customer_id = 'c00007'")
    with pytest.raises(Refused, match=r"has a key \(customer_id\) more than once"):
        export_masked(strict, ["customers"], tmp_path / "twice")


@pytest.mark.check
@pytest.mark.parametrize("place", ["shared.data.tabular", "shared.data.quality", "factory.warehouse.warehouse"])
def test_too_little_memory_is_named_and_nothing_is_half_loaded(strict, tmp_path, monkeypatch, place):
    """Whatever reads the file, judges its rows or keeps them is held to what it is given."""
    load(strict, "customers", customers_csv(tmp_path / "customers.csv"))
    monkeypatch.setattr(f"{place}.MEMORY", "1MB")
    code = _exit_code(
        ["--workspace", str(strict.root), "factory", "load", "customers",
         str(customers_csv(tmp_path / "more.csv", rows=300_000))]
    )  # fmt: skip
    monkeypatch.undo()
    assert code == 4
    with open_warehouse(strict, read_only=True) as warehouse:
        assert count(warehouse, "customers") == 200


@pytest.mark.check
def test_publishing_is_held_to_its_memory_too(strict, tmp_path, monkeypatch):
    load(strict, "customers", customers_csv(tmp_path / "customers.csv", rows=300_000))
    monkeypatch.setattr("factory.warehouse.warehouse.MEMORY", "1MB")
    assert _exit_code(["--workspace", str(strict.root), "factory", "publish"]) == 4
    monkeypatch.undo()
    assert list(strict.lab.glob("snapshots/[!.]*")) == []


def test_no_key_is_twice_in_a_table_without_an_index(strict, tmp_path):
    for rows in (200, 150, 201):
        load(strict, "customers", customers_csv(tmp_path / f"{rows}.csv", rows=rows))
    with open_warehouse(strict, read_only=True) as warehouse:
        assert warehouse.execute("SELECT count(*), count(DISTINCT customer_id) FROM customers").fetchone() == (201, 201)
        assert not has_index(warehouse, "customers")


@pytest.mark.check
def test_a_load_takes_no_more_memory_than_it_is_given_and_spills_the_rest(strict, tmp_path, monkeypatch):
    """Of 400,000 rows their texts alone are more than the 64 MB that each database has."""
    monkeypatch.setattr("shared.data.tabular.MEMORY", "64MB")
    monkeypatch.setattr("factory.warehouse.warehouse.MEMORY", "64MB")
    result = load(strict, "customers", customers_csv(tmp_path / "customers.csv", rows=400_000))
    assert (result.new, publish(strict).rows) == (400_000, {"customers": 400_000})


def test_what_holds_a_table_of_any_size_has_half_a_gibibyte(strict, tmp_path):
    """Reading a file, judging its rows, and the warehouse itself: each has so much and spills the rest to a folder."""
    asked = "SELECT current_setting('memory_limit'), current_setting('temp_directory')"
    data = tmp_path / "one.parquet"
    with connect_within(tmp_path) as reading, open_warehouse(strict) as warehouse:
        reading.execute(f"COPY (SELECT 1 AS x) TO '{data}' (FORMAT parquet)")
        with quality._opened(data, tmp_path) as table:
            found = [each.execute(asked).fetchone() for each in (reading, warehouse, table.connection)]
    assert [limit for limit, _ in found] == ["512.0 MiB"] * 3
    assert all(str(folder).startswith(str(tmp_path)) for _, folder in found)


def test_tables_that_differ_in_capitals_only_are_refused(workspace, tmp_path):
    """DuckDB would take one for the other, and a load of the one would empty the other."""
    contract = workspace.configs / "contracts" / "customers.odcs.yaml"
    load(workspace, "customers", customers_csv(tmp_path / "customers.csv"))
    other = contract.with_name("Customers.odcs.yaml")
    other.write_text(contract.read_text().replace("name: customers", "name: Customers"))
    for replace in (False, True):
        with pytest.raises(BadInput, match="differ in capitals only"):
            load(workspace, "Customers", customers_csv(tmp_path / "customers.csv"), replace=replace)
    contract.unlink()
    with pytest.raises(Refused, match="which differs from `Customers` in capitals only"):
        load(workspace, "Customers", customers_csv(tmp_path / "customers.csv"), replace=True)


def test_a_warehouse_that_was_restored_is_loaded_again(workspace, tmp_path):
    file = customers_csv(tmp_path / "customers.csv")
    load(workspace, "customers", file)
    backup = warehouse_path(workspace).read_bytes()
    lines = file.read_text().splitlines()
    later = tmp_path / "later.csv"
    later.write_text("\n".join(lines[:-1]) + "\n")
    assert not load(workspace, "customers", later).repeated
    assert load(workspace, "customers", later).repeated
    warehouse_path(workspace).write_bytes(backup)
    assert not load(workspace, "customers", later).repeated
