"""Recording: the one transaction that makes a decision, and what is recorded of a pilot."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from promotion.decisions.pending_decision import require_last
from promotion.gate.case import Case
from promotion.gate.policy import Policy
from promotion.registry.lapses import require_open
from promotion.registry.portfolio import outcome
from promotion.state import DECIDED, decisions
from shared.core.crashpoints import Point, reach
from shared.core.digests import digest_bytes
from shared.core.errors import Refused
from shared.state.room import Room
from shared.trust.attestation import Attestation, parse_attestation
from shared.trust.candidates import digest_named
from shared.trust.decision import Decision


def record(
    room: Room, case: Case, attestation: Attestation, envelope: bytes, policy: Policy, proposal: str | None
) -> None:
    """One transaction makes the decision; everything after it can be repeated.

    `proposal` is the digest of what persons have signed of it before: it must be the last one still.
    """
    decision, signatories = attestation.predicate.decision, attestation.predicate.signatories
    with room.transaction() as connection:
        require_undecided(connection, case.charter.pilot)
        require_open(connection, room, case.charter.pilot)
        if proposal is not None:
            require_last(connection, room, case.charter.pilot, proposal)
        connection.execute(
            decisions.insert().values(
                pilot=case.charter.pilot,
                candidate=digest_named(case.candidate),
                at=decision.at,
                envelope=envelope,
            )
        )
        body = {
            "candidate": digest_named(case.candidate),
            "attestation": digest_bytes(envelope),
            "decision": decision.model_dump(mode="json"),
            "policy": policy.as_json(),
            "ledgers": {"lab": case.candidate.manifest.ledger},
            "portfolio": outcome(attestation),
            "signatories": [one.model_dump(mode="json") for one in signatories],
            **_handed_over(case, decision),
        }
        room.write(connection, DECIDED, case.charter.pilot, body)
        reach(Point.DECIDE_WRITTEN)
    reach(Point.DECIDE_RECORDED)


def require_undecided(connection: sa.Connection, pilot: str) -> None:
    """Raises Refused where a pilot was decided meanwhile; asked within the transaction that decides or proposes."""
    taken = connection.execute(sa.select(decisions.c.envelope).where(decisions.c.pilot == pilot)).scalar_one_or_none()
    if taken is not None:
        before = parse_attestation(taken, where=f"decision on {pilot}").predicate.decision
        raise Refused(
            f"somebody else has just decided on {pilot}: {before.word} by {before.owner} at {before.at} "
            f"({before.reason})",
            remedy="a decision stands; look: pilotplant promote log",
        )


def _handed_over(case: Case, decision: Decision) -> dict[str, Any]:
    """What goes to the Factory by this decision: from the moment of its commit on it is owed."""
    if decision.release is None:
        return {}
    return {"hand_over": {"package": digest_named(case.candidate), "release": decision.release, "arm": decision.arm}}


def recorded(room: Room, pilot: str) -> Attestation | None:
    """The attestation of the decision on a pilot, or None."""
    with room.read() as connection:
        envelope = connection.execute(
            sa.select(decisions.c.envelope).where(decisions.c.pilot == pilot)
        ).scalar_one_or_none()
    return None if envelope is None else parse_attestation(envelope, where=f"decision on {pilot}")


def row_of(room: Room, pilot: str) -> sa.Row[tuple[object, ...]]:
    """The row of a pilot that was decided."""
    with room.read() as connection:
        return connection.execute(sa.select(decisions).where(decisions.c.pilot == pilot)).one()
