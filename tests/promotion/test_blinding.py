"""Early results: hidden until the charter's look, in text and JSON, and every look at results is recorded."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from pilotplant.app import _exit_code
from promotion.audit.verification import verify
from promotion.decisions.waiver import Wish, waive
from promotion.gate.blinding import BLIND, hidden
from promotion.gate.checks import CHECKS
from promotion.gate.policy import read_settings
from promotion.queue.judgements import judge_named, promises
from promotion.state import open_promotion
from shared.core.clock import rfc3339
from shared.core.errors import Refused
from tests.makers import OWNER, moment
from tests.promotion.cases import ENDS, JUDGED, REASON

# The stage's arms are drawn by the source, of which its policy only warns.
DRAWN = ["randomised"]

HALF = moment("2026-01-12 00:00")
EARLY = HALF + timedelta(hours=8)
LOOKS = {"group_sequential": {"method": "group_sequential", "at": [0.5, 1]}, "always_valid": {"method": "always_valid"}}


def submit(stage, now=EARLY, covers=HALF, **charter):
    """A candidate of half the time box: three tenths of the arm visit, a tenth of the control."""
    candidate = stage.submit(charter=charter, covers_until=rfc3339(covers), days=6)
    stage.workspace.clock.set(now)
    return candidate


def shown(stage, early_results="shown"):
    path = stage.workspace.configs / "gate.yaml"
    path.write_text(path.read_text().replace("early_results: hidden", f"early_results: {early_results}"))


def check(stage, capsys, *words):
    code = _exit_code(["--workspace", str(stage.workspace.root), "promote", "check", "spring-email", *words])
    return code, capsys.readouterr().out


def looks(stage):
    return [entry.body for entry in open_promotion(stage.workspace).entries("spring-email") if entry.kind == "looked"]


def test_before_the_end_no_finding_tells_how_the_arms_differ(stage, capsys):
    submit(stage)
    code, out = check(stage, capsys, "--json")
    told = json.loads(out)
    loud = [one for one in told["findings"] if one["check"] not in BLIND]
    assert {one["check"] for one in loud} >= {"primary_effect", "guardrails", "improbably_good", "segments_unharmed"}
    for one in loud:
        assert (one["outcome"], one["measured"], one["threshold"]) == ("unevaluable", None, None)
        assert one["reason"].startswith("results are hidden until its end, 2026-01-19 00:00 UTC")
    assert (code, told["verdict"], told["promised"]) == (3, "refuse", {})
    assert [one["outcome"] for one in told["findings"] if one["check"] == "time_box"] == ["failed"]
    # Hand arithmetic: an effect of 20 percentage points, 0.3 against 0.1.
    for text in (out, check(stage, capsys)[1], check(stage, capsys, "--explain", "primary_effect")[1]):
        assert not [number for number in ("20.0", "0.20", "30.0", "0.30") if number in text]


def test_what_is_hidden_is_no_look(stage, capsys):
    submit(stage)
    check(stage, capsys, "--as", OWNER)
    assert looks(stage) == []


def test_at_the_end_everything_is_shown_and_the_look_is_recorded_once_for_each_person(stage, capsys):
    digest = stage.submit().digest
    for words in (["--as", OWNER], ["--as", OWNER], [], ["--explain", "primary_effect"], ["--explain", "time_box"]):
        check(stage, capsys, *words)
    assert looks(stage) == [
        {"candidate": digest, "what": "check", "by": OWNER, "warnings": DRAWN},
        {"candidate": digest, "what": "check", "by": None, "warnings": DRAWN},
        {"candidate": digest, "what": "check primary_effect", "by": None, "warnings": DRAWN},
    ]
    assert verify(stage.workspace).problems == []


def test_the_policy_may_show_them_and_then_the_look_is_recorded(stage, capsys):
    shown(stage)
    submit(stage)
    _, out = check(stage, capsys, "--json", "--as", OWNER)
    [effect] = [one for one in json.loads(out)["findings"] if one["check"] == "primary_effect"]
    assert not effect["reason"].startswith("results are hidden")
    assert [one["by"] for one in looks(stage)] == [OWNER]


@pytest.mark.parametrize(("method", "is_hidden"), [("group_sequential", False), ("always_valid", False)])
def test_a_look_that_was_agreed_on_is_shown(stage, method, is_hidden):
    submit(stage, sample={"units_per_arm": 10, "looks": LOOKS[method]})
    [(case, _)] = judge_named(stage.workspace, "spring-email")
    assert (hidden(case, read_settings(stage.workspace)) is not None) == is_hidden


def test_before_the_first_agreed_look_they_are_hidden(stage):
    before = HALF - timedelta(days=1)
    submit(stage, before, before, sample={"units_per_arm": 10, "looks": LOOKS["group_sequential"]})
    [(case, _)] = judge_named(stage.workspace, "spring-email")
    assert "its next agreed look or its end" in hidden(case, read_settings(stage.workspace))
    assert promises(case) == {}


def test_data_that_claim_to_be_complete_show_nothing_before_the_gates_own_clock(stage):
    submit(stage, covers=ENDS)
    [(case, judgement)] = judge_named(stage.workspace, "spring-email")
    assert hidden(case, read_settings(stage.workspace))
    assert judgement.verdict == "refuse"


def test_a_policy_that_lets_the_time_box_pass_still_tells_no_verdict_on_hidden_results(stage):
    stage.settings(standard={"time_box": {"level": "warn"}})
    submit(stage)
    [(_, judgement)] = judge_named(stage.workspace, "spring-email")
    assert judgement.verdict == "undecided"


def test_a_refused_decision_and_a_waiver_tell_nothing_either(stage):
    stage.people(
        {"email": OWNER, "decides": {"tiers": ["standard"]}, "waives": [{"checks": ["novelty"], "tiers": ["standard"]}]}
    )
    submit(stage)
    with pytest.raises(Refused) as error:
        stage.decide("scale")
    assert "primary_effect: results are hidden" in error.value.where
    with pytest.raises(Refused, match="results are hidden"):
        waive(stage.workspace, "spring-email", Wish("novelty", OWNER, REASON, JUDGED + timedelta(days=9)))


def test_a_check_that_nobody_has_declared_silent_is_hidden():
    """What tells of effects is not on the list, and the list names no check that is gone."""
    known = {check.name for check in CHECKS}
    assert known >= BLIND
    assert not BLIND & {"primary_effect", "guardrails", "guardrails_powered", "segments_unharmed", "novelty"}
