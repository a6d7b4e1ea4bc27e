"""Packages in the Factory: believed only after every reason against one was looked for, here and now."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from factory.releases.inbox import package_folder
from factory.releases.releases import list_releases
from factory.releases.trust import published_keys
from factory.state.room import open_factory
from factory.state.settings import read_settings
from factory.state.tables import releases
from shared.core.clock import parse_rfc3339
from shared.core.errors import PilotPlantError, Refused
from shared.state.workspace import Workspace
from shared.trust.attestation import Attestation
from shared.trust.candidate import Candidate
from shared.trust.keys import PublicKey, narrowed, read_public
from shared.trust.package import Package, Sealed, Verified, against_play, distrust, open_package, read_promise

# From these rules on a promise is held to the Factory's least holdout.
HOLDOUT_RULES = 2


def verify(workspace: Workspace, folder: Path, *, now: datetime) -> Verified | list[str]:
    """The package, or every reason why it does not run here at this moment.

    Admission and each run ask this one function; nothing it found is remembered in between.
    """
    package = open_package(folder)
    reasons = list(package.reasons)
    candidate, attestation, promise = package.candidate, package.attestation, package.promise
    if attestation is not None:
        reasons += _against_attestation(workspace, package, attestation, now)
    if candidate is not None:
        reasons += _against_origin(workspace, candidate)
    if reasons or candidate is None or attestation is None or promise is None:
        return reasons
    decision = attestation.predicate.decision
    # Both are there, or `distrust` had said so.
    verified = Verified(decision.release or "", decision.arm or "", candidate, promise, folder, attestation)
    return against_holdout(workspace, verified) or verified


def against_holdout(workspace: Workspace, package: Sealed) -> list[str]:
    """Why the share that the release leaves alone is not enough here; promises of before rules 2 chose it freely."""
    least, share = read_settings(workspace).release_holdout_frac_min, package.play.holdout_frac
    if package.promise.rules < HOLDOUT_RULES or share >= least:
        return []
    return [
        f"it leaves a share of {share} of its audience alone, and what it delivers is measured by those: at least "
        f"{least} by release_holdout_frac_min in configs/factory.yaml"
    ]


def open_arms(workspace: Workspace, candidate: Candidate, digest: str) -> list[Sealed]:
    """Each arm of a candidate that nobody need have decided on yet, by the same rules as a package's.

    Raises Refused with every reason why none of it is to be believed.
    """
    reasons = candidate.tampered(digest) + _against_origin(workspace, candidate)
    promise = read_promise(candidate, None, reasons)
    arms = [arm.name for arm in promise.charter.treatments] if promise else []
    reasons += [reason for arm in arms if promise for reason in against_play(candidate, promise, arm)]
    if reasons or promise is None:
        raise Refused(
            "the candidate is not tried: " + "; ".join(reasons),
            where=str(candidate.folder),
            expected="a candidate of this workspace, whole and as it was sealed",
            remedy=f"submit it again: pilotplant lab submit {candidate.manifest.pilot}",
        )
    return [Sealed(promise.charter.release(arm), arm, candidate, promise) for arm in arms]


def _against_attestation(workspace: Workspace, package: Package, attestation: Attestation, now: datetime) -> list[str]:
    predicate, settings = attestation.predicate, read_settings(workspace)
    reasons: list[str] = []
    pinned = _pinned(workspace, reasons)
    revoked = [key for key in pinned if key.key_id in settings.revoked]
    reasons += [
        f"the key {key.key_id[:12]} of {key.name}, which signed it, is revoked in configs/factory.yaml"
        for key in attestation.signed_by(revoked)
    ]
    reasons += distrust(
        package,
        [key for key in pinned if key not in revoked],
        now=now,
        witnessed=_admitted_at(workspace, attestation),
        signatures_min=settings.signatures_min.of(package.tier),
    )
    if predicate.mode != workspace.mode:
        reasons.append(f"it was attested in a {predicate.mode} workspace; a {workspace.mode} Factory never admits that")
    if predicate.workspace != workspace.id:
        reasons.append(f"it was attested in another workspace ({predicate.workspace})")
    reasons += [
        f"its {what} {digest} is revoked in configs/factory.yaml"
        for what, digest in (("candidate", attestation.candidate), ("attestation", attestation.digest))
        if digest in settings.revoked
    ]
    if predicate.decision.word != "scale":
        if predicate.verdict != "admit":
            reasons.append(f"the gate's verdict was {predicate.verdict}, not admit")
        reasons.append(f"the owner's decision was {predicate.decision.word}, not scale")
    return reasons


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
    with open_factory(workspace, settled=False).read() as connection:
        found = connection.execute(query).scalar_one_or_none()
    return None if found is None else parse_rfc3339(found)


def _against_origin(workspace: Workspace, candidate: Candidate) -> list[str]:
    reasons, manifest = [], candidate.manifest
    if manifest.mode != workspace.mode:
        reasons.append(f"it was sealed in a {manifest.mode} workspace; a {workspace.mode} Factory never admits that")
    if manifest.workspace != workspace.id:
        reasons.append(f"it was sealed in another workspace ({manifest.workspace})")
    return reasons


def readers(workspace: Workspace, table: str) -> Iterator[str]:
    """The releases that may read a table; one whose package is damaged may read anything."""
    for release in list_releases(workspace):
        if release.state == "retired":
            continue
        package = open_package(package_folder(workspace, release.package))
        promise, candidate = package.promise, package.candidate
        if promise is None or candidate is None:
            yield f"perhaps release {release.name}, whose package is damaged"
            continue
        sealed = Sealed(release.name, release.arm, candidate, promise)
        named = {promise.charter.population, *promise.charter.sources}
        if table in named or re.search(rf"\b{re.escape(table)}\b", sealed.text(sealed.play.audience), re.IGNORECASE):
            yield f"release {release.name}"
