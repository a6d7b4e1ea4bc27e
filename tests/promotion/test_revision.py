"""What changes is named as a field with a value, signed, and written into the draft."""

from __future__ import annotations

import pytest

from pilotplant.app import _exit_code
from promotion.audit.verification import verify
from promotion.registry.revision import at, parse_changes, unmade
from shared.core.errors import BadInput
from shared.core.yamlfile import read_yaml
from shared.experiment.charter import Charter
from shared.trust.decision import Decision
from tests.makers import OWNER
from tests.promotion.cases import REASON

UNITS = "sample.units_per_arm=4000"


@pytest.mark.parametrize(
    ("text", "signed"),
    [
        (UNITS, UNITS),
        (" sample.units_per_arm = 4000", UNITS),
        ("arms.1.play.subject=Come in", 'arms.1.play.subject="Come in"'),
        ("guardrails=[{metric: spend, margin: -0.2}]", 'guardrails=[{"margin":-0.2,"metric":"spend"}]'),
        ("cluster=household", 'cluster="household"'),
        ("strata=zip_code", 'strata="zip_code"'),
        ("exposure=once", 'exposure="once"'),
        ("sample.guardrail_alpha=0.1", "sample.guardrail_alpha=0.1"),
    ],
)
def test_a_change_is_read_as_yaml_and_signed_in_one_form(stage, text, signed):
    assert [str(one) for one in parse_changes([text], stage.charter())] == [signed]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sample.units=4000", "names no field"),
        ("arms.7.weight=2", "names no field"),
        ("more units", "names no field"),
        ("pilot=other", "names no field"),
        ("follows.alpha_spent=0", "names no field"),
        ("sample.units_per_arm=10", "is 10 already"),
        ("sample.units_per_arm=many", "would not hold together: sample.units_per_arm"),
        ("sample.units_per_arm=[", "is no value"),
    ],
)
def test_what_names_no_field_changes_nothing_or_breaks_the_charter_is_bad_input(stage, text, said):
    with pytest.raises(BadInput, match=said):
        parse_changes([text], stage.charter())


def test_what_was_named_and_is_as_it_was_is_told(stage):
    before, after = stage.charter(), stage.charter(sample={"units_per_arm": 20})
    assert unmade([UNITS, "primary.minimum_effect=0.1"], before, after) == ["primary.minimum_effect"]
    assert at(after, "sample.units_per_arm") == 20


def test_the_command_signs_the_changes_and_the_draft_has_them(stage, capsys):
    stage.submit()
    words = ["promote", "decide", "spring-email", "revise", "--as", OWNER, "--reason", REASON]
    here = ["--workspace", str(stage.workspace.root)]
    changes = ["--change", UNITS, "--change", "time_box.timezone=Europe/Berlin"]
    assert _exit_code([*here, *words, *changes]) == 0
    draft = read_yaml(stage.workspace.pilots / "spring-email-2" / "charter.yaml", Charter)
    assert (draft.sample.units_per_arm, draft.time_box.timezone) == (4_000, "Europe/Berlin")
    assert UNITS in draft.follows.change
    assert verify(stage.workspace).problems == []
    capsys.readouterr()
    assert _exit_code([*here, *words, *changes]) == 0
    assert "was decided before" in capsys.readouterr().out
    assert _exit_code([*here, *words, "--change", UNITS]) == 3


def test_only_revise_names_changes(stage):
    stage.submit()
    with pytest.raises(BadInput, match="--change goes with"):
        stage.decide("stop", changes=(UNITS,))


def test_a_decision_without_changes_reads_back_as_it_was_signed():
    said = {"word": "stop", "owner": OWNER, "reason": REASON, "at": "2026-01-20T08:00:00Z"}
    assert "changes" not in Decision(**said).model_dump(mode="json")
    assert Decision(**said, changes=(UNITS,)).model_dump(mode="json")["changes"] == [UNITS]
