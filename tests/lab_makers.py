"""The Lab's stage: one small rehearsal, taken as far as a test needs it, and copied for each test.

Every step is the product's own. A stage is made once per test session and lies under pytest's base folder, so that
`tests/lab` and `tests/journeys` share it.
"""

from __future__ import annotations

import csv
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import duckdb
import pytest

from factory.preflight.report import preflight
from factory.releases.enrolment import enrol_factory
from factory.releases.trust import trust
from factory.warehouse.load import load
from factory.warehouse.snapshots import publish
from lab.analysis import tracking
from lab.analysis.analysis import analyse
from lab.analysis.submission import submit
from lab.budget.costs import record_costs
from lab.budget.reservations import reserve, settle
from lab.budget.spend_ledger import spend
from lab.intake.intake import record
from lab.launch.amendment import amend
from lab.launch.launch import end, launch
from lab.state import open_lab
from promotion.keys.enrolment import enrol
from shared.core.clock import rfc3339
from shared.core.crashpoints import VARIABLE
from shared.core.money import parse_amount
from shared.data.snapshot import latest_snapshot
from shared.doors.door import Request, by, in_process
from shared.experiment.assignment import assign
from shared.state.workspace import Workspace, create, open_workspace
from shared.trust.keys import FACTORY
from tests.makers import allow_small, copy_of

Stage = Literal["loaded", "launched", "recorded", "submitted"]
STAGES: tuple[Stage, ...] = ("loaded", "launched", "recorded", "submitted")
PILOT, CUSTOMERS = "spring-mail", 600
OWNER, REQUESTER = "owner@example.com", "requester@example.com"
REASON = "the printer was late"
NONCE_SEED = "stage"
# Two whole weeks from a Monday; a third one to decide in.
STARTS, ENDS, DEADLINE = (datetime(2026, 1, day, tzinfo=UTC) for day in (5, 19, 27))
BEFORE, INSIDE, AFTER = STARTS - timedelta(hours=12), ENDS - timedelta(hours=1), ENDS + timedelta(hours=10)

CHARTER = """\
schema_version: 1
pilot: spring-mail
hypothesis:
  because: they came back after the last letter
  we_believe: a letter
  will: bring visits
requester: requester@example.com
owner: owner@example.com
population: customers
assignment: pilotplant
arms:
  - name: control
  - name: letter
    play:
      kind: campaign
      audience: audience.sql
      subject: For our {{ zip_code }} customers
      template: message.txt
      fields: [zip_code]
      schedule: {cron: "0 9 * * 1"}
  - name: card
    play:
      kind: campaign
      audience: audience.sql
      subject: A card
      template: message.txt
      fields: [zip_code]
      schedule: {cron: "0 9 * * 2"}
primary: {metric: visit, minimum_effect: 0.05}
guardrails:
  - {metric: spend, margin: -0.9}
secondary: [conversion]
sample: {units_per_arm: 150}
time_box: {start: 2026-01-05, end: 2026-01-19}
decide_by: 2026-01-26
budget: {media: 100.00, currency: USD}
"""
# A second treatment doubles what a launch has to check; tests of launching do without it.
CARD = CHARTER[CHARTER.index("  - name: card") : CHARTER.index("primary:")]
AUDIENCE = "SELECT customer_id AS unit FROM customers WHERE recency <= 6\n"
MESSAGE = "Dear customer from a {{ zip_code }} place.\n"
BOTH = ("event_id", "unit", "arm", "exposed_at", "at", "visit", "conversion", "spend")


def staged(basetemp: Path, stage: Stage) -> Workspace:
    """The template of a stage, made at its first use; copy it, never change it."""
    root = basetemp / "lab-stages" / stage
    if not root.exists():
        if stage == "loaded":
            _loaded(root)
        else:
            shutil.copytree(staged(basetemp, STAGES[STAGES.index(stage) - 1]).root, root)
            {"launched": _launched, "recorded": _recorded, "submitted": _submitted}[stage](open_workspace(root))
    return open_workspace(root)


