"""Several arms that could be scaled: which is the better one, and what becomes of those that are not."""

from __future__ import annotations

import json

import pytest
import yaml

from factory.warehouse.load import load
from factory.warehouse.snapshots import publish
from lab.charters.drafts import check
from pilotplant.app import _exit_code
from promotion.decisions.decision import preview
from promotion.decisions.draft import Asked
from promotion.decisions.proposal import Proposed
from promotion.keys.enrolment import enrol
from promotion.queue.summary import summarise
from shared.core.clock import rfc3339
from shared.core.errors import BadInput, Refused
from shared.core.yamlfile import read_yaml
from shared.experiment.charter import Charter
from tests.makers import OWNER, customers_csv, moment
from tests.promotion.cases import REASON, Recorded

REQUESTER, SECOND = "requester@example.com", "second@example.com"

ALIKE = {"control": Recorded(), "letter": Recorded(visits=60), "card": Recorded(visits=64)}
BETTER = {"control": Recorded(), "letter": Recorded(visits=42), "card": Recorded(visits=80)}
LETTER = {"control": Recorded(), "letter": Recorded(visits=84), "card": Recorded(visits=44)}
ONE_WINS = {"control": Recorded(), "letter": Recorded(visits=20), "card": Recorded(visits=60)}
NEITHER, CARD = "so neither is shown to be the better one", "so card is better than letter"
OTHER = "so letter is better than card"


def submit(stage, arms, **changes):
    stage.submit(charter={"arms": stage.three_arms(), **changes}, arms=arms)


def told(lines):
    return [line for line in lines if "card against letter" in line]


@pytest.mark.parametrize(("arms", "said"), [(ALIKE, NEITHER), (BETTER, CARD), (LETTER, OTHER)])
def test_the_page_shows_how_two_admitted_arms_compare_and_which_is_the_better(stage, arms, said):
    submit(stage, arms)
    [line] = told(" ".join(line.split()) for line in summarise(stage.workspace, "spring-email").lines())
    assert line.startswith("card against letter: visit ")
    assert line.endswith(said)


def test_an_arm_that_cannot_be_scaled_is_no_choice(stage):
    submit(stage, ONE_WINS)
    assert told(summarise(stage.workspace, "spring-email").lines()) == []


def test_nothing_is_shown_before_the_look(stage):
    charter = {"arms": stage.three_arms()}
    stage.submit(charter=charter, arms=BETTER, covers_until=rfc3339(moment("2026-01-12 00:00")), days=6)
    stage.workspace.clock.set(moment("2026-01-12 08:00"))
    assert told(summarise(stage.workspace, "spring-email").lines()) == []


@pytest.mark.parametrize(
    ("arms", "said", "better"),
    [(ALIKE, NEITHER, (False, False)), (BETTER, CARD, (True, False)), (LETTER, OTHER, (False, True))],
)
def test_check_and_dry_run_say_the_same(stage, capsys, arms, said, better):
    submit(stage, arms)
    here = ["--workspace", str(stage.workspace.root), "promote"]
    assert _exit_code([*here, "check", "spring-email"]) == 0
    assert said in " ".join(capsys.readouterr().out.split())
    assert _exit_code([*here, "check", "spring-email", "--json"]) == 0
    [one] = json.loads(capsys.readouterr().out)["between"]
    assert (one["arm"], one["other"], one["metric"]) == ("card", "letter", "visit")
    assert (one["low"] > 0, one["high"] < 0) == better
    deciding = [*here, "decide", "spring-email", "scale", "--arm", "letter", "--as", OWNER, "--reason", REASON]
    assert _exit_code([*deciding, "--dry-run"]) == 0
    assert said in " ".join(capsys.readouterr().out.split())


def test_a_word_that_scales_nothing_chooses_nothing(stage):
    submit(stage, BETTER)
    assert preview(stage.workspace, "spring-email", Asked("revise", OWNER, REASON)).choice == ()


def test_one_arm_is_scaled_while_the_others_go_on(stage):
    load(stage.workspace, "customers", customers_csv(stage.workspace.root / "customers.csv"))
    publish(stage.workspace)
    submit(stage, BETTER)
    done = stage.decide("scale", arm="card", revise=True, changes=("sample.units_per_arm=20",))
    assert (done.decision.release, done.decision.successor) == ("spring-email-card", "spring-email-2")
    assert [step.act.value for step in done.steps] == ["write_attestation", "lay_package", "open_draft"]
    path = stage.workspace.pilots / "spring-email-2" / "charter.yaml"
    charter = read_yaml(path, Charter)
    assert [arm.name for arm in charter.arms] == ["control", "letter"]
    assert (charter.follows.pilot, charter.follows.alpha_spent, charter.sample.units_per_arm) == (
        "spring-email", 0.05, 20
    )  # fmt: skip
    assert "but for its arm card, which was scaled" in path.read_text().splitlines()[0]
    assert [str(problem) for problem in check(stage.workspace, "spring-email-2").problems] == []
    again = stage.decide("scale", arm="card", revise=True, changes=("sample.units_per_arm=20",))
    assert (again.repeated, all(step.done for step in again.steps)) == (True, True)


