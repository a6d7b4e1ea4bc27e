"""Attestations: an in-toto statement of verdict and decision in a DSSE envelope, signed by gate and owner.

The predicate is shaped like SLSA's Verification Summary (https://slsa.dev/spec/v1.1/verification_summary):
who verified what, under which policy, with which result; the decision and every finding stand beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.core.clock import parse_rfc3339
from shared.core.digests import PREFIX, canonical, digest_bytes, hex_of
from shared.core.errors import BadInput
from shared.core.frozen import FrozenModel
from shared.experiment.people import Tier
from shared.state.workspace import Mode
from shared.trust.decision import Decision
from shared.trust.finding import Finding, Verdict, failed_warnings
from shared.trust.proposal import read_proposal, read_second
from shared.trust.signed import Signed, verifies
from shared.trust.waiver import SignedWaiver, read_waiver

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signer

    from shared.trust.keys import PublicKey

# So many that were read are kept.
REMEMBERED = 2048
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:pilotplant:promotion:v1"


class PriorRecord(FrozenModel):
    """What effects were to be expected before the pilot.

    Attributes:
        mean, sd, df: location, scale and degrees of freedom of a t distribution; normal where df is None.
        pilots: how many past pilots it was fitted on; 0 for the default, which follows from the charter's minimum.
    """

    mean: float
    sd: float
    df: float | None = None
    pilots: int


class Promised(FrozenModel):
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


class Scope(FrozenModel):
    """What an attestation is for; nothing else may be run on it.

    Attributes:
        release, arm: for *scale*, else None.
    """

    workspace: str
    release: str | None = None
    arm: str | None = None


class Signatory(FrozenModel):
    """Who signed, with which key.

    Attributes:
        at: when, by the gate's clock; a proposal was signed before the rest.
        reason: what they gave as theirs; None for the gate.
    """

    name: str
    role: Literal["gate", "owner"]
    key_id: str
    at: str
    reason: str | None = None


class Predicate(FrozenModel):
    """What is attested.

    Attributes:
        tier: the charter's risk tier.
        scope: what it is for.
        nonce: random, and never given twice; a Factory admits it for one package.
        predecessor: the digest of the attestation of the pilot that this one follows; None where it follows none.
        signatures_required: how many persons had to sign, by the gate's policy.
        signatories: who did, and the gate.
        proposal: the envelope of what a person signed before the gate did: the first of two, or the owner alone.
        second: the envelope of a second person's signature under the proposal, where it stands apart as well.
        waivers: the envelope of each waiver by which a finding was waived.
        verdict: the fold of the findings.
        warnings: the names of the findings that warned, and failed or could not be evaluated; attestations of before
            do not list them.
        promised: for *scale*: what to expect of the arm on each primary metric; attestations of before have none.
        policy: the digest of the policy that was applied.
        mode: a rehearsal's attestation says so and counts nowhere else.
        expires: after this moment the package no longer runs.
        ledgers: the rooms' heads at that time, by room, as witnesses.
    """

    schema_version: Literal[2] = 2
    verifier: str
    time_verified: str
    pilot: str
    promise: str
    policy: str
    tier: Tier
    scope: Scope
    mode: Mode
    verdict: Verdict
    findings: tuple[Finding, ...]
    # Left out of what is signed where there is none, as it always was.
    warnings: tuple[str, ...] = Field(default=(), exclude_if=lambda warnings: not warnings)
    decision: Decision
    promised: tuple[Promised, ...] = ()
    evidence: str
    cost: dict[str, str]
    expires: str
    nonce: str = Field(pattern=r"^[0-9a-f]{32}$")
    predecessor: str | None = None
    signatures_required: int = Field(ge=1, le=2)
    signatories: tuple[Signatory, ...]
    proposal: dict[str, Any] | None = None
    second: dict[str, Any] | None = Field(default=None, exclude_if=lambda second: second is None)
    waivers: tuple[dict[str, Any], ...] = ()
    ledgers: dict[str, dict[str, Any]]

    @model_validator(mode="after")
    def _scope_is_the_decisions(self) -> Predicate:
        if (self.scope.arm, self.scope.release) != (self.decision.arm, self.decision.release):
            raise ValueError("its scope is not what was decided")
        return self

    @model_validator(mode="after")
    def _warnings_are_the_findings(self) -> Predicate:
        if self.warnings and self.warnings != tuple(one.name for one in failed_warnings(self.findings)):
            raise ValueError("its warnings are not those of its findings")
        return self

    @property
    def workspace(self) -> str:
        """The workspace in which it counts."""
        return self.scope.workspace


class _Digest(FrozenModel):
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class _Subject(FrozenModel):
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
        """Those of `keys` whose signature is good, on it or on what persons signed of it before the gate did."""
        before = {key.key_id for key, _ in self._signed_before(keys)[0]}
        return [key for key in keys if key.key_id in before or verifies(self.envelope, key)]

    def distrust(
        self,
        trusted: Sequence[PublicKey],
        *,
        now: datetime,
        witnessed: datetime | None = None,
        signatures_min: int = 1,
    ) -> list[str]:
        """Every reason not to believe it, given the keys one trusts; empty where there is none.

        `witnessed` is when somebody else is known to have had it: only that dates the signature of a revoked key.
        `signatures_min` is how many persons must have signed, whatever the attestation itself asks for.
        """
        ours = [key for key in trusted if key.mode == self.predicate.mode]
        try:
            at = parse_rfc3339(self.predicate.time_verified)
        except ValueError:
            return [f"the moment of its verification cannot be read: {self.predicate.time_verified}"]
        before, reasons = self._signed_before(ours)
        signed = [*((key, at) for key in ours if verifies(self.envelope, key)), *before]
        doubts = [key.doubt(when, witnessed=witnessed) for key, when in signed]
        counted = [key for (key, _), doubt in zip(signed, doubts, strict=True) if doubt is None]
        reasons += dict.fromkeys(doubt for doubt in doubts if doubt)
        persons = [key for key in counted if key.role == "owner"]
        gates = {key.public for key in counted if key.role == "gate"}
        reasons += self._missing(gates, persons, max(signatures_min, self.predicate.signatures_required))
        reasons += self._unwaived(ours, at, witnessed)
        if parse_rfc3339(self.predicate.expires) <= now:
            reasons.append(f"it expired at {self.predicate.expires}")
        return reasons

    def persons(self, keys: Sequence[PublicKey]) -> list[str]:
        """The persons among those who hold `keys` who have signed it, or have signed its decision before the gate."""
        return list(dict.fromkeys(key.name for key in self.signed_by(keys) if key.role == "owner"))

    def _signed_before(self, keys: Sequence[PublicKey]) -> tuple[list[tuple[PublicKey, datetime]], list[str]]:
        """The keys by which persons signed this very decision before the gate did, with when, and what is wrong."""
        said = self.predicate
        if said.proposal is None:
            return [], [] if said.second is None else ["its second signature is under no proposal"]
        signed, doubts, digest = self._proposed(keys)
        if said.second is None or doubts:
            return signed, doubts
        more, doubts = self._seconded(keys, digest)
        return [*signed, *more], doubts

    def _proposed(self, keys: Sequence[PublicKey]) -> tuple[list[tuple[PublicKey, datetime]], list[str], str]:
        """The proposer's key, what is wrong with the proposal, and its digest."""
        said = self.predicate
        try:
            found = read_proposal(said.proposal, where="its proposal")
        except BadInput as error:
            return [], [f"its proposal cannot be believed: {error.what}"], ""
        made = found.proposal
        theirs = (made.pilot, made.candidate, made.promise, made.workspace, made.mode)
        ours = (said.pilot, self.candidate, said.promise, said.workspace, said.mode)
        if theirs != ours or not found.stands_under(said.verdict):
            return [], ["its proposal is of another candidate, workspace or verdict"], ""
        if made.decision.model_copy(update={"at": said.decision.at}) != said.decision:
            return [], ["its proposal is of another decision"], ""
        signed = _of_person(found.signed, keys, made.decision.owner)
        return [(key, found.at) for key in signed], found.signed.refusals(keys), found.signed.digest

    def _seconded(self, keys: Sequence[PublicKey], proposal: str) -> tuple[list[tuple[PublicKey, datetime]], list[str]]:
        """The second person's key, and what is wrong with their signature."""
        said = self.predicate
        try:
            other = read_second(said.second, where="its second signature")
        except BadInput as error:
            return [], [f"its second signature cannot be believed: {error.what}"]
        under = other.second
        if (under.proposal, under.workspace, under.mode) != (proposal, said.workspace, said.mode):
            return [], ["its second signature is under another proposal"]
        signed = _of_person(other.signed, keys, under.person)
        return [(key, other.at) for key in signed], other.signed.refusals(keys)

    def _unwaived(self, keys: Sequence[PublicKey], at: datetime, witnessed: datetime | None) -> list[str]:
        """Every finding that is said to be waived, and for which no waiver stood when it was verified."""
        said, signed = self.predicate, {}
        for envelope in said.waivers:
            try:
                waiver = read_waiver(envelope, where="its waivers")
            except BadInput:
                continue
            made = waiver.waiver
            theirs = (made.pilot, made.candidate, made.workspace, made.mode)
            if theirs == (said.pilot, self.candidate, said.workspace, said.mode) and waiver.at <= at < waiver.until:
                by = _of_person(waiver.signed, keys, made.person)
                if any(key.doubt(waiver.at, witnessed=witnessed) is None for key in by):
                    signed[waiver.signed.digest] = waiver
        return [
            f"{finding.check} was waived, and no waiver of it that stood is signed with a key trusted here"
            for finding in said.findings
            if finding.outcome == "waived" and not _is_waived(finding, signed)
        ]

    def _missing(self, gates: set[str], persons: list[PublicKey], required: int) -> list[str]:
        """Whose signatures are missing; a person counts once, and so does a key, whoever's it is said to be."""
        owner, reasons = self.predicate.decision.owner, []
        names = sorted({key.name.casefold() for key in persons})
        # One passkey has another id for each site that it is enrolled for.
        keys = {key.public for key in persons}
        if not gates:
            reasons.append("no gate whose key is trusted here has signed it")
        if owner.casefold() not in names:
            reasons.append(f"its decision owner {owner} has not signed it with a key trusted here")
        elif min(len(names), len(keys)) < required:
            reasons.append(
                f"{self.predicate.tier} risk needs the signatures of {required} persons, each with a key of their own "
                f"that is trusted here; signed by {', '.join(names)}"
            )
        elif gates and len(gates | keys) <= required:
            reasons.append("gate and owner signed with the same key")
        return reasons


