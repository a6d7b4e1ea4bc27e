"""A revised pilot carries what its line has spent, whatever its charter says."""

from __future__ import annotations

import pytest

from shared.charter import Charter
from shared.yamlfile import read_yaml


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
def test_a_successor_that_says_less_fails(revised, ask, said):
    stage, content = revised
    content["follows"]["alpha_spent"] = said
    [found] = ask("alpha_carried", stage.case(charter=Charter.model_validate(content)))
    assert (found.outcome, found.measured, found.threshold) == ("failed", said, 0.05)


def test_a_successor_that_forgets_where_it_comes_from_fails(revised, ask):
    stage, content = revised
    del content["follows"]
    [found] = ask("alpha_carried", stage.case(charter=Charter.model_validate(content)))
    assert (found.outcome, found.threshold) == ("failed", 0.05)


def test_a_line_that_the_gate_never_opened_fails(stage, ask):
    follows = {"pilot": "autumn", "candidate": "sha256:1", "change": "all of it", "alpha_spent": 0.05}
    [found] = ask("alpha_carried", stage.case(charter={"follows": follows}))
    assert (found.outcome, "never decided so" in found.reason) == ("failed", True)


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
    [found] = ask("alpha_carried", stage.case(charter=Charter.model_validate(content)))
    # By hand: .2 halved by a quarter of itself would be .168, more than the first pilot's own .05.
    assert found.outcome == outcome
