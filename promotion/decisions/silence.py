"""Silence: a deadline that passes without a decision is *stop*, and the gate's ledger says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa

from promotion.decisions.pending_decision import Pending, last_in, last_pending
from promotion.gate.case import Case, open_case
from promotion.gate.checks import CHECKS
from promotion.gate.gate import fold, judge
from promotion.gate.policy import read_settings
from promotion.registry.lapses import LAPSED, Lapse, lapse_of, lapses_in
from promotion.state import decisions
from shared.core.clock import rfc3339
from shared.core.crashpoints import Point, reach
from shared.core.errors import PilotPlantError
from shared.state.room import Room
from shared.trust.candidates import digest_named, latest


def settle(room: Room) -> tuple[Lapse, ...]:
    """Records what has lapsed since the last time, each pilot once; returns what was recorded now.

    Every command that lists, judges or decides calls it first, so no clock has to run in between. A candidate
    whose deadline cannot be believed (damaged, or with a charter that the gate never took in) is left alone.
    """
    return tuple(found for case in _overdue(room) if (found := _record(room, case)) is not None)


def _overdue(room: Room) -> list[Case]:
    """The cases past their deadline without a decision or an entry, whose deadline can be believed."""
    with room.read() as connection:
        closed = set(connection.execute(sa.select(decisions.c.pilot)).scalars()) | lapses_in(connection, room).keys()
    cases = (open_case(room, found) for pilot, found in latest(room.workspace).items() if pilot not in closed)
    return [case for case in cases if _is_overdue(case)]


def _is_overdue(case: Case) -> bool:
    try:
        return case.now >= case.charter.deadline and case.registered_at is not None and not case.tampered
    except (PilotPlantError, OSError, ValueError, OverflowError):
        return False  # what cannot be read is `promote verify`'s to name


def _record(room: Room, case: Case) -> Lapse | None:
    pilot, charter = case.charter.pilot, case.charter
    if _is_signed_in_time(case, last_pending(room, pilot)):
        return None
    body = {"candidate": digest_named(case.candidate), "owner": charter.owner, "deadline": rfc3339(charter.deadline)}
    verdicts = _verdicts(case)
    with room.transaction() as connection:
        decided = connection.execute(sa.select(decisions.c.pilot).where(decisions.c.pilot == pilot)).first()
        pending = last_in(connection, room, pilot)
        if decided is not None or lapse_of(connection, room, pilot) is not None or _is_signed_in_time(case, pending):
            return None
        at = room.moment(connection)
        declined = _declined(case, pending)
        more = {"declined": declined} if declined else {}
        room.write(connection, LAPSED, pilot, {**body, "verdicts": verdicts, **more}, at=at)
        reach(Point.LAPSE_WRITTEN)
    reach(Point.LAPSE_RECORDED)
    return Lapse(pilot, **body, at=rfc3339(at), verdicts=verdicts, declined=declined)


def _is_signed_in_time(case: Case, found: Pending | None) -> bool:
    """Whether all persons have signed in time what the gate has not answered yet: that is no silence.

    Only the gate's own refusal ends it: whether a signature counts is asked when the gate judges.
    """
    return found is not None and found.declined is None and _is_in_time(case, found)


def _declined(case: Case, found: Pending | None) -> str | None:
    """Why the gate did not sign what was decided in time; None where nothing was."""
    return found.declined if found is not None and _is_in_time(case, found) else None


def _is_in_time(case: Case, found: Pending) -> bool:
    signatures_min = read_settings(case.room.workspace).signatures_min.of(case.charter.risk_tier)
    return found.is_in_time(case, signatures_min)


def _verdicts(case: Case) -> dict[str, str]:
    """What the checks of the evidence come to for each arm, at the last moment before the deadline."""
    policy = read_settings(case.room.workspace).policy(case.charter.risk_tier)
    judged = judge(replace(case, now=case.charter.deadline - timedelta(seconds=1)), policy)
    of_evidence = {check.name for check in CHECKS if check.group == "evidence"}
    return {arm: fold(one for one in judged.of_arm(arm) if one.check in of_evidence) for arm in judged.arms}
