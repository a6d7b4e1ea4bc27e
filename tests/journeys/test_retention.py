"""A snapshot's life: read by a pilot, outlived by newer ones, kept until the pilot is decided, and then gone."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from datetime import timedelta

import pytest

from factory.warehouse.load import load
from factory.warehouse.snapshots import publish
from pilotplant import app
from shared.data.snapshot import latest_snapshot
from tests.lab_makers import AFTER, DEADLINE, OWNER, PILOT, customers_csv, stage_copy

STOP = ["stop", "--as", OWNER, "--reason", "nothing in it for us", "--insight", "letters do it"]


@pytest.fixture
def submitted(request, tmp_path):
    """A candidate is before the gate, and since the launch a customer has changed."""
    workspace = stage_copy(request, tmp_path / "workspace", "submitted")
    workspace.clock.set(AFTER)
    file = customers_csv(tmp_path / "customers.csv")
    file.write_text(file.read_text().replace("C000001,c000001@example.com,2,", "C000001,c000001@example.com,1,"))
    before = latest_snapshot(workspace).id
    load(workspace, "customers", file)
    assert publish(workspace).snapshot != before
    return workspace, before


def said(workspace, *arguments, code=0):
    """What a command says with --json; errors come on stdout too."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        assert app._exit_code(["--workspace", str(workspace.root), *arguments, "--json"]) == code, err.getvalue()
    return json.loads(out.getvalue())


def removed(workspace):
    steps = said(workspace, "factory", "prune", "--keep", "1")["steps"]
    return [step["snapshot"] for step in steps if step["step"] == "remove"]


def check_gone(workspace, before, at):
    shown = said(workspace, "lab", "show", PILOT)
    assert (shown["snapshot"], shown["state"]) == (before, "decided")
    assert [line["pilot"] for line in said(workspace, "lab", "list")["pilots"]] == [PILOT]
    error = said(workspace, "lab", "sql", PILOT, "SELECT count(*) FROM customers", code=3)["error"]
    assert f"snapshot {before} of 2026-01-04 was removed on {at}" in error["what"]
    assert error["remedy"]


def test_a_candidate_keeps_its_snapshot_until_it_is_decided(submitted):
    workspace, before = submitted
    assert removed(workspace) == []
    assert said(workspace, "lab", "sql", PILOT, "SELECT count(*) FROM customers")["rows"] == [[600]]
    said(workspace, "promote", "decide", PILOT, *STOP)
    assert removed(workspace) == [before]
    check_gone(workspace, before, "2026-01-19")
    assert said(workspace, "promote", "verify")["verified"]


def test_silence_decides_and_lets_the_snapshot_go(submitted):
    workspace, before = submitted
    workspace.clock.set(DEADLINE - timedelta(minutes=5))
    assert removed(workspace) == []
    workspace.clock.set(DEADLINE)
    assert removed(workspace) == [before]
    check_gone(workspace, before, "2026-01-27")


def test_a_damaged_decision_is_none_and_keeps_the_snapshot(submitted):
    workspace, before = submitted
    said(workspace, "promote", "decide", PILOT, *STOP)
    for path in (workspace.promotion / "attestations").glob("*.json"):
        path.write_text("{}")
    assert removed(workspace) == []
    assert (workspace.lab / "snapshots" / before).is_dir()
