"""What the rooms ask of each other, each request with its answer.

A digest is `sha256:…`; a candidate is named by the one that its manifest had when it was sealed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel

from shared.data.snapshot import Pruned
from shared.doors.door import CONFIG, Request, RoomName
from shared.experiment.charter import Eligible
from shared.experiment.line import Line
from shared.state.chain import End, Head
from shared.trust.decision import Decision
from shared.trust.register import Receipt
from shared.trust.usage import Taken, Usage


class Register(Request[Receipt]):
    """The Lab to the gate, at a launch and an amendment: take this promise in, by your own clock.

    Attributes:
        promise: its bytes.
        lab: the Lab's ledger head, which the gate's ledger thereby witnesses.
        before: from when on a promise that is new is TooLate; None for at no time.
        texts: the bytes of its files, by which the gate knows a pilot again that has another name.
    """

    room: ClassVar[RoomName] = "promotion"
    answer: ClassVar[Any] = Receipt

    promise: bytes
    lab: Head
    before: datetime | None = None
    texts: dict[str, bytes] | None = None


class LineOf(Request[Line]):
    """The Lab to the gate: what would this promise continue, were it registered now? Nothing is taken in."""

    room: ClassVar[RoomName] = "promotion"
    answer: ClassVar[Any] = Line

    promise: bytes
    texts: dict[str, bytes]


class TakeIn(Request[str]):
    """The Lab to the gate: take this candidate in. The answer is where the gate keeps it."""

    room: ClassVar[RoomName] = "promotion"
    answer: ClassVar[Any] = str
    has_files: ClassVar[bool] = True

    candidate: str


class NoteRetrospective(Request[None]):
    """The Lab to the gate: a test of this name ran elsewhere, so that you can say why there is nothing to admit."""

    room: ClassVar[RoomName] = "promotion"
    answer: ClassVar[Any] = None

    test: str


class Kept(BaseModel):
    """The evidence in candidates, by digest; that of a damaged one is left out."""

    model_config = CONFIG

    evidence: dict[str, bytes]


class JudgedEvidence(Request[Kept]):
    """The Lab to the gate: the evidence in these candidates."""

    room: ClassVar[RoomName] = "promotion"
    answer: ClassVar[Any] = Kept

    candidates: tuple[str, ...]


class CandidateToTry(Request[str]):
    """The Factory to the gate: a pilot's latest candidate, or the one of a digest; the answer is its digest.

    Its files come with the answer, in a folder of the digest's digits.
    """

    room: ClassVar[RoomName] = "promotion"
    answer: ClassVar[Any] = str
    has_files: ClassVar[bool] = True

    name: str


class Report(Request[str]):
    """The Factory to the gate: its signed report on a candidate. The answer is where the gate keeps it."""

    room: ClassVar[RoomName] = "promotion"
    answer: ClassVar[Any] = str

    candidate: str
    envelope: bytes


class HandOver(Request[None]):
    """The gate to the Factory: a candidate, which comes as a package with its attestation."""

    room: ClassVar[RoomName] = "factory"
    answer: ClassVar[Any] = None
    has_files: ClassVar[bool] = True

    candidate: str


class IsHandedOver(Request[bool]):
    """The gate to the Factory: do you have this candidate as it was sealed, under this very attestation?"""

    room: ClassVar[RoomName] = "factory"
    answer: ClassVar[Any] = bool

    candidate: str
    attestation: bytes


class OpenDraft(Request[str]):
    """The gate to the Lab: open the draft that a decision asks for. The answer is the charter's path.

    The files that the charter names come with it.

    Attributes:
        decision: what was decided.
        before: the charter that was decided on.
        after: what its successor's has to say.
    """

    room: ClassVar[RoomName] = "lab"
    answer: ClassVar[Any] = str
    has_files: ClassVar[bool] = True

    decision: Decision
    before: dict[str, Any]
    after: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The end of a room's ledger, and what is wrong with it where that was asked."""

    end: End | None
    problems: tuple[str, ...] = ()


class LabLedger(Request[LedgerState]):
    """The gate to the Lab: where does your ledger end? And, where it is to be `verified`, what is wrong with it?"""

    room: ClassVar[RoomName] = "lab"
    answer: ClassVar[Any] = LedgerState

    verified: bool = False


class FactoryLedger(Request[LedgerState]):
    """The same, to the Factory."""

    room: ClassVar[RoomName] = "factory"
    answer: ClassVar[Any] = LedgerState

    verified: bool = False


@dataclass(frozen=True, slots=True)
class Masked:
    """How many rows a file of results has, and how many of these are of ids that the table does not have."""

    rows: int
    strangers: int


class Pseudonymise(Request[Masked]):
    """The Lab to the Factory: put units in the place of the customer ids in a file, which comes with it.

    Attributes:
        file: its name for people, where it lies.
        name: its name in the parcel.
        out: the name of the copy that comes with the answer.
        column, table: whose ids these are.
    """

    room: ClassVar[RoomName] = "factory"
    answer: ClassVar[Any] = Masked
    has_files: ClassVar[bool] = True

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


class LaunchedPilot(Request[Frozen]):
    """The Factory to the Lab: a running pilot, to write its messages. The files of its promise come with the answer.

    The list of who is eligible is among them, as `ELIGIBLE`.
    """

    room: ClassVar[RoomName] = "lab"
    answer: ClassVar[Any] = Frozen
    has_files: ClassVar[bool] = True

    pilot: str


class TakeSnapshot(Request[Taken]):
    """The Factory to the Lab: a snapshot, whose folder comes with it, without the tables that the Lab has already."""

    room: ClassVar[RoomName] = "lab"
    answer: ClassVar[Any] = Taken
    has_files: ClassVar[bool] = True


class PointTo(Request[None]):
    """The Factory to the Lab: this snapshot, published at that moment, is the latest."""

    room: ClassVar[RoomName] = "lab"
    answer: ClassVar[Any] = None

    snapshot: str
    at: datetime


class SetAside(Request[bool]):
    """The Factory to the Lab: a snapshot is to be removed. The answer is False where somebody needs it after all."""

    room: ClassVar[RoomName] = "lab"
    answer: ClassVar[Any] = bool

    pruned: Pruned


class BringBack(Request[None]):
    """The Factory to the Lab: a snapshot that was set aside is needed."""

    room: ClassVar[RoomName] = "lab"
    answer: ClassVar[Any] = None

    snapshot: str


class Discard(Request[None]):
    """The Factory to the Lab: a snapshot that was set aside is off the books, and goes."""

    room: ClassVar[RoomName] = "lab"
    answer: ClassVar[Any] = None

    snapshot: str


class SnapshotUsage(Request[Usage]):
    """The Factory to the Lab: which snapshots do undecided pilots read?"""

    room: ClassVar[RoomName] = "lab"
    answer: ClassVar[Any] = Usage


BY_NAME: dict[str, type[Request[Any]]] = {
    name: found for name, found in list(globals().items()) if isinstance(found, type) and issubclass(found, Request)
}
