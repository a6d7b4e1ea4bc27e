"""Drafts: what `lab new` writes can be read and checked, and what `lab check` says is true."""

from __future__ import annotations

from datetime import date

import pytest

from lab.charters.briefs import brief
from lab.charters.drafts import check, new
from lab.launch.launch import launch
from lab.pilots.promise import read_charter
from shared.core.errors import BadInput, Refused
from tests.lab_makers import OWNER, PILOT, REQUESTER, draft

ASSUMED = ("sample: {", "sample: {assume: {visit: {mean: 0.2}, spend: {mean: 5, sd: 20}, conversion: {mean: 0.1}}, ")


def besides_the_audience(found):
    """The notes but for those on the stage's audience, which is half of its customers."""
    return [note for note in found.notes if "audience_tested" not in note]


def test_a_new_draft_begins_tomorrow_runs_two_weeks_and_leaves_the_owner_one(loaded):
    path = new(loaded, "autumn-mail").charter
    charter = read_charter(loaded, "autumn-mail")
    # The stage's clock shows Sunday, the 4th of January.
    assert (charter.time_box.start, charter.time_box.end) == (date(2026, 1, 5), date(2026, 1, 19))
    assert charter.decide_by == date(2026, 1, 26)
    assert (charter.owner, charter.requester) == (OWNER, REQUESTER)
    assert sorted(file.name for file in path.parent.iterdir()) == ["audience.sql", "charter.yaml", "message.txt.j2"]


def test_a_new_draft_would_launch_but_for_the_plan_that_a_small_shop_cannot_keep(loaded):
    new(loaded, "autumn-mail")
    [problem] = check(loaded, "autumn-mail").problems
    # 600 customers in two equal arms.
    assert problem.what == "the plan needs 1,000 units per arm, and the smallest can get 300"


def test_owner_and_requester_may_be_named(loaded):
    people = loaded.configs / "people.yaml"
    people.write_text(people.read_text() + "  - email: ada@example.com\n    decides: {tiers: [low]}\n")
    new(loaded, "autumn-mail", brief(owner="ada@example.com", requester=OWNER))
    charter = read_charter(loaded, "autumn-mail")
    assert (charter.owner, charter.requester) == ("ada@example.com", OWNER)


@pytest.mark.parametrize(
    ("name", "options", "error", "told"),
    [
        ("Autumn Mail", {}, BadInput, "`Autumn Mail` is not a pilot's name"),
        ("../escape", {}, BadInput, "is not a pilot's name"),
        ("autumn-mail", {"template": "tv-spot"}, BadInput, "there is no template `tv-spot`"),
        ("autumn-mail", {"owner": "nobody@example.com"}, BadInput, "nobody is known as nobody@example.com"),
        (PILOT, {}, Refused, "there is a pilot spring-mail already"),
    ],
)
def test_a_draft_that_cannot_be_leaves_nothing_behind(loaded, name, options, error, told):
    before = sorted(loaded.pilots.rglob("*"))
    with pytest.raises(error, match=told):
        new(loaded, name, brief(**options))
    assert sorted(loaded.pilots.rglob("*")) == before


def test_a_name_that_a_launched_pilot_had_is_taken_even_without_its_draft(launched):
    (launched.pilots / PILOT).rename(launched.root / "elsewhere")
    new(launched, PILOT)
    with pytest.raises(Refused, match="launched with other content"):
        launch(launched, PILOT)


def test_check_forecasts_what_the_plan_means(loaded):
    found = check(loaded, PILOT)
    assert found.ok
    assert besides_the_audience(found) == []
    said = found.forecast_json()
    planned = ("days", "population", "taking_part", "units_per_arm", "planned_units_per_arm", "budget")
    assert {key: said[key] for key in planned} == {
        "days": 14,
        "population": 600,
        "taking_part": 600,
        "units_per_arm": {"control": 200, "letter": 200, "card": 200},
        "planned_units_per_arm": 150,
        "budget": {"amount": "100.00", "currency": "USD"},
    }
    assert said["audiences"] == found.audiences


def test_check_says_which_numbers_cannot_be_checked_before_the_end(loaded):
    """A margin of a thousand dollars launches where nobody says what customers spend, and the gate will refuse it."""
    draft(loaded, PILOT, ("margin: -0.9", "margin: -999"))
    late = {told.split()[0] for told in check(loaded, PILOT).forecast.unknown if "first checked by the gate" in told}
    assert late == {"`visit`", "`spend`"}
    draft(loaded, PILOT, ("margin: -0.9", "margin: -999"), ASSUMED)
    found = check(loaded, PILOT)
    assert not any("first checked by the gate" in told for told in found.forecast.unknown)
    assert any("guardrails[0].margin" in problem.what for problem in found.problems)


