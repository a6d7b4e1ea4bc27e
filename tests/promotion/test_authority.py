"""Authority: the owner decides, or a delegate while the owner is away; never the requester or their stand-in."""

from __future__ import annotations

import json

import pytest

from factory.releases.packages import verify as verify_package
from factory.releases.trust import trust
from pilotplant.app import _exit_code
from promotion.audit.verification import verify
from promotion.decisions.transaction import recorded
from promotion.gate.authority import Objection, Right, deciders, right_to_decide
from promotion.gate.decision_findings import occasion
from promotion.gate.policy import read_settings
from promotion.keys.enrolment import enrol
from promotion.state import open_promotion
from shared.core.clock import parse_rfc3339
from shared.core.errors import BadInput, Refused
from shared.trust.decision import StandIn
from shared.trust.keys import GATE
from tests.makers import OWNER, moment
from tests.promotion.cases import INSIGHT, JUDGED, REASON
from tests.promotion.shown import waiting

REQUESTER, DEPUTY, OTHER = "requester@example.com", "deputy@example.com", "other@example.com"
DECIDES = {"tiers": ["low", "standard", "high"]}
# The case is judged on 20 January.
AWAY = {"first_day": "2026-01-20", "last_day": "2026-01-20"}


def person(email, *delegates, away=None, **more):
    known = {"email": email, "decides": DECIDES, "delegates": list(delegates), **more}
    return {**known, "absences": [away]} if away else known


def asked(stage, who, *persons, tier="standard", **charter):
    stage.people(*persons)
    on = occasion(stage.case(charter=charter), read_settings(stage.workspace).policy(tier))
    return right_to_decide(who, on)


def test_an_absent_owners_delegate_may_decide_and_the_attestation_says_for_whom_and_why(stage):
    stage.people({"email": REQUESTER}, person(OWNER, DEPUTY, away=AWAY), person(DEPUTY))
    enrol(stage.workspace, DEPUTY)
    stage.submit()
    predicate = stage.decide("scale", who=DEPUTY).attestation.predicate
    away = StandIn(owner=OWNER, first_day="2026-01-20", last_day="2026-01-20")
    assert (predicate.decision.owner, predicate.decision.stands_in) == (DEPUTY, away)
    [found] = [finding for finding in predicate.findings if finding.check == "decider_is_owner"]
    assert found.reason == f"{DEPUTY} decides in the place of {OWNER}, who is away from 2026-01-20 to 2026-01-20"
    assert verify(stage.workspace).problems == []
    # The absence is over, and the same word again is still the same decision.
    stage.workspace.clock.set(moment("2026-01-25 08:00"))
    assert stage.decide("scale", who=DEPUTY).repeated


@pytest.mark.parametrize("who", [OWNER, DEPUTY])
def test_an_absent_owner_may_decide_as_well(stage, who):
    persons = [{"email": REQUESTER}, person(OWNER, DEPUTY, away=AWAY), person(DEPUTY)]
    assert asked(stage, who, *persons).person == who


# Judged on 20 January at eight in the morning: both days of an absence belong to it.
@pytest.mark.parametrize(
    ("first", "last", "may"),
    [
        ("2026-01-20", "2026-01-20", True),
        ("2026-01-01", "2026-01-20", True),
        ("2026-01-21", "2026-01-30", False),
        ("2026-01-01", "2026-01-19", False),
    ],
)
def test_a_delegate_decides_only_while_the_owner_is_away(stage, first, last, may):
    persons = [{"email": REQUESTER}, person(OWNER, DEPUTY, away={"first_day": first, "last_day": last}), person(DEPUTY)]
    found = asked(stage, DEPUTY, *persons)
    assert isinstance(found, Right) == may
    assert may or found == Objection(f"{DEPUTY} is a delegate of {OWNER}, who is not away today", f"{OWNER} decides it")


@pytest.mark.parametrize(
    ("deputy", "reason"),
    [
        ({"decides": None}, f"{DEPUTY} is not entitled to decide anything"),
        ({"decides": {"tiers": ["low"]}}, f"{DEPUTY} may decide low risk, this is standard"),
        (
            {"decides": {"tiers": ["standard"], "up_to": {"amount": "9.99", "currency": "USD"}}},
            f"{DEPUTY} may decide up to 9.99 USD, the budget is 10.00 USD",
        ),
    ],
)
def test_a_delegate_decides_within_their_own_entitlement(stage, deputy, reason):
    persons = [{"email": REQUESTER}, person(OWNER, DEPUTY, away=AWAY), person(DEPUTY) | deputy]
    found = asked(stage, DEPUTY, *persons)
    assert (found.reason, found.remedy.endswith(f"{OWNER} decides it")) == (reason, True)


def test_what_the_owner_may_not_decide_nobody_decides_in_their_place(stage):
    persons = [{"email": REQUESTER}, person(OWNER, DEPUTY, away=AWAY, decides={"tiers": ["low"]}), person(DEPUTY)]
    found = asked(stage, DEPUTY, *persons)
    assert found == Objection(f"{OWNER} may decide low risk, this is standard", "revise with another owner")


@pytest.mark.parametrize("requester", [DEPUTY, DEPUTY.upper()])
def test_a_delegate_who_asked_for_it_does_not_decide(stage, requester):
    persons = [person(OWNER, DEPUTY, away=AWAY), person(DEPUTY)]
    found = asked(stage, DEPUTY, *persons, requester=requester)
    assert found.reason == f"{DEPUTY} would decide on their own request"


