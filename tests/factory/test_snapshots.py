"""Snapshots: masked, named by their content, and the same for the same content."""

import errno

import duckdb
import pyarrow.parquet as pq
import pytest

from factory.state.room import open_factory
from factory.warehouse.load import load
from factory.warehouse.mask import pseudonym_key
from factory.warehouse.snapshots import publish
from factory.warehouse.warehouse import export, open_warehouse
from shared.core.errors import BadInput, Refused
from shared.data.pseudonym import pseudonym
from shared.data.snapshot import latest_snapshot, open_snapshot
from tests.makers import customers_csv, make_workspace


def test_nothing_loaded_is_nothing_published(tmp_path):
    with pytest.raises(Refused, match="nothing has been loaded"):
        publish(make_workspace(tmp_path / "workspace"))


def test_a_snapshot_holds_pseudonyms_and_no_address(workspace):
    found = publish(workspace)
    table = pq.read_table(open_snapshot(workspace, found.snapshot).table("customers"))
    assert "email" not in table.column_names
    assert pseudonym(pseudonym_key(workspace), "c00000") in table.column("customer_id").to_pylist()


def test_the_same_content_is_the_same_snapshot(workspace):
    first = publish(workspace)
    again = publish(workspace)
    assert again.snapshot == first.snapshot
    assert again.repeated


def test_other_content_is_another_snapshot_and_becomes_the_latest(workspace, tmp_path):
    first = publish(workspace)
    load(workspace, "customers", customers_csv(tmp_path / "more.csv", 210))
    second = publish(workspace)
    assert second.snapshot != first.snapshot
    assert latest_snapshot(workspace).id == second.snapshot
    assert open_snapshot(workspace, first.snapshot).manifest.tables["customers"].rows == first.rows["customers"]


def test_a_changed_manifest_is_found(workspace):
    snapshot = latest_snapshot_of(workspace)
    path = snapshot.folder / "manifest.json"
    path.write_text(path.read_text().replace('"rows":200', '"rows":201'))
    with pytest.raises(BadInput, match="changed"):
        open_snapshot(workspace, snapshot.id)


def test_an_unknown_table_names_those_in_the_snapshot(workspace):
    with pytest.raises(BadInput) as caught:
        latest_snapshot_of(workspace).table("orders")
    assert caught.value.expected == "one of: customers"


def test_publishing_again_repairs_a_damaged_snapshot(workspace):
    snapshot = latest_snapshot_of(workspace)
    for name in ("customers.parquet", "customers.odcs.yaml", "manifest.json"):
        (snapshot.folder / name).write_bytes(b"damaged")
        again = publish(workspace)
        assert (again.snapshot, again.repeated) == (snapshot.id, False)
        assert latest_snapshot(workspace).contract("customers").table == "customers"
        assert latest_snapshot(workspace).tables() == snapshot.tables()
    aside = [path for path in snapshot.folder.parent.iterdir() if path.name.startswith(".damaged.")]
    assert len(aside) == 3


def test_a_table_that_was_loaded_under_another_contract_is_not_published(workspace):
    contract = workspace.configs / "contracts" / "customers.odcs.yaml"
    contract.write_text(contract.read_text().replace("name: email", "name: address"))
    with pytest.raises(BadInput, match="`address` is missing in the warehouse") as caught:
        publish(workspace)
    assert caught.value.where == "configs/contracts/customers.odcs.yaml"


ORDERS = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
name: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {name: order_id, logicalType: string, primaryKey: true}
      - {name: customer_id, logicalType: string, classification: identifier}
      - {name: amount, logicalType: integer}
