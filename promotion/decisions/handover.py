"""Handing over: candidate and attestation become a package, which the Factory takes into its inbox."""

from __future__ import annotations

import shutil
from pathlib import Path

from shared.core.digests import PREFIX, hex_of
from shared.core.errors import Refused
from shared.doors.door import ask
from shared.doors.requests import HandOver, IsHandedOver
from shared.state.workspace import Workspace
from shared.trust.candidate import Candidate, open_candidate
from shared.trust.candidates import digest_named
from shared.trust.package import ATTESTATION, CANDIDATE


def package_path(workspace: Workspace, candidate: str) -> Path:
    """Where the Factory's inbox holds the package of a candidate's digest, to be told; it is the Factory's alone."""
    return workspace.factory / "inbox" / hex_of(candidate)


def is_handed_over(workspace: Workspace, candidate: str, attestation: bytes) -> bool:
    """Whether the Factory holds the candidate as it was sealed, under this very attestation."""
    return ask(workspace, IsHandedOver(candidate=candidate, attestation=attestation))


def hand_over(workspace: Workspace, candidate: Candidate, attestation: bytes) -> Path:
    """Hands the package over under the candidate's digest; one that is there and whole stays as it is.

    Returns where it lies. Raises Refused where the candidate is no longer what was sealed.
    """
    digest = digest_named(candidate)
    if not is_handed_over(workspace, digest, attestation):
        ask(workspace, HandOver(candidate=digest), lambda folder: pack(folder, candidate, attestation))
    return package_path(workspace, digest)


def pack(folder: Path, candidate: Candidate, attestation: bytes) -> None:
    """Writes a package into a folder of one's own; raises Refused where the candidate is no longer what was sealed."""
    shutil.copytree(candidate.folder, folder / CANDIDATE)
    # The copy is looked at, so that nothing can change between the look and the hand-over.
    changed = open_candidate(folder / CANDIDATE).tampered(PREFIX + candidate.folder.name)
    if changed:
        raise Refused(
            "the candidate was changed after it was sealed: " + "; ".join(changed),
            where=str(candidate.folder),
            remedy="restore the candidate from a backup, then give the same command again",
        )
    (folder / ATTESTATION).write_bytes(attestation)
