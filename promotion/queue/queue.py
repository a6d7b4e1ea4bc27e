"""What waits for a decision: candidates that nobody has decided on, with their owners and deadlines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

import sqlalchemy as sa

from promotion.decisions.pending_decision import last_pending
from promotion.decisions.proposal import Proposed, proposed, said, to_type
from promotion.decisions.silence import settle
from promotion.gate.authority import deciders
from promotion.gate.case import Case, open_case
from promotion.gate.checks.release.preflight_signed import preflight_signed
from promotion.gate.decision_findings import occasion
from promotion.gate.policy import GateSettings, read_settings
from promotion.gate.waivers import WAIVED
from promotion.queue.looks import warnings_seen
from promotion.queue.reception import Reception, receptions
from promotion.queue.views import Declined, Measures, Missed, Signed, Trouble, Waiting, Waived
from promotion.registry.lapses import lapses, missed
from promotion.state import DECIDED, decisions, open_promotion
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.errors import BadInput, PilotPlantError
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.candidate import Candidate
from shared.trust.candidates import digest_named, find_candidate, latest

SECONDS_PER_DAY = 86_400
# A service signs within seconds, and ops within a working day's hours; what waits longer was forgotten.
SIGNS_WITHIN = timedelta(hours=4)


def undecided(room: Room) -> list[Candidate]:
    """The latest candidate of each pilot without a decision, and not lapsed either."""
    with room.read() as connection:
        decided = set(connection.execute(sa.select(decisions.c.pilot)).scalars())
    closed = decided | lapses(room).keys()
    return [candidate for pilot, candidate in latest(room.workspace).items() if pilot not in closed]


def waiting(workspace: Workspace, *, owner: str | None = None) -> list[Waiting]:
    """Each undecided candidate, the one whose deadline is nearest first.

    An owner's are also those that they may decide in the place of another, who is away, and those that they may sign
    as the second person.
    """
    room, settings = open_promotion(workspace), read_settings(workspace)
    settle(room)
    found = []
    for candidate in undecided(room):
        case = open_case(room, _candidate_of(room, candidate, settings))
        try:
            _ = case.charter
        except BadInput:
            continue  # a damaged candidate is `promote verify`'s to name
        entry = _entry(case, settings, owner)
        if entry is not None:
            found.append(entry)
    return sorted(found, key=lambda entry: entry.until)


def _candidate_of(room: Room, latest_one: Candidate, settings: GateSettings) -> Candidate:
    """The candidate that the gate is to sign for, where all persons have signed; else the pilot's latest."""
    found = last_pending(room, latest_one.manifest.pilot)
    if found is None or found.declined is not None:
        return latest_one
    try:
        signed = find_candidate(room.workspace, found.proposal.proposal.candidate)
        tier = signed.promise().charter.risk_tier
    except PilotPlantError:
        return latest_one  # `promote verify` names it
    return signed if found.awaits_gate(settings.signatures_min.of(tier)) else latest_one


def _entry(case: Case, settings: GateSettings, reader: str | None) -> Waiting | None:
    """One candidate that waits, for somebody who reads; None where it does not wait for them."""
    charter = case.charter
    on = occasion(case, settings.policy(charter.risk_tier))
    waits = proposed(case, on, settings.signatures_min.of(charter.risk_tier))
    able = list(deciders(on)) or [on.owner]
    others, signed = (waits.others, waits.awaits == "gate") if waits else ((), False)
    if case.now >= charter.deadline and not signed:
        return None
    if reader is not None and reader not in {on.owner, *able, *others}:
        return None
    left = (charter.deadline - case.now).total_seconds() / SECONDS_PER_DAY
    return Waiting(
        pilot=charter.pilot,
        candidate=digest_named(case.candidate),
        owner=charter.owner,
        deciders=tuple(able),
        until=charter.deadline,
        days_left=round(left, 1),
        due=left <= settings.remind_days and not signed,
        next=_next(case, settings),
        warnings=warnings_seen(case.room, case.candidate),
        proposed=_signed(charter.pilot, waits, reader) if waits else None,
        declined=None if waits else _declined(case),
    )


