"""Packages: a candidate with its attestation, and what speaks against one, whoever asks: Factory, gate or stranger."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from shared.core.digests import digest_bytes
from shared.core.errors import PilotPlantError, Refused
from shared.experiment.charter import RELEASE_CHARACTERS_MAX, Promise
from shared.experiment.people import Tier, same_person
from shared.experiment.play import Play
from shared.trust.attestation import Attestation, read_attestation
from shared.trust.candidate import FILES, REGISTRATION, Candidate, open_candidate
from shared.trust.decision import Decision
from shared.trust.keys import PublicKey
from shared.trust.registration import Registration

# Where the charter cannot be read there is no tier.
STRICTEST: Tier = "high"
CANDIDATE = "candidate"
RESTORE = "restore the package"
ATTESTATION = "attestation.json"
# A release's name becomes a folder's, a deployment's and part of every message's key.
RELEASE_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_PARTS = {CANDIDATE, ATTESTATION}


@dataclass(frozen=True, slots=True)
class Package:
    """A package whose parts could be read as far as they are not None.

    Attributes:
        reasons: what speaks against its files, one by one and against each other; empty where nothing does.
    """

    folder: Path
    candidate: Candidate | None
    attestation: Attestation | None
    promise: Promise | None
    reasons: tuple[str, ...]

    @property
    def tier(self) -> Tier:
        """The risk tier of the sealed promise: what the attestation says of it must not lower what is asked of it."""
        return self.promise.charter.risk_tier if self.promise else STRICTEST


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

    @property
    def nonce(self) -> str | None:
        """What draws the release's holdout beside its name; None under the first rules.

        Raises Refused where the candidate does not say it, or not what was attested.
        """
        if self.promise.rules == 1:
            return None
        return Registration.model_validate_json(self._sealed(REGISTRATION)).nonce

    def text(self, name: str) -> str:
        """A file of the play; raises Refused where it is another than was attested."""
        return self._sealed(f"{FILES}/{name}").decode()

    def _sealed(self, name: str) -> bytes:
        """A file of the candidate, read and held against the sealed digest in one go: no change slips in between."""
        path = self.candidate.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise Refused(f"`{name}` cannot be read: {error.strerror}", where=str(path), remedy=RESTORE) from error
        if digest_bytes(content) != self.candidate.manifest.files.get(name):
            raise Refused(f"`{name}` was changed after it was sealed", where=str(path), remedy=RESTORE)
        return content


@dataclass(frozen=True, slots=True)
class Verified(Sealed):
    """A package that may run now.

    Attributes:
        folder: where it lies.
    """

    folder: Path
    attestation: Attestation


def open_package(folder: Path) -> Package:
    """The package in a folder with everything that speaks against its files, by digests alone: no key is asked."""
    reasons = _strangers(folder)
    candidate, attestation = _read_candidate(folder, reasons), _read_attestation(folder, reasons)
    promise = read_promise(candidate, attestation, reasons) if candidate is not None else None
    if candidate is not None:
        expected = attestation.candidate if attestation else None
        reasons += [f"candidate/{found}" for found in candidate.tampered(expected)]
        if attestation is not None and attestation.predicate.pilot != candidate.manifest.pilot:
            named = candidate.manifest.pilot
            reasons.append(f"pilot {attestation.predicate.pilot} was attested, this is {named}")
    return Package(folder, candidate, attestation, promise, tuple(reasons))


def distrust(
    package: Package,
    keys: Sequence[PublicKey],
    *,
    now: datetime,
    witnessed: datetime | None = None,
    signatures_min: int = 1,
) -> list[str]:
    """Every reason why the attestation, by the keys one trusts, does not count; `Attestation.distrust` says how.

    A package without an attestation has none: `open_package` has named that.
    """
    attestation, promise = package.attestation, package.promise
    if attestation is None:
        return []
    try:
        reasons = attestation.distrust(keys, now=now, witnessed=witnessed, signatures_min=signatures_min)
    except (ValueError, KeyError, TypeError):
        return [f"{ATTESTATION}: malformed"]
    if promise is not None:
        if attestation.predicate.tier != package.tier:
            reasons.append(f"{attestation.predicate.tier} risk was attested, and its charter says {package.tier}")
        reasons += _against_owner(attestation.predicate.decision, promise)
        if max(signatures_min, attestation.predicate.signatures_required) > 1:
            reasons += _against_requester(attestation, keys, promise)
    return reasons + _against_decision(attestation)


def read_promise(candidate: Candidate, attestation: Attestation | None, reasons: list[str]) -> Promise | None:
    """The promise of a candidate, after adding to `reasons` what speaks against it; None where it cannot be read."""
    try:
        promise = candidate.promise()
    except PilotPlantError as error:
        reasons.append(f"candidate/promise.json: {error.what}")
        return None
    reasons += against_registration(candidate, promise)
    attested = attestation.predicate.promise if attestation else promise.digest
    if len({promise.digest, candidate.manifest.promise, attested}) > 1:
        reasons.append(f"its promise is {promise.digest}, not the {attested} that was attested")
    if promise.charter.synthetic and candidate.manifest.mode == "live":
        reasons.append("its units are made up; such a pilot is scaled in a rehearsal only")
    if attestation is not None and attestation.predicate.decision.arm:
        reasons += against_play(candidate, promise, attestation.predicate.decision.arm)
    return promise


def against_registration(candidate: Candidate, promise: Promise) -> list[str]:
    """Why nobody can say by which nonce a candidate's units were drawn; empty where it is said, or was none."""
    if promise.rules == 1:
        return []
    try:
        said = candidate.registration()
    except PilotPlantError as error:
        return [f"candidate/{REGISTRATION}: {error.what}"]
    manifest = candidate.manifest
    told = (said.workspace, said.mode, said.pilot)
    if told != (manifest.workspace, manifest.mode, manifest.pilot):
        return [f"candidate/{REGISTRATION}: it is of {said.pilot} in workspace {said.workspace}"]
    return []


