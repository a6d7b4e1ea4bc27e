"""Linking: people tag an insight, and say which pilots support or contradict it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from lab.insights.insights import Insight, find_insight
from lab.state import insight_links, insight_tags, open_lab
from shared.core.clock import rfc3339
from shared.core.errors import BadInput, Refused
from shared.state.room import Room
from shared.state.workspace import Workspace

Kind = Literal["supports", "contradicts"]
TAG = r"^[a-z0-9][a-z0-9-]*$"


@dataclass(frozen=True, slots=True)
class Said:
    """An insight after something was said of it, and whether all of that had been said before."""

    insight: Insight
    repeated: bool


def say(
    workspace: Workspace,
    pilot: str,
    *,
    tags: tuple[str, ...] = (),
    kind: Kind | None = None,
    other: str | None = None,
    reason: str | None = None,
) -> Said:
    """Adds tags and a link to a pilot's insight, all or nothing; what is there already is left.

    Raises BadInput for a tag or pilot that cannot be, Refused where the two are linked otherwise.
    """
    room = open_lab(workspace)
    _require_sayable(room, pilot, tags, kind, other, reason)
    with room.transaction() as connection:
        fresh = [tag for tag in dict.fromkeys(tags) if not _has_tag(connection, pilot, tag)]
        at = rfc3339(room.now())
        for tag in fresh:
            connection.execute(insight_tags.insert().values(pilot=pilot, tag=tag, at=at))
        if fresh:
            room.write(connection, "tagged", pilot, {"tags": fresh})
        linked = kind is not None and _link(room, connection, pilot, kind, str(other), str(reason), at)
    return Said(find_insight(room, pilot), repeated=not fresh and not linked)


def _require_sayable(
    room: Room, pilot: str, tags: tuple[str, ...], kind: Kind | None, other: str | None, reason: str | None
) -> None:
    find_insight(room, pilot)
    for tag in tags:
        if not re.fullmatch(TAG, tag):
            raise BadInput(
                f"`{tag}` is not a tag", where="--tag", expected="small letters, digits and hyphens, like win-back"
            )
    if kind is None:
        if reason is not None:
            raise BadInput(
                "a reason goes with --supports or --contradicts", where="--reason", remedy="leave --reason away"
            )
        return
    if other == pilot:
        raise BadInput(f"{pilot} cannot speak for or against itself", where=f"--{kind}", remedy="name another pilot")
    find_insight(room, str(other))
    if not (reason or "").strip():
        raise BadInput(f"that a pilot {kind} another needs a reason", where="--reason", remedy="say why in a sentence")


def _has_tag(connection: sa.Connection, pilot: str, tag: str) -> bool:
    query = sa.select(insight_tags).where(insight_tags.c.pilot == pilot, insight_tags.c.tag == tag)
    return connection.execute(query).first() is not None


def _link(room: Room, connection: sa.Connection, pilot: str, kind: Kind, other: str, reason: str, at: str) -> bool:
    """Whether the link is new; two pilots are linked once, whichever of them is named first."""
    table = insight_links.c
    either = sa.or_(
        sa.and_(table.pilot == pilot, table.other == other), sa.and_(table.pilot == other, table.other == pilot)
    )
    before = connection.execute(sa.select(insight_links).where(either)).first()
    if before is not None:
        if (before.kind, before.reason) != (kind, reason):
            raise Refused(
                f"{before.pilot} {before.kind} {before.other} already: {before.reason}",
                where=f"insights of {pilot} and {other}",
                expected="the same again, or a pair that nobody has linked",
                remedy=f"look: pilotplant lab insight {pilot}",
            )
        return False
    connection.execute(insight_links.insert().values(pilot=pilot, other=other, kind=kind, reason=reason, at=at))
    room.write(connection, "linked", pilot, {"kind": kind, "other": other, "reason": reason})
    return True
