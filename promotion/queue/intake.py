"""Before the gate: the case of one of the intake's candidates."""

from __future__ import annotations

from promotion.gate.case import Case
from shared.state.room import Room
from shared.trust.candidate import Candidate


def open_case(room: Room, candidate: Candidate) -> Case:
    """The case of a candidate, now."""
    return Case(room, candidate, room.now())
