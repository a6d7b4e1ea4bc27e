from __future__ import annotations

import pytest

from tests.promotion.cases import TRIED


def neighbour(**said):
    return {
        "release": "newsletter",
        "pilot": "news",
        "per_week": 3,
        "units": 80,
        "shared": 40,
        "simultaneous": 0,
        **said,
    }


@pytest.fixture
def found(ask_of):
    def one(contacts, **rule):
        [finding] = ask_of("contact_pressure", {"at": TRIED, "contacts_of_arm": contacts}, **rule)
        return finding

    return one


def test_as_many_contacts_as_the_cap_allows_pass(found):
    finding = found({"units": {"7": 60, "3": 35}})
    assert (finding.outcome, finding.arm) == ("passed", "letter")
    assert "at most 7" in finding.reason


def test_one_unit_above_the_cap_fails_and_the_releases_are_named(found):
    finding = found({"units": {"7": 94, "10": 1}, "neighbours": [neighbour()]})
    assert finding.outcome == "failed"
    assert "1 of 95 units would get up to 10 messages" in finding.reason
    assert "newsletter 3" in finding.reason


def test_contacts_are_compared_as_numbers(found):
    """As texts, "10" would come before "7"."""
    assert found({"units": {"10": 95}}).outcome == "failed"
    assert found({"units": {"10": 95}, "cap": 10}).outcome == "passed"


def test_the_policy_may_allow_a_share(found):
    contacts = {"units": {"7": 90, "8": 5}}
    assert found(contacts, above_frac_max=0.06).outcome == "passed"
    assert found(contacts, above_frac_max=0.05).outcome == "failed"


@pytest.mark.parametrize("contacts", [{"problem": "an audience cannot be told", "units": {}}, {"units": {}}])
def test_what_could_not_be_counted_is_unevaluable(found, contacts):
    assert found(contacts).outcome == "unevaluable"
