"""Lineage: the gate believes an amended charter by its own stamps, and by nothing that the Lab says."""

from __future__ import annotations

from datetime import timedelta

import pytest

from promotion.cli.history import gist
from promotion.registry.register import register
from promotion.state import open_promotion
from shared.core.errors import Refused
from shared.state.chain import GENESIS, Head
from shared.trust.candidate import AMENDMENTS
from tests.makers import OWNER
from tests.promotion.cases import AMENDED, ENDS, EXPOSED, INSIGHT, LAUNCHED

HOUR = timedelta(hours=1)
WORDING = {"hypothesis": {"because": "they wrote", "we_believe": "a letter", "will": "bring more visits"}}
LOWER = {"primary": {"metric": "visit", "minimum_effect": 0.03}}
LONGER = {"time_box": {"start": "2026-01-05", "end": "2026-01-26"}}
ANY_TIME = {"units_per_arm": 200, "looks": {"method": "always_valid"}}
RUNNING = EXPOSED + timedelta(days=3)


@pytest.fixture
def take_in(stage):
    """The gate takes a version in, at a moment; after another version it amends that."""

    def taken(at=None, amends=None, **changes):
        promise, _ = stage.promise(stage.charter(**changes))
        if amends is not None:
            promise = promise.amending(amends, AMENDED)
        if at is not None:
            stage.workspace.clock.set(at)
            register(stage.workspace, promise, Head(0, GENESIS))
        return promise

    return taken


@pytest.fixture
def frozen(stage, ask):
    """What `charter_frozen` finds of a candidate."""

    def asked(**changes):
        [found] = ask("charter_frozen", stage.case(**changes))
        return found

    return asked


def test_a_free_change_after_the_exposure_passes_and_is_told_with_its_reason(frozen, take_in):
    first = take_in(LAUNCHED)
    found = frozen(earlier=[first], charter=WORDING, registered=RUNNING)
    assert found.outcome == "passed"
    [told] = found.measured["amendments"]
    assert (told["version"], told["reason"], told["changes"]) == (2, AMENDED, ["hypothesis.will"])
    assert told["at"].startswith("2026-01-08T09:00:00")
    assert found.measured["first_exposure"] == "2026-01-05T09:00:00Z"
    assert found.threshold.startswith("2026-01-04T12:00:00")
    assert found.reason == (
        "the charter was frozen before the first exposure, and amended since in nothing that decides after it: "
        f"version 2 at {told['at']} (hypothesis.will): {AMENDED}"
    )
    assert "version 2" in found.reason
    assert AMENDED in found.reason


def test_what_decides_may_be_amended_before_the_first_exposure(frozen, take_in):
    first = take_in(LAUNCHED)
    found = frozen(earlier=[first], charter=LOWER, registered=LAUNCHED + HOUR)
    assert (found.outcome, found.measured["amendments"][0]["changes"]) == ("passed", ["primary.minimum_effect"])
    assert found.threshold.startswith("2026-01-04T13:00:00")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (LOWER, ["primary.minimum_effect"]),
        ({"owner": "friend@example.com"}, ["owner"]),
        ({"risk_tier": "low"}, ["risk_tier"]),
        ({"kill_criteria": [{"metric": "visit", "worse_than": -0.05}]}, ["kill_criteria"]),
        (LONGER, ["time_box.end"]),
        ({"decide_by": "2026-01-20"}, ["decide_by"]),
        ({"texts": {"message.txt": "Another letter.\n"}}, ["files.message.txt"]),
    ],
)
def test_what_decides_may_not_be_amended_after_it_and_is_named(frozen, take_in, changes, named):
    first, texts = take_in(LAUNCHED), changes.pop("texts", None) if "texts" in changes else None
    found = frozen(earlier=[first], charter=changes, texts=texts, registered=RUNNING)
    assert (found.outcome, found.measured) == ("failed", named)
    assert found.reason.endswith(", ".join(named))


def test_moving_and_moving_back_is_moving(frozen, take_in):
    first = take_in(LAUNCHED)
    second = take_in(RUNNING, first, **LOWER)
    found = frozen(earlier=[first, second], registered=RUNNING + HOUR)
    assert (found.outcome, found.measured) == ("failed", ["primary.minimum_effect"])


def test_a_longer_time_box_counts_where_it_was_taken_in_before_the_end(frozen, take_in):
    """A look at any time is agreed on; to go on at will under a fixed horizon would be to stop when it looks good."""
    first = take_in(LAUNCHED, sample=ANY_TIME)
    assert frozen(earlier=[first], charter={"sample": ANY_TIME, **LONGER}, registered=ENDS - HOUR).outcome == "passed"


@pytest.mark.parametrize("changes", [LONGER, WORDING, {"budget": {"media": "20.00", "currency": "USD"}}])
def test_nothing_counts_that_was_taken_in_when_the_time_box_was_over(frozen, take_in, changes):
    first = take_in(LAUNCHED)
    found = frozen(earlier=[first], charter=changes, registered=ENDS)
    assert (found.outcome, found.reason) == (
        "failed",
        "version 2 of the charter was taken in when the time box was over",
    )


def test_a_version_that_the_gate_never_took_in_fails(frozen, take_in):
    found = frozen(earlier=[take_in()], charter=WORDING, registered=LAUNCHED)
    assert found.outcome == "failed"
    assert found.reason == "the gate did not take in version 1 of the charter before version 2"


