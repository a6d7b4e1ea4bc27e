"""What the queue shows, as text and as JSON: the candidates that wait, and the gate at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from promotion.queue.reception import Reception
from promotion.registry.lapses import Lapse
from shared.core.jsonable import jsonable


@dataclass(frozen=True, slots=True)
class Signed:
    """A decision that waits for a signature.

    Attributes:
        word: as it is typed: with the arm, and whether the others go on.
        arm: the one that is scaled; None for another word.
        revises: whether a scale has the other arms go on in a successor.
        by: who has made it; `persons` have signed it.
        awaits: `person`, or `gate` once all persons have signed.
        others: who may give the second signature.
        next: the command to type; None where there is nobody who could.
    """

    word: str
    arm: str | None
    revises: bool
    by: str
    at: str
    reason: str
    persons: tuple[str, ...]
    awaits: str
    others: tuple[str, ...]
    next: str | None

    @property
    def told(self) -> str:
        """The decision as it is said: `scale letter`."""
        return f"{self.word.split()[0]} {self.arm or ''}".rstrip()

    @property
    def for_gate(self) -> bool:
        """Whether only the gate's signature is missing: it was signed in time."""
        return self.awaits == "gate"


@dataclass(frozen=True, slots=True)
class Declined:
    """A decision that the gate would not sign: its proposal's digest, and why."""

    proposal: str
    word: str
    persons: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A candidate that waits for somebody.

    Attributes:
        deciders: the owner and whoever stands in today; the owner alone where nobody may decide.
        until: the moment after which silence is *stop*.
        due: whether a person must act within `remind_days` of configs/gate.yaml.
        next: the command that has the Factory try it, which has to be done before it can be scaled; None where it has.
        warnings: those that had failed when somebody looked last, None where nobody has: a list does not judge.
        proposed: what waits for a second signature, or for the gate's, and then does not lapse; None for nothing.
        declined: what was decided and the gate would not sign; None for nothing.
    """

    pilot: str
    candidate: str
    owner: str
    deciders: tuple[str, ...]
    until: datetime
    days_left: float
    due: bool
    next: str | None
    warnings: list[str] | None
    proposed: Signed | None
    declined: Declined | None


@dataclass(frozen=True, slots=True)
class Trouble:
    """What does not go on, of which pilot, with what puts it right; `told` is all of it in a line."""

    subject: str
    what: str
    next: str
    told: str


@dataclass(frozen=True, slots=True)
class Missed:
    """A pilot that lapsed although the evidence was for it, and that none has continued since."""

    lapse: Lapse

    def as_json(self) -> dict[str, Any]:
        """The lapse, with its line for people."""
        return {**jsonable(self.lapse), "told": self.lapse.told()}


@dataclass(frozen=True, slots=True)
class Waived:
    """A waiver that has not ended, as its ledger entry says it."""

    pilot: str
    check: str
    arm: str | None
    by: str
    until: str
    reason: str


@dataclass(frozen=True, slots=True)
class Measures:
    """The gate at a glance; `decisions` by their word."""

    troubles: tuple[Trouble, ...]
    decisions: Mapping[str, int]
    waiting: tuple[Waiting, ...]
    lapsed: tuple[Lapse, ...]
    missed: tuple[Missed, ...]
    waivers: tuple[Waived, ...]
    handed_over: tuple[Reception, ...]
