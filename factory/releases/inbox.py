"""The inbox: packages that the gate has handed over, each whole or not there at all."""

from __future__ import annotations

from pathlib import Path

from factory.state.settings import inbox
from shared.core.crashpoints import Point, reach
from shared.core.digests import hex_of
from shared.core.errors import BadInput
from shared.core.files import settle_verified
from shared.state.workspace import Workspace
from shared.trust.candidate import is_intact
from shared.trust.package import ATTESTATION, CANDIDATE


def package_folder(workspace: Workspace, digest: str) -> Path:
    """Where the package of a candidate's digest lies."""
    return inbox(workspace) / hex_of(digest)


def take_in(workspace: Workspace, candidate: str, package: Path) -> None:
    """Puts a package into the inbox under its candidate's digest; one that is there and whole stays as it is.

    Raises BadInput where the candidate is not as it was sealed.
    """
    if not is_intact(package / CANDIDATE, candidate):
        raise BadInput("a package came whose candidate is not as it was sealed", remedy="hand it over again")
    target, attestation = package_folder(workspace, candidate), (package / ATTESTATION).read_bytes()
    reach(Point.HAND_OVER_COPIED)
    settle_verified(package, target, lambda _: holds(workspace, candidate, attestation))
    reach(Point.HAND_OVER_SETTLED)


def holds(workspace: Workspace, candidate: str, attestation: bytes) -> bool:
    """Whether the inbox holds the candidate as it was sealed, under this very attestation."""
    package = package_folder(workspace, candidate)
    try:
        same = (package / ATTESTATION).read_bytes() == attestation
    except OSError:
        return False
    return same and is_intact(package / CANDIDATE, candidate)
