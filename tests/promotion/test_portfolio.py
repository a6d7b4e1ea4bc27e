from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from pilotplant.app import app
from promotion.registry.online_fdr import level
from promotion.registry.portfolio import next_place, place_of, portfolio
from promotion.registry.register import register
from promotion.state import open_promotion
from shared.experiment.charter import Source
from shared.state.chain import GENESIS, Entry, Head
from tests.promotion.cases import GOOD, LAUNCHED, Recorded


def taken(stage, *names, **changes):
    stage.workspace.clock.set(LAUNCHED)
    for name in names:
        promise, _ = stage.promise(stage.charter(pilot=name, **changes))
        register(stage.workspace, promise, Head(0, GENESIS))


def places(stage):
    found = portfolio(open_promotion(stage.workspace).entries(), 0.2)
    return {each.pilot: (each.place.number, each.place.level, each.state) for each in found.tested}


def test_the_gate_fixes_place_and_level_when_it_takes_a_promise_in(stage):
    taken(stage, "one", "two", "one")
    want = {"one": (1, level(1, [], bound=0.2), "running"), "two": (2, level(2, [], bound=0.2), "running")}
    assert places(stage) == want
    # Another charter under a name that has a place keeps it.
    taken(stage, "one", secondary=["conversion"])
    assert places(stage) == want


def test_only_what_was_scaled_before_a_pilot_was_registered_raises_its_level(stage):
    taken(stage, "early")
    stage.submit()
    stage.decide("scale")
    taken(stage, "late")
    found = places(stage)
    assert found["spring-email"] == (2, level(2, [], bound=0.2), "discovery")
    assert found["early"] == (1, level(1, [], bound=0.2), "running")
    # When the discovery was made, two had begun.
    assert found["late"] == (3, pytest.approx(level(3, [2], bound=0.2)), "running")
    assert found["late"][1] > level(3, [], bound=0.2)


def test_a_pilot_that_was_stopped_or_scaled_beyond_its_level_brings_nothing(stage):
    taken(stage, *(f"before-{number}" for number in range(9)))
    # Of 200 units 20 and 36 visit: p is about 0.02, and the tenth level 0.0011.
    stage.submit(arms=GOOD | {"letter": Recorded(visits=36)})
    stage.decide("scale")
    assert places(stage)["spring-email"][2] == "outside"
    stage.submit(charter={"pilot": "stopped"})
    assert next_place(open_promotion(stage.workspace).entries(), 0.2).level == level(12, [], bound=0.2)


def entry(seq, kind, subject, **body):
    return Entry(seq, "2026-01-01T00:00:00Z", kind, subject, body, "", "")


def test_entries_from_before_levels_were_fixed_have_no_place():
    old = entry(2, "registered", "old", promise="sha256:0", lab={})
    assert place_of([old], "old") is None
    assert next_place([old, entry(3, "decided", "old", decision={"word": "scale"})], 0.1).number == 1


def test_a_live_workspace_gives_synthetic_pilots_no_place(make_stage):
    live = make_stage("live")
    for name, synthetic in (("made-up", True), ("real", False)):
        promise, _ = live.promise(live.charter(pilot=name, synthetic=synthetic))
        promise = promise.model_copy(update={"source": Source(id="0" * 16, published=live.workspace.created)})
        register(live.workspace, promise, Head(0, GENESIS))
    assert [*places(live)] == ["real"]


def test_the_command_shows_budget_state_and_every_pilot(stage):
    stage.submit()
    stage.decide("scale")
    taken(stage, "next")
    words = ["--workspace", str(stage.workspace.root), "promote", "portfolio"]
    shown, as_json = (CliRunner().invoke(app, [*words, *more]) for more in ([], ["--json"]))
    line = " ".join(shown.output.split())
    assert "At most 20 % of the discoveries are expected to be false. 1 pilot scaled within the level" in line
    found = json.loads(as_json.stdout)
    assert [(each["pilot"], each["state"]) for each in found["pilots"]] == [
        ("spring-email", "discovery"),
        ("next", "running"),
    ]
    # What was there and what the discovery brought, less the two levels.
    spent = level(1, [], bound=0.2) + level(2, [1], bound=0.2)
    assert found["spent"] == pytest.approx(spent)
    assert found["wealth"] == pytest.approx(0.2 - spent)
    assert found["following"] == pytest.approx(level(3, [1], bound=0.2))
