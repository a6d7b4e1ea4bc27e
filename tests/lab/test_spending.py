"""Spending: each cost once, none above the budget, whoever writes and whenever the power goes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from lab.budget import accounts
from lab.budget.spend_ledger import spend
from lab.launch.launch import end
from lab.pilots.pilot import entries, get_pilot
from lab.state import open_lab
from shared.core.errors import BadInput, Refused
from shared.core.money import parse_amount
from tests.lab_makers import AFTER, PILOT, STARTS, Step, copy_of, do_spend, run_child, start_child


def account(workspace):
    """Total and number of costs."""
    room = open_lab(workspace)
    pilot = get_pilot(room, PILOT)
    with room.transaction() as connection:
        return str(accounts.account(connection, pilot).spent), len(entries(connection, pilot))


def test_a_cost_is_kept_and_the_rest_is_told(launched):
    done = spend(launched, PILOT, Decimal("12.50"), "stamps")
    assert (str(done.spent), str(done.left), done.repeated) == ("12.50 USD", "87.50 USD", False)
    done = spend(launched, PILOT, Decimal("7.25"), "paper")
    assert (str(done.spent), str(done.left)) == ("19.75 USD", "80.25 USD")


def test_the_same_cost_again_is_the_same_cost_unless_it_has_a_key_of_its_own(launched):
    spend(launched, PILOT, Decimal("12.50"), "stamps")
    assert spend(launched, PILOT, parse_amount("12.5"), "stamps").repeated
    assert not spend(launched, PILOT, Decimal("12.50"), "stamps", key="second-roll").repeated
    assert account(launched) == ("25.00 USD", 2)


def test_a_key_stands_for_one_cost(launched):
    spend(launched, PILOT, Decimal("12.50"), "stamps", key="invoice-7")
    with pytest.raises(Refused, match=r"`invoice-7` was used for 12\.50 USD: stamps"):
        spend(launched, PILOT, Decimal("12.50"), "paper", key="invoice-7")


def test_the_budget_can_be_spent_to_the_cent_and_not_beyond(launched):
    spend(launched, PILOT, Decimal("99.99"), "printing")
    with pytest.raises(Refused, match=r"0\.02 USD is more than the 0\.01 USD that pilot spring-mail has left"):
        spend(launched, PILOT, Decimal("0.02"), "a stamp")
    assert str(spend(launched, PILOT, Decimal("0.01"), "a stamp").left) == "0.00 USD"
    assert spend(launched, PILOT, Decimal("99.99"), "printing").repeated


@pytest.mark.parametrize("text", ["0", "-5", "abc", "1.005", "NaN", "Infinity", "1e400", ""])
def test_what_is_no_cost_is_bad_input(text):
    with pytest.raises(BadInput):
        parse_amount(text)


def test_a_cost_has_a_purpose(launched):
    with pytest.raises(BadInput, match="a cost needs a purpose"):
        spend(launched, PILOT, Decimal("1.00"), "  ")


def test_nothing_is_spent_after_the_end_and_a_repetition_still_is_one(launched):
    spend(launched, PILOT, Decimal("12.50"), "stamps")
    launched.clock.set(AFTER)
    assert spend(launched, PILOT, Decimal("12.50"), "stamps").repeated
    with pytest.raises(Refused, match="ended at 2026-01-19 00:00 UTC and takes no more costs"):
        spend(launched, PILOT, Decimal("1.00"), "paper")


def test_nothing_is_spent_after_an_early_close(launched):
    launched.clock.set(STARTS.replace(day=8))
    end(launched, PILOT, "the printer broke")
    with pytest.raises(Refused, match="was closed at 2026-01-08"):
        spend(launched, PILOT, Decimal("1.00"), "paper")


def test_killed_at_any_step_a_cost_is_kept_once_after_the_next_try(launched, tmp_path):
    code, steps = run_child(do_spend, copy_of(launched, tmp_path / "whole").root)
    assert code == 0
    for number in range(1, len(steps) + 1):
        for after in (False, True):
            cut = copy_of(launched, tmp_path / f"cut-{number}-{after}")
            assert run_child(do_spend, cut.root, die=Step(number, after))[0] == -9
            kept = account(cut)
            assert kept in {("0.00 USD", 0), ("12.50 USD", 1)}
            assert spend(cut, PILOT, Decimal("12.50"), "stamps").repeated == (kept[1] == 1)
            assert account(cut) == ("12.50 USD", 1)
            assert open_lab(cut).problems() == []


def test_many_at_once_cannot_overspend(launched):
    # Six times 30 of 100: three fit.
    processes = [start_child(do_spend, launched.root, "30.00", f"crate {n}") for n in range(6)]
    for process in processes:
        process.join(timeout=60)
    assert sorted(process.exitcode for process in processes) == [0, 0, 0, 1, 1, 1]
    assert account(launched) == ("90.00 USD", 3)
