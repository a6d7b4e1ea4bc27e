"""kill -9 at every named crash point of launch, record, spend and amend: before, after, or the same command repairs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lab.budget.accounts import account
from lab.budget.spend_ledger import spend
from lab.intake.intake import record
from lab.launch.amendment import amend
from lab.launch.launch import launch
from lab.overview.portfolio import drafts, lines
from lab.pilots.pilot import find_pilot
from lab.state import metadata as lab_tables
from lab.state import open_lab
from promotion.state import metadata as gate_tables
from promotion.state import open_promotion
from shared.core.crashpoints import VARIABLE, Point
from shared.core.digests import digest_file
from shared.core.money import parse_amount
from shared.state.room import Room
from shared.state.workspace import Workspace, open_workspace
from tests.lab_makers import (
    CARD,
    PILOT,
    REASON,
    STARTS,
    copy_of,
    draft,
    exposures_only,
    results,
    run_child,
    staged,
    write_csv,
)

pytestmark = pytest.mark.check

ROWS, COST = "rows.csv", "12.50"


def do(root: Path, command: str) -> Any:
    """One command of the Lab."""
    workspace = open_workspace(root)
    return {
        "launch": lambda: launch(workspace, PILOT),
        "record": lambda: record(workspace, PILOT, root / ROWS),
        "spend": lambda: spend(workspace, PILOT, parse_amount(COST), "stamps"),
        "amend": lambda: amend(workspace, PILOT, REASON),
    }[command]()


def do_killed(root: Path, command: str, point: str) -> None:
    """The same, with the environment that names where it dies."""
    os.environ[VARIABLE] = point
    do(root, command)


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> Callable[[str], Workspace]:
    """The workspace as it is before a command; made once, and copied for each point."""
    made: dict[str, Workspace] = {}

    def prepared(command: str) -> Workspace:
        stage = "loaded" if command == "launch" else "launched"
        if stage not in made:
            made[stage] = copy_of(staged(tmp_path_factory.getbasetemp(), stage), tmp_path_factory.mktemp(stage) / "it")
            PREPARE[stage](made[stage])
            open_promotion(made[stage])
        return made[stage]

    return prepared


def _ready_to_launch(workspace: Workspace) -> None:
    draft(workspace, PILOT, (CARD, ""))


def _running(workspace: Workspace) -> None:
    """Some exposures and a cost are in, a file waits to be recorded, and the charter has been edited since."""
    workspace.clock.set(STARTS + timedelta(days=7))
    rows = exposures_only(results(workspace))
    record(workspace, PILOT, write_csv(workspace.root / "first.csv", rows[:40]))
    spend(workspace, PILOT, parse_amount("40.00"), "printing")
    # Ten rows have been taken before, so that whatever counts them twice shows.
    write_csv(workspace.root / ROWS, rows[30:80])
    draft(workspace, PILOT, ("media: 100.00", "media: 120.00"), ("will: bring visits", "will: bring more visits"))


PREPARE = {"loaded": _ready_to_launch, "launched": _running}


@pytest.fixture(scope="module")
def whole(before, tmp_path_factory) -> Callable[[str], Any]:
    """What a command comes to that nobody kills."""
    made: dict[str, Any] = {}

    def result(command: str) -> Any:
        if command not in made:
            workspace = copy_of(before(command), tmp_path_factory.mktemp(f"{command}-whole") / "it")
            do(workspace.root, command)
            made[command] = state(workspace)
        return made[command]

    return result


# Times, and what follows from them: two runs never have the same.
MOMENTS = {"at", "launched_at", "deposited_at", "prev", "hash", "ledger_hash", "gate", "lab"}


def state(workspace: Workspace) -> Any:
    """Everything that is kept, without times: both databases row by row, and every file of the pilots."""
    pilots = workspace.lab / "pilots"
    files = {
        str(path.relative_to(pilots)): digest_file(path)
        for path in sorted(pilots.rglob("*"))
        # What a crash left of work in progress begins with a dot, and nobody reads it.
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(pilots).parts)
    }
    return [rows(open_lab(workspace), lab_tables), rows(open_promotion(workspace), gate_tables), files]


def rows(room: Room, tables: sa.MetaData) -> dict[str, Any]:
    with room.transaction() as connection:
        found = {name: connection.execute(sa.select(table)).mappings().all() for name, table in tables.tables.items()}
    kept = {name: [_timeless(dict(row)) for row in content] for name, content in found.items() if name != "ledger"}
    return kept | {"ledger": [(e.seq, e.kind, e.subject, _timeless(e.body)) for e in room.entries()]}


def _timeless(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in MOMENTS}


def commands(point: Point) -> list[str]:
    """The commands that pass a point, told from its name; freezing and registering are parts of two of them."""
    command = point.split(":")[0]
    return ["launch", "amend"] if command in {"freeze", "register"} else [command]


# Nothing is left to do, but to say so.
DONE = {Point.LAUNCH_RECORDED, Point.RECORD_RECORDED, Point.SPEND_RECORDED, Point.AMEND_DEPOSITED}
# An amendment is in force, and the gate does not have it yet, or the Lab does not know that it has.
HALF_WAY = {
    Point.AMEND_RECORDED,
    Point.REGISTER_WRITTEN,
    Point.REGISTER_RECORDED,
    Point.AMEND_REGISTERED,
    Point.AMEND_NOTED,
}
# The gate's own commands are walked in tests/promotion/test_crashes.py.
LAB = {"launch", "record", "spend", "amend"}
WALK = [(command, point) for point in Point for command in commands(point) if command in LAB]


@pytest.mark.proof
@pytest.mark.parametrize(("command", "point"), WALK, ids=[f"{command} at {point.name}" for command, point in WALK])
def test_killed_at_a_crash_point_a_command_is_undone_or_finished_by_the_next_one(
    before, whole, tmp_path, command, point
):
    workspace = copy_of(before(command), tmp_path / "it")
    untouched = state(workspace)
    code, _ = run_child(do_killed, workspace.root, command, str(point))
    # A point that is never reached would leave the command to end well.
    assert code == -signal.SIGKILL, f"{point} was not reached"
    lab, gate = open_lab(workspace), open_promotion(workspace)
    assert lab.problems() == gate.problems() == []
    if point in DONE:
        assert state(workspace) == whole(command)
    elif command == "amend" and point in HALF_WAY:
        assert find_pilot(lab, PILOT).undeposited
    else:
        assert rows(lab, lab_tables) == untouched[0]
    # Whoever looks in between finds a pilot or a draft, and nothing that was counted twice.
    pilot = find_pilot(lab, PILOT)
    listed = {line.name: line for line in lines(lab)}
    assert (pilot is None) == (PILOT not in listed) == (PILOT in drafts(lab))
    if command == "record":
        assert listed[PILOT].exposures in {40, 80}
    if command == "spend":
        with lab.transaction() as connection:
            assert str(account(connection, pilot).spent) in {"40.00 USD", "52.50 USD"}
    do(workspace.root, command)
    assert state(workspace) == whole(command)
    assert lab.problems() == gate.problems() == []
    # And once more: there is nothing left to repair.
    do(workspace.root, command)
    assert state(workspace) == whole(command)


def test_the_expected_states_are_what_the_commands_are_for(before, whole):
    """That a state without times still tells one command's work from none."""
    lab, gate, files = whole("amend")
    assert [row["version"] for row in lab["amendments"]] == [2]
    assert (lab["pilots"][0]["reserved"], len(gate["promises"])) == ("120.00", 2)
    assert f"{PILOT}/frozen-2/promise.json" in files
    assert [row["exposures"] for row in whole("record")[0]["batches"]] == [40, 40]
    assert [row["duplicates"] for row in whole("record")[0]["batches"]] == [0, 10]
    assert [row["amount"] for row in whole("spend")[0]["spend"]] == ["40.00", COST]
    assert [entry[1] for entry in whole("launch")[0]["ledger"]] == ["opened", "launched"]
    assert whole("launch")[0] != state(before("launch"))[0]


def test_the_command_line_dies_where_the_environment_says_and_the_next_one_finishes(before, tmp_path):
    workspace = copy_of(before("amend"), tmp_path / "it")

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pilotplant", "--workspace", str(workspace.root), "lab", *arguments],
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )

    amending = ("amend", PILOT, "--reason", REASON)
    assert run(*amending, **{VARIABLE: Point.AMEND_RECORDED}).returncode == -signal.SIGKILL
    assert "The last amendment was cut off: give the same `lab amend` again" in run("show", PILOT).stdout
    blocked = run("spend", PILOT, COST, "--for", "stamps")
    assert (blocked.returncode, "finish it with the same command" in blocked.stderr) == (3, True)
    done = run(*amending)
    assert (done.returncode, "that was cut off is finished" in done.stdout) == (0, True)
    assert run("spend", PILOT, COST, "--for", "stamps").returncode == 0
