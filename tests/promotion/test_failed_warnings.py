"""A warning that failed changes no verdict, and stands wherever a verdict does."""

from __future__ import annotations

import json

import pytest
import yaml

from pilotplant.app import _exit_code
from promotion.state import open_promotion
from shared.trust.attestation import Predicate
from shared.trust.finding import Finding, failed_warnings
from tests.makers import OWNER
from tests.promotion.cases import GOOD, REASON, Recorded
from tests.promotion.checks.test_portfolio_fdr import busy
from tests.promotion.checks.test_recording_gaps import DOWN

WARNED = "portfolio_fdr (letter)"
# The stage's arms are drawn by the source, of which its policy only warns.
DRAWN = "randomised"
# Admitted by every check that blocks; its p of 0.02 is above the level of the second pilot of a portfolio.
ARMS = GOOD | {"letter": Recorded(visits=36)}


@pytest.fixture
def lucky(stage):
    """The second pilot of a portfolio is before the gate, which admits it."""
    busy(stage, 1)
    stage.submit(arms=ARMS)
    return stage


def run(stage, capsys, *words):
    code = _exit_code(["--workspace", str(stage.workspace.root), "promote", *words])
    return code, capsys.readouterr().out


def data(stage, capsys, *words):
    return json.loads(run(stage, capsys, *words, "--json")[1])


def flat(text):
    return " ".join(text.split())


def test_the_check_tells_of_it_beside_an_admission(lucky, capsys):
    code, text = run(lucky, capsys, "check", "spring-email")
    assert (code, "letter: ADMIT" in text) == (0, True)
    assert "1 warning failed, 1 warning could not be checked." in text
    assert f"Warning: {WARNED} failed: among all pilots so far this is number 2" in flat(text)
    assert [one["check"] for one in data(lucky, capsys, "check", "spring-email")["warnings"]] == [
        DRAWN,
        "portfolio_fdr",
    ]


def test_explaining_another_check_hides_none(lucky, capsys):
    found = data(lucky, capsys, "check", "spring-email", "--explain", "guardrails")
    assert [one["check"] for one in found["warnings"]] == [DRAWN, "portfolio_fdr"]


def test_the_owners_page_tells_of_it(lucky, capsys, tmp_path):
    page = tmp_path / "page.html"
    code, text = run(lucky, capsys, "summary", "spring-email", "--html", str(page))
    assert code == 0
    assert f"Warning: {WARNED} failed" in flat(text)
    assert f"Failed; it warns and blocks nothing</span> · {WARNED}" in flat(page.read_text())
    assert [one["check"] for one in data(lucky, capsys, "summary", "spring-email")["warnings"]] == [
        DRAWN,
        "portfolio_fdr",
    ]


def test_the_dry_run_the_decision_and_what_is_signed_tell_of_it(lucky, capsys):
    words = ("decide", "spring-email", "scale", "--as", OWNER, "--reason", REASON)
    assert f"Warning: {WARNED} failed" in flat(run(lucky, capsys, *words, "--dry-run")[1])
    planned = data(lucky, capsys, *words, "--dry-run")
    assert (planned["warnings"], planned["predicate"]["warnings"]) == ([DRAWN, WARNED], [DRAWN, WARNED])
    code, text = run(lucky, capsys, *words)
    assert (code, f"Warning: {WARNED} failed" in flat(text)) == (0, True)
    again = data(lucky, capsys, *words)
    assert (again["repeated"], again["warnings"]) == (True, [DRAWN, WARNED])


# Each is admitted by every check that blocks.
WARNINGS = {
    "aa_fresh": {"certified": {"false": {"spend": 200}}},
    "recording_gaps": {"outcomes": DOWN},
    "metrics_vary (letter)": {"charter": {"secondary": ["conversion"]}},
}


