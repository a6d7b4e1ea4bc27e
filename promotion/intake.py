"""Before the gate: the case of one of the intake's candidates."""

from __future__ import annotations

from promotion.case import Case
from shared.candidate import Candidate
from shared.room import Room


def open_case(room: Room, candidate: Candidate) -> Case:
    """The case of a candidate, now."""
    return Case(room, candidate, room.now())
