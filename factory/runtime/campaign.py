"""A campaign's way through one occurrence: verified, selected, rendered in the box, and sent at most once.

The database and the file channel hold the truth, so a kill at any instant leaves either nothing to be seen, or
a whole file that the next attempt at the same occurrence puts on record.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from factory.delivery.channels import file as channel
from factory.delivery.messages import Prepared, prepare
from factory.releases.inbox import package_folder
from factory.releases.packages import verify
from factory.releases.releases import play_of
from factory.state.room import open_factory
from factory.state.states import Release, get_release, halted, permitted, stopped
from factory.state.tables import TOO_LATE, runs
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.errors import Fault, PilotPlantError, Refused
from shared.experiment.play import Schedule
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.package import Verified

_FACTS = ("audience", "held_out", "messages", "file", "file_digest")


@dataclass(frozen=True, slots=True)
class RunResult:
    """What an attempt at one occurrence came to; one that failed raises instead.

    Attributes:
        state: `repeated` where an earlier attempt had done it all, so that this one did nothing.
        reason: one sentence for people.
        audience: units selected; of these `held_out` were left alone.
        file: what was written; None where nothing was.
    """

    release: str
    occurrence: datetime
    state: Literal["done", "repeated", "skipped", "refused"]
    reason: str
    audience: int | None = None
    held_out: int | None = None
    messages: int | None = None
    file: Path | None = None
    file_digest: str | None = None


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt: where, at what, and the state of affairs it began under."""

    room: Room
    release: Release
    occurrence: datetime
    flow_run: str | None

    @property
    def workspace(self) -> Workspace:
        return self.room.workspace

    @property
    def scratch(self) -> Path:
        return self.workspace.factory / "scratch" / self.release.name

    @property
    def final(self) -> Path:
        return channel.outgoing(self.workspace, self.release.name, self.occurrence)


def run_occurrence(
    workspace: Workspace, release: str, occurrence: datetime, *, flow_run: str | None = None
) -> RunResult:
    """Runs a release at one moment of its schedule; whoever asks twice is told so, and nothing happens twice.

    Raises BadInput for an unknown release, OutOfOrder where the clock is behind the ledger, Contained or Undecided
    from the box, and PilotPlantError where a file on record is missing or changed; the last three are on record as
    failed.
    """
    room = open_factory(workspace)
    with room.transaction() as connection:
        get_release(connection, release)
        # A clock that is behind what was written already says of nothing whether it is due.
        room.moment(connection)
    with _one_at_a_time(workspace):
        with room.read() as connection:
            now = permitted(workspace, get_release(connection, release))
            attempt = _Attempt(room, now, occurrence.astimezone(UTC), flow_run)
            row, everything = _row(connection, attempt), stopped(workspace, connection)
        # What a killed attempt left belongs to nobody: attempts wait for each other.
        _clear(attempt)
        return _settled(attempt, row) or _stopped(attempt, everything) or _run(attempt)


def close_cut_off(workspace: Workspace) -> list[str]:
    """Puts on record what became of the runs whose process was killed; returns one sentence for each.

    One that nobody is at work on has failed, unless its file is there. Running that occurrence again begins anew.
    """
    room = open_factory(workspace)
    with room.read() as connection:
        left = connection.execute(sa.select(runs).where(runs.c.state == "started")).all()
    said = []
    for row in left:
        with suppress(PilotPlantError, BlockingIOError), _one_at_a_time(workspace, wait=False):
            said.append(_close_cut_off(room, row.release, parse_rfc3339(row.occurrence)))
    return [line for line in said if line]


def _close_cut_off(room: Room, release: str, occurrence: datetime) -> str | None:
    with room.read() as connection:
        attempt = _Attempt(room, get_release(connection, release), occurrence, None)
        row = _row(connection, attempt)
    if row is None or row.state != "started":
        return None  # it has ended meanwhile
    _clear(attempt)
    if _settled(attempt, row) is None:
        _record_failure(attempt, PilotPlantError("its process was killed before anything was sent"))
    with room.read() as connection:
        state = _row(connection, attempt).state  # type: ignore[union-attr]  # nobody removes rows
    return f"the run of {release} at {rfc3339(occurrence)} was cut off; on record it is {state} now"