@pytest.mark.parametrize(("named", "changes"), WARNINGS.items(), ids=WARNINGS)
def test_any_warning_that_failed_stands_wherever_a_verdict_does(stage, capsys, tmp_path, named, changes):
    stage.submit(**changes)
    page, told = tmp_path / "page.html", f"Warning: {named} failed"
    words = ("decide", "spring-email", "scale", "--as", OWNER, "--reason", REASON)
    for asked in (
        ("check", "spring-email"),
        ("summary", "spring-email", "--html", str(page)),
        (*words, "--dry-run"),
        words,
    ):
        code, text = run(stage, capsys, *asked)
        assert (code, told in flat(text)) == (0, True), asked
    assert f"Failed; it warns and blocks nothing</span> · {named}" in flat(page.read_text())
    signed = data(stage, capsys, *words)
    assert (signed["repeated"], set(signed["warnings"])) == (True, {DRAWN, named})
    decided = open_promotion(stage.workspace).entries("spring-email")
    [looked] = [entry.body["warnings"] for entry in decided if entry.kind == "looked"][:1]
    assert set(looked) == {DRAWN, named}


def test_two_signatures_are_asked_for_with_it(lucky, capsys):
    path = lucky.workspace.configs / "gate.yaml"
    said = yaml.safe_load(path.read_text()) | {"signatures_min": {"low": 1, "standard": 2, "high": 2}}
    path.write_text(yaml.safe_dump(said))
    words = ("decide", "spring-email", "scale", "--as", OWNER, "--reason", REASON)
    for asked in (("--dry-run",), (), ()):
        code, text = run(lucky, capsys, *words, *asked)
        assert (code, f"Warning: {WARNED} failed" in flat(text)) == (4, True)


def test_the_queue_counts_them_once_somebody_has_looked(lucky, capsys):
    assert [one["warnings"] for one in data(lucky, capsys, "queue")["candidates"]] == [None]
    assert "not checked" in flat(run(lucky, capsys, "queue")[1])
    run(lucky, capsys, "check", "spring-email")
    assert [one["warnings"] for one in data(lucky, capsys, "queue")["candidates"]] == [[DRAWN, WARNED]]
    assert "2 failed" in flat(run(lucky, capsys, "queue")[1])


def test_a_look_at_the_candidate_before_says_nothing_of_this_one(lucky, capsys):
    run(lucky, capsys, "check", "spring-email")
    lucky.submit(arms=ARMS, later=1)
    assert [one["warnings"] for one in data(lucky, capsys, "queue")["candidates"]] == [None]


def test_where_none_failed_nothing_is_said_and_signed_bytes_are_as_before(stage, capsys):
    """As an earlier build promised it: nobody asks then whether the arms were drawn here."""
    stage.submit(rules=1)
    assert "arning" not in run(stage, capsys, "check", "spring-email")[1].replace("(warn only)", "")
    signed = stage.decide().attestation.predicate
    assert signed.warnings == ()
    assert "warnings" not in signed.model_dump(mode="json")
    run(stage, capsys, "check", "spring-email")
    [looked] = [e for e in open_promotion(stage.workspace).entries("spring-email") if e.kind == "looked"][-1:]
    assert looked.body["warnings"] == []


def test_an_attestation_of_before_is_read_and_one_that_names_others_is_not(lucky):
    signed = lucky.decide().attestation.predicate
    content = signed.model_dump(mode="json")
    assert Predicate.model_validate({**content, "warnings": ()}).findings == signed.findings
    with pytest.raises(ValueError, match="not those of its findings"):
        Predicate.model_validate({**content, "warnings": ["novelty (letter)"]})


@pytest.mark.parametrize(
    ("level", "outcome", "poor"),
    [
        ("warn", "failed", True),
        ("warn", "unevaluable", True),
        ("warn", "passed", False),
        ("warn", "waived", False),
        ("block", "failed", False),
        ("block", "unevaluable", False),
    ],
)
def test_only_a_warning_that_failed_or_could_not_be_asked_is_one(level, outcome, poor):
    found = Finding(check="novelty", level=level, outcome=outcome, reason="it wears off")
    assert failed_warnings([found]) == ((found,) if poor else ())
