"""Snapshots: named by their content, and refused where it was changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from shared.core.digests import canonical, digest_bytes, digest_file
from shared.core.errors import BadInput, Refused
from shared.data.snapshot import LiveRelease, PublishedTable, SnapshotManifest, latest_snapshot, open_snapshot
from shared.state.workspace import create

CONTRACT = Path(__file__).parents[2] / "configs" / "contracts" / "customers.odcs.yaml"
DATA = b"PAR1 customers"


@pytest.fixture
def workspace(tmp_path):
    return create(tmp_path / "team", "rehearsal")[0]


def manifest(workspace, rows=3):
    table = PublishedTable(rows=rows, data=digest_bytes(DATA), contract=digest_file(CONTRACT))
    release = LiveRelease(name="spring-mail-letter", pilot="spring-mail", arm="letter")
    return SnapshotManifest(
        workspace=workspace.id, mode=workspace.mode, tables={"customers": table}, releases=(release,)
    )


def published(workspace, **changes):
    made = manifest(workspace, **changes)
    folder = workspace.lab / "snapshots" / made.id
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(canonical(made.model_dump(mode="json")))
    (folder / "customers.parquet").write_bytes(DATA)
    shutil.copy(CONTRACT, folder / "customers.odcs.yaml")
    (folder.parent / "latest.json").write_text(json.dumps({"id": made.id}))
    return folder


def test_a_snapshot_opens_by_its_name(workspace):
    folder = published(workspace)
    assert open_snapshot(workspace, folder.name).manifest == manifest(workspace)


def test_the_latest_snapshot_is_the_one_pointed_at(workspace):
    published(workspace)
    second = published(workspace, rows=4)
    assert latest_snapshot(workspace).id == second.name


def test_other_content_has_another_name(workspace):
    assert manifest(workspace).id != manifest(workspace, rows=4).id


def test_without_a_snapshot_the_lab_is_told_whom_to_ask(workspace):
    with pytest.raises(Refused, match="no snapshot yet"):
        latest_snapshot(workspace)


def test_a_changed_manifest_is_refused(workspace):
    folder = published(workspace)
    (folder / "manifest.json").write_bytes(canonical(manifest(workspace, rows=4).model_dump(mode="json")))
    with pytest.raises(BadInput, match="was changed"):
        open_snapshot(workspace, folder.name)


@pytest.mark.parametrize("content", ["", "{}", "[]", "null"])
def test_a_damaged_manifest_is_refused(workspace, content):
    folder = published(workspace)
    (folder / "manifest.json").write_text(content)
    with pytest.raises(BadInput, match="missing or damaged"):
        open_snapshot(workspace, folder.name)


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", "7"])
def test_a_damaged_pointer_is_bad_input(workspace, content):
    folder = published(workspace)
    (folder.parent / "latest.json").write_text(content)
    with pytest.raises(BadInput, match="pointer to the latest snapshot is damaged"):
        latest_snapshot(workspace)


@pytest.mark.parametrize("name", ["none", "../snapshots", ""])
def test_a_name_that_is_no_snapshot_is_refused(workspace, name):
    published(workspace)
    with pytest.raises(BadInput, match="missing or damaged"):
        open_snapshot(workspace, name)


def test_a_table_is_its_parquet_file(workspace):
    folder = published(workspace)
    assert latest_snapshot(workspace).tables() == {"customers": folder / "customers.parquet"}


@pytest.mark.parametrize("ask", ["table", "contract"])
def test_an_unknown_table_comes_with_the_known_ones(workspace, ask):
    published(workspace)
    with pytest.raises(BadInput) as caught:
        getattr(latest_snapshot(workspace), ask)("orders")
    assert caught.value.expected == "one of: customers"


def test_a_contract_is_the_one_that_was_published(workspace):
    published(workspace)
    assert latest_snapshot(workspace).contract("customers").table == "customers"


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("customers.parquet", lambda snapshot: snapshot.table("customers")),
        ("customers.parquet", lambda snapshot: snapshot.tables()),
        ("customers.odcs.yaml", lambda snapshot: snapshot.contract("customers")),
        ("customers.odcs.yaml", lambda snapshot: snapshot.contract_file("customers")),
    ],
)
@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes() + b"\n"), Path.unlink])
def test_a_file_that_was_changed_after_publication_is_not_served(workspace, name, ask, damage):
    damage(published(workspace) / name)
    with pytest.raises(Refused, match=f"`{name}` of snapshot .* was changed after it was published") as caught:
        ask(latest_snapshot(workspace))
    assert "publish" in str(caught.value.remedy)
