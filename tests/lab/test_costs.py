"""Costs from a file: each under its id once, and the whole file or nothing of it."""

from __future__ import annotations

import io
import json
import signal
from contextlib import redirect_stdout
from decimal import Decimal

import pytest

from lab.budget.costs import record_costs
from lab.budget.reservations import reserve
from lab.budget.spend_ledger import spend
from lab.pilots.pilot import entries, get_pilot
from lab.state import open_lab
from pilotplant import app
from shared.core.crashpoints import Point
from shared.core.errors import BadInput, Refused
from tests.lab_makers import AFTER, PILOT, do_record_costs, run_child, write_csv

COSTS = [
    {"event_id": "invoice-7", "amount": "12.50", "purpose": "stamps"},
    {"event_id": "invoice-8", "amount": "7.25", "purpose": "paper"},
    {"event_id": "invoice-9", "amount": "12.50", "purpose": "stamps"},
]


def on_record(workspace):
    room = open_lab(workspace)
    pilot = get_pilot(room, PILOT)
    with room.transaction() as connection:
        return {entry.id: (str(entry.money), entry.purpose) for entry in entries(connection, pilot)}


def test_every_cost_of_a_file_is_kept_under_its_id_and_once(launched, tmp_path):
    file = write_csv(tmp_path / "costs.csv", [*COSTS, COSTS[0]])
    done = record_costs(launched, PILOT, file)
    assert (done.accepted, done.duplicates, str(done.spent), str(done.left)) == (3, 0, "32.25 USD", "67.75 USD")
    again = record_costs(launched, PILOT, file)
    assert (again.accepted, again.duplicates, again.spent) == (0, 3, done.spent)
    assert on_record(launched) == {
        "invoice-7": ("12.50 USD", "stamps"),
        "invoice-8": ("7.25 USD", "paper"),
        "invoice-9": ("12.50 USD", "stamps"),
    }


def test_a_cost_that_was_booked_by_hand_is_not_taken_again(launched, tmp_path):
    spend(launched, PILOT, Decimal("12.50"), "stamps", key="invoice-7")
    done = record_costs(launched, PILOT, write_csv(tmp_path / "costs.csv", COSTS))
    assert (done.accepted, done.duplicates, str(done.spent)) == (2, 1, "32.25 USD")


@pytest.mark.parametrize(("point", "kept"), [(Point.SPEND_WRITTEN, 0), (Point.SPEND_RECORDED, 3)])
def test_a_file_that_is_cut_off_was_taken_whole_or_not_at_all(launched, tmp_path, point, kept):
    file = write_csv(tmp_path / "costs.csv", COSTS)
    code, _ = run_child(do_record_costs, launched.root, file, str(point))
    assert code == -signal.SIGKILL
    assert len(on_record(launched)) == kept
    done = record_costs(launched, PILOT, file)
    assert (done.accepted, done.duplicates, str(done.spent)) == (3 - kept, kept, "32.25 USD")
    assert open_lab(launched).problems() == []


def test_a_file_of_many_costs_takes_no_more_commits_than_one_of_a_single_cost(launched, tmp_path):
    one, more = (write_csv(tmp_path / f"{n}.csv", COSTS[:n]) for n in (1, 3))
    commits = [run_child(do_record_costs, launched.root, file)[1].count("commit") for file in (one, more)]
    assert commits[0] == commits[1] > 0
    assert len(on_record(launched)) == 3


def test_a_file_with_the_key_of_a_reservation_is_refused_whole(launched, tmp_path):
    reserve(launched, PILOT, Decimal("7.25"), "paper", key="invoice-8")
    with pytest.raises(Refused, match="`invoice-8` is that of a reservation"):
        record_costs(launched, PILOT, write_csv(tmp_path / "costs.csv", COSTS))
    assert on_record(launched) == {}


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"amount": "-1"}, BadInput, "`-1` is not a cost"),
        ({"amount": "12,5"}, BadInput, "`12,5` is not an amount of money"),
        ({"amount": None}, BadInput, "`amount` is missing"),
        ({"purpose": " "}, BadInput, "`purpose` is missing"),
        ({"event_id": "invoice-8"}, BadInput, "the id `invoice-8` stands for two costs"),
        ({"event_id": "invoice-1"}, Refused, r"the id `invoice-1` was used for 1\.00 USD: a pen"),
        (
            {"amount": "80.00"},
            Refused,
            r"the 3 new costs come to 99\.75 USD, and pilot spring-mail has 99\.00 USD left",
        ),
    ],
)
def test_one_cost_that_cannot_be_taken_keeps_the_whole_file_out(launched, tmp_path, change, error, told):
    spend(launched, PILOT, Decimal("1.00"), "a pen", key="invoice-1")
    rows = [COSTS[0], COSTS[1], COSTS[2] | change]
    with pytest.raises(error, match=told) as caught:
        record_costs(launched, PILOT, write_csv(tmp_path / "costs.csv", rows))
    assert str(tmp_path / "costs.csv") in caught.value.where
    if error is BadInput:
        assert caught.value.where.endswith(", row 3")
    assert on_record(launched) == {"invoice-1": ("1.00 USD", "a pen")}


def test_the_budget_can_be_spent_to_the_cent(launched, tmp_path):
    rows = [COSTS[0], COSTS[1] | {"amount": "87.50"}]
    assert str(record_costs(launched, PILOT, write_csv(tmp_path / "costs.csv", rows)).left) == "0.00 USD"


def test_a_file_without_a_column_or_with_an_unknown_one_is_rejected(launched, tmp_path):
    for rows, told in (
        ([{"event_id": "a", "amount": "1"}], "`purpose` is missing"),
        ([COSTS[0] | {"vat": 1}], "unknown"),
    ):
        with pytest.raises(BadInput, match=told):
            record_costs(launched, PILOT, write_csv(tmp_path / "costs.csv", rows))


def test_no_new_cost_is_taken_after_the_end_and_a_repetition_still_is_one(launched, tmp_path):
    file = write_csv(tmp_path / "costs.csv", COSTS)
    record_costs(launched, PILOT, file)
    launched.clock.set(AFTER)
    assert record_costs(launched, PILOT, file).accepted == 0
    with pytest.raises(Refused, match="takes no more costs"):
        record_costs(launched, PILOT, write_csv(tmp_path / "more.csv", [COSTS[0] | {"event_id": "late"}]))


def test_the_command_says_what_became_of_the_file(launched, tmp_path):
    file = write_csv(tmp_path / "costs.csv", COSTS)
    for accepted in (3, 0):
        printed = io.StringIO()
        with redirect_stdout(printed):
            words = ["--workspace", str(launched.root), "lab", "record", PILOT, str(file), "--kind", "costs", "--json"]
            assert app._exit_code(words) == 0
        found = json.loads(printed.getvalue())
        assert (found["accepted"], found["repeated"]) == ({"costs": accepted}, not accepted)
        assert found["budget_left"] == {"amount": "67.75", "currency": "USD"}