def test_self_approval_through_a_delegate_is_refused(stage):
    """The owner asked for it: their delegate speaks in their name, and is no second person."""
    stage.people(person(OWNER, DEPUTY, away=AWAY), person(DEPUTY))
    enrol(stage.workspace, DEPUTY)
    stage.submit(charter={"requester": OWNER})
    with pytest.raises(Refused, match=f"{OWNER} would decide on their own request"):
        stage.decide("scale", who=DEPUTY)
    assert [entry.kind for entry in open_promotion(stage.workspace).entries("spring-email")] == ["registered"]


@pytest.mark.parametrize(("away", "may"), [(AWAY, False), (None, True)])
def test_a_delegate_of_the_requester_does_not_decide_while_they_stand_in_for_them(stage, away, may):
    persons = [person(REQUESTER.upper(), OWNER, away=away), person(OWNER)]
    found = asked(stage, OWNER, *persons)
    assert isinstance(found, Right) == may
    assert may or found.reason == f"{OWNER} stands in for {REQUESTER} today, and would decide on their request"


def test_a_low_risk_pilot_may_be_decided_by_its_requesters_delegate(stage):
    persons = [person(REQUESTER, OWNER, away=AWAY), person(OWNER)]
    assert isinstance(asked(stage, OWNER, *persons, tier="low", risk_tier="low"), Right)


def test_somebody_else_does_not_own_the_decision_whatever_they_may_decide(stage):
    persons = [{"email": REQUESTER}, person(OWNER, DEPUTY, away=AWAY), person(DEPUTY), person(OTHER)]
    found = asked(stage, OTHER, *persons)
    assert found == Objection(f"{OTHER} does not own this decision", f"{OWNER} or {DEPUTY} decides it")


def test_a_delegates_delegate_decides_nothing(stage):
    persons = [{"email": REQUESTER}, person(OWNER, DEPUTY, away=AWAY), person(DEPUTY, OTHER, away=AWAY), person(OTHER)]
    assert asked(stage, OTHER, *persons).reason == f"{OTHER} does not own this decision"


def test_what_waits_for_an_absent_owner_waits_for_the_delegate(stage):
    stage.submit()
    stage.people({"email": REQUESTER}, person(OWNER, DEPUTY, away=AWAY), person(DEPUTY))
    assert [len(waiting(stage.workspace, owner=who)) for who in (OWNER, DEPUTY, OTHER)] == [1, 1, 0]
    on = occasion(stage.case(), read_settings(stage.workspace).policy("standard"))
    assert (deciders(on), on.day) == ((OWNER, DEPUTY), parse_rfc3339("2026-01-20T00:00:00Z").date())
    assert on.day == JUDGED.date()


@pytest.mark.parametrize(
    ("persons", "said"),
    [
        ([person(OWNER, OWNER.upper())], "named as their own delegate"),
        ([person(OWNER, DEPUTY)], f"{DEPUTY}, a delegate of {OWNER}, is not among the people"),
        ([person(OWNER, away={"first_day": "2026-01-02", "last_day": "2026-01-01"})], "before it begins"),
        ([person(OWNER), person(OWNER.upper())], "named twice"),
    ],
)
def test_people_who_cannot_be_told_apart_or_found_are_bad_input(stage, persons, said):
    stage.submit()
    stage.people(*persons)
    with pytest.raises(BadInput, match=said):
        stage.decide("stop")


OTHERS = ("Owner@Example.com", "OWNER@EXAMPLE.COM", "owner@Example.COM")


@pytest.mark.parametrize("spelt", OTHERS)
def test_whoever_writes_their_address_in_capitals_is_the_same_person_to_every_command(stage, capsys, spelt):
    stage.submit()
    here = ["--workspace", str(stage.workspace.root)]
    assert _exit_code([*here, "promote", "queue", "--as", spelt, "--json"]) == 0
    assert [one["pilot"] for one in json.loads(capsys.readouterr().out)["candidates"]] == ["spring-email"]
    assert _exit_code([*here, "promote", "enrol", spelt]) == 0
    assert "was enrolled before" in capsys.readouterr().out
    assert _exit_code([*here, "factory", "trust", spelt]) == 0
    words = ["promote", "decide", "spring-email", "stop", "--as", spelt, "--reason", REASON, "--insight", INSIGHT]
    assert _exit_code([*here, *words]) == 0
    assert recorded(open_promotion(stage.workspace), "spring-email").predicate.decision.owner == OWNER


@pytest.mark.parametrize("spelt", OTHERS)
def test_an_owner_whom_the_charter_spells_otherwise_decides_it_and_the_factory_takes_it(stage, spelt):
    stage.submit(charter={"owner": spelt})
    assert [one["deciders"] for one in waiting(stage.workspace, owner=OWNER)] == [[OWNER]]
    stage.decide("scale")
    for who in (GATE, OWNER):
        trust(stage.workspace, who)
    [package] = (stage.workspace.factory / "inbox").glob("[!.]*")
    assert verify_package(stage.workspace, package, now=JUDGED).release == "spring-email-letter"


@pytest.mark.parametrize("spelt", ["Requester@Example.com", "REQUESTER@EXAMPLE.COM", "requester@EXAMPLE.com"])
def test_nobody_decides_on_their_own_request_by_another_spelling(stage, spelt):
    found = asked(stage, OWNER, person(OWNER), requester=OWNER.upper())
    assert found.reason == f"{OWNER} would decide on their own request"
    found = asked(stage, REQUESTER, {"email": REQUESTER, "decides": {"tiers": ["standard"]}}, owner=spelt)
    assert found.reason == f"{REQUESTER} would decide on their own request"
