"""Snapshots: masked, named by their content, and the same for the same content."""

import pyarrow.parquet as pq
import pytest

from factory.load import load
from factory.masking import pseudonym, pseudonym_key
from factory.snapshots import publish
from factory.state import open_factory
from shared.errors import BadInput, Refused
from shared.snapshot import latest_snapshot, open_snapshot
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
