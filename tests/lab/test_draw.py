"""The Lab and the gate's draw: nobody has an arm before the launch, and nothing draws anew after it."""

from __future__ import annotations

import hashlib
import json

import duckdb
import pytest

from lab.analysis.analysis import analyse
from lab.analysis.submission import submit
from lab.charters.drafts import check
from lab.launch.amendment import amend
from lab.launch.launch import launch
from lab.launch.preview import preview
from lab.pilots.pilot import find_pilot, get_pilot
from lab.state import open_lab
from promotion.state import open_promotion
from shared.core.crashpoints import VARIABLE, Point
from shared.core.errors import Refused
from shared.experiment.draw import Draw
from tests.lab_makers import (
    AFTER,
    CARD,
    NONCE_SEED,
    PILOT,
    REASON,
    do_launch,
    draft,
    run_child,
    units,
)

NONCE = hashlib.sha256(f"{NONCE_SEED}:{PILOT}".encode()).hexdigest()[:32]


def registered(workspace):
    return [entry for entry in open_promotion(workspace).entries(PILOT) if entry.kind == "registered"]


def test_a_launched_pilot_has_the_nonce_of_the_gates_ledger(launched):
    [entry] = registered(launched)
    [told] = [entry for entry in open_lab(launched).entries(PILOT) if entry.kind == "launched"]
    assert get_pilot(open_lab(launched), PILOT).nonce == told.body["nonce"] == entry.body["nonce"] == NONCE


def test_before_its_launch_no_command_draws_anybody(loaded, monkeypatch):
    def drawn(*_):
        raise AssertionError("somebody was drawn")

    for name in ("arm", "drawn_sql"):
        monkeypatch.setattr(Draw, name, drawn)
    monkeypatch.setattr("shared.experiment.assignment.bucket", drawn)
    draft(loaded, PILOT, (CARD, ""))
    check(loaded, PILOT)
    assert preview(loaded, PILOT).renderings


def test_an_amended_pilot_keeps_its_nonce_and_its_arms(launched):
    before = get_pilot(open_lab(launched), PILOT)
    draft(launched, PILOT, ("will: bring visits", "will: bring more visits"))
    amend(launched, PILOT, REASON)
    after = get_pilot(open_lab(launched), PILOT)
    assert (after.nonce, after.promise.version) == (before.nonce, 2)
    assert [after.draw(launched).arm(unit) for unit in units(launched)] == [
        before.draw(launched).arm(unit) for unit in units(launched)
    ]
    assert [entry.body.get("nonce") for entry in registered(launched)] == [NONCE, None]


REDRAWN = {
    "an arm less": ((CARD, ""), "arms"),
    "other weights": (("- name: control\n", "- name: control\n    weight: 2\n"), "arms"),
    "a cluster": (("population: customers", "population: customers\ncluster: zip_code"), "cluster"),
    "a slice": (("population: customers", "population: customers\nlayer: {name: mail, end: 0.5}"), "layer"),
    "the source": (("assignment: pilotplant", "assignment: source"), "assignment"),
}


@pytest.mark.parametrize(("change", "named"), REDRAWN.values(), ids=REDRAWN)
def test_what_draws_is_not_amended_once_it_was_drawn_though_nobody_was_exposed(launched, change, named):
    before = get_pilot(open_lab(launched), PILOT).promise
    draft(launched, PILOT, change)
    with pytest.raises(Refused, match=f"these would draw anew: {named}"):
        amend(launched, PILOT, REASON)
    assert get_pilot(open_lab(launched), PILOT).promise == before
    assert len(registered(launched)) == 1


MEASURED = {
    "groups that are weighed": (("population: customers", "population: customers\nstrata: zip_code"), "strata"),
    "a covariate": (("population: customers", "population: customers\ncovariates: [recency]"), "covariates"),
    "no guardrail": (("guardrails:\n  - {metric: spend, margin: -0.9}\n", ""), "guardrails.spend"),
}


