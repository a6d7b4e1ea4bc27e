"""What waits for a decision: candidates that nobody has decided on, with their owners and deadlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

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


def waiting(workspace: Workspace, *, owner: str | None = None) -> list[dict[str, Any]]:
    """Each undecided candidate with its owner and the moment after which silence is *stop*, the nearest first.

    An owner's are also those that they may decide in the place of another, who is away, and those that they may sign
    as the second person. `deciders` are the owner and whoever stands in today; the owner alone where nobody may
    decide. `proposed` is what waits for a second signature, or for the gate's, with the command to type, or None; what
    waits for the gate has come in time, and does not lapse meanwhile. `declined` is what they had decided and the gate
    would not sign, or None. `due` is one on which a person must act within `remind_days` of configs/gate.yaml. `next`
    is what has to be done before it can be scaled: the command that has the Factory try it, or None. `warnings` are
    those that had failed when somebody looked last, None where nobody has: a list does not judge.
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
    return sorted(found, key=lambda entry: entry["until"])


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


def _entry(case: Case, settings: GateSettings, reader: str | None) -> dict[str, Any] | None:
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
    return {
        "pilot": charter.pilot,
        "candidate": digest_named(case.candidate),
        "owner": charter.owner,
        "deciders": able,
        "until": rfc3339(charter.deadline),
        "days_left": round(left, 1),
        "due": left <= settings.remind_days and not signed,
        "next": _next(case, settings),
        "warnings": warnings_seen(case.room, case.candidate),
        "proposed": _told(charter.pilot, waits, reader) if waits else None,
        "declined": None if waits else _declined(case),
    }


def _told(pilot: str, found: Proposed, reader: str | None) -> dict[str, Any]:
    """What waits for a signature, as JSON says it; `next` names the reader where they may give it."""
    others = list(found.others)
    who = reader if reader in others else others[0] if len(others) == 1 else "PERSON"
    return {
        "word": said(found.decision),
        "by": found.decision.owner,
        "at": found.decision.at,
        "reason": found.decision.reason,
        "persons": list(found.persons),
        "awaits": found.awaits,
        "others": others,
        "next": f"pilotplant promote countersign {pilot}"
        if found.awaits == "gate"
        else to_type(pilot, found.decision, str(who))
        if others
        else None,
    }


def _declined(case: Case) -> dict[str, Any] | None:
    """What was decided on this very candidate and the gate would not sign; None where there is no such thing."""
    found = last_pending(case.room, case.charter.pilot)
    if found is None or found.declined is None or not found.is_of(case):
        return None
    return {"proposal": found.digest, "word": said(found.decision), "persons": list(found.persons),
            "reason": found.declined}  # fmt: skip


def _next(case: Case, settings: GateSettings) -> str | None:
    """The command that is missing before the candidate can be scaled; None where the Factory has tried it lately."""
    rule = settings.policy(case.charter.risk_tier).rules[preflight_signed.name]
    try:
        tried = 0 <= case.preflight.age_days(case.now) <= rule.model_dump()["days_max"]
    except PilotPlantError:
        tried = False
    return None if tried else f"pilotplant factory preflight {case.charter.pilot}"


def measures(workspace: Workspace) -> dict[str, Any]:
    """The gate at a glance, for `status`: troubles, decisions by word, what waits, lapsed or is waived, hand-overs."""
    room, waits = open_promotion(workspace), waiting(workspace)
    decided = [entry.body.get("decision") for entry in room.entries(kinds=[DECIDED])]
    words = [str(said.get("word")) for said in decided if isinstance(said, dict)]
    return {
        "troubles": _troubles(room, waits, receptions(workspace)),
        "decisions": {word: words.count(word) for word in ("scale", "revise", "stop")},
        "waiting": waits,
        "lapsed": [asdict(lapse) for lapse in lapses(room).values()],
        "missed": [asdict(lapse) | {"told": lapse.told()} for lapse in missed(room)],
        "waivers": _standing(room),
        "handed_over": [asdict(one) for one in receptions(workspace)],
    }


def _troubles(room: Room, waits: list[dict[str, Any]], handed_over: Sequence[Reception]) -> list[dict[str, str]]:
    """What does not go on: a signature that the gate owes or has refused, a package that the Factory has refused."""
    found = []
    for entry in waits:
        pilot, signed, declined = entry["pilot"], entry["proposed"], entry["declined"]
        pending = last_pending(room, pilot) if signed and signed["awaits"] == "gate" else None
        if declined:
            what = f"the gate would not sign {declined['word']}: {declined['reason']}"
            found.append((pilot, what, f"Have {' or '.join(entry['deciders'])} decide anew."))
        if pending is not None and room.now() - pending.at > SIGNS_WITHIN:
            what = f"{signed['word']} waits for the gate's signature since {rfc3339(pending.at)}"
            found.append((pilot, what, f"Sign it, or let a service do so (--watch): {signed['next']}"))
    found += [
        (one.pilot, f"handed over as {one.release}: {one.told}", "When that is mended: pilotplant factory admit")
        for one in handed_over
        if one.state in {"refused", "unknown"}
    ]
    return [{"subject": pilot, "what": what, "next": step, "told": f"{pilot}: {what}. {step}"}
            for pilot, what, step in found]  # fmt: skip


def _standing(room: Room) -> list[dict[str, Any]]:
    """Every waiver that has not ended, as its ledger entry says it."""
    now, found = room.now(), []
    for entry in room.entries(kinds=[WAIVED]):
        if now < parse_rfc3339(str(entry.body["until"])):
            said = {key: entry.body[key] for key in ("check", "arm", "by", "until", "reason")}
            found.append({"pilot": entry.subject, **said})
    return found
