"""Handing over: candidate and attestation become a package in the Factory's inbox, in full or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from shared.candidate import Candidate
from shared.files import scratch_in, settle
from shared.workspace import Workspace

CANDIDATE = "candidate"
ATTESTATION = "attestation.json"


def hand_over(workspace: Workspace, candidate: Candidate, attestation: Path) -> Path:
    """Puts the package into the inbox under the candidate's digest; one that is there stays as it is."""
    inbox = workspace.factory / "inbox"
    target = inbox / candidate.folder.name
    if not target.exists():
        with scratch_in(inbox) as scratch:
            shutil.copytree(candidate.folder, scratch / CANDIDATE)
            shutil.copyfile(attestation, scratch / ATTESTATION)
            settle(scratch, target)
    return target