def _run(attempt: _Attempt) -> RunResult:
    try:
        package = _verified(attempt)
        if isinstance(package, RunResult):
            return package
        why_not = _before_admission(attempt) or _not_due(package.play.schedule, attempt.occurrence, attempt.room.now())
        if why_not:
            return _close(attempt, "skipped", why_not)
        _begin(attempt)
        prepared = prepare(attempt.workspace, package, attempt.occurrence, attempt.scratch)
        _remember(attempt, prepared)
        return _send(attempt, prepared)
    except Exception as error:
        # Whatever it was, the record says that this occurrence has failed, and why; then it goes on its way, which a
        # disk that takes no record must not hide.
        with suppress(Fault):
            _record_failure(attempt, error)
        raise
    finally:
        _clear(attempt)


def _clear(attempt: _Attempt) -> None:
    shutil.rmtree(attempt.scratch, ignore_errors=True)
    channel.discard_partials(attempt.final)


def _settled(attempt: _Attempt, row: sa.Row[Any] | None) -> RunResult | None:
    """What earlier attempts have settled for good: a file that is there has been sent, whatever holds now."""
    final = attempt.final
    if row is not None and row.state == "done":
        _require_intact(attempt, row)
        return _result(attempt, "repeated", f"done already at {row.ended_at}; nothing was sent again", row)
    if not final.exists():
        return None
    if row is None or row.file_digest is None:
        what = "a file is there that no run of this release has written"
        raise _failed(attempt, what, "move it away, and find out who put it there; then run this occurrence again")
    _require_intact(attempt, row)
    with attempt.room.transaction() as connection:
        _record_sent(attempt, connection, dict(row._mapping), found=True)  # noqa: SLF001 - SQLAlchemy's public name
        row = _row(connection, attempt)
    return _result(attempt, "done", "an earlier attempt had written the file and was cut off; it is on record now", row)


def _stopped(attempt: _Attempt, stopped: str | None) -> RunResult | None:
    why = halted(attempt.release, stopped)
    return None if why is None else _close(attempt, "skipped", why)


def _verified(attempt: _Attempt) -> Verified | RunResult:
    """The package, if it verifies now and is still the one that was admitted."""
    release = attempt.release
    found = verify(attempt.workspace, package_folder(attempt.workspace, release.package), now=attempt.room.now())
    if not isinstance(found, Verified):
        return _close(attempt, "refused", "; ".join(found))
    admitted = (release.name, release.package, release.attestation)
    if (found.release, found.digest, found.attestation.digest) != admitted:
        return _close(attempt, "refused", "the package in the inbox is another one than was admitted")
    return found


def _before_admission(attempt: _Attempt) -> str | None:
    """Why a moment from before the release was there is not run, whatever the clock shows; None where it is not one.

    A rehearsal's clock may be set back, and its releases then run again.
    """
    admitted = parse_rfc3339(attempt.release.admitted_at)
    if attempt.workspace.mode == "rehearsal" or attempt.occurrence >= admitted:
        return None
    return f"this moment is from before the release was admitted, at {attempt.release.admitted_at}"


def _not_due(schedule: Schedule, occurrence: datetime, now: datetime) -> str | None:
    """Why this occurrence is not to be run now; None where it is."""
    upcoming = f"the next one is at {rfc3339(schedule.next(now))}"
    if not schedule.has(occurrence):
        return f"the schedule `{schedule.cron}` ({schedule.timezone}) does not name this moment; {upcoming}"
    if schedule.still_due(occurrence, now):
        return None
    if occurrence > now:
        return f"too early: by the workspace's clock it is {rfc3339(now)}; {upcoming}"
    late_s = round((now - occurrence).total_seconds()) - schedule.grace_minutes * 60
    return f"{TOO_LATE} by {timedelta(seconds=late_s)}, with a grace of {schedule.grace_minutes} min; {upcoming}"


