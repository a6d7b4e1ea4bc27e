"""The gate's public record: attestations and receipts, which every room may read as files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from shared.core.clock import parse_rfc3339
from shared.core.digests import hex_of
from shared.core.errors import BadInput
from shared.state.workspace import Workspace
from shared.trust.attestation import Attestation, read_attestation
from shared.trust.decision import Decision

SILENCE = "no decision was made"


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision with what it stands on."""

    pilot: str
    promise: str
    candidate: str
    decision: Decision

    @property
    def at(self) -> datetime:
        """When it was signed."""
        return parse_rfc3339(self.decision.at)


def attestation_path(workspace: Workspace, candidate: str) -> Path:
    """Where the attestation over a candidate lies."""
    return workspace.promotion / "attestations" / f"{hex_of(candidate)}.json"


def receipt_path(workspace: Workspace, promise: str) -> Path:
    """Where the gate's receipt for a promise lies."""
    return receipts_folder(workspace) / f"{hex_of(promise)}.json"


def receipts_folder(workspace: Workspace) -> Path:
    """Where the gate's receipts lie."""
    return workspace.promotion / "receipts"


def decisions(workspace: Workspace) -> dict[str, Decided]:
    """The decision on each pilot that has one, by pilot; damaged attestations are left to `promote verify`."""
    found = {}
    for path in sorted((workspace.promotion / "attestations").glob("*.json")):
        try:
            attestation = read_attestation(path)
        except BadInput:
            continue
        found[attestation.predicate.pilot] = _decided(attestation)
    return found


def _decided(attestation: Attestation) -> Decided:
    predicate = attestation.predicate
    return Decided(predicate.pilot, predicate.promise, attestation.candidate, predicate.decision)
