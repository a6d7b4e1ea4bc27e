"""What the rooms ask of each other, each request with its answer.

A digest is `sha256:…`; a candidate is named by the one that its manifest had when it was sealed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from shared.data.snapshot import Pruned
from shared.doors.door import CONFIG, Request
from shared.experiment.charter import Eligible
from shared.experiment.line import Line
from shared.state.chain import End, Head
from shared.trust.decision import Decision
from shared.trust.register import Receipt
from shared.trust.usage import Taken, Usage


class Register(Request[Receipt], room="promotion"):
    """The Lab to the gate, at a launch and an amendment: take this promise in, by your own clock.

    Attributes:
        promise: its bytes.
        lab: the Lab's ledger head, which the gate's ledger thereby witnesses.
        before: from when on a promise that is new is TooLate; None for at no time.
        texts: the bytes of its files, by which the gate knows a pilot again that has another name.
    """

    promise: bytes
    lab: Head
    before: datetime | None = None
    texts: dict[str, bytes] | None = None


class LineOf(Request[Line], room="promotion"):
    """The Lab to the gate: what would this promise continue, were it registered now? Nothing is taken in."""

    promise: bytes
    texts: dict[str, bytes]


class TakeIn(Request[str], room="promotion", has_files=True):
    """The Lab to the gate: take this candidate in. The answer is where the gate keeps it."""

    candidate: str


class NoteRetrospective(Request[None], room="promotion"):
    """The Lab to the gate: a test of this name ran elsewhere, so that you can say why there is nothing to admit."""

    test: str


class Kept(BaseModel):
    """The evidence in candidates, by digest; that of a damaged one is left out."""

    model_config = CONFIG

    evidence: dict[str, bytes]


class JudgedEvidence(Request[Kept], room="promotion"):
    """The Lab to the gate: the evidence in these candidates."""

    candidates: tuple[str, ...]


class CandidateToTry(Request[str], room="promotion", has_files=True):
    """The Factory to the gate: a pilot's latest candidate, or the one of a digest; the answer is its digest.

    Its files come with the answer, in a folder of the digest's digits.
    """

    name: str


class Report(Request[str], room="promotion"):
    """The Factory to the gate: its signed report on a candidate. The answer is where the gate keeps it."""

    candidate: str
    envelope: bytes


class HandOver(Request[None], room="factory", has_files=True):
    """The gate to the Factory: a candidate, which comes as a package with its attestation."""

    candidate: str


class IsHandedOver(Request[bool], room="factory"):
    """The gate to the Factory: do you have this candidate as it was sealed, under this very attestation?"""

    candidate: str
    attestation: bytes


class OpenDraft(Request[str], room="lab", has_files=True):
    """The gate to the Lab: open the draft that a decision asks for. The answer is the charter's path.

    The files that the charter names come with it.

    Attributes:
        decision: what was decided.
        before: the charter that was decided on.
        after: what its successor's has to say.
    """

    decision: Decision
    before: dict[str, Any]
    after: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The end of a room's ledger, and what is wrong with it where that was asked."""

    end: End | None
    problems: tuple[str, ...] = ()


class LabLedger(Request[LedgerState], room="lab"):
    """The gate to the Lab: where does your ledger end? And, where it is to be `verified`, what is wrong with it?"""

    verified: bool = False


class FactoryLedger(Request[LedgerState], room="factory"):
    """The same, to the Factory."""

    verified: bool = False


@dataclass(frozen=True, slots=True)
class Masked:
    """How many rows a file of results has, and how many of these are of ids that the table does not have."""

    rows: int
    strangers: int


class Pseudonymise(Request[Masked], room="factory", has_files=True):
    """The Lab to the Factory: put units in the place of the customer ids in a file, which comes with it.

    Attributes:
        file: its name for people, where it lies.
        name: its name in the parcel.
        out: the name of the copy that comes with the answer.
        column, table: whose ids these are.
    """

    file: str
    name: str
    out: str
    column: str
    table: str


class Frozen(BaseModel):
    """A launched pilot as the Lab froze it: its promise's bytes, its snapshot, and who may take part, if only some."""

    model_config = CONFIG

    promise: bytes
    snapshot: str
    eligible: Eligible | None


class LaunchedPilot(Request[Frozen], room="lab", has_files=True):
    """The Factory to the Lab: a running pilot, to write its messages. The files of its promise come with the answer.

    The list of who is eligible is among them, as `ELIGIBLE`.
    """

    pilot: str


class TakeSnapshot(Request[Taken], room="lab", has_files=True):
    """The Factory to the Lab: a snapshot, whose folder comes with it, without the tables that the Lab has already."""


class PointTo(Request[None], room="lab"):
    """The Factory to the Lab: this snapshot, published at that moment, is the latest."""

    snapshot: str
    at: datetime


class SetAside(Request[bool], room="lab"):
    """The Factory to the Lab: a snapshot is to be removed. The answer is False where somebody needs it after all."""

    pruned: Pruned


class BringBack(Request[None], room="lab"):
    """The Factory to the Lab: a snapshot that was set aside is needed."""

    snapshot: str


class Discard(Request[None], room="lab"):
    """The Factory to the Lab: a snapshot that was set aside is off the books, and goes."""

    snapshot: str


class SnapshotUsage(Request[Usage], room="lab"):
    """The Factory to the Lab: which snapshots do undecided pilots read?"""


BY_NAME: dict[str, type[Request[Any]]] = {
    name: found
    for name, found in list(globals().items())
    if isinstance(found, type) and issubclass(found, Request) and "room" in vars(found)
}