@pytest.mark.parametrize(("change", "named"), MEASURED.values(), ids=MEASURED)
def test_what_the_arms_are_compared_by_is_not_amended_once_they_are_known(launched, change, named):
    draft(launched, PILOT, change)
    with pytest.raises(Refused, match=f"these would measure them otherwise: {named}"):
        amend(launched, PILOT, REASON)
    assert len(registered(launched)) == 1


def test_a_metric_that_was_redefined_for_the_arms_that_are_known_is_no_amendment(launched):
    catalogue = launched.configs / "metrics.yaml"
    catalogue.write_text(catalogue.read_text().replace("column: visit", "column: conversion"))
    with pytest.raises(Refused, match=r"these would measure them otherwise: metrics\.visit"):
        amend(launched, PILOT, REASON)


@pytest.mark.parametrize("key", ["unit", "event_id"])
def test_a_metric_that_knows_whose_outcome_it_is_is_not_launched(loaded, key):
    catalogue = loaded.configs / "metrics.yaml"
    case = f"expression: \"case when {key} < 'u_8' then visit else 0 end\""
    catalogue.write_text(catalogue.read_text().replace("column: visit", case))
    with pytest.raises(Refused, match=rf"`visit` reads `{key}`, which say whose"):
        launch(loaded, PILOT)


def test_the_rest_of_a_play_is_amended_until_somebody_is_exposed(launched):
    draft(launched, PILOT, ("subject: A card", "subject: A card for you"))
    assert amend(launched, PILOT, REASON).outcome == "amended"


def do_launch_killed(root, point):
    import os

    os.environ[VARIABLE] = point
    do_launch(root)


@pytest.mark.parametrize("point", [Point.REGISTER_RECORDED, Point.LAUNCH_REGISTERED, Point.LAUNCH_WRITTEN])
def test_a_launch_that_was_cut_off_draws_nothing_new_for_another_charter(loaded, point):
    assert run_child(do_launch_killed, loaded.root, point)[0] == -9
    assert find_pilot(open_lab(loaded), PILOT) is None
    # With the arms known, another set of them would be a choice.
    draft(loaded, PILOT, (CARD, ""))
    with pytest.raises(Refused, match="registered with another draw of its arms"):
        launch(loaded, PILOT)
    assert find_pilot(open_lab(loaded), PILOT) is None
    draft(loaded, PILOT, ("units_per_arm: 150", "units_per_arm: 140"))
    assert launch(loaded, PILOT).pilot.nonce == NONCE
    assert [entry.body.get("nonce") for entry in registered(loaded)] == [NONCE, None]


def test_the_candidate_says_what_the_gate_registered_at_the_launch(submitted):
    candidate = submit(submitted, PILOT).candidate
    [entry] = registered(submitted)
    assert json.loads((candidate.folder / "registration.json").read_bytes()) == {
        "schema_version": 1, "workspace": submitted.id, "mode": "rehearsal", "pilot": PILOT,
        "promise": entry.body["promise"], "at": entry.at, "ledger": {"seq": entry.seq, "hash": entry.hash},
        "nonce": NONCE,
    }  # fmt: skip


def test_all_that_is_published_of_the_exposed_units_is_sealed_and_nothing_else(recorded):
    recorded.clock.set(AFTER)
    path = analyse(recorded, PILOT).folder / "data" / "pre_period.parquet"
    names = [row[0] for row in duckdb.execute(f"DESCRIBE FROM '{path}'").fetchall()]
    # As configs/contracts/customers.odcs.yaml classifies them: neither id nor address.
    assert names == [
        "unit", "recency", "history_segment", "history", "mens", "womens", "zip_code", "newbie", "channel",
    ]  # fmt: skip
    assert [row[0] for row in duckdb.execute(f"SELECT unit FROM '{path}'").fetchall()] == units(recorded)


def test_a_draft_whose_arms_come_from_elsewhere_is_told_of_the_waiver_it_needs(loaded):
    draft(loaded, PILOT, (CARD, ""))
    assert not any("waive `randomised`" in why for why in check(loaded, PILOT).verdict.because)
    draft(loaded, PILOT, (CARD, ""), ("assignment: pilotplant", "assignment: source"))
    found = check(loaded, PILOT).verdict
    assert found.scale == "not"
    assert any("waive `randomised`" in why for why in found.because)
