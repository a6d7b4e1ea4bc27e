"""A launched pilot: its frozen promise, its folder, and its state, which the clock alone decides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import ValidationError

from lab.state import amendments, analyses, ledger, pilots, spend
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.digests import digest_file
from shared.core.errors import BadInput, Refused
from shared.core.files import locked
from shared.core.money import Money
from shared.core.times import date_time
from shared.data.contracts import Contract, load_contract
from shared.experiment.charter import Charter, Eligible, Promise
from shared.experiment.draw import Draw
from shared.experiment.eligibility import ELIGIBLE, eligible_sql
from shared.state.anchors import HeadRecord
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.candidate import PROMISE, SpendEntry
from shared.trust.candidates import retrospective
from shared.trust.record import Decided, decisions
from shared.trust.registration import Registration

State = Literal["draft", "running", "ended", "decided"]
# The ledger's entry of a launch, and what in it is the gate's nonce.
LAUNCHED = "launched"
# The ledger's entry of a finished test from elsewhere, which is no pilot; its body is the test.
IMPORTED = "imported"
# The ledger's entry before the result of a pilot is computed that would still take late data.
LAST_LOOK = "last_look"
NONCE = "nonce"


@dataclass(frozen=True, slots=True)
class Amendment:
    """A change of a launched pilot's promise.

    Attributes:
        version: which version of the promise it made.
        promise, before: the digests of that version and of the one before it.
        changes: each difference, as `Change.as_json` writes it.
        deposited_at: when the gate took it in; None where the command was cut off before that.
    """

    version: int
    promise: str
    before: str
    reason: str
    at: datetime
    changes: list[dict[str, Any]]
    deposited_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "version": self.version,
            "digest": self.promise,
            "reason": self.reason,
            "at": rfc3339(self.at),
            "changes": self.changes,
            "deposited_at": rfc3339(self.deposited_at) if self.deposited_at else None,
        }

    def told(self) -> str:
        """One line for people."""
        fields = ", ".join(change["path"] for change in self.changes)
        return f"Version {self.version}, of {date_time(self.at)}, changed {fields}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Pilot:
    """A launched pilot.

    Attributes:
        promise: the version in force.
        folder: the Lab's own files of it.
        deposited_at: since when, by the gate's clock, everything stands that decides; no exposure counts before.
        ended_at, end_reason: only where it was closed early.
        amendments: every change of the promise since the launch.
        nonce: what the gate drew for its name, which draws its arms; None under the first rules.
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
    amendments: tuple[Amendment, ...] = ()
    nonce: str | None = None

    @property
    def charter(self) -> Charter:
        """The charter as frozen."""
        return self.promise.charter

    def draw(self, workspace: Workspace) -> Draw:
        """Who takes part in it, and in which arm."""
        return Draw.of(self.promise, workspace.id, self.nonce)

    @property
    def frozen(self) -> Path:
        """Where the frozen files of the version in force lie."""
        return version_folder(self.folder, self.promise.version)

    def frozen_file(self, name: str) -> Path:
        """Where a frozen file lies; raises Refused where it is not what was promised."""
        path = self.frozen / "files" / name
        if not path.is_file() or digest_file(path) != self.promise.files.get(name):
            raise Refused(
                f"the frozen file {name} of {self.name} was changed",
                where=str(path),
                expected=f"the content {self.promise.files.get(name)}",
                remedy="restore it from a backup: a pilot is judged by what was frozen",
            )
        return path

    @property
    def eligible(self) -> tuple[Eligible, Path] | None:
        """Who may take part, and the file of them; None where all of the population may."""
        return None if self.promise.eligible is None else (self.promise.eligible, self.frozen / ELIGIBLE)

    @property
    def able(self) -> str | None:
        """A query for who may take part; None where all may. Raises Refused where the list was changed."""
        return None if self.eligible is None else eligible_sql(*self.eligible)

    @property
    def contract(self) -> Contract:
        """The frozen contract of its outcomes; raises Refused where that was changed."""
        return load_contract(self.frozen_file(f"contracts/{self.charter.outcomes}.odcs.yaml"))

    @property
    def ends(self) -> datetime:
        """The first moment that is outside of it: nothing that happened from then on counts."""
        return min(filter(None, (self.charter.time_box.ends, self.ended_at)))

    @property
    def closes(self) -> datetime:
        """The first moment that is too late for files and costs to come in."""
        return self.ended_at or self.charter.time_box.closes

    def state(self, now: datetime, decided: Decided | None) -> State:
        """Its state now; past the deadline silence has decided."""
        if decided is not None or now >= self.charter.deadline:
            return "decided"
        return "running" if now < self.ends else "ended"

    def earlier(self) -> list[Promise]:
        """Every version before the one in force, the first one first; raises Refused where one was changed."""
        return [
            _promise(version_folder(self.folder, number) / PROMISE, self.name, amendment.before)
            for number, amendment in enumerate(self.amendments, start=1)
        ]

    @property
    def undeposited(self) -> bool:
        """Whether the last amendment was cut off before the gate took it in."""
        return bool(self.amendments) and self.amendments[-1].deposited_at is None

    def require_deposited(self) -> None:
        """Raises Refused where an amendment was cut off before the gate took it in."""
        if self.undeposited:
            last = self.amendments[-1]
            raise Refused(
                f"an amendment of {self.name} was cut off before the gate took it in",
                where=f"pilot {self.name}, version {last.version}",
                remedy=f'finish it with the same command: pilotplant lab amend {self.name} --reason "{last.reason}"',
            )

    def require_open(self, now: datetime, what: str, *, late: bool = False) -> None:
        """Raises Refused where the pilot takes no more data, costs or amendments; some may be `late`, after its end."""
        self.require_deposited()
        last = self.closes if late else self.ends
        if now >= last:
            closed = "was closed" if self.ended_at else "ended"
            raise Refused(
                f"pilot {self.name} {closed} at {date_time(last)} and takes no more {what}",
                where=f"pilot {self.name}",
                remedy="analyse what came in time: pilotplant lab analyse " + self.name,
            )


