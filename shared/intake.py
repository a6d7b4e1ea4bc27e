"""The gate's intake: which candidates are there, and which one a name means; Factory and gate ask it alike."""

from __future__ import annotations

from pathlib import Path

from shared.candidate import MANIFEST, Candidate, open_candidate
from shared.digests import PREFIX, hex_of
from shared.errors import BadInput
from shared.workspace import Workspace

DIGEST_PREFIX_MIN = 8


def intake_folder(workspace: Workspace) -> Path:
    """Where candidates lie, each under its digest."""
    return workspace.promotion / "intake"


def candidates(workspace: Workspace) -> list[Candidate]:
    """Every candidate whose manifest can be read, the latest of a pilot last."""
    # A folder that begins with a dot is work in progress, or what a crash has left of it.
    found_at = sorted(intake_folder(workspace).glob(f"*/{MANIFEST}"))
    folders = [path.parent for path in found_at if not path.parent.name.startswith(".")]
    found = []
    for folder in folders:
        try:
            found.append(open_candidate(folder))
        except BadInput:
            continue  # `promote verify` names it
    return sorted(found, key=lambda candidate: (candidate.manifest.pilot, _seq(candidate)))


def _seq(candidate: Candidate) -> int:
    """Where the Lab's ledger stood; a manifest that does not say it must not hide another pilot's candidates."""
    seq = candidate.manifest.ledger.get("seq")
    return seq if isinstance(seq, int) else 0


def latest(workspace: Workspace) -> dict[str, Candidate]:
    """The latest candidate of each pilot, by the Lab's ledger."""
    return {candidate.manifest.pilot: candidate for candidate in candidates(workspace)}


def find_candidate(workspace: Workspace, name: str) -> Candidate:
    """The latest candidate of a pilot, or the one of a digest (or its beginning); raises BadInput for neither."""
    found = latest(workspace).get(name)
    if found is not None:
        return found
    digits = hex_of(name)
    present = [path for path in intake_folder(workspace).glob("*") if path.is_dir() and path.name[0] != "."]
    folders = [path for path in present if path.name.startswith(digits)]
    if len(digits) >= DIGEST_PREFIX_MIN and len(folders) == 1:
        return open_candidate(folders[0])
    known = ", ".join(sorted(latest(workspace))) or "(none yet)"
    lost = name.startswith("sha256:")  # whoever asks by digest has seen it
    raise BadInput(
        f"no candidate of `{name}` is before the gate",
        where=str(intake_folder(workspace)),
        expected=f"one of: {known}",
        remedy="restore the gate's intake from a backup" if lost else f"submit it first: pilotplant lab submit {name}",
    )


def digest_named(candidate: Candidate) -> str:
    """The digest under which the intake holds a candidate, which its manifest has only while it is intact."""
    return PREFIX + candidate.folder.name