def stage_copy(request: pytest.FixtureRequest, target: Path, stage: Stage) -> Workspace:
    """A copy of a stage, for fixtures."""
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    return copy_of(staged(factory.getbasetemp(), stage), target)


def _loaded(root: Path) -> None:
    workspace = allow_small(create(root, "rehearsal")[0])
    workspace.clock.set(BEFORE)
    seed_draws(workspace)
    # Always the same pseudonyms, and with them the same arms.
    (workspace.factory).mkdir(parents=True)
    (workspace.factory / "pseudonym.key").write_text("2026" * 16)
    for name in ("gate", OWNER):
        enrol(workspace, name)
        trust(workspace, name)
    enrol_factory(workspace)
    enrol(workspace, FACTORY)
    export = customers_csv(root.with_name("customers.csv"))
    load(workspace, "customers", export)
    publish(workspace)
    open_lab(workspace)
    # MLflow takes seconds to make its tables, which every copy then has.
    tracking._client(workspace)
    draft(workspace)


@contextmanager
def door_fails(kind: type[Request[Any]], error: BaseException, *, answered: bool = False) -> Iterator[None]:
    """Has a request of that kind fail, before its room hears of it or after it has answered."""

    @contextmanager
    def transport(workspace: Workspace, request: Request[Any], pack: Any) -> Iterator[Any]:
        if isinstance(request, kind) and not answered:
            raise error
        with in_process(workspace, request, pack) as found:
            if isinstance(request, kind):
                raise error
            yield found

    with by(transport):
        yield


def seed_draws(workspace: Workspace) -> None:
    """Always the same nonces, which `salt_of` knows."""
    path = workspace.configs / "gate.yaml"
    path.write_text(path.read_text() + f"nonce_seed: {NONCE_SEED}\n")


def salt_of(pilot: str = PILOT) -> str:
    """What draws a pilot's arms, as docs/assignment.md says it of a rehearsal with a seed."""
    return f"pilot:{pilot}:{sha256(f'{NONCE_SEED}:{pilot}'.encode()).hexdigest()[:32]}"


def _launched(workspace: Workspace) -> None:
    launch(workspace, PILOT)


def _recorded(workspace: Workspace) -> None:
    workspace.clock.set(INSIDE)
    file = write_csv(workspace.root.with_name("results.csv"), results(workspace))
    record(workspace, PILOT, file)
    spend(workspace, PILOT, parse_amount("40.00"), "printing")


def _submitted(workspace: Workspace) -> None:
    workspace.clock.set(AFTER)
    analyse(workspace, PILOT)
    submit(workspace, PILOT)
    preflight(workspace, PILOT)


def customers_csv(path: Path) -> Path:
    """Customers whose ids and addresses are easy to find wherever they should not be."""
    places = ("Urban", "Surburban", "Rural")
    rows = (
        (f"C{n:06d}", f"c{n:06d}@example.com", n % 12 + 1, 10 + n / 4, places[n % 3]) for n in range(1, CUSTOMERS + 1)
    )
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("customer_id", "email", "recency", "history", "zip_code"))
        writer.writerows(rows)
    return path


def draft(workspace: Workspace, name: str = PILOT, *changes: tuple[str, str]) -> Path:
    """A draft charter with its files, each change a text that is replaced; returns the charter's path."""
    folder = workspace.pilots / name
    folder.mkdir(parents=True, exist_ok=True)
    text = CHARTER
    for old, new in (("pilot: spring-mail", f"pilot: {name}"), *changes):
        assert old in text, old
        text = text.replace(old, new)
    # A pilot of another name is another one: it says something else, to an audience of its own.
    audience = AUDIENCE if name == PILOT else AUDIENCE.rstrip() + f" AND history <> -{crc32(name.encode())}\n"
    message = MESSAGE if name == PILOT else MESSAGE + f"This is {name}.\n"
    for file, content in (("charter.yaml", text), ("audience.sql", audience), ("message.txt", message)):
        (folder / file).write_text(content)
    return folder / "charter.yaml"


