"""What an owner says was learned is set against the evidence's own sign, and kept with its numbers."""

from __future__ import annotations

import pytest

from pilotplant.app import _exit_code
from promotion.decisions.claims import Claim, against, parse
from promotion.decisions.transaction import recorded
from promotion.state import open_promotion
from shared.core.clock import rfc3339
from shared.core.errors import BadInput, Refused, Undecided
from shared.evidence.model import Effect
from tests.makers import OWNER, moment
from tests.promotion.cases import GOOD, REASON, Recorded

SAME = {**GOOD, "letter": Recorded(visits=22)}
WORSE = {"control": Recorded(visits=60), "letter": Recorded(visits=20)}


def effect(low, high):
    return Effect(arm="letter", metric="visit", part="primary", estimate=(low + high) / 2, low=low, high=high)


def stop(stage, claim, **said):
    done = stage.decide("stop", insight=None, claim=claim, **said)
    return done.decision.insight


@pytest.mark.parametrize(
    ("direction", "low", "high", "said"),
    [
        ("more", 0.1, 0.3, None),
        ("more", -0.1, 0.3, None),
        ("more", -0.3, -0.1, "its interval excludes that"),
        ("less", -0.3, -0.1, None),
        ("less", 0.1, 0.3, "its interval excludes that"),
        ("no-difference", -0.04, 0.04, None),
        ("no-difference", -0.04, 0.05, "its interval is not within the 0.05 that would count as a difference"),
        ("no-difference", 0.01, 0.04, None),
        ("could-not-tell", -9, 9, None),
        # What the interval tells, nobody may say that it does not.
        ("could-not-tell", 0.1, 0.3, "its interval tells: more"),
        ("could-not-tell", -0.3, -0.1, "its interval tells: less"),
        ("could-not-tell", -0.04, 0.04, "its interval tells: no-difference"),
        # An interval around zero leaves both ways open, but what was measured points to one.
        ("more", -0.3, 0.1, "the estimate does not point that way"),
        ("less", -0.1, 0.3, "the estimate does not point that way"),
        ("more", -0.3, 0.3, "the estimate does not point that way"),
    ],
)
def test_a_claim_stands_unless_the_interval_says_otherwise(direction, low, high, said):
    assert against(Claim("letter", "visit", direction), effect(low, high), 0.05) == said


def test_no_difference_needs_a_difference_that_would_count():
    found = against(Claim("letter", "visit", "no-difference"), effect(-0.01, 0.01), None)
    assert found == "the charter names no smallest difference of this metric that would count as one"


def test_a_true_claim_is_kept_with_its_numbers_and_context(stage):
    stage.submit()
    insight = stop(stage, "visit=more", context="letters,\n in winter")
    assert insight.startswith("letter: visit more; +20.00 pp [")
    assert insight.endswith("; context: letters, in winter")
    again = stage.decide("stop", insight=None, claim="letter:visit=more", context="letters, in winter")
    assert again.repeated


def test_a_claim_that_may_be_chance_says_so(stage):
    stage.submit(arms=SAME)
    assert "which may be chance" in stop(stage, "visit=more")


@pytest.mark.parametrize(
    ("arms", "claim", "shown"),
    [
        (WORSE, "visit=more", "less"),
        (WORSE, "visit=could-not-tell", "less"),
        (GOOD, "visit=less", "more"),
        (GOOD, "visit=could-not-tell", "more"),
        (SAME, "visit=no-difference", "could-not-tell"),
        (SAME, "visit=less", "could-not-tell"),
        (GOOD, "spend=more", "no-difference"),
    ],
)
def test_a_claim_against_the_evidence_is_refused_and_what_it_shows_is_suggested(stage, arms, claim, shown):
    stage.submit(arms=arms)
    with pytest.raises(Refused, match="the evidence contradicts") as error:
        stop(stage, claim)
    assert " [" in error.value.what
    suggested = f"letter:{claim.split('=')[0]}={shown}"
    assert error.value.remedy == f"claim {suggested}, which is what the numbers show"
    assert recorded(open_promotion(stage.workspace), "spring-email") is None
    stage.decide("stop", insight=None, claim=suggested)


