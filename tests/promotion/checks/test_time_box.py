from datetime import timedelta

from shared.clock import rfc3339
from tests.promotion.cases import ENDS

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


def test_a_quiet_last_week_that_the_policy_allows_passes(stage, ask):
    case = stage.case(outcomes="SELECT * FROM outcomes WHERE \"at\" < '2026-01-10'", days=5)
    [found] = ask("time_box", case, quiet_days_max=10)
    assert found.outcome == "passed"
