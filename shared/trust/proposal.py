"""Proposals: what persons sign of a decision before the gate does, each in a statement of their own."""

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
from shared.trust.decision import Decision
from shared.trust.finding import Verdict
from shared.trust.signed import Signed, parse

PROPOSAL = "proposal"
SECOND = "second-signature"


class Proposal(FrozenModel):
    """A decision that waits for a second person's signature, or for the gate's.

    Attributes:
        candidate, promise, workspace: what it is about, and where; it counts for nothing else.
        verdict: the gate's, as the first person knew it.
        lapses: the charter's deadline.
    """

    schema_version: Literal[1] = 1
    pilot: str
    candidate: str
    promise: str
    workspace: str
    mode: Mode
    verdict: Verdict
    decision: Decision
    lapses: str


@dataclass(frozen=True, slots=True)
class SignedProposal:
    """A proposal with its signature; believe it only after `signed.verified_by` named the proposer's key."""

    proposal: Proposal
    signed: Signed

    @property
    def at(self) -> datetime:
        """When its signer says that it was signed."""
        return parse_rfc3339(self.proposal.decision.at)

    def stands_under(self, verdict: Verdict) -> bool:
        """Whether it stands where the gate's verdict is this one by now.

        *Scale* depends on the verdict. Whoever revises or stops does so whatever the gate refuses, but not without
        knowing that an arm may be scaled.
        """
        before = self.proposal.verdict
        return verdict == before or (self.proposal.decision.word != "scale" and verdict != "admit")

    def as_json(self) -> dict[str, Any]:
        """The envelope, as the ledger and an attestation carry it."""
        found: dict[str, Any] = self.signed.envelope.to_dict()
        return found


class SecondSignature(FrozenModel):
    """A second person's signature under a proposal.

    Attributes:
        proposal: the digest of the signed proposal, and with it all that it says.
        reason: what the second person gave as theirs.
    """

    schema_version: Literal[1] = 1
    proposal: str
    workspace: str
    mode: Mode
    person: str
    reason: str
    at: str


@dataclass(frozen=True, slots=True)
class SignedSecond:
    """A second signature as it was read; believe it only after `signed.verified_by` named the person's key."""

    second: SecondSignature
    signed: Signed

    @property
    def at(self) -> datetime:
        """When its signer says that it was signed."""
        return parse_rfc3339(self.second.at)

    def as_json(self) -> dict[str, Any]:
        """The envelope, as the ledger and an attestation carry it."""
        found: dict[str, Any] = self.signed.envelope.to_dict()
        return found


def read_proposal(envelope: Any, *, where: str) -> SignedProposal:
    """The proposal in an envelope's JSON; raises BadInput for anything that is none."""
    signed = _parse(envelope, PROPOSAL, where)
    try:
        proposal = Proposal.model_validate_json(json.dumps(signed.content))
        parse_rfc3339(proposal.decision.at)
    except (ValidationError, ValueError) as error:
        raise BadInput("the proposal is damaged", where=where) from error
    return SignedProposal(proposal, signed)


def read_second(envelope: Any, *, where: str) -> SignedSecond:
    """The second signature in an envelope's JSON; raises BadInput for anything that is none."""
    signed = _parse(envelope, SECOND, where)
    try:
        second = SecondSignature.model_validate_json(json.dumps(signed.content))
        parse_rfc3339(second.at)
    except (ValidationError, ValueError) as error:
        raise BadInput("the second signature is damaged", where=where) from error
    return SignedSecond(second, signed)


def _parse(envelope: Any, kind: str, where: str) -> Signed:
    """The statement in an envelope that one person has signed, and nobody else."""
    signed = parse(canonical(envelope), kind, where=where)
    if len(signed.envelope.signatures) != 1:
        raise BadInput(f"the {kind} has {len(signed.envelope.signatures)} signatures", where=where, expected="one")
    return signed