def test_a_guardrail_within_its_margin_makes_no_difference(stage):
    """Spend is the same in both arms, and its interval well within the margin of 0.5."""
    stage.submit()
    assert stop(stage, "spend=no-difference").startswith("letter: spend no difference")


def test_what_cannot_be_computed_supports_no_claim(stage):
    stage.submit(arms={"control": Recorded(), "letter": Recorded(units=1, visits=1)})
    with pytest.raises(Undecided, match="cannot be set against the evidence"):
        stop(stage, "visit=more")


def test_before_the_look_a_claim_would_tell_what_was_found(stage):
    stage.submit(covers_until=rfc3339(moment("2026-01-12 00:00")), days=6)
    stage.workspace.clock.set(moment("2026-01-12 08:00"))
    with pytest.raises(Refused, match="results are hidden"):
        stop(stage, "visit=less")
    assert stop(stage, "visit=could-not-tell") == "letter: visit could not tell"


@pytest.mark.parametrize("text", ["visit", "visit=", "visit=better", "clicks=more", "other:visit=more", "", "=more"])
def test_a_claim_of_another_form_is_bad_input_that_says_which(stage, text):
    with pytest.raises(BadInput, match="is no claim") as error:
        parse(text, stage.charter())
    assert "ARM:METRIC=DIRECTION" in error.value.expected


def test_of_several_arms_the_claim_names_one(stage):
    arms = [*stage.charter().model_dump(mode="json")["arms"], {"name": "card", "play": None}]
    arms[2]["play"] = arms[1]["play"]
    charter = stage.charter(arms=arms)
    assert parse("card:visit=more", charter) == Claim("card", "visit", "more")
    with pytest.raises(BadInput, match="is no claim"):
        parse("visit=more", charter)


def test_a_claim_and_a_text_of_ones_own_are_one_too_many(stage):
    stage.submit()
    with pytest.raises(BadInput, match="a claim or a text"):
        stage.decide("stop", claim="visit=more")


def said(stage, capsys, *words):
    start = ["--workspace", str(stage.workspace.root), "promote", "decide", "spring-email", "stop", "--as", OWNER]
    code = _exit_code([*start, "--reason", REASON, *words])
    return code, capsys.readouterr()


def test_the_command_takes_a_claim_and_refuses_a_false_one(stage, capsys):
    stage.submit()
    code, told = said(stage, capsys, "--claim", "visit=less")
    assert (code, "the evidence contradicts" in told.err) == (3, True)
    code, told = said(stage, capsys, "--claim", "visit=more", "--context", "letters")
    assert (code, "Insight kept: letter: visit more; +20.00 pp" in told.out) == (0, True)


@pytest.mark.parametrize(
    ("arms", "claim", "shown"),
    [
        (GOOD, "visit=less", "more"),
        (WORSE, "visit=could-not-tell", "less"),
        (SAME, "visit=no-difference", "could-not-tell"),
    ],
)
def test_a_dry_run_refuses_what_the_evidence_contradicts_and_takes_what_it_suggests(stage, capsys, arms, claim, shown):
    stage.submit(arms=arms)
    code, told = said(stage, capsys, "--claim", claim, "--dry-run")
    assert (code, "the evidence contradicts" in told.err) == (3, True)
    suggested = f"letter:visit={shown}"
    assert f"claim {suggested}, which is what the numbers show" in " ".join(told.err.split())
    code, told = said(stage, capsys, "--claim", suggested, "--dry-run")
    assert (code, "Nothing was signed or written" in told.out) == (0, True)
    assert recorded(open_promotion(stage.workspace), "spring-email") is None


def test_nobody_is_asked_where_nobody_can_answer(stage, capsys):
    stage.submit()
    code, told = said(stage, capsys)
    assert (code, "--claim METRIC=DIRECTION" in told.err) == (2, True)


def test_on_a_terminal_the_questions_make_the_claim(stage, capsys, monkeypatch):
    stage.submit()
    answers = iter(["visit", "more", "letters in winter", "yes"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: next(answers))
    code, told = said(stage, capsys)
    assert (code, "context: letters in winter" in told.out) == (0, True)
