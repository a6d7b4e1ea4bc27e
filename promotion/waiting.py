"""What waits for a decision: candidates that nobody has decided on, with their owners and deadlines."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from promotion.intake import digest_named, latest, open_case
from promotion.policy import read_settings
from promotion.state import decisions, open_promotion
from shared.candidate import Candidate
from shared.charter import Charter
from shared.clock import rfc3339
from shared.errors import BadInput, PilotPlantError
from shared.room import Room
from shared.workspace import Workspace

SECONDS_PER_DAY = 86_400
# The check that asks whether the Factory has tried a candidate, and how long ago.
TRIED = "preflight_signed"


def undecided(room: Room) -> list[Candidate]:
    """The latest candidate of each pilot without a decision."""
    with room.transaction() as connection:
        decided = set(connection.execute(sa.select(decisions.c.pilot)).scalars())
    return [candidate for pilot, candidate in latest(room.workspace).items() if pilot not in decided]


def waiting(workspace: Workspace, *, owner: str | None = None) -> list[dict[str, Any]]:
    """Each undecided candidate with its owner and the moment after which silence is *stop*, the nearest first.

    `due` is one whose moment is within `remind_days` of configs/gate.yaml. `next` is what has to be done before it can
    be scaled: the command that has the Factory try it, or None.
    """
    room, within = open_promotion(workspace), read_settings(workspace).remind_days
    found = []
    for candidate in undecided(room):
        try:
            charter = candidate.promise().charter
        except BadInput:
            continue  # a damaged candidate is `promote verify`'s to name
        left = (charter.deadline - room.now()).total_seconds() / SECONDS_PER_DAY
        if left > 0 and owner in {None, charter.owner}:
            found.append(
                {
                    "pilot": charter.pilot,
                    "candidate": digest_named(candidate),
                    "owner": charter.owner,
                    "until": rfc3339(charter.deadline),
                    "days_left": round(left, 1),
                    "due": left <= within,
                    "next": _next(room, candidate, charter),
                }
            )
    return sorted(found, key=lambda entry: entry["until"])


def _next(room: Room, candidate: Candidate, charter: Charter) -> str | None:
    """The command that is missing before the candidate can be scaled; None where the Factory has tried it lately."""
    case = open_case(room, candidate)
    rule = read_settings(room.workspace).policy(charter.risk_tier).rules[TRIED]
    try:
        tried = 0 <= case.preflight.age_days(case.now) <= rule.model_dump()["days_max"]
    except PilotPlantError:
        tried = False
    return None if tried else f"pilotplant factory preflight {charter.pilot}"


def measures(workspace: Workspace) -> dict[str, Any]:
    """The gate at a glance, for `status`: decisions by word, and what waits."""
    room = open_promotion(workspace)
    words = [str(entry.body["decision"]["word"]) for entry in room.entries() if entry.kind == "decided"]
    return {
        "decisions": {word: words.count(word) for word in ("scale", "revise", "stop")},
        "waiting": waiting(workspace),
    }
