"""Insights: the owner's claim with the effect it stands on, what contradicts it, and who is about to repeat it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from lab.analysis.analysis import analyse
from lab.analysis.submission import submit
from lab.charters.drafts import check
from lab.insights.insights import find_insight, insights, repeats, same_context, words
from lab.insights.links import say
from lab.intake.intake import record
from lab.launch.launch import launch
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from pilotplant import app
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from shared.core.clock import rfc3339
from shared.core.errors import BadInput, Refused
from tests.lab_makers import (
    CARD,
    DEADLINE,
    OWNER,
    PILOT,
    arm_of,
    copy_of,
    draft,
    results,
    row,
    stage_copy,
    units,
    write_csv,
)

SECOND = "autumn-mail"
CLAIM, COUNTERCLAIM = "Letters bring visits.", "Letters keep people away."
LATER = (
    ("start: 2026-01-05, end: 2026-01-19", "start: 2026-02-02, end: 2026-02-16"),
    ("decide_by: 2026-01-26", "decide_by: 2026-02-23"),
)


@pytest.fixture(scope="module")
def pair(request, tmp_path_factory):
    """Two decided pilots with one hypothesis: the first one's letter brings visits, the second one's costs some."""
    workspace = stage_copy(request, tmp_path_factory.mktemp("pair") / "workspace", "submitted")
    decide(workspace, PILOT, Asked("stop", OWNER, "nothing to scale here", insight=CLAIM))
    workspace.clock.set(datetime(2026, 2, 1, 12, tzinfo=UTC))
    draft(workspace, SECOND, *LATER)
    launch(workspace, SECOND)
    exposed = datetime(2026, 2, 3, 9, tzinfo=UTC)
    rows = [
        row(f"e{n}", unit, arm, exposed_at=rfc3339(exposed), at=rfc3339(exposed + timedelta(hours=1)))
        | {"visit": int(n % (10 if arm == "letter" else 2) == 0)}
        for n, unit in enumerate(units(workspace))
        for arm in (arm_of(unit, SECOND),)
    ]
    workspace.clock.set(datetime(2026, 2, 15, tzinfo=UTC))
    record(workspace, SECOND, write_csv(workspace.root.with_name("rows.csv"), rows))
    workspace.clock.set(datetime(2026, 2, 17, tzinfo=UTC))
    analyse(workspace, SECOND)
    submit(workspace, SECOND)
    decide(workspace, SECOND, Asked("stop", OWNER, "letters do harm here", insight=COUNTERCLAIM))
    return workspace


@pytest.fixture
def decided(pair, tmp_path):
    return copy_of(pair, tmp_path / "workspace")


def test_an_insight_carries_the_effect_of_the_evidence_that_was_decided_on(pair):
    later, earlier = insights(open_lab(pair))
    assert (earlier.pilot, earlier.claim, earlier.metric, earlier.direction) == (PILOT, CLAIM, "visit", "rose")
    # Of the letter's units every second one visits, of the control's every tenth: 0.5 less 0.1, to a unit of each arm.
    letters, control = (sum(r["arm"] == arm for r in results(pair)) for arm in ("letter", "control"))
    share = -(-letters // 2) / letters - -(-control // 10) / control
    assert earlier.effect.arm == "letter"
    assert earlier.effect.estimate == pytest.approx(share, abs=1e-12)
    assert earlier.effect.low < share < earlier.effect.high
    assert (later.pilot, later.direction) == (SECOND, "fell")
    assert (earlier.context.population, earlier.context.channels) == ("customers", ("file",))


def test_effects_beyond_chance_in_opposite_directions_are_proposed_as_contradicting_on_both_sides(pair):
    later, earlier = insights(open_lab(pair))
    assert (earlier.proposed, later.proposed) == ((SECOND,), (PILOT,))


def test_evidence_that_was_changed_says_nothing(decided):
    [candidate] = [
        path
        for path in (decided.promotion / "intake").glob("*/evidence.json")
        if b'"pilot":"spring-mail"' in path.read_bytes()
    ]
    candidate.write_bytes(candidate.read_bytes().replace(b'"estimate":0.39', b'"estimate":0.93'))
    found = find_insight(open_lab(decided), PILOT)
    assert (found.effect, found.direction, found.proposed) == (None, "unknown", ())


def test_a_link_is_seen_from_both_sides_with_its_reason_and_replaces_the_proposal(decided):
    done = say(decided, SECOND, kind="contradicts", other=PILOT, reason="it rained all February")
    assert not done.repeated
    for insight, other in zip(insights(open_lab(decided)), (PILOT, SECOND), strict=True):
        assert [(link.pilot, link.reason) for link in insight.contradicting] == [(other, "it rained all February")]
        assert insight.proposed == ()
    # The same again, from either side, is a no-op; anything else is refused.
    assert say(decided, SECOND, kind="contradicts", other=PILOT, reason="it rained all February").repeated
    assert say(decided, PILOT, kind="contradicts", other=SECOND, reason="it rained all February").repeated
    with pytest.raises(Refused, match="autumn-mail contradicts spring-mail already: it rained all February"):
        say(decided, PILOT, kind="supports", other=SECOND, reason="it rained all February")
    assert [entry.kind for entry in open_lab(decided).entries(SECOND)][-1] == "linked"
    assert open_lab(decided).problems() == []


def test_insights_are_found_by_word_tag_and_metric(decided):
    assert not say(decided, PILOT, tags=("win-back", "paper", "paper")).repeated
    assert say(decided, PILOT, tags=("paper",)).repeated
    room = open_lab(decided)

    def names(query="", **only):
        return [insight.pilot for insight in insights(room, query, **only)]

    assert names(tag="paper") == [PILOT]
    assert names("WIN-BACK letters") == [PILOT]
    assert names("letters") == [SECOND, PILOT]
    assert names("customers away") == [SECOND]
    assert names(metric="visit") == [SECOND, PILOT]
    assert names(metric="spend") == names(tag="radio") == names("billboards") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"tags": ("Win Back",)}, "`Win Back` is not a tag"),
        ({"kind": "supports", "other": PILOT, "reason": "x"}, "cannot speak for or against itself"),
        ({"kind": "supports", "other": "nobody", "reason": "x"}, "pilot nobody has no insight that an owner signed"),
        ({"kind": "supports", "other": SECOND, "reason": " "}, "needs a reason"),
        ({"reason": "because"}, "a reason goes with --supports or --contradicts"),
    ],
)
def test_what_cannot_be_said_is_bad_input_and_leaves_nothing(decided, arguments, said):
    before = open_lab(decided).entries()
    with pytest.raises(BadInput, match=said):
        say(decided, PILOT, **{"tags": ("kept-out",), **arguments})
    assert open_lab(decided).entries() == before
    assert insights(open_lab(decided), tag="kept-out") == []


def test_a_charter_that_repeats_a_contradicted_insight_is_told_so(decided):
    say(decided, SECOND, kind="contradicts", other=PILOT, reason="it rained all February")
    draft(decided, "third-mail", *LATER, (CARD, ""))
    notes = " | ".join(check(decided, "third-mail").notes)
    assert re.search(rf"it repeats {PILOT}, which taught “{CLAIM}” \(visit rose: \+(39|40)\.\d\d pp", notes)
    assert f"is contradicted by {SECOND} (it rained all February)" in notes
    draft(decided, "radio", *LATER, (CARD, ""), ("we_believe: a letter", "we_believe: a longer opening time"))
    assert not any("it repeats" in note for note in check(decided, "radio").notes)


def test_another_metric_population_or_thing_repeats_nothing_and_neither_does_the_pilot_itself(pair):
    room = open_lab(pair)
    pilot = get_pilot(room, PILOT)
    charter, visit = pilot.charter, pilot.promise.metrics["visit"]
    other = charter.model_copy(update={"pilot": "other"})
    assert {repeat.insight.pilot for repeat in repeats(room, other, visit)} == {PILOT, SECOND}
    assert [repeat.insight.pilot for repeat in repeats(room, charter, visit)] == [SECOND]
    assert same_context(room, other, pilot.promise.metrics["spend"]) == []
    assert same_context(room, other.model_copy(update={"population": "prospects"}), visit) == []


def test_the_commands_show_what_the_numbers_contradict_and_how_to_say_so(decided, capsys):
    def run(*arguments):
        capsys.readouterr()
        assert app._exit_code(["--workspace", str(decided.root), "lab", *arguments]) == 0
        return " ".join(capsys.readouterr().out.split())

    said = run("insight", PILOT)
    assert (
        f"The numbers of {SECOND} contradict it. If so: pilotplant lab insight {SECOND} --contradicts {PILOT}" in said
    )
    said = run(
        "insight", SECOND, "--contradicts", PILOT, "--reason", "it rained", "--tag", "paper", "--tag", "win-back"
    )
    assert f"Contradicted by {PILOT}: it rained" in said
    assert "Tags: paper win-back" in said
    assert f"Contradicted by {SECOND}: it rained" in run("insight", PILOT)
    found = json.loads(run("insights", "letters", "--tag", "paper", "--metric", "visit", "--json"))["insights"]
    assert [(one["pilot"], one["direction"], one["contradicting"]) for one in found] == [
        (SECOND, "fell", [{"pilot": PILOT, "reason": "it rained"}])
    ]
    assert "No insight contains `radio --tag paper`." in run("insights", "radio", "--tag", "paper")
    assert "2026Q1: 2 decided (0 scaled, 0 revised, 2 stopped, 0 lapsed); insights: 2, rate 100%" in run("report")


def test_silence_is_no_insight_to_tag_or_repeat(submitted):
    submitted.clock.set(DEADLINE)
    room = open_lab(submitted)
    pilot = get_pilot(room, PILOT)
    [found] = insights(room)
    assert (found.signed, found.claim, found.effect) == (False, "no decision was made", None)
    with pytest.raises(BadInput, match="has no insight that an owner signed"):
        say(submitted, PILOT, tags=("paper",))
    other = pilot.charter.model_copy(update={"pilot": "other"})
    assert same_context(room, other, pilot.promise.metrics["visit"]) == []


def test_words_are_those_that_carry_meaning():
    assert words("The shorter letters, with our new OFFER!") == {"shorter", "letter", "new", "offer"}


def test_arms_that_lost_units_teach_nothing_of_an_effect(pair, monkeypatch):
    from lab.insights import insights as module

    [before, *_] = [each for each in insights(open_lab(pair)) if each.effect is not None]
    monkeypatch.setattr(module, "RATIO_P_MIN", 1.1)  # as if chance could explain no arms of any size
    found = next(each for each in insights(open_lab(pair)) if each.pilot == before.pilot)
    assert (found.effect, found.direction) == (None, "unknown")
