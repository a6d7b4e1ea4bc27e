"""The gate's intake: which candidates are there, and which one a name means; Factory and gate ask it alike."""

from __future__ import annotations

from pathlib import Path

from shared.core.digests import PREFIX, hex_of
from shared.core.errors import BadInput, Refused
from shared.core.files import settle_verified, write_atomically
from shared.state.workspace import Workspace
from shared.trust.candidate import MANIFEST, Candidate, is_intact, open_candidate

DIGEST_PREFIX_MIN = 8
_RETROSPECTIVE = ".retrospective"


def intake_folder(workspace: Workspace) -> Path:
    """Where candidates lie, each under its digest."""
    return workspace.promotion / "intake"


def take_in(intake: Path, folder: Path, digest: str) -> Path:
    """Moves a sealed folder into an intake under its digest, and returns where; it is there in full or not at all.

    A copy that is there already is kept if it is intact, and replaced if it is not. Raises BadInput where the folder is
    not what was sealed.
    """
    if not is_intact(folder, digest):
        raise BadInput("a candidate came that is not as it was sealed", remedy="submit the pilot again")
    target = intake / hex_of(digest)
    settle_verified(folder, target, lambda there: is_intact(there, digest))
    return target


def note_retrospective(workspace: Workspace, name: str) -> None:
    """Tells the gate that a test of this name is retrospective, so that it can say why there is nothing to admit."""
    folder = intake_folder(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{name}{_RETROSPECTIVE}", "")


def retrospective(name: str) -> Refused:
    """That a test was not promised before its numbers were known."""
    return Refused(
        f"{name} is retrospective: it ran elsewhere, and nothing was promised before its numbers were known",
        where=f"test {name}",
        expected="a pilot, whose charter says beforehand which metric decides, how many units, and when to look",
        remedy="read what it taught: pilotplant lab show " + name + "; and try it as a pilot under another name: "
        "pilotplant lab new NAME",
    )


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
    """The latest candidate of a pilot, or the one of a digest (or its beginning).

    Raises BadInput for neither, Refused for a retrospective test.
    """
    found = latest(workspace).get(name)
    if found is not None:
        return found
    digits = hex_of(name)
    present = [path for path in intake_folder(workspace).glob("*") if path.is_dir() and path.name[0] != "."]
    folders = [path for path in present if path.name.startswith(digits)]
    if len(digits) >= DIGEST_PREFIX_MIN and len(folders) == 1:
        return open_candidate(folders[0])
    if (intake_folder(workspace) / f"{name}{_RETROSPECTIVE}").exists():
        raise retrospective(name)
    known = ", ".join(sorted(latest(workspace))) or "(none yet)"
    lost = name.startswith("sha256:")  # whoever asks by digest has seen it
    raise BadInput(
        f"no candidate of `{name}` is before the gate",
        where=str(intake_folder(workspace)),
        expected=f"one of: {known}",
        remedy="restore the gate's intake from a backup"
        if lost
        else f"once its time box is over: pilotplant lab finish {name}",
    )


def digest_named(candidate: Candidate) -> str:
    """The digest under which the intake holds a candidate, which its manifest has only while it is intact."""
    return PREFIX + candidate.folder.name
