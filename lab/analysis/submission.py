"""Submitting: the analysis and everything behind it are sealed as a candidate and put before the gate."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from lab.analysis.aa import covering
from lab.analysis.analysis import Analysis, is_current, latest
from lab.budget.reservations import require_none_open
from lab.pilots.pilot import LAUNCHED, Pilot, entries, get_pilot, locked_pilot, registration_of
from lab.state import candidates, open_lab
from shared.core.clock import rfc3339
from shared.core.errors import Refused
from shared.core.files import scratch_in
from shared.core.times import date_time
from shared.doors.door import ask
from shared.doors.requests import TakeIn
from shared.state.chain import GENESIS, Entry, Head
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.candidate import (
    AA,
    AMENDMENTS,
    FILES,
    LEDGER,
    PROMISE,
    REGISTRATION,
    SPEND,
    Candidate,
    Earlier,
    Spend,
    seal,
    write_json,
)
from shared.trust.excerpt import BOOKINGS, excerpt


@dataclass(frozen=True, slots=True)
class Submitted:
    """A candidate before the gate, and whether the same content was there already."""

    candidate: Candidate
    repeated: bool


def require_over(workspace: Workspace, name: str, *, remedy: str) -> None:
    """Raises Refused where the time box runs and no look before its end was agreed on: nothing could be decided."""
    pilot, now = get_pilot(open_lab(workspace), name), workspace.clock.now()
    if now < pilot.ends and pilot.charter.sample.looks.method == "fixed":
        raise Refused(
            f"pilot {name} runs until {date_time(pilot.ends)}, and its charter agreed on no look before",
            where=f"pilot {name}",
            remedy=remedy,
        )


def submit(workspace: Workspace, name: str) -> Submitted:
    """Seals the pilot's latest analysis; the same content again is a no-op.

    Raises Refused where there is no analysis, where data came in since, or where money is still held.
    """
    room = open_lab(workspace)
    again = f"pilotplant lab analyse {name}"
    with locked_pilot(room, name) as pilot:
        pilot.require_deposited()
        analysis = latest(room, pilot)
        if analysis is None:
            raise Refused(f"pilot {name} has not been analysed", where=f"pilot {name}", remedy=again)
        if analysis.interim and room.now() >= pilot.ends:
            raise Refused(
                f"the last analysis of {name} was made before the pilot ended", where=f"pilot {name}", remedy=again
            )
        if analysis.evidence.promise != pilot.promise.digest:
            raise Refused(f"{name} was amended since its analysis", where=f"pilot {name}", remedy=again)
        if not is_current(room, pilot, analysis.evidence):
            raise Refused(f"data came in since the analysis of {name}", where=f"pilot {name}", remedy=again)
        require_none_open(room, pilot)
        certified = covering(room, pilot.promise, analysis.evidence.data)
        with scratch_in(pilot.folder / "sealing") as scratch:
            _gather(room, pilot, analysis, scratch)
            if certified is not None:
                write_json(scratch / AA, certified[0].as_json())
            return _seal(room, pilot, analysis, scratch, certified[1] if certified else None)


def _gather(room: Room, pilot: Pilot, analysis: Analysis, folder: Path) -> None:
    shutil.copytree(analysis.folder, folder, dirs_exist_ok=True)
    for name in pilot.promise.files:
        target = folder / FILES / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pilot.frozen_file(name), target)
    shutil.copyfile(pilot.frozen / PROMISE, folder / PROMISE)
    if pilot.amendments:
        write_json(folder / AMENDMENTS, Earlier.of(pilot.earlier()).model_dump())
    registration = registration_of(room, pilot)
    if registration is not None:
        write_json(folder / REGISTRATION, registration.as_json())
    with room.read() as connection:
        spend = Spend(entries=tuple(entries(connection, pilot)))
    write_json(folder / SPEND, spend.model_dump(mode="json"))


def _seal(room: Room, pilot: Pilot, analysis: Analysis, folder: Path, certified: Head | None) -> Submitted:
    written = room.entries()
    last = _last_entry(written, pilot, certified)
    shown = excerpt(written, _first_heard(written, pilot), last, pilot.name)
    write_json(folder / LEDGER, shown.as_json())
    sealed = seal(
        folder,
        workspace=room.workspace.id,
        mode=room.workspace.mode,
        pilot=pilot.name,
        promise=pilot.promise.digest,
        requester=pilot.charter.requester,
        covers_until=rfc3339(analysis.covers_until),
        ledger=last.as_json(),
    )
    kept_at = ask(room.workspace, TakeIn(candidate=sealed.digest), lambda parcel: _pack(folder, parcel))
    with room.transaction() as connection:
        known = connection.execute(sa.select(candidates).where(candidates.c.digest == sealed.digest)).first()
        if known is None:
            connection.execute(
                candidates.insert().values(digest=sealed.digest, pilot=pilot.name, at=rfc3339(room.now()))
            )
            room.write(connection, "submitted", pilot.name, {"candidate": sealed.digest})
    return Submitted(Candidate(Path(kept_at), sealed.manifest), repeated=known is not None)


def _pack(folder: Path, parcel: Path) -> None:
    shutil.copytree(folder, parcel, dirs_exist_ok=True)


def _last_entry(written: list[Entry], pilot: Pilot, certified: Head | None) -> Head:
    """The Lab's ledger at the last thing that is in the candidate: sealing the same again gives the same digest."""
    counted = {LAUNCHED, "amended", "deposited", "withdrawn", "ended", "recorded", "analysed", *BOOKINGS}
    heads = [Head(entry.seq, entry.hash) for entry in _of(written, pilot) if entry.kind in counted]
    return max([*heads, *([certified] if certified else [])], key=lambda head: head.seq)


def _first_heard(written: list[Entry], pilot: Pilot) -> Head:
    """The Lab's head that the gate witnessed when it first heard of the pilot."""
    launched = next(entry for entry in _of(written, pilot) if entry.kind == LAUNCHED)
    witnessed = launched.body.get("witnessed")
    # A pilot that was launched before the gate told it shows the whole chain, which that head is in.
    return Head(**witnessed) if witnessed else Head(0, GENESIS)


def _of(written: list[Entry], pilot: Pilot) -> list[Entry]:
    return [entry for entry in written if entry.subject == pilot.name]