def test_check_notes_missing_guardrails_and_finds_every_problem_at_once(loaded):
    draft(
        loaded,
        PILOT,
        ("guardrails:\n  - {metric: spend, margin: -0.9}\n", ""),
        ("units_per_arm: 150", "units_per_arm: 201"),
        ("media: 100.00", "media: 20000.01"),
        ("owner: owner@example.com", "owner: requester@example.com"),
    )
    found = check(loaded, PILOT)
    assert [problem.what for problem in found.problems] == [
        "requester@example.com would decide on their own request",
        "the plan needs 201 units per arm, and the smallest can get 200",
        "the pilot asks for 20,000.01 USD, and the Lab has 20,000.00 USD left of 20,000.00 USD",
        "requester@example.com is not entitled to decide anything",
    ]
    assert besides_the_audience(found) == []
    assert (found.verdict.launch, found.verdict.scale) == (False, "not")
    assert found.verdict.because == (
        "it has no guardrails, and without one the gate cannot say that nothing got worse",
    )


def test_check_says_that_a_pilot_is_launched_and_whether_its_draft_still_is_the_same(launched):
    assert check(launched, PILOT).notes == ["it has been launched"]
    draft(launched, PILOT, ("because: they", "because: they often"))
    assert check(launched, PILOT).notes == [
        "it has been launched, and was changed since: the frozen charter counts until `lab amend`"
    ]


@pytest.mark.parametrize(
    ("most", "selected"),
    # Customers' recency is their number modulo 12, plus 1.
    [(9, 450), (6, 300), (1, 50)],
)
def test_an_audience_far_from_those_who_take_part_is_told(loaded, most, selected):
    path = draft(loaded, "autumn-mail").parent / "audience.sql"
    path.write_text(f"SELECT customer_id AS unit FROM customers WHERE recency <= {most}")
    told = [note for note in check(loaded, "autumn-mail").notes if "audience_tested" in note]
    start = "600 units of table `customers` may take part, and the audience of arm {} selects {} of them today"
    assert [note.split(":")[0] for note in told] == [start.format(arm, selected) for arm in ("letter", "card")]


def test_an_audience_of_nearly_all_who_take_part_is_not(loaded):
    path = draft(loaded, "autumn-mail").parent / "audience.sql"
    path.write_text("SELECT customer_id AS unit FROM customers WHERE recency <= 10")
    assert not [note for note in check(loaded, "autumn-mail").notes if "audience_tested" in note]


@pytest.mark.parametrize(
    ("until", "tier", "days_max"),
    # The time box ends on the 19th of January; configs/gate.yaml says 90 days at low risk.
    [("2026-02-17", "standard", None), ("2026-02-18", "standard", 30), ("2026-03-20", "low", None),
     ("2026-04-19", "low", 90)],
)  # fmt: skip
def test_late_data_that_are_waited_for_until_the_evidence_is_old_are_told(loaded, until, tier, days_max):
    late = ("end: 2026-01-19}", f"end: 2026-01-19, record_until: {until}}}")
    draft(loaded, "autumn-mail", late, ("population", f"risk_tier: {tier}\npopulation"), ("2026-01-26", "2026-05-30"))
    told = [note for note in check(loaded, "autumn-mail").notes if "evidence_fresh" in note]
    assert len(told) == (days_max is not None)
    assert all(f"after {days_max} days" in note for note in told)


UNEVEN = ("  - name: control", "  - name: control\n    weight: {}")


@pytest.mark.parametrize(
    ("weight", "carried"),
    # Of 600 units, one in (w + 2) is in each treatment; a share of 0.2 rests on a fifth of these.
    [(3, 24), (8, 12)],
)
def test_arms_that_are_planned_too_uneven_for_the_test_are_told(loaded, weight, carried):
    draft(loaded, "autumn-mail", ASSUMED, (UNEVEN[0], UNEVEN[1].format(weight)))
    told = [note for note in check(loaded, "autumn-mail").notes if "`domain`" in note and " visit" in note]
    assert [note.split(", where")[0] for note in told] == [
        f"arm {arm} and the control are planned more than 2 : 1, and about {carried} units of the smaller one would "
        "carry visit"
        for arm in ("letter", "card")
    ]


def test_a_control_that_is_planned_far_smaller_is_told_with_what_a_low_risk_would_mean(loaded):
    """Of 600 units one in nine is the control's; spend of 5 with an sd of 20 rests on 25 of 425 of these."""
    changes = (UNEVEN[0], UNEVEN[1].format(0.25)), ("population", "risk_tier: low\npopulation")
    draft(loaded, "autumn-mail", ASSUMED, *changes)
    told = [note for note in check(loaded, "autumn-mail").notes if "`domain`" in note and "carry spend" in note]
    assert told == [
        f"arm {arm} and the control are planned more than 2 : 1, and about 4 units of the smaller one would carry "
        "spend, where 200 are needed: the gate's `domain` would warn of it"
        for arm in ("letter", "card")
    ]


def test_arms_that_are_planned_two_to_one_are_not(loaded):
    draft(loaded, "autumn-mail", ASSUMED, (UNEVEN[0], UNEVEN[1].format(2)))
    assert not [note for note in check(loaded, "autumn-mail").notes if "`domain`" in note]