def pilot_folder(workspace: Workspace, name: str) -> Path:
    """The Lab's own folder of a pilot."""
    return workspace.lab / "pilots" / name


def version_folder(folder: Path, version: int) -> Path:
    """Where the frozen files of one version of the promise lie, in the pilot's folder."""
    return folder / ("frozen" if version == 1 else f"frozen-{version}")


def find_pilot(room: Room, name: str) -> Pilot | None:
    """The launched pilot of that name, or None."""
    return next(iter(_pilots(room, pilots.c.name == name)), None)


def get_pilot(room: Room, name: str) -> Pilot:
    """The launched pilot of that name; raises BadInput with those that exist, Refused for a retrospective test."""
    found = find_pilot(room, name)
    if found is None:
        if room.entries(name, kinds=[IMPORTED]):
            raise retrospective(name)
        draft = (room.workspace.pilots / name / "charter.yaml").exists()
        known = ", ".join(pilot.name for pilot in all_pilots(room)) or "(none yet)"
        raise BadInput(
            f"pilot {name} has not been launched" if draft else f"there is no pilot {name}",
            where=str(room.workspace.root),
            expected=f"one of: {known}",
            remedy=f"pilotplant lab launch {name}" if draft else f"correct the name, or start one: lab new {name}",
        )
    return found


def imported(room: Room) -> list[str]:
    """The names of all finished tests that were brought in from elsewhere."""
    return [entry.subject for entry in room.entries(kinds=[IMPORTED])]


def last_look(room: Room, pilot: Pilot) -> str | None:
    """Since when the pilot's result may be known, RFC 3339; None where nobody has looked since its end."""
    query = sa.select(analyses.c.at).where(analyses.c.pilot == pilot.name)
    with room.read() as connection:
        looks = list(connection.execute(query).scalars())
    looks += [entry.at for entry in room.entries(pilot.name, kinds=[LAST_LOOK])]
    return min((at for at in looks if parse_rfc3339(at) >= pilot.ends), default=None)


def require_undecided(room: Room, pilot: Pilot) -> None:
    """Raises Refused where the owner has decided: what comes later is no part of what was decided on."""
    decided = decisions(room.workspace).get(pilot.name)
    if decided is not None:
        raise Refused(
            f"pilot {pilot.name} was decided: {decided.decision.word}, at {decided.decision.at}",
            where=f"pilot {pilot.name}",
            remedy="a decision stands; start another pilot under a new name",
        )


