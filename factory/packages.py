"""Packages: a candidate with its attestation, believed only after every reason against it was looked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from factory.state import inbox, open_factory, read_settings, releases
from factory.trust import narrowed, published_keys
from shared.attestation import Attestation, read_attestation
from shared.candidate import FILES, Candidate, open_candidate
from shared.charter import RELEASE_CHARACTERS_MAX, Promise
from shared.clock import parse_rfc3339
from shared.decision import Decision
from shared.digests import digest_bytes, hex_of
from shared.errors import PilotPlantError, Refused
from shared.keys import PublicKey, read_public
from shared.people import Tier, same_person
from shared.play import Play
from shared.workspace import Workspace

# Where the charter cannot be read there is no tier.
STRICTEST: Tier = "high"
CANDIDATE = "candidate"
ATTESTATION = "attestation.json"
# A release's name becomes a folder's, a deployment's and part of every message's key.
RELEASE_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Sealed:
    """One arm of a candidate, whose files are as they were sealed.

    Attributes:
        release: the name it has, or would have, as a release.
        promise: the frozen charter with what it refers to.
    """

    release: str
    arm: str
    candidate: Candidate
    promise: Promise

    @property
    def digest(self) -> str:
        """The package's name: its candidate's digest."""
        return self.candidate.digest

    @property
    def play(self) -> Play:
        """What is to be run."""
        return self.promise.charter.play(self.arm)

    def text(self, name: str) -> str:
        """A file of the play, read and held against the sealed digest in one go, so that no change slips in between.

        Raises Refused where the bytes are others than those that were attested.
        """
        path = self.candidate.file(name)
        content = path.read_bytes()
        if digest_bytes(content) != self.candidate.manifest.files[f"{FILES}/{name}"]:
            raise Refused(f"`{name}` was changed after it was sealed", where=str(path), remedy="restore the package")
        return content.decode()


@dataclass(frozen=True, slots=True)
class Verified(Sealed):
    """A package that may run now.

    Attributes:
        folder: where it lies.
    """

    folder: Path
    attestation: Attestation


def package_folder(workspace: Workspace, digest: str) -> Path:
    """The folder of an admitted package."""
    return inbox(workspace) / hex_of(digest)


def verify(workspace: Workspace, folder: Path, *, now: datetime) -> Verified | list[str]:
    """The package, or every reason why it does not run here at this moment.

    Admission and each run ask this one function; nothing it found is remembered in between.
    """
    reasons = _strangers(folder)
    candidate, attestation = _read_candidate(folder, reasons), _read_attestation(folder, reasons)
    promise = _read_promise(candidate, attestation, reasons) if candidate is not None else None
    if attestation is not None:
        reasons += _against_attestation(workspace, attestation, promise, now)
    if candidate is not None:
        reasons += _against_candidate(workspace, candidate, attestation)
    if reasons or candidate is None or attestation is None or promise is None:
        return reasons
    decision = attestation.predicate.decision
    # Both are there, or `_against_attestation` had said so.
    return Verified(decision.release or "", decision.arm or "", candidate, promise, folder, attestation)


def open_arms(workspace: Workspace, candidate: Candidate, digest: str) -> list[Sealed]:
    """Each arm of a candidate that nobody need have decided on yet, by the same rules as a package's.

    Raises Refused with every reason why none of it is to be believed.
    """
    reasons = candidate.tampered(digest) + _against_manifest(workspace, candidate)
    promise = _read_promise(candidate, None, reasons)
    arms = [arm.name for arm in promise.charter.treatments] if promise else []
    reasons += [reason for arm in arms if promise for reason in _against_play(candidate, promise, arm)]
    if reasons or promise is None:
        raise Refused(
            "the candidate is not tried: " + "; ".join(reasons),
            where=str(candidate.folder),
            expected="a candidate of this workspace, whole and as it was sealed",
            remedy=f"submit it again: pilotplant lab submit {candidate.manifest.pilot}",
        )
    return [Sealed(promise.charter.release(arm), arm, candidate, promise) for arm in arms]


def _strangers(folder: Path) -> list[str]:
    """Whatever is no part of a package; a link could point elsewhere tomorrow."""
    if not folder.is_dir():
        return [f"there is no package at {folder}"]
    found = [f"{path.name}: not part of a package" for path in sorted(folder.iterdir()) if path.name not in _PARTS]
    links = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_symlink()]
    return found + [f"{path}: a link, and a package holds none" for path in links]


_PARTS = {CANDIDATE, ATTESTATION}


def _read_candidate(folder: Path, reasons: list[str]) -> Candidate | None:
    try:
        return open_candidate(folder / CANDIDATE)
    except PilotPlantError as error:
        reasons.append(f"candidate/manifest.json: {error.what}")
        return None


def _read_attestation(folder: Path, reasons: list[str]) -> Attestation | None:
    try:
        return read_attestation(folder / ATTESTATION)
    except (PilotPlantError, ValueError, KeyError, IndexError, TypeError) as error:
        # What is not signed yet may be anything at all: none of it may stop the sweep of an inbox.
        reasons.append(f"{ATTESTATION}: {error.what if isinstance(error, PilotPlantError) else 'malformed'}")
        return None


def _against_attestation(
    workspace: Workspace, attestation: Attestation, promise: Promise | None, now: datetime
) -> list[str]:
    predicate, settings = attestation.predicate, read_settings(workspace)
    reasons: list[str] = []
    pinned = _pinned(workspace, reasons)
    revoked = [key for key in pinned if key.key_id in settings.revoked]
    reasons += [
        f"the key {key.key_id[:12]} of {key.name}, which signed it, is revoked in configs/factory.yaml"
        for key in attestation.signed_by(revoked)
    ]
    believed = [key for key in pinned if key not in revoked]
    # The tier is read from the sealed promise: what the attestation says of it must not lower what is asked of itself.
    tier = promise.charter.risk_tier if promise else STRICTEST
    witnessed, required = _admitted_at(workspace, attestation), settings.signatures_min.of(tier)
    reasons += _distrust(attestation, believed, now, witnessed, required)
    if predicate.tier != tier and promise is not None:
        reasons.append(f"{predicate.tier} risk was attested, and its charter says {tier}")
    if promise is not None and required > 1:
        reasons += _against_requester(attestation, believed, promise)
    if predicate.mode != workspace.mode:
        reasons.append(f"it was attested in a {predicate.mode} workspace; a {workspace.mode} Factory never admits that")
    if predicate.workspace != workspace.id:
        reasons.append(f"it was attested in another workspace ({predicate.workspace})")
    for what, digest in (("candidate", attestation.candidate), ("attestation", attestation.digest)):
        if digest in settings.revoked:
            reasons.append(f"its {what} {digest} is revoked in configs/factory.yaml")
    if predicate.verdict != "admit":
        reasons.append(f"the gate's verdict was {predicate.verdict}, not admit")
    decision = predicate.decision
    if decision.word != "scale":
        reasons.append(f"the owner's decision was {decision.word}, not scale")
    else:
        reasons += _against_names(decision)
    return reasons


def _against_names(decision: Decision) -> list[str]:
    arm, release = decision.arm, decision.release
    if not arm or not release:
        return [f"the decision names arm `{arm}` and release `{release}`; both are needed"]
    if len(release) > RELEASE_CHARACTERS_MAX:
        return [f"release `{release}` has a name of {len(release)} characters; at most {RELEASE_CHARACTERS_MAX}"]
    if not RELEASE_NAME.fullmatch(release):
        return [f"release `{release}` has no release's name: small letters, digits and hyphens, no hyphen first"]
    return []


def _pinned(workspace: Workspace, reasons: list[str]) -> list[PublicKey]:
    """The keys trusted here, each no longer than the gate lets it count; a damaged record of the gate is a reason."""
    pinned = read_public(workspace.configs / "trusted_keys")
    try:
        published = published_keys(workspace)
    except PilotPlantError as error:
        reasons.append(f"the gate's records of keys cannot be read, so a revoked key might pass: {error.where}")
        return pinned
    return [narrowed(key, published) for key in pinned]


def _admitted_at(workspace: Workspace, attestation: Attestation) -> datetime | None:
    """When this Factory admitted that very attestation, as the witness of its signatures; None where it has not."""
    query = sa.select(releases.c.admitted_at).where(releases.c.attestation == attestation.digest)
    with open_factory(workspace).transaction() as connection:
        found = connection.execute(query).scalar_one_or_none()
    return None if found is None else parse_rfc3339(found)


def _against_requester(attestation: Attestation, trusted: list[PublicKey], promise: Promise) -> list[str]:
    requester = promise.charter.requester
    signed = [name for name in attestation.persons(trusted) if same_person(name, requester)]
    return [f"{name} asked for it, and signed it" for name in signed]


def _distrust(
    attestation: Attestation,
    trusted: list[PublicKey],
    now: datetime,
    witnessed: datetime | None,
    signatures_min: int,
) -> list[str]:
    try:
        return attestation.distrust(trusted, now=now, witnessed=witnessed, signatures_min=signatures_min)
    except (ValueError, KeyError, TypeError):
        return [f"{ATTESTATION}: malformed"]


def _against_candidate(workspace: Workspace, candidate: Candidate, attestation: Attestation | None) -> list[str]:
    reasons = [f"candidate/{found}" for found in candidate.tampered(attestation.candidate if attestation else None)]
    reasons += _against_manifest(workspace, candidate)
    manifest = candidate.manifest
    if attestation is not None and attestation.predicate.pilot != manifest.pilot:
        reasons.append(f"pilot {attestation.predicate.pilot} was attested, this is {manifest.pilot}")
    return reasons


def _against_manifest(workspace: Workspace, candidate: Candidate) -> list[str]:
    manifest, reasons = candidate.manifest, []
    if manifest.mode != workspace.mode:
        reasons.append(f"it was sealed in a {manifest.mode} workspace; a {workspace.mode} Factory never admits that")
    if manifest.workspace != workspace.id:
        reasons.append(f"it was sealed in another workspace ({manifest.workspace})")
    return reasons


def _read_promise(candidate: Candidate, attestation: Attestation | None, reasons: list[str]) -> Promise | None:
    """The promise, after adding to `reasons` what speaks against it."""
    try:
        promise = candidate.promise()
    except PilotPlantError as error:
        reasons.append(f"candidate/promise.json: {error.what}")
        return None
    attested = attestation.predicate.promise if attestation else promise.digest
    if len({promise.digest, candidate.manifest.promise, attested}) > 1:
        reasons.append(f"its promise is {promise.digest}, not the {attested} that was attested")
    if promise.charter.synthetic and candidate.manifest.mode == "live":
        reasons.append("its units are made up; such a pilot is scaled in a rehearsal only")
    if attestation is not None and attestation.predicate.decision.arm:
        reasons += _against_play(candidate, promise, attestation.predicate.decision.arm)
    return promise


def _against_play(candidate: Candidate, promise: Promise, arm: str) -> list[str]:
    try:
        play = promise.charter.play(arm)
    except PilotPlantError as error:
        return [error.what]
    reasons = []
    for name in play.files:
        sealed = candidate.manifest.files.get(f"{FILES}/{name}")
        if sealed is None:
            reasons.append(f"candidate/{FILES}/{name}: the play names it, and it was not sealed")
        elif promise.files.get(name) != sealed:
            reasons.append(f"candidate/{FILES}/{name}: not the file that the charter was frozen with")
    return reasons
