"""The look schedule: which looks are due, where the evidence ends, and whether it may decide."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.evidence.looks import look_schedule
from tests.makers import make_charter

INSTANT = timedelta(microseconds=1)
AGREED = {"units_per_arm": 10, "looks": {"method": "group_sequential", "at": [0.25, 0.5, 1]}}


def at(frac, **changes):
    """A charter, and a moment of its fourteen days."""
    charter = make_charter(**changes)
    return charter, charter.time_box.starts + frac * timedelta(days=14)


def test_a_single_look_decides_at_the_end_and_not_an_instant_before():
    charter, end = at(1)
    assert look_schedule(charter, end).standing == "decisive"
    early = look_schedule(charter, end - INSTANT)
    assert (early.standing, early.complete, early.until) == ("descriptive", False, None)


def test_agreed_looks_end_the_evidence_where_they_were_taken():
    charter, half = at(0.5, sample=AGREED)
    found = look_schedule(charter, half + timedelta(days=3))
    assert (found.standing, found.until, [look.share for look in found.passed]) == ("decisive", half, [0.25, 0.5])
    assert not found.complete


def test_before_the_first_look_nothing_is_decided():
    charter, first = at(0.25, sample=AGREED)
    found = look_schedule(charter, first - INSTANT)
    assert (found.standing, found.passed, found.until) == ("descriptive", (), None)
    assert look_schedule(charter, first).standing == "decisive"


def test_the_last_look_is_the_end_of_the_time_box():
    charter, end = at(1, sample=AGREED)
    found = look_schedule(charter, end)
    assert (found.until, found.complete, len(found.passed)) == (end, True, 3)


@pytest.mark.parametrize("sample", [AGREED, {"units_per_arm": 10}])
def test_all_data_are_data_to_the_end(sample):
    charter, end = at(1, sample=sample)
    assert look_schedule(charter) == look_schedule(charter, end)


def test_a_confidence_sequence_decides_at_any_moment():
    charter, moment = at(0.1, sample={"units_per_arm": 10, "looks": {"method": "always_valid"}})
    found = look_schedule(charter, moment)
    assert (found.standing, found.until, found.complete) == ("decisive", None, False)
