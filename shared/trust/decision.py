"""Decisions: the owner's word on a candidate, as it is signed."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from shared.core.frozen import FrozenModel

Word = Literal["scale", "revise", "stop"]
REASON_MIN = 10


class StandIn(FrozenModel):
    """In whose place somebody decided, and why: the owner was away.

    Attributes:
        first_day, last_day: of the absence; both belong to it, in UTC.
    """

    owner: str
    first_day: str
    last_day: str


class Decision(FrozenModel):
    """The owner's word.

    Attributes:
        owner: who gave it.
        stands_in: for a delegate's word: in whose place, and why; None for that of the charter's owner.
        arm, release: for *scale*: what is handed over, and the name of the release it becomes.
        insight: for *stop* always, else where one was given: what was learned.
        successor: the draft that follows: of the pilot for *revise*; for *scale*, where the owner asked for it, of the
            arms that are not scaled.
        changes: for that draft: what the owner wants changed, like `sample.units_per_arm=4000`.
    """

    word: Word
    owner: str
    reason: str
    at: str
    arm: str | None = None
    release: str | None = None
    insight: str | None = None
    successor: str | None = None
    stands_in: StandIn | None = None
    changes: tuple[str, ...] = ()

    @model_serializer(mode="wrap")
    def _without_silence(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # What came later is left out where it says nothing, so that what was signed before reads back the same.
        said: dict[str, Any] = handler(self)
        if not self.changes:
            said.pop("changes", None)
        return said

    def same_as(self, other: Decision) -> bool:
        """Whether both are the same person's and say the same, whenever they were said."""
        return self.model_copy(update={"at": other.at, "stands_in": other.stands_in}) == other
