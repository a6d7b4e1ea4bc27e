from __future__ import annotations

import pytest

from tests.promotion.cases import TRIED


@pytest.fixture
def found(stage, ask):
    def both(preflight, **changes):
        return ask("holdout_kept", stage.case(preflight={"at": TRIED, **preflight}, **changes))

    return both


def test_the_shares_agree_and_no_held_out_unit_is_written_to(found):
    shares, arm = found({}, holdout="0.05")
    assert (shares.outcome, arm.outcome, arm.arm) == ("passed", "passed", "letter")
    assert "0.05" in shares.reason


@pytest.mark.parametrize("other", ["published", "present", "frozen"])
def test_another_share_anywhere_fails_and_both_are_named(found, other):
    said = {"frozen": "0.05", "published": "0.05", "present": "0.05", other: "0.1"}
    shares, _ = found({"holdout": said}, holdout="0.05")
    assert shares.outcome == "failed"
    assert "0.05" in shares.reason


def test_the_same_share_written_otherwise_is_the_same(found):
    shares, _ = found({"holdout": {"frozen": "0.05", "published": "0.050", "present": "0.05"}}, holdout="0.05")
    assert shares.outcome == "passed"


def test_without_anything_published_nobody_can_say(found):
    shares, _ = found({"holdout": {"frozen": "0", "published": None, "present": "0"}})
    assert shares.outcome == "unevaluable"


def test_one_message_into_a_holdout_fails(found):
    _, arm = found({"shadow_run": {"holdout_touched": 1}})
    assert (arm.outcome, arm.arm) == ("failed", "letter")


def test_a_play_that_was_not_run_is_unevaluable(found):
    _, arm = found({"shadow_run": {"refusals": ["no"]}})
    assert arm.outcome == "unevaluable"
