from datetime import timedelta

import pytest

from shared.core.clock import rfc3339
from tests.promotion.cases import ENDS, LOOKS, Recorded

INSTANT = timedelta(microseconds=1)


def test_at_the_end_of_the_time_box_it_passes(stage, ask):
    [found] = ask("time_box", stage.case(now=ENDS))
    assert (found.outcome, found.measured, found.threshold) == ("passed", rfc3339(ENDS), rfc3339(ENDS))


def test_an_instant_before_the_end_it_fails(stage, ask):
    [found] = ask("time_box", stage.case(now=ENDS - INSTANT))
    assert (found.outcome, found.reason) == ("failed", "the time box is open until 2026-01-19 00:00 UTC")
    assert found.remedy.startswith("wait until then, analyse and submit again")


def test_data_that_end_an_instant_too_early_fail(stage, ask):
    [found] = ask("time_box", stage.case(covers_until=rfc3339(ENDS - INSTANT)))
    assert (found.outcome, found.measured) == ("failed", "2026-01-18T23:59:59.999999Z")
    assert "no boundary was crossed" in found.reason


def test_a_moment_that_cannot_be_read_is_unevaluable(stage, ask):
    [found] = ask("time_box", stage.case(covers_until="the end"))
    assert found.outcome == "unevaluable"


def test_a_pilot_whose_recording_stopped_early_fails(stage, ask):
    """Peeking every day, and stopping to record when it looks good, is not one look at the end."""
    [found] = ask("time_box", stage.case(outcomes="SELECT * FROM outcomes WHERE \"at\" < '2026-01-10'", days=5))
    assert (found.outcome, "last 7 days" in found.reason) == ("failed", True)


def test_where_nothing_was_recorded_nothing_can_be_said(stage, ask):
    [found] = ask("time_box", stage.case(arms={}))
    assert (found.outcome, found.reason, found.remedy) == (
        "unevaluable", "nothing was recorded", "record exposures, analyse, submit",
    )  # fmt: skip


def test_a_quiet_last_week_that_the_policy_allows_passes(stage, ask):
    case = stage.case(outcomes="SELECT * FROM outcomes WHERE \"at\" < '2026-01-10'", days=5)
    [found] = ask("time_box", case, quiet_days_max=10)
    assert found.outcome == "passed"


# Half of the control's units come in each week; the boundary of the first of two looks is at z = 2.96.
ALWAYS = {"sample": {"units_per_arm": 10_000, "looks": {"method": "always_valid"}}}
HALF = ENDS - timedelta(days=7)
LATER = HALF + timedelta(days=2)


def early(stage, charter=LOOKS, at=LATER, **changes):
    """A case of the days before the time box ends."""
    return stage.case(**{"charter": charter, "covers_until": rfc3339(at), "now": at, "days": 9, **changes})


def test_a_boundary_that_is_crossed_at_an_agreed_look_passes_before_the_end(stage, ask):
    case = early(stage)
    [found] = ask("time_box", case)
    assert (found.outcome, found.threshold) == ("passed", rfc3339(HALF))
    assert [look.at for look in case.evidence.looks] == [rfc3339(HALF)]


def test_an_agreed_look_without_a_crossing_fails_and_the_pilot_goes_on(stage, ask):
    alike = {"control": Recorded(), "letter": Recorded()}
    [found] = ask("time_box", early(stage, arms=alike))
    assert (found.outcome, found.reason) == ("failed", "the time box is open until 2026-01-19 00:00 UTC")


def test_an_instant_before_the_look_nothing_is_decided_however_strong(stage, ask):
    case = early(stage, at=HALF - INSTANT)
    assert ask("time_box", case)[0].outcome == "failed"
    assert case.evidence.standing == "descriptive"


def test_a_fixed_plan_has_no_early_look_however_strong(stage, ask):
    [found] = ask("time_box", early(stage, charter={}))
    assert found.outcome == "failed"


def test_a_confidence_sequence_passes_at_any_moment_once_an_arm_has_its_thousand_units(stage, ask):
    many = {"control": Recorded(units=2_000, visits=200), "letter": Recorded(units=2_000, visits=600)}
    assert ask("time_box", early(stage, ALWAYS, arms=many))[0].outcome == "passed"
    [found] = ask("time_box", early(stage, ALWAYS))
    assert found.outcome == "failed"


def test_data_that_claim_to_reach_beyond_today_fail(stage, ask):
    case = stage.case(charter=LOOKS, covers_until=rfc3339(LATER), now=LATER - INSTANT)
    [found] = ask("time_box", case)
    assert (found.outcome, "beyond today" in found.reason) == ("failed", True)


@pytest.mark.parametrize("charter", [LOOKS, ALWAYS])
def test_data_that_go_on_after_what_they_are_said_to_cover_fail(stage, ask, charter):
    many = {"control": Recorded(units=2_000, visits=200), "letter": Recorded(units=2_000, visits=600)}
    case = stage.case(charter=charter, arms=many, covers_until=rfc3339(LATER))
    [found] = ask("time_box", case)
    assert (found.outcome, "beyond what they are said to cover" in found.reason) == ("failed", True)


def test_a_crossing_of_which_the_last_week_was_not_recorded_fails(stage, ask):
    at = ENDS - INSTANT
    case = early(stage, at=at, days=4, outcomes="SELECT * FROM outcomes WHERE \"at\" < '2026-01-09'")
    [found] = ask("time_box", case)
    assert (found.outcome, "last 7 days before the look" in found.reason) == ("failed", True)
