"""Cap, clash and holdout, asked again at admission and at every run: nobody gets more than the Factory's policy allows.

Two daily plays, each tried before the other was decided, brought their customers 14 messages a week under a cap of 7.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from threading import Thread

import pytest

from factory.delivery.channels.file import outgoing
from factory.releases import admission
from factory.releases.admission import admit
from factory.releases.contacts import against_contacts
from factory.releases.packages import verify
from factory.releases.releases import list_releases
from factory.runtime.campaign import run_occurrence
from shared.core.errors import Refused, Undecided
from shared.trust.finding import Finding
from tests.makers import OCCURRENCE, at_work, make_charter, make_package, set_factory

# Each for all customers, at the same moment of every day but for the last.
DAILY, SECOND, LATER = "spring-email-letter", "autumn-email-letter", "winter-email-letter"
CRONS = {"spring-email": "0 9 * * *", "autumn-email": "0 9 * * *", "winter-email": "30 9 * * *"}
ALL = "SELECT customer_id AS unit FROM customers"


def package(workspace, pilot, audience=ALL, **changes):
    play = {"holdout_frac": changes.pop("holdout_frac", 0)}
    cron = changes.pop("cron", CRONS.get(pilot, "0 9 * * *"))
    return make_package(workspace, charter=make_charter(pilot, cron=cron, play=play), audience=audience, **changes)


def released(workspace, *pilots):
    """Releases as an earlier build has admitted them, without asking what else there is."""
    for pilot in pilots:
        package(workspace, pilot, rules=1)
    return admit(workspace).admitted


@pytest.fixture(scope="module")
def made(loaded, tmp_path_factory):
    """Two daily releases, half an hour apart, for the same 200 customers."""
    workspace = at_work(loaded, tmp_path_factory.mktemp("two-daily") / "workspace")
    assert len(released(workspace, "spring-email", "winter-email")) == 2
    return workspace


@pytest.fixture
def two_daily(made, tmp_path):
    return at_work(made, tmp_path / "workspace")


def run_days(workspace, days, *names):
    """Runs every release on each of so many days; returns how many messages each unit got, by 7 days up to each one."""
    got, weeks = [], []
    for day in range(days):
        for name in names:
            at = OCCURRENCE + timedelta(days=day, minutes=30 * (name == LATER))
            workspace.clock.set(at + timedelta(minutes=5))
            run_occurrence(workspace, name, at)
            lines = outgoing(workspace, name, at).read_text().splitlines()
            got += [(day, json.loads(line)["unit"]) for line in lines]
        weeks.append(Counter(unit for sent, unit in got if day - 7 < sent <= day))
    return weeks


def run_later(workspace):
    """The run of winter-email on the first day, half an hour after the others."""
    at = OCCURRENCE + timedelta(minutes=30)
    workspace.clock.set(at + timedelta(minutes=5))
    return run_occurrence(workspace, LATER, at)


def test_two_daily_plays_that_did_not_know_of_each_other_are_not_both_admitted(workspace):
    for pilot in ("spring-email", "autumn-email"):
        package(workspace, pilot)
    found = admit(workspace)
    assert len(found.admitted) == 1
    [reasons] = found.refused.values()
    assert "up to 14 messages a week, and 7 are allowed" in reasons[0]
    assert [release.name for release in list_releases(workspace)] == list(found.admitted)


@pytest.mark.parametrize(
    ("crons", "most"),
    [
        # Seven and one, on a Monday; and three on each of three weekdays, of which two alone are six.
        (("0 9 * * *", "0 18 * * 1"), 8),
        (("0 9 * * 1,3,5", "0 12 * * 1,3,5", "0 15 * * 1,3,5"), 9),
    ],
)
def test_nor_are_others_that_would_write_too_much_together(workspace, crons, most):
    for pilot, cron in zip(CRONS, crons, strict=False):
        package(workspace, pilot, cron=cron)
    found = admit(workspace)
    assert len(found.admitted) == len(crons) - 1
    [reasons] = found.refused.values()
    assert [f"up to {most} messages a week, and 7 are allowed" in reason for reason in reasons] == [True]


def test_a_play_within_the_cap_is_refused_where_it_would_write_at_the_same_moment(workspace):
    set_factory(workspace, contacts_per_week=14)
    package(workspace, "spring-email")
    admit(workspace)
    with pytest.raises(Refused, match="200 units would get spring-email-letter at the same moment"):
        admit(workspace, package(workspace, "autumn-email"))
    assert admit(workspace, package(workspace, "winter-email")).admitted == (LATER,)


def test_plays_for_different_customers_do_not_stand_in_each_others_way(workspace):
    package(workspace, "spring-email", f"{ALL} WHERE recency <= 6")
    package(workspace, "autumn-email", f"{ALL} WHERE recency > 6")
    assert sorted(admit(workspace).admitted) == [SECOND, DAILY]


def waiving(verified, *findings):
    """The package as if its attestation carried these findings as waived."""
    said = {"level": "block", "outcome": "waived", "reason": "the owner wants it so"}
    findings = tuple(Finding(check=check, arm=arm, **said) for check, arm in findings)
    attestation = verified.attestation
    predicate = attestation.predicate.model_copy(update={"findings": findings})
    return replace(verified, attestation=replace(attestation, predicate=predicate))


@pytest.mark.parametrize(
    ("waived", "left"),
    [
        ((), ["messages a week", "at the same moment"]),
        ((("contact_pressure", "letter"),), ["at the same moment"]),
        ((("no_clash", None),), ["messages a week"]),
        ((("contact_pressure", "letter"), ("no_clash", "letter")), []),
        ((("contact_pressure", "card"), ("no_clash", "card")), ["messages a week", "at the same moment"]),
    ],
)
def test_what_a_waiver_of_this_arm_excused_at_the_gate_does_not_keep_it_out(workspace, tmp_path, waived, left):
    package(workspace, "spring-email")
    admit(workspace)
    now = workspace.clock.now()
    found = verify(workspace, package(workspace, "autumn-email"), now=now)
    reasons = against_contacts(workspace, waiving(found, *waived), now, tmp_path)
    assert [next(words for words in left if words in reason) for reason in reasons] == left


@pytest.mark.check
def test_at_every_run_whoever_has_got_enough_in_a_week_is_left_alone(two_daily):
    """14 messages each without a cap of 7."""
    weeks = run_days(two_daily, 9, DAILY, LATER)
    assert [max(week.values()) for week in weeks] == [2, 4, 6, 7, 7, 7, 7, 7, 7]
    assert [len(week) for week in weeks] == [200] * 9


def test_a_run_says_how_many_had_got_enough(two_daily):
    set_factory(two_daily, contacts_per_week=1)
    run_days(two_daily, 1, DAILY)
    found = run_later(two_daily)
    assert (found.messages, found.state) == (0, "done")
    assert "200 units had got enough messages and were left out" in found.reason


def test_the_cap_is_kept_unit_by_unit(workspace):
    """winter-email goes to all, spring-email to those of the last six months, by the contract's own column."""
    package(workspace, "spring-email", f"{ALL} WHERE recency <= 6", rules=1)
    package(workspace, "winter-email", rules=1)
    admit(workspace)
    set_factory(workspace, contacts_per_week=1)
    run_days(workspace, 1, DAILY)
    assert run_later(workspace).messages == 98


