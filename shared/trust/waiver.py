"""Waivers: a person's signed exception from one check, for one candidate, until a moment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import ValidationError

from shared.core.clock import parse_rfc3339
from shared.core.digests import canonical
from shared.core.errors import BadInput
from shared.core.frozen import FrozenModel
from shared.state.workspace import Mode
from shared.trust.finding import Finding, Waived
from shared.trust.signed import Signed, parse

WAIVER = "waiver"


class Waiver(FrozenModel):
    """What somebody waives.

    Attributes:
        candidate, workspace: what it is for, and where; it counts for nothing else.
        check, arm: the check, and the one arm it is waived for; None for every arm.
        person: who waives it.
        at: from when; until: it counts up to this moment, and no longer. RFC 3339.
    """

    schema_version: Literal[1] = 1
    pilot: str
    candidate: str
    workspace: str
    mode: Mode
    check: str
    arm: str | None = None
    person: str
    reason: str
    at: str
    until: str


@dataclass(frozen=True, slots=True)
class SignedWaiver:
    """A waiver with its signature; believe it only after `signed.verified_by` named the person's key."""

    waiver: Waiver
    signed: Signed

    @property
    def at(self) -> datetime:
        """From when it counts."""
        return parse_rfc3339(self.waiver.at)

    @property
    def until(self) -> datetime:
        """The first moment at which it no longer counts."""
        return parse_rfc3339(self.waiver.until)

    def as_json(self) -> dict[str, Any]:
        """The envelope, as the ledger and an attestation carry it."""
        found: dict[str, Any] = self.signed.envelope.to_dict()
        return found

    def concerns(self, finding: Finding) -> bool:
        """Whether a finding is one of the check, and the arm, that it waives."""
        return self.waiver.check == finding.check and self.waiver.arm in {None, finding.arm}

    def applied(self, finding: Finding) -> Finding:
        """The finding as waived, with what was really found."""
        said = self.waiver
        waived = Waived(
            by=said.person,
            until=said.until,
            reason=said.reason,
            outcome=finding.outcome,
            found=finding.reason,
            waiver=self.signed.digest,
        )
        told = f"{finding.reason}; waived by {said.person} until {said.until}: {said.reason}"
        return finding.model_copy(update={"outcome": "waived", "waived": waived, "reason": told})


def read_waiver(envelope: Any, *, where: str) -> SignedWaiver:
    """The waiver in an envelope's JSON; raises BadInput for anything that is none."""
    signed = parse(canonical(envelope), WAIVER, where=where)
    try:
        waiver = Waiver.model_validate_json(json.dumps(signed.content))
        found = SignedWaiver(waiver, signed)
        if found.until <= found.at:
            raise ValueError("it ends before it begins")
    except (ValidationError, ValueError) as error:
        raise BadInput("the waiver is damaged", where=where) from error
    return found
