from __future__ import annotations

import pytest

from tests.promotion.cases import TRIED


@pytest.fixture
def found(ask_of):
    def one(personal, shadow_run=None, **rule):
        preflight = {"at": TRIED, "personal": personal, "shadow_run": shadow_run or {}}
        [finding] = ask_of("no_personal_data", preflight, **rule)
        return finding

    return one


def test_messages_without_personal_data_pass_and_what_was_looked_for_is_told(found):
    finding = found({})
    assert (finding.outcome, finding.arm) == ("passed", "letter")
    assert "customer_id, email" in finding.reason


@pytest.mark.parametrize(
    ("personal", "said"),
    [
        ({"pseudonyms": 1}, "pseudonym in 1"),
        ({"addresses": 2}, "e-mail address"),
        ({"values": {"customer_id": 1}}, "own `customer_id` in 1"),
        ({"values": {"email": 1}}, "own `email` in 1"),
        ({"fields": {"email": "personal"}}, "print `email`"),
        ({"fields": {"customer_id": "identifier"}}, "print `customer_id`"),
    ],
)
def test_personal_data_of_any_kind_fails_and_is_named(found, personal, said):
    finding = found(personal)
    assert finding.outcome == "failed"
    assert said in finding.reason


def test_one_namesake_in_a_thousand_is_no_leak_and_an_identifier_always_is(found):
    many = {"messages": 1_000}
    assert found({"values": {"email": 1}}, many).outcome == "passed"
    assert found({"values": {"email": 2}}, many).outcome == "failed"
    assert found({"values": {"customer_id": 1}}, many).outcome == "failed"
    assert found({"values": {"email": 1}}, many, values_frac_max=0).outcome == "failed"


@pytest.mark.parametrize("shadow_run", [{"personal": None}, {"messages": 0}, {"refusals": ["no"], "personal": None}])
def test_where_nothing_was_rendered_nothing_can_be_said(found, shadow_run):
    assert found({}, shadow_run).outcome == "unevaluable"