def units(workspace: Workspace) -> list[str]:
    """Every pseudonym of the snapshot, in order."""
    path = latest_snapshot(workspace).table("customers")
    return [row[0] for row in duckdb.execute(f"SELECT customer_id FROM '{path}' ORDER BY 1").fetchall()]


@cache
def arm_of(unit: str, pilot: str = PILOT) -> str:
    """The arm that the charter's three equal arms draw for a unit."""
    return assign(salt_of(pilot), unit, {"control": 1, "letter": 1, "card": 1})


def by_arm(workspace: Workspace) -> dict[str, list[str]]:
    """The units of each arm."""
    found: dict[str, list[str]] = {"control": [], "letter": [], "card": []}
    for unit in units(workspace):
        found[arm_of(unit)].append(unit)
    return found


def results(workspace: Workspace) -> list[dict[str, Any]]:
    """Exposures with outcomes of everybody: of the letter's units every second one visits, else every tenth.

    A visitor spends 10 dollars; every second visitor buys. Outcomes come in over twelve days.
    """
    rows = []
    for arm, members in by_arm(workspace).items():
        step = 2 if arm == "letter" else 10
        for index, unit in enumerate(members):
            visit = int(index % step == 0)
            rows.append(
                row(f"{arm}-{index}", unit, arm, at=rfc3339(STARTS + timedelta(days=1 + index % 12, hours=10)))
                | {"visit": visit, "conversion": visit * int(index % (2 * step) == 0), "spend": 10.0 * visit}
            )
    return rows


def row(event: str, unit: str, arm: str, **changes: Any) -> dict[str, Any]:
    """One combined row: exposed on Tuesday at nine, an empty visit at ten."""
    return {
        "event_id": event,
        "unit": unit,
        "arm": arm,
        "exposed_at": rfc3339(STARTS + timedelta(days=1, hours=9)),
        "at": rfc3339(STARTS + timedelta(days=1, hours=10)),
        "visit": 0,
        "conversion": 0,
        "spend": 0,
        **changes,
    }


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Rows as a file with a header; None is an empty field."""
    content = list(rows)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(content[0]))
        writer.writeheader()
        writer.writerows(content)
    return path


def exposures_only(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Combined rows as a file of exposures."""
    return [{"event_id": r["event_id"], "unit": r["unit"], "arm": r["arm"], "at": r["exposed_at"]} for r in rows]


