"""From a submitted pilot to an admitted release, with the Factory's word in between."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pytest

from pilotplant.app import run
from shared.trust.candidates import find_candidate
from shared.trust.preflight import report_path
from tests.lab_makers import OWNER, PILOT, stage_copy

SCALE = ["--arm", "letter", "--as", OWNER, "--reason", "visits rise far beyond chance"]


@pytest.fixture
def submitted(request, tmp_path: Path):
    """A submitted pilot that the Factory has not tried."""
    workspace = stage_copy(request, tmp_path / "workspace", "submitted")
    report_path(workspace, find_candidate(workspace, PILOT).digest).unlink()
    return workspace


def said(workspace, *words):
    """What a command prints as JSON, and its exit code."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        found = run(["--workspace", str(workspace.root), *words, "--json"])
    return json.loads(printed.getvalue()), found if isinstance(found, int) and not isinstance(found, bool) else 0


def waiting(workspace):
    """What the gate's queue and the front door name as the next step."""
    [candidate] = said(workspace, "promote", "queue")[0]["candidates"]
    [wait] = [each for each in said(workspace, "status")[0]["waits"] if each["what"] == PILOT]
    return candidate["next"], wait["next"]


def test_a_pilot_is_undecided_until_the_factory_has_tried_it_and_then_goes_all_the_way(submitted):
    command = f"pilotplant factory preflight {PILOT}"
    found, code = said(submitted, "promote", "check", PILOT)
    assert (found["verdict"], code) == ("undecided", 4)
    blocking = [finding for finding in found["findings"] if finding["level"] == "block"]
    open_ones = {finding["check"] for finding in blocking if finding["outcome"] == "unevaluable"}
    assert {"preflight_signed", "shadow_run", "kill_switch"} <= open_ones
    assert {f["remedy"] for f in blocking if f["check"] in open_ones} == {f"for ops: {command}"}
    assert waiting(submitted) == (command, command)
    report, code = said(submitted, "factory", "preflight", PILOT)
    assert code == 0
    assert {each["arm"] for each in report["shadow_runs"]} == {"letter", "card"}
    assert not (submitted.factory / "outgoing").exists()
    assert waiting(submitted) == (None, f"pilotplant promote summary {PILOT}")
    found, code = said(submitted, "promote", "check", PILOT)
    assert (found["arms"]["letter"], code) == ("admit", 0)
    decided, _ = said(submitted, "promote", "decide", PILOT, "scale", *SCALE)
    assert said(submitted, "factory", "admit")[0]["admitted"] == [decided["release"]]
    verified, code = said(submitted, "promote", "verify")
    assert (verified["problems"], code) == ([], 0)
    assert any(line.startswith("preflight report") for line in verified["verified"])


def test_the_gate_is_told_how_many_of_those_that_were_tested_the_play_would_reach(submitted):
    """All 600 customers took part; half of them, by their recency, are the play's audience."""
    report, _ = said(submitted, "factory", "preflight", PILOT)
    runs = report["shadow_runs"]
    assert [(run["tested"], run["tested_selected"], run["audience"]) for run in runs] == [(600, 300, 300)] * 2
    found, _ = said(submitted, "promote", "check", PILOT)
    told = {each["arm"]: each for each in found["findings"] if each["check"] == "audience_tested"}
    assert {arm: (each["outcome"], each["level"]) for arm, each in told.items()} == {
        "letter": ("failed", "warn"), "card": ("failed", "warn"),
    }  # fmt: skip
    reached = "of 600 units that the pilot was tried on the play would reach 300 (50 %), of 300 in all"
    assert all(reached in each["reason"] for each in told.values())


def test_what_changed_in_the_factory_since_the_launch_is_refused_by_name(submitted):
    contract = submitted.configs / "contracts" / "customers.odcs.yaml"
    text = contract.read_text()
    place = text.index("name: zip_code")
    contract.write_text(
        text[:place]
        + text[place:].replace("logicalType: string", "logicalType: string\n        classification: personal", 1)
    )
    said(submitted, "factory", "preflight", PILOT)
    found, code = said(submitted, "promote", "check", PILOT)
    assert (found["verdict"], code) == ("refuse", 3)
    [finding] = [each for each in found["findings"] if each["check"] == "contract_compatible"]
    assert finding["outcome"] == "failed"
    assert "customers.zip_code: the column was removed, or is no longer published" in finding["reason"]
