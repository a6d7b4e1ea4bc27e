"""Handing over: candidate and attestation become a package in the Factory's inbox, in full or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from shared.core.crashpoints import Point, reach
from shared.core.digests import PREFIX, hex_of
from shared.core.errors import Refused
from shared.core.files import scratch_in, settle_verified
from shared.state.workspace import Workspace
from shared.trust.candidate import Candidate, is_intact, open_candidate
from shared.trust.package import ATTESTATION, CANDIDATE


def package_path(workspace: Workspace, candidate: str) -> Path:
    """Where the Factory's inbox holds the package of a candidate's digest."""
    return workspace.factory / "inbox" / hex_of(candidate)


def hand_over(workspace: Workspace, candidate: Candidate, attestation: bytes) -> Path:
    """Puts the package into the inbox under the candidate's digest; one that is there and whole stays as it is.

    Raises Refused where the candidate is no longer what was sealed.
    """
    target = package_path(workspace, candidate.folder.name)
    if not is_handed_over(target, attestation):
        with scratch_in(target.parent) as scratch:
            pack(scratch, candidate, attestation)
            reach(Point.HAND_OVER_COPIED)
            settle_verified(scratch, target, lambda there: is_handed_over(there, attestation))
        reach(Point.HAND_OVER_SETTLED)
    return target


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


def is_handed_over(package: Path, attestation: bytes) -> bool:
    """Whether the inbox holds the candidate as it was sealed, under this very attestation."""
    try:
        same = (package / ATTESTATION).read_bytes() == attestation
    except OSError:
        return False
    return same and is_intact(package / CANDIDATE, PREFIX + package.name)