def _is_waived(finding: Finding, signed: Mapping[str, SignedWaiver]) -> bool:
    waiver = signed.get(finding.waived.waiver) if finding.waived else None
    return waiver is not None and waiver.concerns(finding)


def _of_person(signed: Signed, keys: Sequence[PublicKey], who: str) -> list[PublicKey]:
    """The person's own keys among those by which a statement is signed."""
    return [key for key in signed.verified_by(keys) if key.role == "owner" and key.name == who]


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
        digest, predicate = _read(raw)
        return Attestation(Envelope.from_dict(json.loads(raw)), predicate, digest, digest_bytes(raw))
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError, RecursionError) as error:
        raise BadInput("the attestation is damaged", where=where) from error


@lru_cache(maxsize=REMEMBERED)
def _read(raw: bytes) -> tuple[str, Predicate]:
    """Of which candidate an envelope's bytes speak, and what they say; the same bytes always say the same."""
    from securesystemslib.dsse import Envelope

    envelope = Envelope.from_dict(json.loads(raw))
    # Base64 and JSON leave room for other bytes of the same meaning: only the canonical ones count.
    if canonical(envelope.to_dict()) != raw or envelope.payload_type != PAYLOAD_TYPE:
        raise ValueError("not in canonical form")
    content = json.loads(envelope.payload)
    statement = Statement.model_validate({"type_": content.pop("_type"), **content})
    [subject] = statement.subject
    for moment in (statement.predicate.expires, statement.predicate.decision.at):
        parse_rfc3339(moment)
    return PREFIX + subject.digest.sha256, statement.predicate
