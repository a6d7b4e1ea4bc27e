"""Forty pilots in one workspace, launched and fed by parallel processes: no update is lost, every count is right."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from lab.budget.budget import committed
from lab.overview.portfolio import lines
from lab.state import open_lab
from promotion.state import open_promotion
from shared.experiment.assignment import assign
from tests.lab_makers import (
    CARD,
    STARTS,
    do_each,
    do_launch,
    do_record,
    do_reserve,
    do_settle,
    do_spend,
    draft,
    exposures_only,
    row,
    salt_of,
    stage_copy,
    start_child,
    units,
    write_csv,
)

COUNT, HANDS = 40, 4
NAMES = [f"pilot-{number:02}" for number in range(COUNT)]
# One audience serves every pilot: two treatments more would only make the launches longer.
QUICK = ((CARD, ""), ("units_per_arm: 150", "units_per_arm: 10"))


@pytest.fixture
def workspace(request, tmp_path):
    """Forty drafts and two more."""
    made = stage_copy(request, tmp_path / "workspace", "loaded")
    for name in (*NAMES, "late-a", "late-b"):
        draft(made, name, *QUICK)
    return made


def finish(*works):
    """Starts each list of commands in a process of its own; returns their exit codes."""
    processes = [start_child(do_each, work) for work in works]
    for process in processes:
        process.join(timeout=500)
    return [process.exitcode for process in processes]


def exposures(workspace, number):
    """A file of a pilot's own, with 10 and `number` rows."""
    name = NAMES[number]
    rows = [
        row(f"{name}-{n}", unit, assign(salt_of(name), unit, {"control": 1, "letter": 1}))
        for n, unit in enumerate(units(workspace)[: 10 + number])
    ]
    return write_csv(workspace.root.with_name(f"{name}.csv"), exposures_only(rows))


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_forty_pilots_are_launched_and_fed_at_once_and_nothing_is_lost(workspace):
    root = workspace.root
    assert finish(*([(do_launch, (root, name)) for name in NAMES[hand::HANDS]] for hand in range(HANDS))) == [0] * HANDS

    workspace.clock.set(STARTS.replace(day=8))
    files = [exposures(workspace, number) for number in range(COUNT)]

    def feed(hand):
        # Every hand feeds every pilot, each beginning elsewhere: each file is brought by two hands, every hand has
        # costs of its own, and one cost is brought by two.
        for step in range(COUNT):
            number = (step + hand * COUNT // HANDS) % COUNT
            name = NAMES[number]
            if hand % 2 == number % 2:
                yield do_record, (root, files[number], name)
            yield do_spend, (root, f"{hand + 1}.25", f"hand {hand}", name)
            if hand > 1:
                yield do_spend, (root, "7.00", "shared stamps", name)
            if hand == 0:
                yield do_reserve, (root, "20.00", "mailing", name)
                yield do_settle, (root, "18.10", "mailing", name)
            if hand == 1:
                yield do_reserve, (root, "5.00", "proofs", name)

    assert finish(*(list(feed(hand)) for hand in range(HANDS))) == [0] * HANDS

    room = open_lab(workspace)
    found = {line.name: line for line in lines(room)}
    assert sorted(found) == NAMES
    assert [found[name].exposures for name in NAMES] == [10 + number for number in range(COUNT)]
    # 1.25, 2.25, 3.25 and 4.25, the shared 7.00 once, and 18.10 for the mailing; 5.00 are held for proofs.
    assert {(str(line.account.spent), str(line.account.held), str(line.account.left)) for line in found.values()} == {
        ("36.10 USD", "5.00 USD", "58.90 USD")
    }
    kinds = Counter(entry.kind for entry in room.entries())
    assert kinds == {
        "opened": 1, "launched": 40, "recorded": 40, "spent": 40 * 5, "reserved": 80, "settled": 40,
    }  # fmt: skip
    assert room.problems() == []
    assert open_promotion(workspace).problems() == []
    assert str(committed(room)) == "4,000.00 USD"

    # There are 150 left of the Lab's budget, and either of two launches wants 100.
    settings = workspace.configs / "lab.yaml"
    settings.write_text(settings.read_text().replace("20000.00", "4150.00"))
    workspace.clock.set(STARTS)
    codes = finish([(do_launch, (root, "late-a"))], [(do_launch, (root, "late-b"))])
    assert sorted(codes) == [0, 1]
    assert committed(open_lab(workspace)).amount == Decimal("4100.00")
    assert open_lab(workspace).problems() == []