def test_at_one_moment_nobody_gets_the_message_of_a_second_release(workspace):
    released(workspace, "spring-email", "autumn-email")
    [week] = run_days(workspace, 1, DAILY, SECOND)
    assert set(week.values()) == {1}
    assert len(week) == 200


@pytest.mark.check
def test_few_enough_may_get_two_messages_at_one_moment(workspace):
    """As at the gate: 102 of the 200 customers have bought within six months, and the policy allows 60 percent."""
    package(workspace, "spring-email", f"{ALL} WHERE recency <= 6", rules=1)
    package(workspace, "autumn-email", rules=1)
    admit(workspace)
    set_factory(workspace, simultaneous_frac_max=0.6)
    [week] = run_days(workspace, 1, DAILY, SECOND)
    assert sum(week.values()) == 302


@pytest.mark.check
def test_two_runs_at_the_same_time_do_not_both_pass_the_cap(two_daily):
    set_factory(two_daily, contacts_per_week=1)
    at = {DAILY: OCCURRENCE, LATER: OCCURRENCE + timedelta(minutes=30)}
    two_daily.clock.set(at[LATER] + timedelta(minutes=5))
    threads = [Thread(target=run_occurrence, args=(two_daily, name, when)) for name, when in at.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sizes = [len(outgoing(two_daily, name, when).read_text().splitlines()) for name, when in at.items()]
    assert sorted(sizes) == [0, 200]


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_where_nobody_can_tell_who_was_written_to_nothing_is_sent(two_daily, damage):
    set_factory(two_daily, contacts_per_week=1)
    run_days(two_daily, 1, DAILY)
    file = outgoing(two_daily, DAILY, OCCURRENCE)
    file.unlink() if damage == "missing" else file.write_text("")
    with pytest.raises(Undecided, match=f"its file is {damage}"):
        run_later(two_daily)
    assert not outgoing(two_daily, LATER, OCCURRENCE + timedelta(minutes=30)).exists()


@pytest.mark.parametrize(("share", "least", "admitted"), [("0", "0.01", False), ("0.005", "0.01", False),
                                                          ("0.01", "0.01", True), ("0", "0", True)])  # fmt: skip
def test_a_play_without_a_holdout_needs_a_policy_that_allows_it(workspace, share, least, admitted):
    set_factory(workspace, release_holdout_frac_min=least)
    package(workspace, "spring-email", holdout_frac=share)
    found = admit(workspace)
    assert bool(found.admitted) == admitted
    assert all(f"leaves a share of {share} of its audience alone" in reasons[0] for reasons in found.refused.values())


def test_a_policy_that_asks_for_a_larger_holdout_stops_the_next_run(workspace):
    package(workspace, "spring-email", holdout_frac="0.02")
    admit(workspace)
    set_factory(workspace, release_holdout_frac_min="0.05")
    found = run_occurrence(workspace, DAILY, OCCURRENCE)
    assert (found.state, found.messages) == ("refused", None)
    assert "at least 0.05" in found.reason


def test_what_an_earlier_build_promised_without_a_holdout_runs_as_it_was_promised(workspace):
    released(workspace, "spring-email")
    set_factory(workspace, release_holdout_frac_min="0.05")
    assert run_occurrence(workspace, DAILY, OCCURRENCE).messages == 200


def test_a_release_that_was_admitted_while_this_one_was_judged_counts_too(workspace, monkeypatch):
    """The other release comes in between the judgement and the books, as from another process."""
    package(workspace, "spring-email")
    other, judge = package(workspace, "autumn-email"), admission.against_contacts

    def judged(place, candidate, now, scratch):
        found = judge(place, candidate, now, scratch)
        monkeypatch.setattr(admission, "against_contacts", judge)
        admit(workspace, other)
        return found

    monkeypatch.setattr(admission, "against_contacts", judged)
    found = admit(workspace)
    assert [release.name for release in list_releases(workspace)] == [SECOND]
    assert any("14 messages a week" in reason for reasons in found.refused.values() for reason in reasons)