def against_play(candidate: Candidate, promise: Promise, arm: str) -> list[str]:
    """Every file of an arm's play that was not sealed, or is not the one that the charter was frozen with."""
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


def _strangers(folder: Path) -> list[str]:
    """Whatever is no part of a package; a link could point elsewhere tomorrow."""
    if not folder.is_dir():
        return [f"there is no package at {folder}"]
    found = [f"{path.name}: not part of a package" for path in sorted(folder.iterdir()) if path.name not in _PARTS]
    links = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_symlink()]
    return found + [f"{path}: a link, and a package holds none" for path in links]


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


def _against_owner(decision: Decision, promise: Promise) -> list[str]:
    """Why it is not the owner's word: it is that of somebody else, and not in the owner's place."""
    spoken_for = decision.stands_in.owner if decision.stands_in else decision.owner
    if same_person(spoken_for, promise.charter.owner):
        return []
    return [f"{decision.owner} has decided it, and its charter's owner is {promise.charter.owner}"]


def _against_requester(attestation: Attestation, trusted: Sequence[PublicKey], promise: Promise) -> list[str]:
    requester = promise.charter.requester
    signed = [name for name in attestation.persons(trusted) if same_person(name, requester)]
    return [f"{name} asked for it, and signed it" for name in signed]


def _against_decision(attestation: Attestation) -> list[str]:
    """What a gate that was asked never signs: *scale* without *admit*, or without a name that a release can have."""
    predicate = attestation.predicate
    if predicate.decision.word != "scale":
        return []
    reasons = [] if predicate.verdict == "admit" else [f"the gate's verdict was {predicate.verdict}, not admit"]
    return reasons + _against_names(predicate.decision)


def _against_names(decision: Decision) -> list[str]:
    arm, release = decision.arm, decision.release
    if not arm or not release:
        return [f"the decision names arm `{arm}` and release `{release}`; both are needed"]
    if len(release) > RELEASE_CHARACTERS_MAX:
        return [f"release `{release}` has a name of {len(release)} characters; at most {RELEASE_CHARACTERS_MAX}"]
    if not RELEASE_NAME.fullmatch(release):
        return [f"release `{release}` has no release's name: small letters, digits and hyphens, no hyphen first"]
    return []