def _signed(pilot: str, found: Proposed, reader: str | None) -> Signed:
    """What waits for a signature; `next` names the reader where they may give it."""
    others = list(found.others)
    who = reader if reader in others else others[0] if len(others) == 1 else "PERSON"
    return Signed(
        word=said(found.decision),
        arm=found.decision.arm,
        revises=bool(found.decision.arm and found.decision.successor),
        by=found.decision.owner,
        at=found.decision.at,
        reason=found.decision.reason,
        persons=tuple(found.persons),
        awaits=found.awaits,
        others=tuple(others),
        next=f"pilotplant promote countersign {pilot}"
        if found.awaits == "gate"
        else to_type(pilot, found.decision, str(who))
        if others
        else None,
    )


def _declined(case: Case) -> Declined | None:
    """What was decided on this very candidate and the gate would not sign; None where there is no such thing."""
    found = last_pending(case.room, case.charter.pilot)
    if found is None or found.declined is None or not found.is_of(case):
        return None
    return Declined(found.digest, said(found.decision), tuple(found.persons), found.declined)


def _next(case: Case, settings: GateSettings) -> str | None:
    """The command that is missing before the candidate can be scaled; None where the Factory has tried it lately."""
    rule = settings.policy(case.charter.risk_tier).rules[preflight_signed.name]
    try:
        tried = 0 <= case.preflight.age_days(case.now) <= rule.model_dump()["days_max"]
    except PilotPlantError:
        tried = False
    return None if tried else f"pilotplant factory preflight {case.charter.pilot}"


def measures(workspace: Workspace) -> Measures:
    """The gate at a glance, for `status`: troubles, decisions by word, what waits, lapsed or is waived, hand-overs."""
    room, waits, crossing = open_promotion(workspace), waiting(workspace), receptions(workspace)
    decided = [entry.body.get("decision") for entry in room.entries(kinds=[DECIDED])]
    words = [str(said.get("word")) for said in decided if isinstance(said, dict)]
    return Measures(
        troubles=tuple(_troubles(room, waits, crossing)),
        decisions={word: words.count(word) for word in ("scale", "revise", "stop")},
        waiting=tuple(waits),
        lapsed=tuple(lapses(room).values()),
        missed=tuple(map(Missed, missed(room))),
        waivers=tuple(_standing(room)),
        handed_over=crossing,
    )


def _troubles(room: Room, waits: Sequence[Waiting], handed_over: Sequence[Reception]) -> Iterator[Trouble]:
    """What does not go on: a signature that the gate owes or has refused, a package that the Factory has refused."""

    def trouble(pilot: str, what: str, step: str) -> Trouble:
        return Trouble(pilot, what, step, f"{pilot}: {what}. {step}")

    for entry in waits:
        signed, declined = entry.proposed, entry.declined
        if declined:
            what = f"the gate would not sign {declined.word}: {declined.reason}"
            yield trouble(entry.pilot, what, f"Have {' or '.join(entry.deciders)} decide anew.")
        pending = last_pending(room, entry.pilot) if signed and signed.for_gate else None
        if signed and pending is not None and room.now() - pending.at > SIGNS_WITHIN:
            what = f"{signed.word} waits for the gate's signature since {rfc3339(pending.at)}"
            yield trouble(entry.pilot, what, f"Sign it, or let a service do so (--watch): {signed.next}")
    for one in handed_over:
        if one.state in {"refused", "unknown"}:
            what = f"handed over as {one.release}: {one.told}"
            yield trouble(one.pilot, what, "When that is mended: pilotplant factory admit")


def _standing(room: Room) -> Iterator[Waived]:
    """Every waiver that has not ended."""
    for entry in room.entries(kinds=[WAIVED]):
        if room.now() < parse_rfc3339(str(entry.body["until"])):
            said = {key: entry.body[key] for key in ("check", "arm", "by", "until", "reason")}
            yield Waived(entry.subject, **said)
