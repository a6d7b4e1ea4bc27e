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
    assert found.remedy == "wait until then, analyse and submit again"


def test_data_that_end_an_instant_too_early_fail(stage, ask):
    [found] = ask("time_box", stage.case(covers_until=rfc3339(ENDS - INSTANT)))
    assert (found.outcome, found.measured) == ("failed", "2026-01-18T23:59:59.999999Z")
    assert "one look" in found.reason


def test_a_moment_that_cannot_be_read_is_unevaluable(stage, ask):
    [found] = ask("time_box", stage.case(covers_until="the end"))
    assert found.outcome == "unevaluable"