def _begin(attempt: _Attempt) -> None:
    with attempt.room.transaction() as connection:
        _write_row(connection, attempt, state="started", reason=None, ended_at=None, new_attempt=True)


def _remember(attempt: _Attempt, prepared: Prepared) -> None:
    """Puts on record what is about to be revealed, so that a file found later can be known for ours."""
    with attempt.room.transaction() as connection:
        _write_row(connection, attempt, **_on_record(attempt, prepared))


def _on_record(attempt: _Attempt, prepared: Prepared) -> dict[str, Any]:
    return {
        "audience": prepared.audience,
        "held_out": prepared.held_out,
        "messages": prepared.messages,
        "file": str(attempt.final.relative_to(attempt.workspace.factory)),
        "file_digest": prepared.digest,
    }


def _send(attempt: _Attempt, prepared: Prepared) -> RunResult:
    """The one moment that counts: still live, under the same epoch, and then file and record together."""
    with attempt.room.transaction() as connection:
        row = _row(connection, attempt)
        if row is not None and row.state == "done":
            return _result(attempt, "repeated", "another attempt has just done it; nothing was sent again", row)
        attempt.room.moment(connection)
        everything = stopped(attempt.workspace, connection)
        now = permitted(attempt.workspace, get_release(connection, attempt.release.name))
        if everything is None and (now.state, now.epoch) == ("live", attempt.release.epoch):
            if not channel.reveal(prepared.partial, attempt.final):
                _require_digest(attempt, prepared.digest)
            _record_sent(attempt, connection, _on_record(attempt, prepared), found=False)
            said = f"{prepared.messages} messages written, {prepared.held_out} of {prepared.audience} units held out"
            return _result(attempt, "done", said + prepared.remark, _row(connection, attempt))
    why = (
        f"everything was stopped meanwhile: {everything}"
        if everything
        else f"the release is {now.state} since it began"
    )
    return _close(attempt, "skipped", f"{why}; nothing was sent")


def _record_sent(attempt: _Attempt, connection: sa.Connection, row: dict[str, Any], *, found: bool) -> None:
    facts = {key: row[key] for key in _FACTS}
    _write_row(connection, attempt, state="done", reason=None, ended_at=rfc3339(attempt.room.now()), **facts)
    body = facts | {"occurrence": rfc3339(attempt.occurrence), "package": attempt.release.package, "found": found}
    attempt.room.write(connection, "sent", attempt.release.name, body | {"flow_run": attempt.flow_run})


def _close(attempt: _Attempt, state: Literal["skipped", "refused"], reason: str) -> RunResult:
    """Ends an attempt that sends nothing; the ledger hears of each reason once."""
    with attempt.room.transaction() as connection:
        row = _row(connection, attempt)
        known = row is not None and (row.state, row.reason) == (state, reason)
        # Nothing was revealed, so whatever had been prepared before is of no account any more.
        cleared = dict.fromkeys(_FACTS)
        fresh = row is None or row.state != "started"
        ended = rfc3339(attempt.room.now())
        _write_row(connection, attempt, state=state, reason=reason, ended_at=ended, new_attempt=fresh, **cleared)
        if not known:
            _tell(attempt, connection, state, reason)
    return RunResult(attempt.release.name, attempt.occurrence, state, reason)


def _record_failure(attempt: _Attempt, error: Exception) -> None:
    reason = str(error).replace("\n", "; ") or type(error).__name__
    with attempt.room.transaction() as connection:
        row = _row(connection, attempt)
        if row is not None and row.state == "done":
            return
        _write_row(connection, attempt, state="failed", reason=reason, ended_at=rfc3339(attempt.room.now()))
        _tell(attempt, connection, "failed", reason)