@contextmanager
def locked_pilot(room: Room, name: str) -> Iterator[Pilot]:
    """The pilot as it is once no other process records into it, analyses, seals or closes it, nor can meanwhile."""
    with locked(get_pilot(room, name).folder / ".lock"):
        yield get_pilot(room, name)


def all_pilots(room: Room) -> list[Pilot]:
    """Every launched pilot, in the order of launch."""
    return _pilots(room, sa.true())


def entries(connection: sa.Connection, pilot: Pilot) -> list[SpendEntry]:
    """Each cost, in the order it came."""
    rows = connection.execute(sa.select(spend).where(spend.c.pilot == pilot.name).order_by(spend.c.at, spend.c.id))
    return [
        SpendEntry(id=row.id, at=row.at, money=Money(amount=row.amount, currency=row.currency), purpose=row.purpose)
        for row in rows
    ]


def _pilots(room: Room, condition: sa.ColumnElement[bool]) -> list[Pilot]:
    changed = sa.select(amendments).join(pilots, amendments.c.pilot == pilots.c.name).where(condition)
    with room.read() as connection:
        rows = connection.execute(
            sa.select(pilots).where(condition).order_by(pilots.c.launched_at, pilots.c.name)
        ).all()
        found: dict[str, list[Amendment]] = {row.name: [] for row in rows}
        for row in connection.execute(changed.order_by(amendments.c.version)):
            found[row.pilot].append(_amendment(row))
        nonces = {name: body.get(NONCE) for name, body in launches(connection, list(found)).items()}
    return [_pilot(room.workspace, row, tuple(found[row.name]), nonces.get(row.name)) for row in rows]


def registration_of(room: Room, pilot: Pilot) -> Registration | None:
    """What the gate told the Lab when the pilot was launched; None under the first rules.

    Raises Refused where the Lab's ledger does not say it.
    """
    if pilot.promise.rules == 1:
        return None
    with room.read() as connection:
        said = launches(connection, [pilot.name]).get(pilot.name, {})
    try:
        gate = said["gate"]
        return Registration(
            workspace=room.workspace.id,
            mode=room.workspace.mode,
            pilot=pilot.name,
            promise=said["promise"],
            at=gate["at"],
            ledger=HeadRecord(seq=gate["seq"], hash=gate["hash"]),
            nonce=said[NONCE],
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise Refused(
            f"the Lab's ledger does not say what the gate drew for {pilot.name}",
            where=f"pilot {pilot.name}",
            remedy="look: pilotplant verify; and restore the Lab's database from a backup",
        ) from error


def launches(connection: sa.Connection, names: list[str]) -> dict[str, dict[str, Any]]:
    """What the Lab's ledger says of the launch of each of these pilots."""
    query = sa.select(ledger.c.subject, ledger.c.body).where(ledger.c.kind == LAUNCHED, ledger.c.subject.in_(names))
    return {row.subject: json.loads(row.body) for row in connection.execute(query)}


def _amendment(row: sa.Row[tuple[object, ...]]) -> Amendment:
    return Amendment(
        version=row.version,
        promise=row.promise,
        before=row.before,
        reason=row.reason,
        at=parse_rfc3339(row.at),
        changes=row.changes,
        deposited_at=parse_rfc3339(row.deposited_at) if row.deposited_at else None,
    )


def _pilot(
    workspace: Workspace, row: sa.Row[tuple[object, ...]], changed: tuple[Amendment, ...], nonce: str | None
) -> Pilot:
    folder = pilot_folder(workspace, row.name)
    promise = _promise(version_folder(folder, 1 + len(changed)) / PROMISE, row.name, row.promise)
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
        amendments=changed,
        nonce=nonce,
    )


def _promise(path: Path, name: str, digest: str) -> Promise:
    """A frozen promise; raises Refused where it is not the one of that digest."""
    try:
        promise = Promise.stored(path.read_bytes())
    except (OSError, ValueError):  # gone, or no longer a promise
        promise = None
    if promise is None or promise.digest != digest:
        raise Refused(
            f"the frozen charter of {name} was changed",
            where=str(path),
            expected=f"the promise {digest}",
            remedy="restore it from a backup: a pilot is judged by what was frozen",
        )
    return promise
