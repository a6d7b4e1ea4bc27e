"""Reserving before, settling after: what is held is not left to spend, and a bill closes it once."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.analysis.submission import submit
from lab.budget.accounts import account
from lab.budget.bookings import Wish
from lab.budget.budget import committed
from lab.budget.reservations import release, reserve, settle
from lab.budget.spend_ledger import spend
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from pilotplant import app
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from shared.core.errors import BadInput, Refused
from shared.trust.candidate import open_candidate
from tests.lab_makers import (
    AFTER,
    DEADLINE,
    ENDS,
    OWNER,
    PILOT,
    Step,
    analyse,
    copy_of,
    do_reserve,
    do_settle,
    run_child,
    start_child,
)


def money(workspace):
    """Spent, held and left, as people read them."""
    room = open_lab(workspace)
    pilot = get_pilot(room, PILOT)
    with room.transaction() as connection:
        found = account(connection, pilot)
    return tuple(f"{part.amount}" for part in (found.spent, found.held, found.left))


def test_what_is_held_is_not_left_and_a_bill_sets_the_rest_free(launched):
    done = reserve(launched, PILOT, Decimal("60.00"), "mailing")
    assert (done.key, done.repeated) == ("mailing", False)
    assert money(launched) == ("0.00", "60.00", "40.00")
    with pytest.raises(Refused, match=r"40\.01 USD is more than the 40\.00 USD that pilot spring-mail has left"):
        spend(launched, PILOT, Decimal("40.01"), "paper")
    with pytest.raises(Refused, match="has left"):
        reserve(launched, PILOT, Decimal("40.01"), "paper")
    settle(launched, PILOT, "mailing", Decimal("57.40"))
    assert money(launched) == ("57.40", "0.00", "42.60")


def test_a_bill_above_its_reservation_may_use_what_is_left_and_no_more(launched):
    reserve(launched, PILOT, Decimal("60.00"), "mailing")
    reserve(launched, PILOT, Decimal("30.00"), "design")
    # 60 held for it and 10 not bound at all.
    with pytest.raises(Refused, match=r"70\.01 USD is more than the 70\.00 USD"):
        settle(launched, PILOT, "mailing", Decimal("70.01"))
    assert money(launched) == ("0.00", "90.00", "10.00")
    settle(launched, PILOT, "mailing", Decimal("70.00"))
    assert money(launched) == ("70.00", "30.00", "0.00")


def test_released_money_can_be_spent_again(launched):
    reserve(launched, PILOT, Decimal("100.00"), "mailing")
    assert not release(launched, PILOT, "mailing").repeated
    assert release(launched, PILOT, "mailing").repeated
    assert str(spend(launched, PILOT, Decimal("100.00"), "radio").left) == "0.00 USD"


def test_the_same_again_is_a_no_op_and_other_content_is_refused(launched):
    reserve(launched, PILOT, Decimal("60.00"), "mailing")
    assert reserve(launched, PILOT, Decimal("60.00"), "mailing").repeated
    with pytest.raises(Refused, match=r"`mailing` was used for 60\.00 USD"):
        reserve(launched, PILOT, Decimal("61.00"), "mailing")
    settle(launched, PILOT, "mailing", Decimal("50.00"))
    assert settle(launched, PILOT, "mailing", Decimal("50.00")).repeated
    assert reserve(launched, PILOT, Decimal("60.00"), "mailing").repeated
    with pytest.raises(Refused, match=r"was settled with 50\.00 USD"):
        settle(launched, PILOT, "mailing", Decimal("51.00"))
    with pytest.raises(Refused, match="was settled"):
        release(launched, PILOT, "mailing")
    assert money(launched) == ("50.00", "0.00", "50.00")


def test_a_released_key_holds_nothing_and_says_so(launched):
    reserve(launched, PILOT, Decimal("60.00"), "mailing")
    release(launched, PILOT, "mailing")
    with pytest.raises(Refused, match="was released, on 2026-01-04"):
        reserve(launched, PILOT, Decimal("60.00"), "mailing")
    with pytest.raises(Refused, match="was released"):
        settle(launched, PILOT, "mailing", Decimal("1.00"))
    assert not reserve(launched, PILOT, Decimal("60.00"), "mailing", key="second").repeated


def test_one_key_is_one_cost_whether_it_was_reserved_or_not(launched):
    reserve(launched, PILOT, Decimal("60.00"), "mailing", key="invoice-7")
    with pytest.raises(Refused, match=r"is that of a reservation of 60\.00 USD: mailing"):
        spend(launched, PILOT, Decimal("10.00"), "mailing", key="invoice-7")
    spend(launched, PILOT, Decimal("10.00"), "stamps", key="invoice-8")
    with pytest.raises(Refused, match=r"`invoice-8` was used for 10\.00 USD: stamps"):
        reserve(launched, PILOT, Decimal("10.00"), "stamps", key="invoice-8")


def test_a_reservation_that_is_not_there_is_named_with_those_that_are(launched):
    reserve(launched, PILOT, Decimal("60.00"), "mailing")
    with pytest.raises(BadInput, match="has no reservation `post`") as caught:
        settle(launched, PILOT, "post", Decimal("1.00"))
    assert caught.value.expected == "one of: `mailing`"


def test_bills_come_after_the_end_until_the_deadline_and_reservations_do_not(launched):
    for purpose in ("mailing", "design", "radio"):
        reserve(launched, PILOT, Decimal("20.00"), purpose)
    launched.clock.set(ENDS)
    with pytest.raises(Refused, match="takes no more reservations"):
        reserve(launched, PILOT, Decimal("5.00"), "late")
    settle(launched, PILOT, "mailing", Decimal("25.00"))
    launched.clock.set(DEADLINE - timedelta(minutes=1))
    release(launched, PILOT, "radio")
    launched.clock.set(DEADLINE)
    for close in (
        lambda: settle(launched, PILOT, "design", Decimal("1.00")),
        lambda: release(launched, PILOT, "design"),
    ):
        with pytest.raises(Refused, match=r"the deadline of spring-mail has passed .* 20\.00 USD held for `design`"):
            close()
    # What nobody settled counts as if it had been spent: 25 and 20.
    assert str(committed(open_lab(launched))) == "45.00 USD"


def test_a_pilot_whose_cost_is_not_known_is_not_submitted_and_then_with_what_was_settled(recorded):
    reserve(recorded, PILOT, Decimal("50.00"), "mailing")
    recorded.clock.set(AFTER)
    analyse(recorded, PILOT)
    with pytest.raises(Refused, match=r"still held: 50\.00 USD for mailing"):
        submit(recorded, PILOT)
    settle(recorded, PILOT, "mailing", Decimal("48.20"))
    sealed = open_candidate(submit(recorded, PILOT).candidate.folder).spend()
    assert {(entry.id, str(entry.money)) for entry in sealed.entries if entry.purpose == "mailing"} == {
        ("mailing", "48.20 USD")
    }
    assert str(sealed.total("USD")) == "88.20 USD"
    # Nothing can change the cost of what is sealed: no reservation is open, and the pilot takes no more.
    with pytest.raises(Refused, match="takes no more costs"):
        spend(recorded, PILOT, Decimal("1.00"), "a stamp")
    assert submit(recorded, PILOT).repeated


def test_what_a_decided_pilot_still_holds_stays_bound(recorded):
    analyse(recorded, PILOT)
    submit(recorded, PILOT)
    reserve(recorded, PILOT, Decimal("30.00"), "mailing")
    decide(recorded, PILOT, Asked("stop", OWNER, "nothing to scale here", insight="Cards bring nobody."))
    # 40 for printing, and 30 for a mailing whose bill is to come.
    assert str(committed(open_lab(recorded))) == "70.00 USD"
    settle(recorded, PILOT, "mailing", Decimal("10.00"))
    assert str(committed(open_lab(recorded))) == "50.00 USD"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((None, "paper", {}), "how much?"),
        (("5", None, {}), "a cost needs a purpose"),
        (("5", " ", {"reserve": True}), "a cost needs a purpose"),
        (("5", None, {"settle": "a", "release": "b"}), "--settle and --release exclude each other"),
        (("5", "paper", {"reserve": True, "settle": "a"}), "--reserve and --settle exclude each other"),
        (("5", "paper", {"settle": "a"}), "--settle names the reservation already"),
        ((None, None, {"release": "a", "key": "b"}), "--release names the reservation already"),
        (("5", None, {"release": "a"}), "releasing frees all that is held"),
    ],
)
def test_a_command_line_that_asks_for_two_things_or_none_is_bad_input(asked, said):
    amount, purpose, options = asked
    with pytest.raises(BadInput, match=said.replace("?", r"\?")):
        Wish(amount, purpose, **options)


def test_the_commands_say_how_to_go_on(launched, capsys):
    def run(*arguments, code=0):
        capsys.readouterr()
        assert app._exit_code(["--workspace", str(launched.root), "lab", *arguments]) == code
        return " ".join("".join(capsys.readouterr()).split())

    said = run("spend", PILOT, "60", "--for", "the mailing", "--reserve")
    assert f"Reserved. Once the bill is in: pilotplant lab spend {PILOT} AMOUNT --settle 'the mailing'" in said
    assert f"{PILOT} has spent 0.00 USD, holds 60.00 USD, 40.00 USD are left." in said
    assert "Held: 60.00 USD for the mailing" in run("show", PILOT)
    assert "Settled: the mailing." in run("spend", PILOT, "57.40", "--settle", "the mailing")
    assert "Settled before; nothing was done." in run("spend", PILOT, "57.40", "--settle", "the mailing")
    assert "Recorded." in run("spend", PILOT, "1.00", "--for", "stamps")
    assert "needs --id" in run("spend", PILOT, "1.00", "--for", "stamps")
    assert "was settled" in run("spend", PILOT, "--release", "the mailing", code=3)
    assert "how much?" in run("spend", PILOT, "--for", "stamps", code=2)


@pytest.mark.parametrize("work", [do_reserve, do_settle])
def test_killed_at_any_step_a_booking_is_made_once_after_the_next_try(launched, tmp_path, work):
    if work is do_settle:
        reserve(launched, PILOT, Decimal("60.00"), "mailing")
    before = money(launched)
    code, steps = run_child(work, copy_of(launched, tmp_path / "whole").root)
    assert code == 0
    for number in range(1, len(steps) + 1):
        for after in (False, True):
            cut = copy_of(launched, tmp_path / f"cut-{number}-{after}")
            assert run_child(work, cut.root, die=Step(number, after))[0] == -9
            done = ("0.00", "60.00", "40.00") if work is do_reserve else ("57.40", "0.00", "42.60")
            assert money(cut) in {before, done}
            work(cut.root)
            assert money(cut) == done
            assert open_lab(cut).problems() == []


def test_many_at_once_cannot_reserve_more_than_there_is(launched):
    processes = [start_child(do_reserve, launched.root, "30.00", f"crate {n}") for n in range(6)]
    for process in processes:
        process.join(timeout=60)
    assert sorted(process.exitcode for process in processes) == [0, 0, 0, 1, 1, 1]
    assert money(launched) == ("0.00", "90.00", "10.00")


BOOKINGS = st.lists(
    st.tuples(
        st.sampled_from(["spend", "reserve", "settle", "release"]),
        st.integers(1, 6000).map(lambda cents: Decimal(cents) / 100),
        st.sampled_from("abcd"),
    ),
    max_size=12,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bookings=BOOKINGS)
def test_whatever_is_booked_the_budget_holds_and_the_ledger_tells_the_same_account(
    launched, tmp_path_factory, bookings
):
    workspace = copy_of(launched, tmp_path_factory.mktemp("law") / "workspace")
    calls = {
        "spend": lambda amount, key: spend(workspace, PILOT, amount, key, key=key),
        "reserve": lambda amount, key: reserve(workspace, PILOT, amount, key),
        "settle": lambda amount, key: settle(workspace, PILOT, key, amount),
        "release": lambda _amount, key: release(workspace, PILOT, key),
    }
    for kind, amount, key in bookings:
        try:
            calls[kind](amount, key)
        except (Refused, BadInput):
            continue
    spent, held, left = map(Decimal, money(workspace))
    assert left >= 0
    assert spent + held + left == 100
    paid, kept = Decimal(0), {}
    for entry in open_lab(workspace).entries(PILOT):
        if entry.kind in {"spent", "settled"}:
            paid += Decimal(entry.body["money"]["amount"])
        if entry.kind == "reserved":
            kept[entry.body["id"]] = Decimal(entry.body["money"]["amount"])
        if entry.kind in {"settled", "released"}:
            del kept[entry.body["id"]]
    assert (paid, sum(kept.values())) == (spent, held)