def _require_intact(attempt: _Attempt, row: sa.Row[Any]) -> None:
    """Raises PilotPlantError, once on the ledger, unless the file of a run is there as it was written."""
    try:
        if not attempt.final.exists():
            what = f"the file of this run, {row.file}, is missing"
            raise _failed(
                attempt, what, "restore it from a backup; nothing is sent again, or people would get it twice"
            )
        _require_digest(attempt, row.file_digest)
    except PilotPlantError as error:
        with attempt.room.transaction() as connection:
            if row.reason != error.what:
                # The run stays done: its messages may be out already, and must not go out again.
                _write_row(connection, attempt, reason=error.what)
                _tell(attempt, connection, "failed", error.what)
        raise


def _require_digest(attempt: _Attempt, expected: str) -> None:
    if channel.read_back(attempt.final) != expected:
        what = "the file of this run was changed after it was written"
        raise _failed(attempt, what, f"restore it from a backup; its digest was {expected}")


def _tell(attempt: _Attempt, connection: sa.Connection, kind: str, reason: str) -> None:
    body = {"occurrence": rfc3339(attempt.occurrence), "reason": reason, "flow_run": attempt.flow_run}
    attempt.room.write(connection, kind, attempt.release.name, body)


def _failed(attempt: _Attempt, what: str, remedy: str) -> PilotPlantError:
    return PilotPlantError(what, where=f"release {attempt.release.name}, {attempt.final}", remedy=remedy)


def _row(connection: sa.Connection, attempt: _Attempt) -> sa.Row[Any] | None:
    return connection.execute(sa.select(runs).where(_this(attempt))).first()


def _write_row(connection: sa.Connection, attempt: _Attempt, *, new_attempt: bool = False, **values: Any) -> None:
    row = _row(connection, attempt)
    if row is None:
        start = {"attempts": 1, "started_at": rfc3339(attempt.room.now())}
        identity = {"release": attempt.release.name, "occurrence": rfc3339(attempt.occurrence)}
        connection.execute(runs.insert().values(**identity, **start, **values))
        return
    again = {"attempts": row.attempts + 1, "started_at": rfc3339(attempt.room.now())} if new_attempt else {}
    connection.execute(runs.update().where(_this(attempt)).values(**again, **values))


def _this(attempt: _Attempt) -> sa.ColumnElement[bool]:
    return sa.and_(runs.c.release == attempt.release.name, runs.c.occurrence == rfc3339(attempt.occurrence))


def _result(attempt: _Attempt, state: Literal["done", "repeated"], reason: str, row: sa.Row[Any] | None) -> RunResult:
    facts = {name: getattr(row, name) for name in ("audience", "held_out", "messages", "file_digest")} if row else {}
    return RunResult(attempt.release.name, attempt.occurrence, state, reason, file=attempt.final, **facts)


@contextmanager
def _one_at_a_time(workspace: Workspace, *, wait: bool = True) -> Iterator[None]:
    """Holds the lock of all runs, which the kernel lifts even after a kill; who comes second waits for the first.

    One for all releases: a run leaves alone whom the others have written to, and so must see what they sent. Without
    `wait` it raises BlockingIOError instead.
    """
    path = workspace.factory / "scratch" / "runs.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def run_now(workspace: Workspace, name: str, occurrence: datetime | None = None) -> RunResult:
    """Runs the occurrence that is due, which is the latest one; `occurrence` names another.

    Raises Refused where there has been none since the release was admitted.
    """
    with open_factory(workspace).read() as connection:
        release = get_release(connection, name)
    if occurrence is None:
        schedule, now = play_of(workspace, release).schedule, workspace.clock.now()
        occurrence = schedule.latest(now)
        if workspace.mode == "live" and occurrence < parse_rfc3339(release.admitted_at):
            raise Refused(
                f"no moment of its schedule has come since release {name} was admitted, at {release.admitted_at}",
                where=f"the schedule `{schedule.cron}` ({schedule.timezone})",
                expected=f"a run at {rfc3339(schedule.next(now))}",
                remedy="wait for it; nothing was recorded",
            )
    return run_occurrence(workspace, name, occurrence)