@pytest.mark.parametrize(
    ("scaled", "left"), [("letter", ["control", "card", "call"]), ("call", ["control", "letter", "card"])]
)
def test_whichever_arm_is_scaled_all_others_go_on(stage, scaled, left):
    arms = stage.three_arms()
    visits = {"letter": 70, "card": 74, "call": 80}
    recorded = {"control": Recorded(), **{arm: Recorded(visits=each) for arm, each in visits.items()}}
    stage.submit(charter={"arms": [*arms, {**arms[1], "name": "call"}]}, arms=recorded)
    done = stage.decide("scale", arm=scaled, revise=True)
    assert (done.decision.arm, done.decision.release) == (scaled, f"spring-email-{scaled}")
    charter = read_yaml(stage.workspace.pilots / "spring-email-2" / "charter.yaml", Charter)
    assert [arm.name for arm in charter.arms] == left


def test_the_command_says_both_and_without_the_option_nothing_is_opened(stage, capsys):
    submit(stage, BETTER)
    words = ["promote", "decide", "spring-email", "scale", "--arm", "card", "--as", OWNER, "--reason", REASON]
    assert _exit_code(["--workspace", str(stage.workspace.root), *words, "--revise"]) == 0
    said = capsys.readouterr().out
    assert "Draft of the successor: pilots/spring-email-2/charter.yaml" in said
    assert "Handed over as release spring-email-card" in said
    # What was decided stands: the other arm cannot be left behind, or taken up, by a second word.
    assert _exit_code(["--workspace", str(stage.workspace.root), *words]) == Refused.exit_code


def test_a_successors_name_that_is_taken_keeps_the_release_back_as_well(stage):
    submit(stage, BETTER)
    other = stage.workspace.pilots / "spring-email-2"
    other.mkdir()
    (other / "charter.yaml").write_text("pilot: [")
    with pytest.raises(BadInput):
        stage.decide("scale", arm="card", revise=True)
    assert not list((stage.workspace.factory / "inbox").glob("*"))


@pytest.mark.parametrize(
    ("word", "asked", "where", "what"),
    [
        ("stop", {"revise": True}, "--revise", "goes with \\*scale\\*"),
        ("revise", {"revise": True}, "--revise", "goes with \\*scale\\*"),
        ("scale", {"arm": "card", "changes": ("sample.units_per_arm=20",)}, "--change", "or with --revise"),
        ("scale", {"arm": "card", "revise": True, "changes": ("arms.1.weight=2",)}, "--change", "has other arms"),
    ],
)
def test_what_does_not_go_together_is_refused(stage, word, asked, where, what):
    submit(stage, BETTER)
    with pytest.raises(BadInput, match=what) as caught:
        stage.decide(word, **asked)
    assert caught.value.where == where


def test_a_pilot_of_one_treatment_has_no_others(stage):
    stage.submit()
    with pytest.raises(BadInput, match="no arm beside"):
        stage.decide("scale", revise=True)


def two_signatures(stage):
    """Standard risk takes a second person's signature as well."""
    persons = ({"email": who, "decides": {"tiers": ["low", "standard"]}} for who in (REQUESTER, OWNER, SECOND))
    stage.people(*persons)
    enrol(stage.workspace, SECOND)
    path = stage.workspace.configs / "gate.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "signatures_min": {"standard": 2}}))


def test_a_second_signature_is_for_the_same_and_opens_the_same(stage):
    two_signatures(stage)
    submit(stage, BETTER)
    changes = ("sample.units_per_arm=20",)
    assert isinstance(stage.decide("scale", arm="card", revise=True, changes=changes), Proposed)
    with pytest.raises(Refused, match="a second signature is for the same") as caught:
        stage.decide("scale", arm="card", who=SECOND)
    assert caught.value.expected == "scale --arm card --revise"
    done = stage.decide("scale", arm="card", who=SECOND, revise=True)
    assert (done.decision.successor, done.decision.changes) == ("spring-email-2", changes)
    assert stage.decide("scale", arm="card", who=SECOND, revise=True).repeated


def test_nor_does_one_who_adds_what_was_not_proposed_sign_the_same(stage):
    two_signatures(stage)
    submit(stage, BETTER)
    stage.decide("scale", arm="card")
    with pytest.raises(Refused, match="a second signature is for the same"):
        stage.decide("scale", arm="card", who=SECOND, revise=True)
    assert not list(stage.workspace.pilots.iterdir())


def test_looks_before_the_end_are_told_beside_intervals_for_one(stage):
    submit(stage, BETTER, sample={"units_per_arm": 10, "looks": {"method": "group_sequential", "at": [0.5, 1]}})
    lines = summarise(stage.workspace, "spring-email").lines()
    assert any("by intervals for one look" in line for line in lines) == bool(told(lines))
