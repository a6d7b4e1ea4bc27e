"""The audit: who decided what on which evidence, as of a moment, read from the ledger and the attestations."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import sqlalchemy as sa

from promotion.audit.verification import enrolled_keys, verify
from promotion.decisions.silence import settle
from promotion.registry.lapses import Lapse, lapses
from promotion.state import DECIDED, decisions, open_promotion
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.digests import hex_of
from shared.core.errors import BadInput
from shared.state.chain import Entry
from shared.state.ledger import legible
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.attestation import Attestation, parse_attestation
from shared.trust.keys import PublicKey
from shared.trust.record import attestation_path

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose good signature is on an attestation."""

    key_id: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """One decision; what only the attestation says is None where that cannot be believed.

    Attributes:
        at: when the gate's ledger has it.
        candidate, attestation, evidence, policy: digests.
        problems: what is wrong with this decision's own record.
    """

    pilot: str
    at: str
    word: str | None
    owner: str | None
    reason: str | None
    arm: str | None
    release: str | None
    candidate: str | None
    attestation: str | None
    evidence: str | None
    policy: str | None
    verdict: str | None
    mode: str | None
    keys: tuple[Signer, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """Every decision up to a moment, in the ledger's order, and everything that is wrong with the gate's record.

    Attributes:
        lapsed: the pilots of which the deadline had passed by then without a decision.
    """

    as_of: datetime
    rulings: tuple[Ruling, ...]
    lapsed: tuple[Lapse, ...]
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "as_of": rfc3339(self.as_of),
            "decisions": [{"schema_version": SCHEMA_VERSION, **asdict(ruling)} for ruling in self.rulings],
            "lapsed": [{"schema_version": SCHEMA_VERSION, **asdict(lapse)} for lapse in self.lapsed],
            "problems": list(self.problems),
        }


def audit(workspace: Workspace, as_of: datetime) -> Audit:
    """What had been decided by then, judged by the record as it is now."""
    room = open_promotion(workspace)
    settle(room)
    with room.read() as connection:
        told = legible(connection, room.entries_table)
    problems, keys = verify(workspace).problems, enrolled_keys(room)
    decided = [entry for entry in told if entry.kind == DECIDED and _by(entry.at, as_of)]
    rulings = tuple(_ruling(room, entry, keys, problems) for entry in decided)
    # Silence was *stop* from the deadline on, whenever the next command recorded it.
    lapsed = tuple(lapse for lapse in lapses(room).values() if _by(lapse.deadline, as_of))
    return Audit(as_of, rulings, lapsed, tuple(problems))


def moment_of(text: str) -> datetime:
    """The end of a day (UTC), or a moment with its offset; raises BadInput for anything else."""
    try:
        if len(text) == len("2026-11-27"):
            return datetime.combine(date.fromisoformat(text), time.max, UTC)
        return parse_rfc3339(text)
    except (ValueError, OverflowError) as error:
        raise BadInput(
            f"`{text}` is not a date",
            where="--as-of",
            expected="like 2026-11-27, which includes that day (UTC), or 2026-11-27T18:00:00Z",
        ) from error


def _by(at: str, as_of: datetime) -> bool:
    try:
        return parse_rfc3339(at) <= as_of
    except (ValueError, TypeError):
        return True  # whenever it was: `problems` names the entry, and leaving it out would hide it


def _ruling(room: Room, entry: Entry, keys: list[PublicKey], problems: list[str]) -> Ruling:
    said = entry.body.get("decision")
    decision = said if isinstance(said, dict) else {}
    candidate, digest = _text(entry.body.get("candidate")), _text(entry.body.get("attestation"))
    attestation = _attestation(room, entry, digest)
    predicate = attestation.predicate if attestation else None
    short = hex_of(candidate or "")[:12]
    own = [text for text in problems if text.startswith((f"attestation {short}", f"candidate {short}"))]
    if attestation is None:
        own.append(f"decision on {entry.subject}: no attestation is left that the ledger's digest fits")
    elif attestation.digest == digest and attestation.candidate != candidate:
        own.append(f"decision on {entry.subject}: its attestation speaks of another candidate")
    changed = f"entry {entry.seq} "
    return Ruling(
        pilot=entry.subject,
        at=entry.at,
        word=_text(decision.get("word")),
        owner=_text(decision.get("owner")),
        reason=_text(decision.get("reason")),
        arm=_text(decision.get("arm")),
        release=_text(decision.get("release")),
        candidate=candidate,
        attestation=digest,
        evidence=predicate.evidence if predicate else None,
        policy=predicate.policy if predicate else None,
        verdict=predicate.verdict if predicate else None,
        mode=predicate.mode if predicate else None,
        keys=tuple(Signer(k.key_id, k.name, k.role) for k in (attestation.signed_by(keys) if attestation else [])),
        problems=(*own, *(text for text in problems if changed in text)),
    )


def _attestation(room: Room, entry: Entry, digest: str | None) -> Attestation | None:
    """The attestation whose digest the ledger has: its file, or the gate's own copy where the file is not that one."""
    with room.read() as connection:
        query = sa.select(decisions.c.envelope).where(decisions.c.pilot == entry.subject)
        copies = [bytes(copy) for copy in connection.execute(query).scalars()]
    try:
        path = attestation_path(room.workspace, _text(entry.body.get("candidate")) or "")
        copies.insert(0, path.read_bytes())
    except (OSError, ValueError):
        pass  # `problems` names it
    for raw in copies:
        try:
            found = parse_attestation(raw, where=f"decision on {entry.subject}")
        except BadInput:
            continue
        if found.digest == digest:
            return found
    return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
