"""Before the gate: the candidates of the intake, and the case of one of them."""

from __future__ import annotations

from promotion.case import Case
from shared.candidate import Candidate
from shared.intake import candidates, digest_named, find_candidate, intake_folder, latest
from shared.room import Room

__all__ = ["candidates", "digest_named", "find_candidate", "intake_folder", "latest", "open_case"]


def open_case(room: Room, candidate: Candidate) -> Case:
    """The case of a candidate, now."""
    return Case(room, candidate, room.now())
