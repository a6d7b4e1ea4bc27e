"""A revised pilot carries what its line has spent, whatever its charter says."""

from __future__ import annotations

import pytest

from promotion.registry.register import register
from shared.core.yamlfile import read_yaml
from shared.experiment.charter import Charter
from shared.experiment.line import Uncarried
from shared.state.chain import GENESIS, Head
from tests.makers import TEMPLATE


@pytest.fixture
def revised(stage):
    """A stage on which `spring-email` was revised, and the charter of its successor as the gate wrote it."""
    stage.submit()
    done = stage.decide("revise", reason="mail more customers")
    charter = read_yaml(stage.workspace.pilots / str(done.decision.successor) / "charter.yaml", Charter)
    box = {"start": "2026-01-05", "end": "2026-01-19"}
    return stage, charter.model_dump(mode="json", exclude_none=True) | {"time_box": box, "decide_by": "2026-01-26"}


def test_a_pilot_that_revises_none_is_tested_at_its_own_alpha(stage, ask):
    [found] = ask("alpha_carried", stage.case())
    assert (found.outcome, found.measured) == ("passed", 0.0)


def test_the_successor_as_the_gate_wrote_it_passes_and_is_tested_at_half(revised, ask):
    stage, content = revised
    case = stage.case(charter=Charter.model_validate(content))
    [found] = ask("alpha_carried", case)
    # The first pilot's .05 is spent once: .05 x 1/2 by hand.
    assert (found.outcome, found.measured, found.threshold) == ("passed", 0.05, 0.05)
    assert case.evidence.alpha == pytest.approx(0.025)
    assert ask("primary_effect", case)[0].threshold["alpha"] == pytest.approx(0.025)


@pytest.mark.parametrize("said", [0.0, 0.049])
def test_a_successor_that_says_less_is_not_taken_in_and_fails_where_it_was_before(revised, ask, said):
    stage, content = revised
    content["follows"]["alpha_spent"] = said
    with pytest.raises(Uncarried, match="what spring-email tried: its charter says so"):
        stage.submit(charter=Charter.model_validate(content))
    [found] = ask(
        "alpha_carried", of_earlier_build(stage.case(charter=Charter.model_validate(content), registered=None))
    )
    assert (found.outcome, found.measured, found.threshold) == ("failed", said, 0.05)


def of_earlier_build(case):
    case.__dict__["promise"] = case.promise.model_copy(update={"rules": 1})
    return case


def test_a_successor_that_forgets_where_it_comes_from_fails(revised, ask):
    stage, content = revised
    del content["follows"]
    [found] = ask("alpha_carried", stage.case(charter=Charter.model_validate(content)))
    assert (found.outcome, found.threshold) == ("failed", 0.05)


def test_a_line_that_the_gate_never_opened_fails(stage, ask):
    follows = {"pilot": "autumn", "candidate": "sha256:1", "change": "all of it", "alpha_spent": 0.05}
    [found] = ask("alpha_carried", stage.case(charter={"follows": follows}))
    assert (found.outcome, "never decided so" in found.reason) == ("failed", True)


def test_a_renamed_successor_that_carries_the_alpha_passes_and_is_tested_at_half(stage, ask):
    stage.submit()
    follows = {"follows": {"pilot": "spring-email", "change": "another week", "alpha_spent": 0.05}}
    case = stage.case(charter={"pilot": "autumn", **follows}, texts={"message.txt": TEMPLATE})
    [found] = ask("alpha_carried", case)
    assert (found.outcome, found.measured, found.threshold) == ("passed", 0.05, 0.05)
    assert case.evidence.alpha == pytest.approx(0.025)


@pytest.mark.parametrize("follows", [None, {"none": "another product altogether"}])
def test_a_promise_that_does_not_carry_what_the_register_found_fails(stage, ask, follows):
    """As a gate would have it in its ledger that had taken it in all the same."""
    case = stage.case(charter={"follows": follows}, registered=None)
    before = [{"pilot": "autumn", "why": "messages", "alpha": 0.05, "tested_at": 0.05}]
    body = {"promise": case.candidate.manifest.promise, "lab": Head(0, GENESIS).as_json(), "line": {"before": before}}
    with case.room.transaction() as connection:
        case.room.write(connection, "registered", "spring-email", body)
    [found] = ask("alpha_carried", case)
    assert (found.outcome, found.measured, found.threshold) == ("failed", 0.0, 0.05)
    assert ("does not change that" in found.reason) is (follows is not None)


def test_a_gate_that_was_shown_no_files_cannot_tell_what_it_continues(stage, ask):
    case = stage.case(registered=None)
    register(stage.workspace, case.promise, Head(0, GENESIS))
    [found] = ask("alpha_carried", case)
    assert (found.outcome, "not shown the pilot's files" in found.reason) == ("unevaluable", True)


def test_a_decision_whose_candidate_is_gone_is_unevaluable(revised, ask):
    import shutil

    stage, content = revised
    case = stage.case(charter=Charter.model_validate(content))
    gone = next(entry for entry in case.room.entries() if entry.kind == "decided").body["candidate"]
    shutil.rmtree(stage.workspace.promotion / "intake" / gone.removeprefix("sha256:"))
    [found] = ask("alpha_carried", case)
    assert found.outcome == "unevaluable"


@pytest.mark.parametrize(("alpha", "outcome"), [(0.05, "passed"), (0.04, "passed"), (0.06, "failed"), (0.2, "failed")])
def test_a_successor_does_not_win_back_by_a_larger_alpha_what_its_line_has_spent(revised, ask, alpha, outcome):
    stage, content = revised
    content["sample"]["alpha"] = alpha
    charter = Charter.model_validate(content)
    # By hand: .2 halved by a quarter of itself would be .168, more than the first pilot's own .05.
    if outcome == "failed":
        with pytest.raises(Uncarried, match="would be tested at"):
            stage.submit(charter=charter)
        case = of_earlier_build(stage.case(charter=charter, registered=None))
    else:
        case = stage.case(charter=charter)
    assert [found.outcome for found in ask("alpha_carried", case)] == [outcome]