def outcomes_only(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Combined rows as a file of outcomes."""
    return [{key: r[key] for key in ("event_id", "unit", "at", "visit", "conversion", "spend")} for r in rows]


def fingerprint(root: Path) -> dict[str, str]:
    """Every file with its digest; a database by its dump, since its bytes change when it is read.

    Lock files and SQLite's side files are left out.
    """
    found = {}
    for path in sorted(root.rglob("*")):
        if not path.is_file() or path.name.endswith(("-wal", "-shm", ".lock")):
            continue
        content = dump(path) if path.suffix == ".db" else path.read_bytes()
        found[str(path.relative_to(root))] = sha256(content).hexdigest()
    return found


def dump(database: Path) -> bytes:
    """A SQLite database as SQL text."""
    connection = sqlite3.connect(database)
    try:
        return "\n".join(connection.iterdump()).encode()
    finally:
        connection.close()


# Child processes. The fork server has the heavy libraries imported and nothing open, so that a child starts at once.

HEAVY = [
    "tests.lab_makers",
    "tests.promotion.cases",
    "psycopg",
    "duckdb_sqlalchemy",
    "great_expectations",
    "mlflow.tracking",
    "matplotlib.figure",
    "lab.analysis.tracking",
]
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(HEAVY)


@dataclass(frozen=True, slots=True)
class Step:
    """Where a child is to die: before or after the n-th step that outlives a crash (1 is the first), or one by name."""

    at: int | str
    after: bool = False


def run_child(work: Callable[..., Any], *arguments: Any, die: Step | None = None) -> tuple[int | None, list[str]]:
    """Runs `work` in a process of its own; returns its exit code (negative: the signal) and the steps it took."""
    inbox, outbox = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_child, args=(outbox, work, arguments, die))
    process.start()
    outbox.close()
    steps = []
    while True:
        try:
            steps.append(inbox.recv())
        except EOFError:
            break
    process.join(timeout=120)
    return process.exitcode, steps


def start_child(work: Callable[..., Any], *arguments: Any) -> Any:
    """Starts `work` in a process of its own."""
    process = PROCESSES.Process(target=work, args=arguments)
    process.start()
    return process


def _child(outbox: Any, work: Callable[..., Any], arguments: tuple[Any, ...], die: Step | None) -> None:
    _watch_steps(outbox, die)
    work(*arguments)


def _watch_steps(outbox: Any, die: Step | None) -> None:
    """Counts everything that outlives a crash (renames, removals, commits), and dies at the one that is asked for."""
    from sqlalchemy.engine.default import DefaultDialect

    taken = 0

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            nonlocal taken
            taken += 1
            outbox.send(name)
            if die in {Step(taken), Step(name)}:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*arguments, **named)
            if die in {Step(taken, after=True), Step(name, after=True)}:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return step

    Path.rename = watched("rename", Path.rename)  # type: ignore[method-assign]
    Path.replace = watched("replace", Path.replace)  # type: ignore[method-assign]
    shutil.rmtree = watched("rmtree", shutil.rmtree)  # type: ignore[assignment]
    DefaultDialect.do_commit = watched("commit", DefaultDialect.do_commit)  # type: ignore[method-assign]


# What children do, each one command of the Lab.


def do_launch(root: Path, name: str = PILOT) -> None:
    """`lab launch`."""
    launch(open_workspace(root), name)


def do_amend(root: Path, name: str = PILOT, reason: str = REASON) -> None:
    """`lab amend`."""
    amend(open_workspace(root), name, reason)


def do_record(root: Path, file: Path, name: str = PILOT) -> None:
    """`lab record`."""
    record(open_workspace(root), name, file)


def do_spend(root: Path, amount: str = "12.50", purpose: str = "stamps", name: str = PILOT) -> None:
    """`lab spend`."""
    spend(open_workspace(root), name, parse_amount(amount), purpose)


def do_record_costs(root: Path, file: Path, crash_at: str | None = None, name: str = PILOT) -> None:
    """`lab record --kind costs`, killed at a crash point if one is given."""
    if crash_at is not None:
        os.environ[VARIABLE] = crash_at
    record_costs(open_workspace(root), name, file)


def do_reserve(root: Path, amount: str = "60.00", purpose: str = "mailing", name: str = PILOT) -> None:
    """`lab spend --reserve`."""
    reserve(open_workspace(root), name, parse_amount(amount), purpose)


def do_settle(root: Path, amount: str = "57.40", key: str = "mailing", name: str = PILOT) -> None:
    """`lab spend --settle`."""
    settle(open_workspace(root), name, key, parse_amount(amount))


def do_each(calls: Iterable[tuple[Callable[..., Any], tuple[Any, ...]]]) -> None:
    """One command after the other."""
    for work, arguments in calls:
        work(*arguments)


def do_end(root: Path) -> None:
    """`lab end`."""
    end(open_workspace(root), PILOT, "the printer broke")


def do_analyse(root: Path) -> None:
    """`lab analyse`."""
    analyse(open_workspace(root), PILOT)


def do_submit(root: Path) -> None:
    """`lab submit`."""
    submit(open_workspace(root), PILOT)


__all__ = [name for name in dir() if not name.startswith("_")]
