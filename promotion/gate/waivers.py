"""Waivers before the gate: which of those that were recorded count for a case, and what they make of a finding."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from promotion.gate.case import Case
from promotion.gate.check import Rule
from promotion.keys.keyring import KEY_KINDS, keyring
from promotion.keys.passkey_uses import is_backwards
from shared.core.clock import parse_rfc3339
from shared.core.errors import PilotPlantError
from shared.state.chain import Entry
from shared.state.room import Room
from shared.trust.finding import Finding
from shared.trust.keys import PublicKey
from shared.trust.waiver import SignedWaiver, read_waiver

WAIVED = "waived"
# What may be waived: what did not pass, and what could not be evaluated.
POOR = frozenset({"failed", "unevaluable"})


def waivers_of(room: Room, pilot: str) -> tuple[SignedWaiver, ...]:
    """Every waiver that was recorded of a pilot, expired ones too, and signed with a key that counted then."""
    keys = [key for key in keyring(room.entries(kinds=KEY_KINDS), room.workspace).every() if key.role == "owner"]
    found = (_read(entry) for entry in room.entries(pilot, kinds=[WAIVED]))
    return tuple(
        waiver
        for entry, waiver in (one for one in found if one is not None)
        for key in waiver.signed.verified_by(keys)
        if key.name == waiver.waiver.person
        and _counted(key, waiver, entry)
        and is_backwards(room, waiver.signed) is None
    )


def recorded_waivers(case: Case) -> tuple[SignedWaiver, ...]:
    """The waivers of the case's pilot; none where the ledger cannot be relied on, so that nothing is waived by it."""
    try:
        if case.registrations:
            return waivers_of(case.room, case.candidate.manifest.pilot)
    except Exception:  # noqa: BLE001 - whatever stops it, no finding is waived
        return ()
    return ()


def waived(
    case: Case, findings: Sequence[Finding], rule: Rule | None, recorded: Sequence[SignedWaiver]
) -> tuple[Finding, ...]:
    """A check's findings with those waived that a standing waiver concerns; any other waiver is only told of."""
    if rule is None or not recorded:
        return tuple(findings)
    return tuple(_waived(case, finding, rule, recorded) if finding.outcome in POOR else finding for finding in findings)


def standing(waiver: SignedWaiver, candidate: str, now: datetime) -> str | None:
    """Why a waiver does nothing, in words; None where it stands."""
    said = waiver.waiver
    if said.candidate != candidate:
        return f"a waiver by {said.person} was for another candidate"
    if now >= waiver.until:
        return f"a waiver by {said.person} ended at {said.until}"
    return None


def _waived(case: Case, finding: Finding, rule: Rule, recorded: Sequence[SignedWaiver]) -> Finding:
    dead = []
    for waiver in recorded:
        if not waiver.concerns(finding):
            continue
        why = standing(waiver, case.digest, case.now)
        if why is None and rule.waivable:
            return waiver.applied(finding)
        dead.append(why or f"a waiver by {waiver.waiver.person} does nothing: the policy lets nobody waive this check")
    if not dead:
        return finding
    return finding.model_copy(update={"reason": f"{finding.reason} ({'; '.join(dict.fromkeys(dead))})"})


def _counted(key: PublicKey, waiver: SignedWaiver, entry: Entry) -> bool:
    said = waiver.waiver
    same = (said.pilot, said.candidate, said.check) == (entry.subject, entry.body["candidate"], entry.body["check"])
    return same and key.doubt(waiver.at, witnessed=parse_rfc3339(entry.at)) is None


def _read(entry: Entry) -> tuple[Entry, SignedWaiver] | None:
    try:
        return entry, read_waiver(entry.body["envelope"], where=f"entry {entry.seq} of the gate's ledger")
    except (PilotPlantError, KeyError, TypeError):
        return None
