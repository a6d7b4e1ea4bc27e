from __future__ import annotations

import pytest

from shared.state.chain import GENESIS
from tests.promotion.cases import TRIED


def neighbour(simultaneous):
    return {
        "release": "newsletter",
        "pilot": "news",
        "per_week": 1,
        "units": 90,
        "shared": 90,
        "simultaneous": simultaneous,
    }


@pytest.fixture
def found(ask_of):
    def one(contacts, **rule):
        [finding] = ask_of("no_clash", {"at": TRIED, "contacts_of_arm": contacts}, **rule)
        return finding

    return one


def test_a_free_name_and_other_times_pass(found):
    finding = found({"neighbours": [neighbour(0)]})
    assert (finding.outcome, finding.arm) == ("passed", "letter")


def test_a_name_that_is_taken_fails_even_where_nothing_could_be_counted(found):
    finding = found({"taken_by": GENESIS, "problem": "no audience", "units": {}})
    assert finding.outcome == "failed"
    assert "spring-email-letter" in finding.reason


@pytest.mark.parametrize(("simultaneous", "outcome"), [(47, "passed"), (48, "failed")])
def test_two_messages_at_one_moment_to_most_of_its_units_are_a_clash(found, simultaneous, outcome):
    finding = found({"neighbours": [neighbour(simultaneous)]})
    assert finding.outcome == outcome
    assert outcome == "passed" or "newsletter" in finding.reason


def test_the_policy_may_forbid_any(found):
    assert found({"neighbours": [neighbour(1)]}, simultaneous_frac_max=0).outcome == "failed"


@pytest.mark.parametrize("contacts", [{"problem": "an audience cannot be told", "units": {}}, {"units": {}}])
def test_what_could_not_be_counted_is_unevaluable(found, contacts):
    assert found(contacts).outcome == "unevaluable"
