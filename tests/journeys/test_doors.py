"""The doors between the rooms: every request, in one process and by the spool, and no room opens another's files.

Each walk is a process of its own, in which every file that Python opens, moves or removes is held against the room that
is at work. By the spool each room has such a process, as it would have an account.
"""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from factory.delivery.pilot_messages import launched, write_messages
from factory.preflight.report import preflight
from factory.releases.admission import admit
from factory.warehouse.load import load
from factory.warehouse.retention import prune
from factory.warehouse.snapshots import publish
from lab.analysis.analysis import analyse
from lab.analysis.submission import submit
from lab.budget.spend_ledger import spend
from lab.insights.insights import insights
from lab.insights.retrospective.store import bring_in
from lab.intake.customer_ids import with_units
from lab.intake.intake import record
from lab.launch.launch import launch
from lab.state import open_lab
from promotion.audit.checkpoint import heads, take
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from shared.core.errors import BadInput, Undecided
from shared.core.money import parse_amount
from shared.data.snapshot import ASIDE, latest_id
from shared.doors import requests
from shared.doors.door import Request, RoomName, ask, by, in_process, spool_of
from shared.doors.spool import Spool, serve
from shared.state.access import PUBLISHED
from shared.state.workspace import Workspace, open_workspace
from tests.lab_makers import AFTER, INSIDE, OWNER, PILOT, PROCESSES, results, stage_copy, write_csv
from tests.makers import customers_csv

ROOMS: tuple[RoomName, ...] = ("lab", "promotion", "factory")
EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "sqlite3.connect"}
KINDS = set(requests.BY_NAME)
ADS = [{"arm": "A", "units": 10_000, "n": 2_000}, {"arm": "B", "units": 10_010, "n": 2_100}]
MAPPING = """\
schema_version: 1
rows: arms
arm: arm
control: A
weights: equal
started: 2025-03-03
ended: 2025-03-17
belief: a shorter mail
channel: file
metrics:
  visit: {metric: visit, arm: {units: units, count: n}}
"""