"""


@pytest.fixture
def two_tables(workspace, tmp_path):
    """Customers and orders, both published."""
    (workspace.configs / "contracts" / "orders.odcs.yaml").write_text(ORDERS)
    load_orders(workspace, tmp_path, 7)
    assert publish(workspace).shared == ()
    return workspace


def load_orders(workspace, folder, amount):
    file = folder / f"orders{amount}.csv"
    file.write_text(f"order_id,customer_id,amount\no1,c00000,{amount}\no2,c00001,5\n")
    load(workspace, "orders", file)


def inode(workspace, snapshot, name):
    return open_snapshot(workspace, snapshot).table(name).stat().st_ino


def test_a_table_that_was_not_loaded_since_is_one_file_with_the_earlier_snapshots(two_tables, tmp_path):
    before = latest_snapshot(two_tables)
    load_orders(two_tables, tmp_path, 8)
    after = publish(two_tables)
    assert (after.shared, after.repeated, after.rows) == (("customers",), False, {"customers": 200, "orders": 2})
    assert inode(two_tables, after.snapshot, "customers") == inode(two_tables, before.id, "customers")
    assert inode(two_tables, after.snapshot, "orders") != inode(two_tables, before.id, "orders")


def test_a_table_that_was_not_loaded_since_is_not_even_read(two_tables, tmp_path, monkeypatch):
    read = []
    real = export
    monkeypatch.setattr(
        "factory.warehouse.snapshots.export", lambda w, query, path: (read.append(path.stem), real(w, query, path))
    )
    load_orders(two_tables, tmp_path, 8)
    publish(two_tables)
    assert read == ["orders"]
    publish(two_tables)
    assert read == ["orders"]
    assert publish(two_tables, anew=True).repeated
    assert read == ["orders", "customers", "orders"]


def test_a_table_that_was_loaded_again_with_the_same_rows_is_read_and_then_shared(two_tables, tmp_path):
    before = latest_snapshot(two_tables)
    load_orders(two_tables, tmp_path, 8)
    load_orders(two_tables, tmp_path, 7)
    again = publish(two_tables)
    assert (again.snapshot, again.repeated, again.shared) == (before.id, True, ("customers", "orders"))


def test_rows_changed_behind_the_factorys_back_are_found_when_everything_is_read_anew(two_tables):
    before = publish(two_tables)
    with open_warehouse(two_tables) as warehouse:
        warehouse.execute("UPDATE orders SET amount = 9 WHERE order_id = 'o1'")
    found = publish(two_tables, anew=True)
    assert found.snapshot != before.snapshot
    assert found.shared == ("customers",)


def test_another_masking_is_another_file(two_tables):
    before = latest_snapshot(two_tables)
    path = two_tables.configs / "contracts" / "orders.odcs.yaml"
    path.write_text(
        path.read_text().replace("logicalType: integer}", "logicalType: integer, classification: restricted}")
    )
    after = publish(two_tables)
    assert after.shared == ("customers",)
    assert pq.read_table(open_snapshot(two_tables, after.snapshot).table("orders"))["amount"].to_pylist() == [
        None,
        None,
    ]
    assert pq.read_table(before.table("orders"))["amount"].to_pylist() == [7, 5]


def test_a_damaged_file_is_not_shared_and_what_takes_its_place_is_as_it_was(two_tables, tmp_path):
    before = latest_snapshot(two_tables)
    path = before.table("customers")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    load_orders(two_tables, tmp_path, 8)
    after = publish(two_tables)
    assert after.shared == ()
    assert open_snapshot(two_tables, after.snapshot).manifest.tables["customers"] == before.manifest.tables["customers"]


def test_without_links_every_snapshot_has_files_of_its_own(two_tables, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EMLINK, "too many links")

    before = latest_snapshot(two_tables)
    load_orders(two_tables, tmp_path, 8)
    monkeypatch.setattr("factory.warehouse.snapshots.Path.hardlink_to", refuse)
    after = publish(two_tables)
    assert after.shared == ()
    assert inode(two_tables, after.snapshot, "customers") != inode(two_tables, before.id, "customers")
    assert {p.name for p in latest_snapshot(two_tables).folder.iterdir()} == {p.name for p in before.folder.iterdir()}


def test_a_warehouse_put_back_from_a_backup_and_loaded_otherwise_is_not_taken_for_what_it_was(two_tables, tmp_path):
    """Were versions counted, the new rows would come by the number that the lost ones had."""
    backup = (two_tables.factory / "warehouse.duckdb").read_bytes()
    load_orders(two_tables, tmp_path, 8)
    lost = publish(two_tables)
    (two_tables.factory / "warehouse.duckdb").write_bytes(backup)
    load_orders(two_tables, tmp_path, 9)
    found = publish(two_tables)
    assert found.snapshot != lost.snapshot
    amounts = pq.read_table(open_snapshot(two_tables, found.snapshot).table("orders"))["amount"].to_pylist()
    assert amounts == [9, 5]


def test_the_orders_of_a_customer_are_found_by_the_same_pseudonym(two_tables):
    tables = latest_snapshot(two_tables).tables()
    query = "SELECT order_id FROM '{orders}' JOIN '{customers}' USING (customer_id) ORDER BY 1"
    assert duckdb.sql(query.format(**tables)).fetchall() == [("o1",), ("o2",)]


def latest_snapshot_of(workspace):
    publish(workspace)
    return latest_snapshot(workspace)


def test_the_manifest_says_the_workspaces_holdout_and_another_share_is_another_snapshot(workspace):
    first = latest_snapshot_of(workspace)
    settings = workspace.configs / "factory.yaml"
    settings.write_text(settings.read_text().replace("holdout_frac: 0\n", "holdout_frac: 0.05\n"))
    second = latest_snapshot_of(workspace)
    assert (str(first.manifest.holdout_frac), str(second.manifest.holdout_frac)) == ("0", "0.05")
    assert first.id != second.id
    published = [entry.body for entry in open_factory(workspace).entries() if entry.kind == "published"]
    assert [body["holdout_frac"] for body in published] == ["0", "0.05"]


@pytest.mark.parametrize("share", ["1", "-0.1", ".nan", "most"])
def test_a_holdout_that_is_no_share_of_the_customers_is_refused(workspace, share):
    settings = workspace.configs / "factory.yaml"
    settings.write_text(settings.read_text().replace("holdout_frac: 0\n", f"holdout_frac: {share}\n"))
    with pytest.raises(BadInput, match="holdout_frac"):
        publish(workspace)
