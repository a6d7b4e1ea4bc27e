"""A launched pilot: its frozen promise, its folder, and its state, which the clock alone decides."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

import sqlalchemy as sa

from lab.state import pilots, spend
from shared.candidate import SpendEntry
from shared.charter import Charter, Promise
from shared.clock import parse_rfc3339
from shared.contracts import Contract, load_contract
from shared.digests import digest_bytes, digest_file
from shared.errors import BadInput, Refused
from shared.money import Money
from shared.record import Decided
from shared.room import Room
from shared.workspace import Workspace

State = Literal["draft", "running", "ended", "decided"]


@dataclass(frozen=True, slots=True)
class Pilot:
    """A launched pilot.

    Attributes:
        folder: the Lab's own files of it.
        deposited_at: when the gate took its promise in; no exposure counts before.
        ended_at, end_reason: only where it was closed early.
    """

    name: str
    promise: Promise
    snapshot: str
    folder: Path
    launched_at: datetime
    deposited_at: datetime
    reserved: Money
    ended_at: datetime | None
    end_reason: str | None

    @property
    def charter(self) -> Charter:
        """The charter as frozen."""
        return self.promise.charter

    @property
    def frozen(self) -> Path:
        """Where the frozen files lie."""
        return self.folder / "frozen"

    def frozen_file(self, name: str) -> Path:
        """Where a frozen file lies; raises Refused where it is not what was promised."""
        path = self.frozen / "files" / name
        if not path.is_file() or digest_file(path) != self.promise.files.get(name):
            raise Refused(
                f"the frozen file {name} of {self.name} was changed",
                where=str(path),
                expected=f"the content {self.promise.files.get(name)}",
                remedy="restore it from a backup: a pilot is judged by what was frozen at its launch",
            )
        return path

    @property
    def contract(self) -> Contract:
        """The frozen contract of its outcomes; raises Refused where that was changed."""
        return load_contract(self.frozen_file(f"contracts/{self.charter.outcomes}.odcs.yaml"))

    @property
    def ends(self) -> datetime:
        """The first moment that is too late for data and costs."""
        return min(filter(None, (self.charter.time_box.ends, self.ended_at)))

    def state(self, now: datetime, decided: Decided | None) -> State:
        """Its state now; past the deadline silence has decided."""
        if decided is not None or now >= self.charter.deadline:
            return "decided"
        return "running" if now < self.ends else "ended"

    def require_open(self, now: datetime, what: str) -> None:
        """Raises Refused where the pilot takes no more data or costs."""
        if now >= self.ends:
            closed = "was closed" if self.ended_at else "ended"
            raise Refused(
                f"pilot {self.name} {closed} at {self.ends:%Y-%m-%d %H:%M} UTC and takes no more {what}",
                where=f"pilot {self.name}",
                remedy="analyse what came in time: pilotplant lab analyse " + self.name,
            )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits until no other process holds this lock file."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def pilot_folder(workspace: Workspace, name: str) -> Path:
    """The Lab's own folder of a pilot."""
    return workspace.lab / "pilots" / name


def find_pilot(room: Room, name: str) -> Pilot | None:
    """The launched pilot of that name, or None."""
    with room.transaction() as connection:
        row = connection.execute(sa.select(pilots).where(pilots.c.name == name)).first()
    return None if row is None else _pilot(room.workspace, row)


def get_pilot(room: Room, name: str) -> Pilot:
    """The launched pilot of that name; raises BadInput with those that exist."""
    found = find_pilot(room, name)
    if found is None:
        draft = (room.workspace.pilots / name / "charter.yaml").exists()
        known = ", ".join(pilot.name for pilot in all_pilots(room)) or "(none yet)"
        raise BadInput(
            f"pilot {name} has not been launched" if draft else f"there is no pilot {name}",
            where=str(room.workspace.root),
            expected=f"one of: {known}",
            remedy=f"pilotplant lab launch {name}" if draft else f"correct the name, or start one: lab new {name}",
        )
    return found


@contextmanager
def locked_pilot(room: Room, name: str) -> Iterator[Pilot]:
    """The pilot as it is once no other process records into it, analyses, seals or closes it, nor can meanwhile."""
    with locked(get_pilot(room, name).folder / ".lock"):
        yield get_pilot(room, name)


def all_pilots(room: Room) -> list[Pilot]:
    """Every launched pilot, in the order of launch."""
    with room.transaction() as connection:
        rows = connection.execute(sa.select(pilots).order_by(pilots.c.launched_at, pilots.c.name)).all()
    return [_pilot(room.workspace, row) for row in rows]


def spent(connection: sa.Connection, pilot: Pilot) -> Money:
    """What the pilot has cost so far."""
    return sum(
        (entry.money for entry in entries(connection, pilot)),
        Money(amount=Decimal(0), currency=pilot.reserved.currency),
    )


def entries(connection: sa.Connection, pilot: Pilot) -> list[SpendEntry]:
    """Each cost, in the order it came."""
    rows = connection.execute(sa.select(spend).where(spend.c.pilot == pilot.name).order_by(spend.c.at, spend.c.id))
    return [
        SpendEntry(id=row.id, at=row.at, money=Money(amount=row.amount, currency=row.currency), purpose=row.purpose)
        for row in rows
    ]


def _pilot(workspace: Workspace, row: sa.Row[tuple[object, ...]]) -> Pilot:
    folder = pilot_folder(workspace, row.name)
    promise = _promise(folder / "frozen" / "promise.json", row.name, row.promise)
    return Pilot(
        name=row.name,
        promise=promise,
        snapshot=row.snapshot,
        folder=folder,
        launched_at=parse_rfc3339(row.launched_at),
        deposited_at=parse_rfc3339(row.deposited_at),
        reserved=Money(amount=row.reserved, currency=promise.charter.budget.currency),
        ended_at=parse_rfc3339(row.ended_at) if row.ended_at else None,
        end_reason=row.end_reason,
    )


def _promise(path: Path, name: str, digest: str) -> Promise:
    """The frozen promise; raises Refused where it is not the one that was launched."""
    try:
        content = path.read_bytes()
        promise = Promise.model_validate_json(content)
    except (OSError, ValueError):  # gone, or no longer a promise
        promise = None
    # The file is written in canonical form, whose digest is the promise's: a list of hundreds need not write each anew.
    if promise is None or (digest_bytes(content) != digest and promise.digest != digest):
        raise Refused(
            f"the frozen charter of {name} was changed",
            where=str(path),
            expected=f"the promise {digest}",
            remedy="restore it from a backup: a pilot is judged by what was frozen at its launch",
        )
    return promise