class Watch:
    """What a process opens of rooms that are not at work in it."""

    def __init__(self, root: Path) -> None:
        self.var, self.room, self.found, self.asked = root / "var", None, [], []
        sys.addaudithook(self._heard)

    @contextmanager
    def at_work(self, room: str | None) -> Iterator[None]:
        before, self.room = self.room, room
        try:
            yield
        finally:
            self.room = before

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS or self.room is None:
            return
        writes = event != "open" or self._writes(arguments)
        for path in arguments[:2] if event in {"os.rename", "os.link"} else arguments[:1]:
            if isinstance(path, str | bytes | os.PathLike):
                self._held(event, Path(os.path.abspath(os.fsdecode(path))), writes=writes)

    @staticmethod
    def _writes(arguments: tuple[Any, ...]) -> bool:
        _, mode, flags = arguments
        return any(sign in (mode or "") for sign in "wax+") or bool(
            (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        )

    def _held(self, event: str, path: Path, *, writes: bool) -> None:
        if not path.is_relative_to(self.var) or path == self.var:
            return
        inside = path.relative_to(self.var)
        room = inside.parts[0]
        if room not in ROOMS or room == self.room or len(inside.parts) == 1 or inside.parts[1] == "spool":
            return
        published = any(inside.is_relative_to(name) for name in PUBLISHED)
        if writes or not published:
            self.found.append(f"{self.room}: {event} {inside}")


def walk(workspace: Workspace, watch: Watch, files: Path) -> None:
    """A pilot from its launch to its release and its successor's draft, and what else the rooms ask of each other."""
    with watch.at_work("lab"):
        launch(workspace, PILOT)
        mapping = files / "mapping.yaml"
        mapping.write_text(MAPPING)
        bring_in(workspace, "spring-ads", write_csv(files / "ads.csv", ADS), mapping=mapping, source="csv")
    with watch.at_work("factory"), launched(workspace, PILOT) as frozen:
        write_messages(workspace, frozen, files / "messages.csv")
    with files.joinpath("messages.csv").open(newline="") as stream:
        sent = [(row["id"], row["unit"], row["arm"]) for row in csv.DictReader(stream)]
    workspace.clock.set(INSIDE)
    by_unit = {unit: customer for customer, unit, _ in sent}
    found = results(workspace)
    named = [{"customer_id": by_unit[r["unit"]]} | {k: v for k, v in r.items() if k != "unit"}
             for r in found if r["unit"] in by_unit]  # fmt: skip
    rest = [r for r in found if r["unit"] not in by_unit]
    with watch.at_work("lab"):
        with with_units(workspace, PILOT, write_csv(files / "customers.csv", named)) as units:
            record(workspace, PILOT, units.file)
        record(workspace, PILOT, write_csv(files / "units.csv", rest))
        spend(workspace, PILOT, parse_amount("40.00"), "printing")
    _prune(workspace, watch, files)
    workspace.clock.set(AFTER)
    with watch.at_work("lab"):
        analyse(workspace, PILOT)
        submit(workspace, PILOT)
    with watch.at_work("factory"):
        preflight(workspace, PILOT)
    with watch.at_work("promotion"):
        decide(workspace, PILOT, Asked("scale", OWNER, "visits rise", "letter", insight="a letter works", revise=True))
        take(workspace, heads(workspace)[0], files / "checkpoint.json", passphrase=None)
    with watch.at_work("factory"):
        admit(workspace)
    with watch.at_work("lab"):
        assert [each.effect is not None for each in insights(open_lab(workspace)) if each.pilot == PILOT] == [True]


def _prune(workspace: Workspace, watch: Watch, files: Path) -> None:
    """Removes a snapshot that nobody reads, and gives back the pilot's, which a run that was cut off had set aside."""
    read = latest_id(workspace)
    with watch.at_work("factory"):
        for rows in (500, 400):
            load(workspace, "customers", customers_csv(files / f"{rows}.csv", rows), replace=True)
            publish(workspace)
    folder = workspace.lab / "snapshots" / str(read)
    folder.rename(folder.with_name(f"{ASIDE}{read}"))
    with watch.at_work("factory"):
        assert Counter(step.step for step in prune(workspace, keep=1).steps) == {
            "keep": 1, "remove": 1, "restore": 1,
        }  # fmt: skip


def _walk(outbox: Any, root: Path, files: Path, *, spooled: bool) -> None:
    """A process that walks; it says what it has asked, and what it has opened of rooms that were not at work."""
    watch = Watch(root)
    transport = Spool() if spooled else in_process

    @contextmanager
    def noted(workspace: Workspace, request: Request[Any], pack: Any) -> Iterator[Any]:
        watch.asked.append(type(request).__name__)
        asking = watch.room

        def packed(folder: Path) -> None:
            with watch.at_work(asking):
                pack(folder)

        # What a room answers it answers as itself, here where it is no process of its own.
        with ExitStack() as stack:
            if not spooled:
                stack.enter_context(watch.at_work(request.room))
            answer = stack.enter_context(transport(workspace, request, packed if pack else None))
            with watch.at_work(asking):
                yield answer

    with by(noted):
        walk(open_workspace(root), watch, files)
    outbox.send((sorted(set(watch.asked)), sorted(set(watch.found))))


def _serve(outbox: Any, root: Path, room: RoomName, enough: Any) -> None:
    """A room's own process."""
    watch = Watch(root)
    with watch.at_work(room):
        serve(open_workspace(root), room, enough.is_set)
    outbox.send(sorted(set(watch.found)))


@pytest.fixture
def workspace(request, tmp_path):
    return stage_copy(request, tmp_path / "workspace", "loaded")


def test_every_request_is_answered_in_one_process_and_no_room_opens_anothers_files(workspace, tmp_path):
    asked, opened = said_by(_walk, workspace.root, tmp_path, spooled=False)
    assert asked == sorted(KINDS)
    assert opened == []


def test_every_request_is_answered_by_the_spool_and_no_room_opens_anothers_files(workspace, tmp_path):
    enough = PROCESSES.Event()
    rooms = [started(_serve, workspace.root, room, enough) for room in ROOMS]
    asked, opened = said_by(_walk, workspace.root, tmp_path, spooled=True)
    enough.set()
    assert asked == sorted(KINDS)
    assert opened == []
    assert [found(room) for room in rooms] == [[], [], []]
    # Nothing is left of what was asked.
    assert [path for room in ROOMS for path in spool_of(workspace, room).glob("[!.]*")] == []


def test_the_watch_sees_what_it_has_to(workspace, tmp_path):
    [first, second, third] = said_by(_trespass, workspace.root)
    assert first == "lab: open promotion/secret"
    assert second.startswith("lab: sqlite3.connect factory/factory.db")
    assert third == "lab: open promotion/attestations/mine.json"


def _trespass(outbox: Any, root: Path) -> None:
    """What the watch is to find, and what it is not: published files are read, and one's own are one's own."""
    workspace, watch = open_workspace(root), Watch(root)
    for name in ("promotion/secret", "promotion/attestations/theirs.json", "lab/mine"):
        (workspace.root / "var" / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace.root / "var" / name).write_text("x")
    with watch.at_work("lab"):
        for name in ("lab/mine", "promotion/secret", "promotion/attestations/theirs.json"):
            (workspace.root / "var" / name).read_text()
        sqlite3.connect(workspace.factory / "factory.db").close()
        (workspace.promotion / "attestations" / "mine.json").write_text("x")
    outbox.send(watch.found)


def test_what_a_room_refuses_is_refused_by_the_spool_as_it_would_be_here(workspace):
    enough = PROCESSES.Event()
    room = started(_serve, workspace.root, "promotion", enough)
    with by(Spool()), pytest.raises(BadInput, match="no candidate of `nobody-mail`") as caught:
        ask(workspace, requests.CandidateToTry(name="nobody-mail"))
    assert caught.value.remedy == "once its time box is over: pilotplant lab finish nobody-mail"
    enough.set()
    assert found(room) == []


def test_a_room_whose_process_is_away_is_undecided_and_nothing_is_left(workspace):
    with by(Spool(wait_s=0.2)), pytest.raises(Undecided, match="the promotion room does not answer"):
        ask(workspace, requests.CandidateToTry(name=PILOT))
    assert list(spool_of(workspace, "promotion").glob("*")) == []


@pytest.mark.parametrize("transport", [in_process, Spool()])
def test_a_parcel_with_a_link_leads_into_no_folder_of_the_room_that_opens_it(workspace, transport):
    enough = PROCESSES.Event()
    room = started(_serve, workspace.root, "promotion", enough)

    def pack(folder: Path) -> None:
        (folder / "manifest.json").symlink_to(workspace.promotion / "promotion.db")

    with by(transport), pytest.raises(BadInput, match="are links"):
        ask(workspace, requests.TakeIn(candidate="sha256:" + "1" * 64), pack)
    enough.set()
    assert found(room) == []
    assert not list((workspace.promotion / "intake").glob("*"))


def test_what_lies_in_a_spool_and_is_no_request_is_answered_so(workspace):
    folder = spool_of(workspace, "promotion") / "somebody"
    (folder / "parcel").mkdir(parents=True)
    (folder / "request.json").write_text('{"kind": "TakeEverything", "request": {}}')
    enough = PROCESSES.Event()
    room = started(_serve, workspace.root, "promotion", enough)
    answer = folder / "answer.json"
    while not answer.exists():
        assert room[0].is_alive()
        time.sleep(0.02)
    assert "cannot be read" in json.loads(answer.read_text())["error"]["what"]
    enough.set()
    assert found(room) == []


def started(work: Callable[..., None], *arguments: Any, **options: Any) -> tuple[Any, Any]:
    """A process at work, and what it will say."""
    inbox, outbox = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=work, args=(outbox, *arguments), kwargs=options)
    process.start()
    outbox.close()
    return process, inbox


def found(process: tuple[Any, Any]) -> Any:
    """What a process says at its end."""
    try:
        return process[1].recv()
    finally:
        process[0].join(timeout=60)


def said_by(work: Callable[..., None], *arguments: Any, **options: Any) -> Any:
    """What a process says that walks from here to its end."""
    return found(started(work, *arguments, **options))
