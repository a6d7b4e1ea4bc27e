"""Attestations: an in-toto statement of verdict and decision in a DSSE envelope, signed by gate and owner.

The predicate is shaped like SLSA's Verification Summary (https://slsa.dev/spec/v1.1/verification_summary):
who verified what, under which policy, with which result; the decision and every finding stand beside it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.clock import parse_rfc3339
from shared.digests import PREFIX, canonical, digest_bytes, hex_of
from shared.errors import BadInput
from shared.finding import Finding
from shared.signed import verifies
from shared.workspace import Mode

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signer

    from shared.keys import PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:pilotplant:promotion:v1"
Word = Literal["scale", "revise", "stop"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Decision(_Record):
    """The owner's word.

    Attributes:
        arm, release: for *scale*: what is handed over, and the name of the release it becomes.
        insight: for *stop* always, else where one was given: what was learned.
        successor: for *revise*: the draft that follows.
    """

    word: Word
    owner: str
    reason: str
    at: str
    arm: str | None = None
    release: str | None = None
    insight: str | None = None
    successor: str | None = None

    def same_as(self, other: Decision) -> bool:
        """Whether both say the same, whenever they were said."""
        return self.model_copy(update={"at": other.at}) == other


class PriorRecord(_Record):
    """What effects were to be expected before the pilot.

    Attributes:
        mean, sd, df: location, scale and degrees of freedom of a t distribution; normal where df is None.
        pilots: how many past pilots it was fitted on; 0 for the default, which follows from the charter's minimum.
    """

    mean: float
    sd: float
    df: float | None = None
    pilots: int


class Promised(_Record):
    """What a scaled arm promises on a primary metric.

    Attributes:
        estimate, se: the effect as it was estimated, and its standard error. Who is chosen for a large estimate was, on
            average, lucky as well.
        mean, low, high: what to expect: the estimate shrunk towards the prior, with its credible interval at 1 - alpha.
    """

    metric: str
    estimate: float
    se: float
    mean: float
    low: float
    high: float
    prior: PriorRecord


class Predicate(_Record):
    """What is attested.

    Attributes:
        verdict: the fold of the findings.
        promised: for *scale*: what to expect of the arm on each primary metric; attestations of before have none.
        policy: the digest of the policy that was applied.
        workspace, mode: where; a rehearsal's attestation says so and counts nowhere else.
        expires: after this moment the package no longer runs.
        ledgers: the rooms' heads at that time, by room, as witnesses.
    """

    schema_version: Literal[1] = 1
    verifier: str
    time_verified: str
    pilot: str
    promise: str
    policy: str
    workspace: str
    mode: Mode
    verdict: Literal["admit", "refuse", "undecided"]
    findings: tuple[Finding, ...]
    decision: Decision
    promised: tuple[Promised, ...] = ()
    evidence: str
    cost: dict[str, str]
    expires: str
    ledgers: dict[str, dict[str, Any]]


class _Digest(_Record):
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class _Subject(_Record):
    name: str
    digest: _Digest


class Statement(BaseModel):
    """The in-toto statement."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    type_: Literal["https://in-toto.io/Statement/v1"]
    subject: tuple[_Subject]
    predicateType: Literal["urn:pilotplant:promotion:v1"]  # noqa: N815 - in-toto's own name
    predicate: Predicate


@dataclass(frozen=True, slots=True)
class Attestation:
    """A signed statement; believe its predicate only after `distrust` came back empty."""

    envelope: Envelope
    predicate: Predicate
    candidate: str
    digest: str

    def signed_by(self, keys: Sequence[PublicKey]) -> list[PublicKey]:
        """Those of `keys` whose signature is on it and good."""
        return [key for key in keys if verifies(self.envelope, key)]

    def distrust(self, trusted: Sequence[PublicKey], *, now: datetime) -> list[str]:
        """Every reason not to believe it, given the keys one trusts; empty where there is none."""
        reasons = []
        signed = self.signed_by([key for key in trusted if key.mode == self.predicate.mode])
        gates = {key.key_id for key in signed if key.role == "gate"}
        owners = {key.key_id for key in signed if key.role == "owner" and key.name == self.predicate.decision.owner}
        if not gates:
            reasons.append("no gate whose key is trusted here has signed it")
        if not owners:
            reasons.append(
                f"its decision owner {self.predicate.decision.owner} has not signed it with a key trusted here"
            )
        if gates and owners and len(gates | owners) == 1:
            reasons.append("gate and owner signed with the same key")
        if parse_rfc3339(self.predicate.expires) <= now:
            reasons.append(f"it expired at {self.predicate.expires}")
        return reasons


def attest(candidate: str, predicate: Predicate, signers: Sequence[Signer]) -> bytes:
    """The envelope's bytes, signed by all of `signers`, in canonical form."""
    from securesystemslib.dsse import Envelope

    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "candidate", "digest": {"sha256": hex_of(candidate)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate.model_dump(mode="json"),
    }
    envelope = Envelope(canonical(statement), PAYLOAD_TYPE, {})
    for signer in signers:
        envelope.sign(signer)
    return canonical(envelope.to_dict())


def read_attestation(path: Path) -> Attestation:
    """The attestation in a file; raises BadInput where any byte of it is not as `attest` writes it."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadInput("the attestation is missing", where=str(path)) from error
    return parse_attestation(raw, where=str(path))


def parse_attestation(raw: bytes, *, where: str) -> Attestation:
    """The attestation in an envelope's bytes; raises BadInput like `read_attestation`."""
    from securesystemslib.dsse import Envelope  # a list of pilots without a decision does without it

    try:
        envelope = Envelope.from_dict(json.loads(raw))
        # Base64 and JSON leave room for other bytes of the same meaning: only the canonical ones count.
        if canonical(envelope.to_dict()) != raw or envelope.payload_type != PAYLOAD_TYPE:
            raise ValueError("not in canonical form")
        content = json.loads(envelope.payload)
        statement = Statement.model_validate({"type_": content.pop("_type"), **content})
        [subject] = statement.subject
        digest = PREFIX + subject.digest.sha256
        for moment in (statement.predicate.expires, statement.predicate.decision.at):
            parse_rfc3339(moment)
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError, RecursionError) as error:
        raise BadInput("the attestation is damaged", where=where) from error
    return Attestation(envelope, statement.predicate, digest, digest_bytes(raw))