def test_a_version_that_was_taken_in_after_the_next_one_fails(frozen, take_in):
    second = take_in(LAUNCHED, take_in(), **WORDING)
    first = take_in(LAUNCHED + HOUR)
    found = frozen(earlier=[first, second], registered=RUNNING)
    assert (found.outcome, found.reason) == (
        "failed",
        "the gate did not take in version 1 of the charter before version 2",
    )


def test_the_versions_of_a_candidate_are_one_line(frozen, take_in):
    first, other = take_in(LAUNCHED), take_in(LAUNCHED + HOUR, decide_by="2026-02-01")
    second = take_in(LAUNCHED + 2 * HOUR, first, **WORDING)
    found = frozen(earlier=[other, second], charter=WORDING, registered=RUNNING)
    assert (found.outcome, found.reason) == ("failed", "version 2 of the charter does not continue version 1")


def test_a_version_without_those_before_it_fails(stage, frozen, take_in):
    first = take_in(LAUNCHED)
    found = frozen(
        earlier=[first], charter=WORDING, registered=RUNNING, alter=lambda folder: (folder / AMENDMENTS).unlink()
    )
    assert (found.outcome, found.reason) == (
        "failed",
        "version 2 of the charter is there, and those before it are not",
    )


def test_versions_that_cannot_be_read_are_unevaluable(frozen, take_in):
    first = take_in(LAUNCHED)
    found = frozen(
        earlier=[first],
        charter=WORDING,
        registered=RUNNING,
        alter=lambda folder: (folder / AMENDMENTS).write_text("{}"),
    )
    assert found.outcome == "unevaluable"


def test_of_two_charters_before_the_exposure_none_can_be_chosen_by_the_results(frozen, take_in):
    # Two branches are deposited, and after the results one of them is carried on.
    first = take_in(LAUNCHED)
    easy = take_in(LAUNCHED + HOUR, first, **LOWER)
    take_in(LAUNCHED + 2 * HOUR, first, decide_by="2026-02-01")
    found = frozen(earlier=[first, easy], charter={**LOWER, **WORDING}, registered=RUNNING)
    assert (found.outcome, "none of the candidate's versions" in found.reason) == ("failed", True)


def test_nor_can_an_amendment_be_taken_back_by_the_results(frozen, take_in):
    first = take_in(LAUNCHED)
    take_in(LAUNCHED + HOUR, first, **LOWER)
    found = frozen(earlier=[first], charter=WORDING, registered=RUNNING)
    assert (found.outcome, "none of the candidate's versions" in found.reason) == ("failed", True)


def test_a_charter_that_pretends_to_be_the_first_one_fails(frozen, take_in):
    take_in(LAUNCHED)
    found = frozen(charter=LOWER, registered=RUNNING)
    assert (found.outcome, "none of the candidate's versions" in found.reason) == ("failed", True)


def test_a_candidate_of_an_older_version_is_submitted_again(stage, frozen, take_in):
    candidate_of = stage.submit(registered=LAUNCHED)
    take_in(RUNNING, candidate_of.promise(), **WORDING)
    found = frozen(registered=None)
    assert (found.outcome, "only the last counts" in found.reason) == ("failed", True)
    assert "pilotplant lab analyse spring-email" in found.remedy


def test_the_gate_judges_by_the_version_in_force(stage, take_in):
    # 0.2 is what the letter brings; the bar was lowered from 0.3 before anybody was exposed.
    high = {"primary": {"metric": "visit", "minimum_effect": 0.3}}
    first = take_in(LAUNCHED, **high)
    assert stage.judge(charter=high, registered=None).verdict == "refuse"
    # The later of two candidates is the one whose Lab's ledger had gone further.
    judgement = stage.judge(earlier=[first], charter=LOWER, registered=LAUNCHED + HOUR, later=1)
    assert judgement.verdict == "admit"
    done = stage.decide()
    assert (
        done.attestation.predicate.promise == stage.promise(stage.charter(**LOWER))[0].amending(first, AMENDED).digest
    )
    [told] = [f for f in done.attestation.predicate.findings if f.check == "charter_frozen"]
    assert told.measured["amendments"][0]["reason"] == AMENDED


@pytest.mark.parametrize("word", ["revise", "stop"])
def test_an_owner_whom_an_amendment_made_owner_too_late_decides_nothing(stage, take_in, word):
    first = take_in(LAUNCHED, owner="other@example.com")
    stage.submit(earlier=[first], charter={"owner": OWNER}, registered=RUNNING)
    with pytest.raises(Refused, match="or too late"):
        stage.decide(word)


def test_an_owner_decides_on_a_charter_that_was_amended_in_order(stage, take_in):
    first = take_in(LAUNCHED)
    stage.submit(earlier=[first], charter=WORDING, registered=RUNNING)
    assert stage.decide("stop", insight=INSIGHT).decision.word == "stop"


def test_the_gates_own_record_tells_of_every_version_and_why(stage, take_in):
    first = take_in(LAUNCHED)
    take_in(RUNNING, first, **WORDING)
    told = [gist(entry.kind, entry.body) for entry in open_promotion(stage.workspace).entries("spring-email")]
    assert [text.partition("…")[2] for text in told] == ["", f", version 2: {AMENDED}"]
