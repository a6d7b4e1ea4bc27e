"""What an owner asked to be changed is changed in the successor's charter, or it is not admitted."""

from __future__ import annotations

import shutil

import pytest

from shared.core.yamlfile import read_yaml
from shared.experiment.charter import Charter

UNITS, EFFECT = "sample.units_per_arm=20", "primary.minimum_effect=0.1"


@pytest.fixture
def revised(stage):
    """A stage on which `spring-email` was revised in two fields, and its successor's charter as the gate wrote it."""
    stage.submit()
    done = stage.decide("revise", reason="mail more customers", changes=(UNITS, EFFECT))
    charter = read_yaml(stage.workspace.pilots / str(done.decision.successor) / "charter.yaml", Charter)
    box = {"start": "2026-01-05", "end": "2026-01-19"}
    return stage, charter.model_dump(mode="json", exclude_none=True) | {"time_box": box, "decide_by": "2026-01-26"}


def test_a_pilot_that_follows_nobody_passes(stage, ask):
    [found] = ask("revision_made", stage.case())
    assert (found.outcome, found.measured) == ("passed", [])


def test_an_owner_who_named_no_field_holds_nobody_to_one(stage, ask):
    stage.submit()
    stage.decide("revise", reason="mail more customers")
    charter = read_yaml(stage.workspace.pilots / "spring-email-2" / "charter.yaml", Charter)
    box = {"start": "2026-01-05", "end": "2026-01-19"}
    content = charter.model_dump(mode="json", exclude_none=True) | {"time_box": box, "decide_by": "2026-01-26"}
    [found] = ask("revision_made", stage.case(charter=Charter.model_validate(content)))
    assert (found.outcome, "named no field" in found.reason) == ("passed", True)


def test_the_draft_as_the_gate_wrote_it_passes(revised, ask):
    stage, content = revised
    assert (content["sample"]["units_per_arm"], content["primary"]["minimum_effect"]) == (20, 0.1)
    [found] = ask("revision_made", stage.case(charter=Charter.model_validate(content)))
    assert (found.outcome, found.measured, found.threshold) == ("passed", [], [UNITS, EFFECT])


def test_another_value_than_the_one_named_is_a_change_too(revised, ask):
    stage, content = revised
    content["sample"]["units_per_arm"] = 15
    assert ask("revision_made", stage.case(charter=Charter.model_validate(content)))[0].outcome == "passed"


@pytest.mark.parametrize("forgets", [False, True])
def test_what_is_as_it_was_fails_and_is_named_whatever_the_charter_says_of_its_line(revised, ask, forgets):
    stage, content = revised
    content["sample"]["units_per_arm"] = 10
    if forgets:
        del content["follows"]
    [found] = ask("revision_made", stage.case(charter=Charter.model_validate(content)))
    assert (found.outcome, found.measured) == ("failed", ["sample.units_per_arm"])


def test_a_decision_whose_candidate_is_gone_is_unevaluable(revised, ask):
    stage, content = revised
    case = stage.case(charter=Charter.model_validate(content))
    for folder in (stage.workspace.promotion / "intake").iterdir():
        if folder != case.candidate.folder:
            shutil.rmtree(folder)
    assert ask("revision_made", case)[0].outcome == "unevaluable"
