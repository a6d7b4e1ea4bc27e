"""Amending: the edited charter of a launched pilot becomes the next version of its promise, or is refused.

The Lab records the new version first and then deposits it with the gate: what is cut off in between is known to the
Lab, which takes no data or costs until the same command has finished it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import Any, Literal

import sqlalchemy as sa

from lab.budget.accounts import account
from lab.budget.budget import reserving
from lab.launch.preconditions import examine, examine_free, raise_first
from lab.pilots.looks import seen
from lab.pilots.pilot import Pilot, get_pilot, locked_pilot, require_undecided, version_folder
from lab.pilots.promise import Frozen, charter_place, freeze
from lab.state import amendments, batches, open_lab, pilots
from shared.core.clock import rfc3339
from shared.core.crashpoints import Point, reach
from shared.core.errors import BadInput, Refused
from shared.core.times import date_time
from shared.data.snapshot import open_snapshot
from shared.doors.door import ask
from shared.doors.requests import Register
from shared.experiment.amendment import Change, changes, extends, protected, remeasured, what_measures
from shared.experiment.charter import AMENDMENT_REASON_MIN, Promise
from shared.experiment.draw import redrawn
from shared.experiment.line import Uncarried
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.register import TooLate
from shared.trust.usage import SnapshotUser, declare

# What no amendment changes at any time: costs were reserved and paid in the currency.
_FIXED = {("charter", "pilot"), ("charter", "budget", "currency")}
# And from the moment that the time box has begun: that moment.
_BEGUN = {("charter", "time_box", "start"), ("charter", "time_box", "timezone")}
# By what units get their arms: under the first rules it may be changed until somebody is exposed.
_DRAWN = {"arms", "population", "eligible", "assignment", "layer", "cluster"}


@dataclass(frozen=True, slots=True)
class Amended:
    """A pilot after an amendment, or as it would be.

    Attributes:
        promise: the version that is in force now, or would be.
        changes: what differs from the version before, as `Change.as_json` writes it.
        outcome: `amended`; `planned` where it was only asked for; `finished` where it had been recorded before and
            cut off; `same` where the charter says what the version in force says.
    """

    pilot: Pilot
    promise: Promise
    changes: list[dict[str, Any]]
    outcome: Literal["amended", "planned", "finished", "same"]

    @property
    def begins_anew(self) -> bool:
        """Whether what decides is another thing now, so that nothing that happened before proves it."""
        before = self.pilot.promise if self.outcome in {"planned", "same"} else self.pilot.earlier()[-1]
        return bool(protected(before, self.promise))

    @property
    def reassigned(self) -> bool:
        """Whether units get their arms otherwise than before, so that lists of arms given out are void."""
        return self.promise.rules == 1 and any(change["path"].split(".")[0] in _DRAWN for change in self.changes)


def amend(
    workspace: Workspace,
    name: str,
    reason: str,
    *,
    dry_run: bool = False,
) -> Amended:
    """Makes the charter as it stands the next version of a pilot's promise; the same content again is a no-op.

    `line` tells beforehand what the gate would refuse because it continues earlier pilots.

    Raises Refused for what may no longer be changed, and the first of the obstacles where there are any.
    """
    reason = reason.strip()
    if len(reason) < AMENDMENT_REASON_MIN:
        raise BadInput(
            "an amendment needs a reason that others understand",
            where="--reason",
            expected=f"at least {AMENDMENT_REASON_MIN} characters",
            remedy="say in a sentence why the promise changes: the gate shows it to whoever decides",
        )
    room = open_lab(workspace)
    with locked_pilot(room, name) as known:
        finished = not dry_run and _deposit(room, known)
        pilot = get_pilot(room, name)
        frozen = freeze(workspace, name, open_snapshot(workspace, pilot.snapshot), eligible=pilot.eligible,
                        rules=pilot.promise.rules)  # fmt: skip
        if frozen.promise.same_as(pilot.promise):
            return _unchanged(pilot, finished=finished)
        frozen = replace(frozen, promise=frozen.promise.amending(pilot.promise, reason))
        with reserving(workspace):
            found = _plan(room, pilot, frozen)
            if dry_run:
                return Amended(pilot, frozen.promise, [change.as_json() for change in found], "planned")
            _record(room, pilot, frozen, found)
        _deposit(room, get_pilot(room, name))
        reach(Point.AMEND_DEPOSITED)
        return Amended(get_pilot(room, name), frozen.promise, [change.as_json() for change in found], "amended")


def _unchanged(pilot: Pilot, *, finished: bool) -> Amended:
    made = pilot.amendments[-1].changes if finished else []
    return Amended(pilot, pilot.promise, made, "finished" if finished else "same")


def _plan(room: Room, pilot: Pilot, frozen: Frozen) -> tuple[Change, ...]:
    """What would change; raises the first thing that speaks against it."""
    now, before, after = room.now(), pilot.promise, frozen.promise
    pilot.require_open(now, "amendments")
    require_undecided(room, pilot)
    found, exposed = changes(before, after), _exposed(room, pilot)
    began = now >= before.charter.time_box.starts
    _require_free("at any time", pilot, [change for change in found if change.path in _FIXED])
    _require_free("once the time box has begun", pilot, [c for c in found if began and c.path in _BEGUN])
    if exposed:
        _require_free("after the first exposure", pilot, list(protected(before, after)))
    _require_drawn_alike(pilot, after)
    if exposed:
        _require_unseen(room, pilot, after)
    _require_time(room, pilot, after)
    _require_money(room, pilot, after)
    if exposed:
        costlier = after.charter.budget.total.amount > before.charter.budget.total.amount
        raise_first(examine_free(room, frozen, costlier=costlier))
    else:
        same_start = after.charter.time_box.starts == before.charter.time_box.starts
        raise_first(examine(room, frozen, began=same_start).problems)
    return found


def _exposed(room: Room, pilot: Pilot) -> bool:
    """Whether results have been accepted: outcomes without exposures are results as well."""
    accepted = sa.func.coalesce(sa.func.sum(batches.c.exposures + batches.c.outcomes), 0)
    with room.read() as connection:
        return bool(connection.execute(sa.select(accepted).where(batches.c.pilot == pilot.name)).scalar_one())


def _require_free(since: str, pilot: Pilot, found: list[Change]) -> None:
    if found:
        raise Refused(
            f"{since} these cannot be changed: " + ", ".join(change.name for change in found),
            where=charter_place(pilot.charter),
            expected="; ".join(f"{change.name}: {_plain(change.before)}" for change in found),
            remedy=f"put them back (what was frozen lies in {pilot.frozen}), or start another pilot under a new name",
        )


def _require_drawn_alike(pilot: Pilot, after: Promise) -> None:
    """Raises Refused for other arms, or other measures of them: whoever knows the draw would have chosen them."""
    if after.rules == 1:
        return
    first = pilot.earlier()[0] if pilot.amendments else pilot.promise
    moved = redrawn(pilot.promise, after)
    told = "who gets which arm was drawn at the launch, and these would draw anew: "
    if not moved:
        moved = remeasured(what_measures(first), what_measures(after))
        told = "the arms are known since the launch, and these would measure them otherwise: "
    if moved:
        raise Refused(
            told + ", ".join(moved),
            where=charter_place(pilot.charter),
            expected=f"as they were frozen, in {pilot.frozen}",
            remedy="put them back, or start another pilot under a new name",
        )


def _require_unseen(room: Room, pilot: Pilot, after: Promise) -> None:
    """Raises Refused where a pilot would go on because of what somebody has seen of its outcomes.

    Evidence that is always valid allows for that.
    """
    if pilot.charter.sample.looks.method == "always_valid":
        return
    if extends(pilot.promise, after) and seen(room, pilot):
        raise Refused(
            f"outcomes of {pilot.name} were looked at, and a pilot that is made longer after a look stops when it "
            "looks good",
            where=charter_place(pilot.charter),
            expected=f"time_box.end {pilot.charter.time_box.end} and decide_by {pilot.charter.decide_by}, as they were",
            remedy="put the dates back, and plan another pilot with the longer time box",
        )


def _require_time(room: Room, pilot: Pilot, after: Promise) -> None:
    ends = after.charter.time_box.ends
    if ends <= room.now():
        raise Refused(
            f"the time box would be over since {date_time(ends)}",
            where=charter_place(pilot.charter),
            remedy=f'name a later end, or close the pilot: pilotplant lab end {pilot.name} --reason "…"',
        )


def _require_money(room: Room, pilot: Pilot, after: Promise) -> None:
    with room.read() as connection:
        bound = account(connection, pilot).bound
    if after.charter.budget.total.amount < bound.amount:
        raise Refused(
            f"the budget would be {after.charter.budget.total}, and {bound} are spent or held",
            where=charter_place(pilot.charter),
            expected=f"at least {bound}",
            remedy="leave it at what is spent and held, or above",
        )


def _record(room: Room, pilot: Pilot, frozen: Frozen, found: tuple[Change, ...]) -> None:
    """Freezes the new version and, in one transaction, puts it in force and reserves its budget."""
    name, promise, charter = pilot.name, frozen.promise, frozen.promise.charter
    # Until the new version is on record the old one is in force: the snapshot is kept for the later deadline of both.
    deadline = max(pilot.charter.deadline, charter.deadline)
    declare(room.workspace, SnapshotUser(pilot=name, snapshot=pilot.snapshot, deadline=deadline))
    folder = version_folder(pilot.folder, promise.version)
    shutil.rmtree(folder, ignore_errors=True)  # of an amendment that was cut off before it was recorded
    frozen.write(folder)
    reach(Point.AMEND_FROZEN)
    reason = promise.amends.reason if promise.amends else ""
    made = {"version": promise.version, "promise": promise.digest, "before": pilot.promise.digest, "reason": reason,
            "changes": [change.as_json() for change in found]}  # fmt: skip
    with room.transaction() as connection:
        now = room.moment(connection)
        connection.execute(amendments.insert().values(pilot=name, at=rfc3339(now), **made))
        _put_in_force(connection, promise)
        room.write(connection, "amended", name, {**made, "reserved": charter.budget.total.as_json()}, at=now)
        reach(Point.AMEND_WRITTEN)
    reach(Point.AMEND_RECORDED)


def _put_in_force(connection: sa.Connection, promise: Promise) -> None:
    """Judges the pilot by this version from now on, with its deadline and its budget."""
    charter = promise.charter
    connection.execute(
        sa.update(pilots)
        .where(pilots.c.name == charter.pilot)
        .values(promise=promise.digest, deadline=rfc3339(charter.deadline), reserved=str(charter.budget.total.amount))
    )


def _deposit(room: Room, pilot: Pilot) -> bool:
    """Has the gate take in a version that it does not have yet, and whether there was one.

    Raises Refused, and puts the version before in force again, where the time box of that was over by then, or where
    the version continues other pilots and does not carry what they have spent.
    """
    if not pilot.undeposited:
        return False
    with room.read() as connection:
        head = room.head(connection)
    try:
        receipt = ask(
            room.workspace,
            Register(
                promise=pilot.promise.content,
                lab=head,
                before=pilot.earlier()[-1].charter.time_box.ends,
                texts={file: pilot.frozen_file(file).read_bytes() for file in pilot.promise.files},
            ),
        )
    except Uncarried:
        _withdraw(room, pilot)
        raise
    except TooLate as error:
        _withdraw(room, pilot)
        raise Refused(
            f"version {pilot.promise.version} of the charter came too late: {error.what}",
            where=f"pilot {pilot.name}",
            expected="an amendment that is finished before the time box ends",
            remedy=f"version {pilot.promise.version - 1} is in force again; go on with: "
            f"pilotplant lab analyse {pilot.name}",
        ) from error
    reach(Point.AMEND_REGISTERED)
    at, version = rfc3339(receipt.at), pilot.promise.version
    this = (amendments.c.pilot == pilot.name) & (amendments.c.version == version)
    with room.transaction() as connection:
        connection.execute(sa.update(amendments).where(this).values(deposited_at=at))
        if protected(pilot.earlier()[-1], pilot.promise):
            # Exposures under what decided before are not exposures under what decides now.
            connection.execute(sa.update(pilots).where(pilots.c.name == pilot.name).values(deposited_at=at))
        body = {"version": version, "promise": pilot.promise.digest, "gate": {"at": at, **receipt.ledger.as_json()}}
        room.write(connection, "deposited", pilot.name, body)
        reach(Point.AMEND_NOTED)
    return True


def _withdraw(room: Room, pilot: Pilot) -> None:
    """Takes back a version that the gate never took in; nothing came in under it."""
    before, version = pilot.earlier()[-1], pilot.promise.version
    with room.transaction() as connection:
        connection.execute(
            sa.delete(amendments).where((amendments.c.pilot == pilot.name) & (amendments.c.version == version))
        )
        _put_in_force(connection, before)
        room.write(connection, "withdrawn", pilot.name, {"version": version, "promise": pilot.promise.digest})
    shutil.rmtree(version_folder(pilot.folder, version), ignore_errors=True)


def _plain(value: Any) -> str:
    if value is None:
        return "(nothing)"
    return "as frozen" if isinstance(value, dict | list) else str(value)
