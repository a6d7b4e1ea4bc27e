"""The summary: one page for the owner, in text, JSON and HTML, with what to type next."""

from __future__ import annotations

import json
import shlex
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from pilotplant.app import _exit_code, run
from promotion.decisions.decision import Decided
from promotion.queue.owner_page import write_page
from promotion.queue.summary import summarise
from promotion.state import open_promotion
from shared.core.clock import rfc3339
from shared.core.errors import BadInput
from tests.makers import OWNER, moment
from tests.promotion.cases import AMENDED, GOOD, LAUNCHED, Recorded
from tests.promotion.checks.test_kill_criteria import BOUGHT, COLLAPSE

EARLY = moment("2026-01-12 08:00")
# Hand arithmetic: 60 of 200 against 20 of 200.
EFFECT = "visit rose by 20.0 points"
POOR = Recorded(visits=60, spend=(0.0, 1.0))


class Page(HTMLParser):
    """The texts of a page, what it would fetch, and whether every tag is closed."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, text):
        super().__init__()
        self.texts, self.fetched, self.tags, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in {"src", "href"} and not value.startswith("#")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def text_of(summary):
    return "\n".join(summary.lines())


def page_of(stage, tmp_path):
    path = tmp_path / "page.html"
    write_page(summarise(stage.workspace, "spring-email"), path)
    return path.read_text(encoding="utf-8")


def test_it_says_what_was_promised_found_spent_and_what_the_gate_says(stage):
    stage.submit()
    found = summarise(stage.workspace, "spring-email")
    text = text_of(found)
    for said in (
        "Because they wrote, we believe that a letter will bring visits.",
        "visit: better by at least 5.0 points (as estimated), beyond chance at 5 %",
        "spend may fall by at most 0.500 USD",
        "10 units in each arm, from 2026-01-05 to 2026-01-19 (UTC)",
        f"letter: {EFFECT}",
        "letter: visit: measured 20.0 points more; expect +",
        "guardrails (letter): kept: spend ",
        "spent 8.00 USD of a budget of 10.00 USD",
        "letter may be scaled: ADMIT",
        "spring-email: letter may be scaled",
        "What letter says: ",
        f"waits for {OWNER} until 2026-02-01 00:00 UTC; no decision by then is *stop*",
    ):
        assert said in text
    assert (found.verdict, found.blocking, found.hidden) == ("admit", (), None)
    assert found.as_json()["spent"] == {"amount": "8.00", "currency": "USD"}
    assert found.as_json()["budget"] == {"amount": "10.00", "currency": "USD"}


def test_every_amendment_stands_on_the_page_with_its_reason(stage):
    first, texts = stage.promise(stage.charter())
    stage.workspace.clock.set(LAUNCHED)
    stage.register(first, {name: text.encode() for name, text in texts.items()})
    lower = {"primary": {"metric": "visit", "minimum_effect": 0.03}}
    stage.submit(charter=lower, earlier=[first], registered=LAUNCHED + timedelta(hours=1))
    [told] = [line for line in text_of(summarise(stage.workspace, "spring-email")).splitlines() if "Amended" in line]
    assert "version 2, which the gate took in 2026-01-04T13:00:00" in told
    assert told.endswith(f"primary.minimum_effect. The reason: {AMENDED}")


def test_what_is_to_be_copied_does_what_it_says(stage, capsys):
    stage.submit()
    steps = {step.word: step for step in summarise(stage.workspace, "spring-email").next}
    assert set(steps) == {"scale", "revise", "stop"}
    assert "spring-email-2" in steps["revise"].then
    _, *words = shlex.split(steps["scale"].command)
    done = run(["--workspace", str(stage.workspace.root), *words])
    assert isinstance(done, Decided)
    assert done.decision.release == "spring-email-letter"
    after = summarise(stage.workspace, "spring-email")
    assert after.state.startswith(f"decided: scale letter, by {OWNER}")
    assert [step.command for step in after.next] == [None]
    assert capsys.readouterr().out


@pytest.mark.parametrize("word", ["revise", "stop"])
def test_the_other_words_can_be_copied_too(stage, word):
    stage.submit()
    [step] = [step for step in summarise(stage.workspace, "spring-email").next if step.word == word]
    done = run(["--workspace", str(stage.workspace.root), *shlex.split(step.command)[1:]])
    assert done.decision.word == word


def test_what_blocks_is_told_with_what_would_change_it_and_scale_is_not_offered(stage):
    stage.submit(arms={**GOOD, "letter": Recorded(visits=24)})
    found = summarise(stage.workspace, "spring-email")
    assert "primary_effect" in {one.check for one in found.blocking}
    assert all(one.remedy for one in found.blocking)
    assert "What would change it: revise with more units, or stop and keep the insight." in text_of(found)
    [scale] = [step for step in found.next if step.word == "scale"]
    assert (scale.command, found.arms) == (None, {"letter": "refuse"})
    assert ", so it may be none at all" in text_of(found)


def test_a_kill_criterion_that_is_met_stands_first_on_the_page(stage, tmp_path):
    """A collapse of conversions by 82 %, in an arm that brings more visits."""
    stage.submit(charter=COLLAPSE, outcomes=BOUGHT)
    found = summarise(stage.workspace, "spring-email")
    [told] = found.killed
    assert told.startswith("Arm letter may not be scaled: kill criterion met: conversion -20.50 pp")
    assert text_of(found).startswith(told)
    assert found.blocking[0].check == "kill_criteria"
    page = page_of(stage, tmp_path)
    assert page.index("Arm letter may not be scaled") < page.index("<h1 ")
    assert found.as_json()["killed"] == [told]


@pytest.mark.parametrize(
    ("charter", "changes", "told"),
    [
        # A dollar and a half less in the arm, by hand.
        ({"kill_criteria": [{"metric": "spend", "worse_than": -1.0}]}, {"arms": GOOD | {"letter": POOR}},
         "spend -1.50"),
        # And 40 of the control's 200 visit, of the arm's 2.
        ({"kill_criteria": [{"metric": "visit", "worse_than": -0.05}]},
         {"arms": {"control": Recorded(visits=40), "letter": Recorded(visits=2)}}, "visit -19.00 pp"),
    ],
)  # fmt: skip
def test_so_does_any_other_that_is_met(stage, tmp_path, charter, changes, told):
    stage.submit(charter=charter, **changes)
    found = summarise(stage.workspace, "spring-email")
    [first] = found.killed
    assert first.startswith(f"Arm letter may not be scaled: kill criterion met: {told}")
    assert text_of(found).startswith(first)
    assert found.blocking[0].check == "kill_criteria"
    page = page_of(stage, tmp_path)
    assert page.index("Arm letter may not be scaled") < page.index("<h1 ")


def test_it_stands_before_whatever_else_blocks_and_was_asked_earlier(stage):
    """Fewer units than were planned, and money that is over: the gate asks for the first before, the last after."""
    stage.submit(charter={**COLLAPSE, "sample": {"units_per_arm": 300}}, outcomes=BOUGHT, costs=[("70.00", "USD")])
    blocking = [one.check for one in summarise(stage.workspace, "spring-email").blocking if one.outcome == "failed"]
    assert blocking[0] == "kill_criteria"
    assert {"sample_planned", "budget_kept"} <= set(blocking)


def test_before_the_look_no_kill_criterion_is_told(stage):
    stage.submit(charter=COLLAPSE, outcomes=BOUGHT, covers_until=rfc3339(moment("2026-01-12 00:00")), days=6)
    stage.workspace.clock.set(EARLY)
    assert summarise(stage.workspace, "spring-email").killed == ()


def test_before_the_look_it_tells_no_effect(stage, tmp_path):
    stage.submit(covers_until=rfc3339(moment("2026-01-12 00:00")), days=6)
    stage.workspace.clock.set(EARLY)
    found = summarise(stage.workspace, "spring-email")
    assert found.hidden.startswith("results are hidden until its end")
    for text in (text_of(found), json.dumps(found.as_json()), page_of(stage, tmp_path)):
        assert "pp;" not in text
        assert "visit rose" not in text
    assert not [e for e in open_promotion(stage.workspace).entries("spring-email") if e.kind == "looked"]


def test_looking_at_it_is_recorded_with_who_looked(stage, capsys):
    stage.submit()
    words = ["--workspace", str(stage.workspace.root), "promote", "summary", "spring-email", "--as", OWNER, "--json"]
    assert _exit_code(words) == 0
    assert json.loads(capsys.readouterr().out)["arms"] == {"letter": "admit"}
    [entry] = [entry for entry in open_promotion(stage.workspace).entries("spring-email") if entry.kind == "looked"]
    assert (entry.body["what"], entry.body["by"]) == ("summary", OWNER)


def test_what_lapsed_offers_nothing(stage):
    stage.submit()
    stage.workspace.clock.set(moment("2026-02-01 00:00") + timedelta(hours=1))
    found = summarise(stage.workspace, "spring-email")
    assert found.state.startswith("lapsed, which is *stop*")
    assert [step.command for step in found.next] == [None]


def test_a_successor_says_what_its_owner_asked_for(stage):
    follows = {"pilot": "winter-email", "candidate": "sha256:1", "change": "twice the units", "alpha_spent": 0.05}
    stage.submit(charter={"follows": follows})
    assert "It revises winter-email, whose owner asked: twice the units" in text_of(
        summarise(stage.workspace, "spring-email")
    )


def test_high_risk_says_that_a_second_person_signs(stage):
    stage.people({"email": OWNER, "decides": {"tiers": ["high"]}})
    stage.submit(charter={"risk_tier": "high"})
    assert "once a second person has signed it too" in text_of(summarise(stage.workspace, "spring-email"))


def test_the_page_is_one_file_that_fetches_nothing_and_says_what_the_text_says(stage, tmp_path):
    stage.submit()
    text = page_of(stage, tmp_path)
    page = Page(text)
    assert (page.fetched, page.open) == ([], [])
    assert "script" not in page.tags
    said = " ".join(" ".join(page.texts).split())
    assert EFFECT in said
    assert "letter may be scaled" in said
    assert f"promote decide spring-email scale --arm letter --as {OWNER}" in said
    # Read on a phone, printed on one sheet, and told apart without its colours.
    assert 'name="viewport" content="width=device-width' in text
    assert "@page { size: A4" in text
    assert "Reached" in said


def test_what_a_charter_says_is_text_on_the_page_and_no_markup(stage, tmp_path):
    evil = "<script>alert(1)</script> & <b>"
    stage.submit(charter={"hypothesis": {"because": evil, "we_believe": "a letter", "will": "bring visits"}})
    text = page_of(stage, tmp_path)
    assert "<script>" not in text
    assert any(evil in " ".join(part.split()) for part in Page(text).texts)


def test_costs_that_cannot_be_read_are_not_taken_for_none(stage):
    (stage.submit().folder / "spend.json").write_text("{")
    found = summarise(stage.workspace, "spring-email")
    assert (found.spent, found.verdict) == (None, "refuse")
    assert "spent nobody can say how much of a budget of 10.00 USD" in text_of(found)


def test_a_page_that_cannot_be_written_is_bad_input(stage, tmp_path):
    stage.submit()
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(BadInput, match="cannot be written"):
        write_page(summarise(stage.workspace, "spring-email"), tmp_path / "taken" / "page.html")


def test_a_charter_that_cannot_be_read_is_bad_input(stage):
    (stage.submit().folder / "promise.json").write_text("{")
    with pytest.raises(BadInput):
        summarise(stage.workspace, "spring-email")
