"""Rehearsing: the rest of a pilot's way with results that are made up, in a rehearsal and nowhere else."""

import json
import shutil

import duckdb
import pytest
import yaml

from lab.intake.intake import ROW, _require_real, record
from lab.launch.launch import launch
from lab.pilots.assignment import assign
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from lab.synthetic.rehearsal import rehearse, usual
from lab.synthetic.synthetic import Planted
from pilotplant.app import _exit_code
from shared.core.errors import BadInput, Refused
from shared.trust.candidates import latest
from tests.lab_makers import AFTER, CARD, INSIDE, PILOT, draft, row, write_csv

ASSUMED = ("sample: {", "sample: {assume: {visit: {mean: 0.2}, spend: {mean: 5, sd: 4}, conversion: {mean: 0.1}}, ")


@pytest.fixture
def assumed(loaded):
    draft(loaded, PILOT, ASSUMED, (CARD, ""))
    launch(loaded, PILOT)
    return loaded


def said(workspace, capsys, *words):
    capsys.readouterr()
    code = _exit_code(["--workspace", str(workspace.root), *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_launched_pilot_comes_before_the_gate(assumed, capsys):
    code, found = said(assumed, capsys, "lab", "rehearse", PILOT)
    assert code == 0
    assert found["planted"] == [
        {"arm": "letter", "metric": "visit", "effect": 0.1},
        {"arm": "letter", "metric": "spend", "effect": 0.9},
    ]
    assert found["candidate"] == latest(assumed)[PILOT].digest
    [effect] = [each for each in found["effects"] if each["metric"] == "visit"]
    # An interval of 95 % is four standard errors wide: chance alone is as far away once in 16,000 times.
    assert abs(effect["estimate"] - 0.1) < effect["high"] - effect["low"]
    code, asked = said(assumed, capsys, "promote", "check", PILOT)
    assert (found["verdict"], found["arms"]) == (asked["verdict"], asked["arms"])
    # Nothing failed because the results are made up; with 150 units in an arm chance may hide the effects.
    assert {f["check"] for f in asked["findings"] if f["outcome"] == "failed" and f["level"] == "block"} <= {
        "primary_effect", "guardrails", "guardrails_powered",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("direction", "margin", "gain"),
    [("increase", -0.04, 0.04), ("decrease", 0.04, -0.04), ("decrease", 0.08, -0.05)],
)
def test_a_guardrail_gains_what_it_may_lose_as_far_as_it_can(loaded, direction, margin, gain):
    """A share of one in ten can fall by a tenth: half of that is gained at most."""
    path = loaded.configs / "metrics.yaml"
    catalogue = yaml.safe_load(path.read_text())
    catalogue["metrics"]["conversion"]["direction"] = direction
    path.write_text(yaml.safe_dump(catalogue))
    guarded = "{metric: spend, margin: -0.9}", f"{{metric: conversion, margin: {margin}}}"
    draft(loaded, PILOT, ASSUMED, (CARD, ""), guarded, ("secondary: [conversion]", "secondary: [spend]"))
    launch(loaded, PILOT)
    room = open_lab(loaded)
    [_, planted] = usual(room, get_pilot(room, PILOT))
    assert (planted.metric, planted.effect) == ("conversion", pytest.approx(gain))


def test_what_is_planted_is_what_shows_and_a_harm_is_not_admitted(assumed, capsys):
    code, found = said(assumed, capsys, "lab", "rehearse", PILOT, "--effect", "letter:visit=-0.1")
    assert found["planted"] == [{"arm": "letter", "metric": "visit", "effect": -0.1}]
    assert (code, found["verdict"]) == (0, "refuse")


def test_a_second_time_only_what_is_missing_is_done(assumed):
    first = rehearse(assumed, PILOT)
    again = rehearse(assumed, PILOT)
    assert first.made is not None
    assert again.made is None
    assert again.submission.candidate.digest == first.submission.candidate.digest
    assert again.submission.repeated


def test_a_command_that_was_cut_off_goes_on_with_the_same_results(assumed, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(assumed.root, copy)
    whole = rehearse(assumed, PILOT)
    cut = type(assumed)(root=copy, id=assumed.id, mode=assumed.mode, created=assumed.created)
    cut.clock.set(whole.made.last)  # it had moved the clock, and recorded nothing
    found = rehearse(cut, PILOT)
    assert found.made.per_arm == whole.made.per_arm
    assert found.analysis.evidence.effects == whole.analysis.evidence.effects


def test_results_of_ones_own_are_kept(assumed, tmp_path):
    assumed.clock.set(INSIDE)
    assign(assumed, PILOT, tmp_path / "arms.csv")
    arms = [line.split(",") for line in (tmp_path / "arms.csv").read_text().splitlines()[1:]]
    own = [row(f"e{n}", unit, arm) for n, (unit, arm) in enumerate(arms)]
    record(assumed, PILOT, write_csv(tmp_path / "own.csv", own))
    found = rehearse(assumed, PILOT)
    assert found.made is None
    assert found.analysis.evidence.exposures == len(own)


def test_a_pilot_that_is_over_without_results_is_not_given_any(assumed):
    assumed.clock.set(AFTER)
    with pytest.raises(Refused, match="takes no more data"):
        rehearse(assumed, PILOT)
    assert get_pilot(open_lab(assumed), PILOT).ended_at is None


def test_a_draft_is_launched_first(loaded):
    with pytest.raises(BadInput, match="has not been launched"):
        rehearse(loaded, PILOT)


def test_a_metric_that_decides_needs_a_baseline(launched):
    with pytest.raises(BadInput, match="cannot be drawn"):
        rehearse(launched, PILOT)


@pytest.mark.parametrize("effect", [Planted("nobody", "visit", 0.1), Planted("letter", "visit", 2.0)])
def test_an_effect_that_cannot_be_moves_no_clock(assumed, effect):
    before = assumed.clock.now()
    with pytest.raises(BadInput):
        rehearse(assumed, PILOT, effects=[effect])
    assert (assumed.clock.now() - before).total_seconds() < 60


def test_a_live_workspace_makes_nothing_up(assumed):
    live = type(assumed)(root=assumed.root, id=assumed.id, mode="live", created=assumed.created)
    with pytest.raises(Refused, match="in a rehearsal only"):
        rehearse(live, PILOT)


def test_rehearsed_events_are_not_taken_for_real_ones(assumed, tmp_path):
    pilot = get_pilot(open_lab(assumed), PILOT)
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE raw AS SELECT 1 AS row_number, ' Rehearsed-spring-mail-1' AS event_id")
        connection.execute(f"ALTER TABLE raw RENAME row_number TO {ROW}")
        _require_real(connection, tmp_path / "copied.csv", pilot, "rehearsal")
        with pytest.raises(Refused, match="the events are made up"):
            _require_real(connection, tmp_path / "copied.csv", pilot, "live")
