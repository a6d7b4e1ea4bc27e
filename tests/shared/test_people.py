"""People: each known once, by address, with what they may decide."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.core.errors import BadInput
from shared.core.money import Money
from shared.experiment.people import People, read_people
from shared.state.workspace import create


def people(*entries):
    return People.model_validate({"schema_version": 1, "people": list(entries)})


ANN = {"email": "ann@example.com", "decides": {"tiers": ["low"], "up_to": {"amount": 100.5, "currency": "USD"}}}
BOB = {"email": "bob@example.com"}


def test_a_person_is_found_by_address():
    assert people(ANN, BOB).find("bob@example.com").email == "bob@example.com"


@pytest.mark.parametrize("email", ["ann@example.com", "ANN@example.com", "Ann@Example.com"])
def test_capital_letters_make_no_other_person(email):
    assert people(ANN, BOB).find(email).email == "ann@example.com"


@pytest.mark.parametrize("email", ["carol@example.com", "", "ann@example.org"])
def test_nobody_is_found_under_another_address(email):
    assert people(ANN, BOB).find(email) is None


def test_an_unknown_address_comes_with_the_known_ones():
    with pytest.raises(BadInput) as caught:
        people(ANN, BOB).get("carol@example.com")
    assert caught.value.expected == "one of: ann@example.com, bob@example.com"


def test_a_person_without_entitlement_decides_nothing():
    assert people(BOB).get("bob@example.com").decides is None


def test_an_entitlement_is_money_to_the_cent():
    assert people(ANN).get("ann@example.com").decides.up_to == Money(amount="100.50", currency="USD")


def test_an_entitlement_without_limit_says_so():
    assert people({**ANN, "decides": {"tiers": ["high"]}}).people[0].decides.up_to is None


def test_a_person_named_twice_is_refused():
    with pytest.raises(ValidationError, match=r"named twice: ann@example\.com"):
        people(ANN, BOB, {"email": "ann@example.com"})


@pytest.mark.parametrize("email", ["ann", "ann@", "@example.com", "a b@example.com", "../ann@example.com", ""])
def test_what_is_no_address_is_refused(email):
    with pytest.raises(ValidationError):
        people({"email": email})


@pytest.mark.parametrize("decides", [{"tiers": []}, {"tiers": ["extreme"]}, {}, {"tiers": ["low"], "key": "x"}])
def test_an_entitlement_that_says_nothing_certain_is_refused(decides):
    with pytest.raises(ValidationError):
        people({**BOB, "decides": decides})


def test_nobody_at_all_is_refused():
    with pytest.raises(ValidationError):
        people()


def test_a_new_workspace_knows_an_owner_and_a_requester(tmp_path):
    known = read_people(create(tmp_path / "team", "live")[0])
    assert [person.decides is not None for person in known.people] == [False, True]
