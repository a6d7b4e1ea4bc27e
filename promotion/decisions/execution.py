"""Carrying out: what follows from a decision, as steps that are planned first, shown, and only then done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from promotion.decisions.handover import hand_over, is_handed_over, package_path
from promotion.decisions.transaction import row_of
from promotion.registry.succession import open_successor
from shared.core.crashpoints import Point, reach
from shared.core.files import write_atomically
from shared.experiment.metrics import Metric
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.attestation import Attestation, parse_attestation
from shared.trust.candidate import Candidate
from shared.trust.candidates import find_candidate
from shared.trust.decision import Decision
from shared.trust.record import attestation_path


class Act(StrEnum):
    """What a step does."""

    WRITE_ATTESTATION = "write_attestation"
    LAY_PACKAGE = "lay_package"
    OPEN_DRAFT = "open_draft"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that follows from a decision.

    Attributes:
        target: the file or folder that it makes.
        line: what it does, in plain words.
        done: whether it was found done, whole and as it should be.
    """

    act: Act
    target: Path
    line: str
    done: bool

    def as_json(self) -> dict[str, str | bool]:
        """For `--json`."""
        return {"step": self.act.value, "target": str(self.target), "does": self.line, "done": self.done}


@dataclass(frozen=True, slots=True)
class OnDisk:
    """What lies in the workspace already, of all that a decision may bring.

    Attributes:
        attestation: the decision's own, to the byte.
        package: the candidate as it was sealed, under that very attestation.
        draft: a folder of the successor's name.
    """

    attestation: bool = False
    package: bool = False
    draft: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision with its attestation, and whether it had been made before.

    Attributes:
        metrics: the definitions that what was promised is told in.
        steps: what followed from it, and what of that had been done before.
    """

    decision: Decision
    attestation: Attestation
    metrics: dict[str, Metric]
    repeated: bool
    steps: tuple[Step, ...]


def steps(workspace: Workspace, candidate: str, decision: Decision, found: OnDisk) -> tuple[Step, ...]:
    """What a decision on a candidate (its digest) asks for, in the order in which it is done."""
    path = attestation_path(workspace, candidate)
    told = [Step(Act.WRITE_ATTESTATION, path, "write the attestation where every room can read it", found.attestation)]
    if decision.word == "scale":
        line = f"lay candidate and attestation into the Factory's inbox, to become release {decision.release}"
        told.append(Step(Act.LAY_PACKAGE, package_path(workspace, candidate), line, found.package))
    if decision.successor is not None:
        others = f", without arm `{decision.arm}`" if decision.arm else ""
        line = f"open the draft of {decision.successor}{others}, with its lineage and the alpha already spent"
        told.append(Step(Act.OPEN_DRAFT, workspace.pilots / str(decision.successor), line, found.draft))
    return tuple(told)


def look(workspace: Workspace, candidate: str, decision: Decision, envelope: bytes | None) -> OnDisk:
    """What is there already; before a decision is signed (None) only a draft can be."""
    draft = decision.successor is not None and (workspace.pilots / decision.successor).exists()
    if envelope is None:
        return OnDisk(draft=draft)
    handed_over = decision.word == "scale" and is_handed_over(workspace, candidate, envelope)
    return OnDisk(_holds(attestation_path(workspace, candidate), envelope), handed_over, draft)


def carry_out(room: Room, pilot: str, *, repeated: bool) -> Decided:
    """Does what a recorded decision asks for, step by step; what was done already is left as it is."""
    row, workspace = row_of(room, pilot), room.workspace
    attestation = parse_attestation(row.envelope, where=f"decision on {pilot}")
    decision, candidate = attestation.predicate.decision, find_candidate(workspace, row.candidate)
    planned = steps(workspace, row.candidate, decision, look(workspace, row.candidate, decision, row.envelope))
    for step in planned:
        if not step.done:
            _DO[step.act](_Load(workspace, candidate, decision, row.envelope), step)
    return Decided(decision, attestation, candidate.promise().metrics, repeated, planned)


@dataclass(frozen=True, slots=True)
class _Load:
    """What the steps carry."""

    workspace: Workspace
    candidate: Candidate
    decision: Decision
    envelope: bytes


def _write_attestation(load: _Load, step: Step) -> None:
    write_atomically(step.target, load.envelope)
    reach(Point.CARRY_ATTESTED)


def _lay_package(load: _Load, _step: Step) -> None:
    hand_over(load.workspace, load.candidate, load.envelope)


def _open_draft(load: _Load, _step: Step) -> None:
    open_successor(load.workspace, load.candidate, load.decision)
    reach(Point.CARRY_DRAFTED)


_DO: dict[Act, Callable[[_Load, Step], None]] = {
    Act.WRITE_ATTESTATION: _write_attestation,
    Act.LAY_PACKAGE: _lay_package,
    Act.OPEN_DRAFT: _open_draft,
}


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False
