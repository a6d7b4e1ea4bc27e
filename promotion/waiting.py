"""What waits for a decision: candidates that nobody has decided on, with their owners and deadlines."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from promotion.authority import deciders
from promotion.case import Case
from promotion.intake import digest_named, latest, open_case
from promotion.policy import GateSettings, read_settings
from promotion.reception import receptions
from promotion.standing import occasion
from promotion.state import decisions, open_promotion
from promotion.waivers import WAIVED
from shared.candidate import Candidate
from shared.clock import parse_rfc3339, rfc3339
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

    An owner's are also those that they may decide in the place of another, who is away. `due` is one whose moment is
    within `remind_days` of configs/gate.yaml. `next` is what has to be done before it can be scaled: the command that
    has the Factory try it, or None.
    """
    room, settings = open_promotion(workspace), read_settings(workspace)
    found = []
    for candidate in undecided(room):
        try:
            charter = candidate.promise().charter
        except BadInput:
            continue  # a damaged candidate is `promote verify`'s to name
        left = (charter.deadline - room.now()).total_seconds() / SECONDS_PER_DAY
        case = open_case(room, candidate)
        if left > 0 and (owner is None or owner in _deciders(case, settings)):
            found.append(
                {
                    "pilot": charter.pilot,
                    "candidate": digest_named(candidate),
                    "owner": charter.owner,
                    "until": rfc3339(charter.deadline),
                    "days_left": round(left, 1),
                    "due": left <= settings.remind_days,
                    "next": _next(case, settings),
                }
            )
    return sorted(found, key=lambda entry: entry["until"])


def _deciders(case: Case, settings: GateSettings) -> tuple[str, ...]:
    """The owner, whatever is said against them, and whoever may decide in the owner's place today."""
    on = occasion(case, settings.policy(case.charter.risk_tier))
    return (case.charter.owner, *deciders(on))


def _next(case: Case, settings: GateSettings) -> str | None:
    """The command that is missing before the candidate can be scaled; None where the Factory has tried it lately."""
    rule = settings.policy(case.charter.risk_tier).rules[TRIED]
    try:
        tried = 0 <= case.preflight.age_days(case.now) <= rule.model_dump()["days_max"]
    except PilotPlantError:
        tried = False
    return None if tried else f"pilotplant factory preflight {case.charter.pilot}"


def measures(workspace: Workspace) -> dict[str, Any]:
    """The gate at a glance, for `status`: decisions by word, what waits, every standing waiver, and each hand-over."""
    room = open_promotion(workspace)
    words = [str(entry.body["decision"]["word"]) for entry in room.entries() if entry.kind == "decided"]
    return {
        "decisions": {word: words.count(word) for word in ("scale", "revise", "stop")},
        "waiting": waiting(workspace),
        "waivers": _standing(room),
        "handed_over": [one.as_json() for one in receptions(workspace)],
    }


def _standing(room: Room) -> list[dict[str, Any]]:
    """Every waiver that has not ended, as its ledger entry says it."""
    now, found = room.now(), []
    for entry in room.entries():
        if entry.kind == WAIVED and now < parse_rfc3339(str(entry.body["until"])):
            said = {key: entry.body[key] for key in ("check", "arm", "by", "until", "reason")}
            found.append({"pilot": entry.subject, **said})
    return found
