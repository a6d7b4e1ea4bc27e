"""The journal: what happened in the Factory, one line an event, for whoever comes in the morning."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from factory.state.room import open_factory
from factory.state.states import STOP_ALL
from factory.state.tables import CONFIRMED, DROPPED, LOADED
from shared.core.clock import parse_rfc3339
from shared.core.errors import BadInput
from shared.state.ledger import legible
from shared.state.workspace import Workspace
from shared.ui.console import counted

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DAYS = {"today": 0, "yesterday": 1}


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        at: RFC 3339.
        subject: the release, table, snapshot or whatever it concerns.
        what: in a few words.
    """

    seq: int
    at: str
    kind: str
    subject: str
    what: str


def journal(workspace: Workspace, *, since: str | None = None, release: str | None = None) -> list[Event]:
    """The events from a moment on, of everything or of one release with what concerned all.

    Raises BadInput where `since` is no moment, or where nothing was ever heard of the release.
    """
    room = open_factory(workspace)
    begin = None if since is None else moment_of(since, room.now())
    with room.read() as connection:
        entries = legible(connection, room.entries_table)
    if release is not None and release not in {entry.subject for entry in entries}:
        known = sorted({entry.subject for entry in entries if entry.kind == "admitted"})
        raise BadInput(
            f"there is no release `{release}`",
            where="the Factory's ledger",
            expected="one of: " + (", ".join(known) or "(none yet)"),
        )
    return [
        Event(entry.seq, entry.at, entry.kind, entry.subject, what_of(entry.kind, entry.body))
        for entry in entries
        if (release is None or entry.subject in {release, STOP_ALL}) and (begin is None or _at(entry.at) >= begin)
    ]


def moment_of(text: str, now: datetime) -> datetime:
    """The moment that a word, a date, a span back or a moment names; raises BadInput for any other."""
    if text in _DAYS:
        return datetime.combine(now.date() - timedelta(days=_DAYS[text]), time(), UTC)
    if span := re.fullmatch(r"(\d{1,4})([mhdw])", text):
        return now - int(span[1]) * _UNITS[span[2]]
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        return parse_rfc3339(text)
    except (ValueError, OverflowError) as error:
        raise BadInput(
            f"`{text}` names no moment",
            where="--since",
            expected="yesterday, today, a span back like 12h or 3d, a date, or a moment like 2026-11-23T09:00:00Z",
        ) from error


def _at(text: str) -> datetime:
    """When an entry was written; what cannot be read is shown whatever is asked for."""
    try:
        return parse_rfc3339(text)
    except (ValueError, TypeError):
        return datetime.max.replace(tzinfo=UTC)


def what_of(kind: str, body: dict[str, Any]) -> str:
    """What an entry says, in a few words."""
    try:
        return _WORDS[kind](body)
    except (KeyError, TypeError, AttributeError):
        return kind.replace("_", " ")


def _loaded(body: dict[str, Any]) -> str:
    gone = f"; {counted(body['gone'], 'row')} went" if body.get("replaced") else ""
    return f"loaded: {body['accepted']:,} rows, {body['quarantined']:,} quarantined{gone}"


def _because(done: str) -> Callable[[dict[str, Any]], str]:
    def told(body: dict[str, Any]) -> str:
        by = f" by {body['by']}" if body.get("by") else ""
        return f"{done}{by}" + (f": {body['reason']}" if body.get("reason") else "")

    return told


def _run(done: str) -> Callable[[dict[str, Any]], str]:
    return lambda body: f"run of {body['occurrence']} {done}: {body['reason']}"


_WORDS: dict[str, Callable[[dict[str, Any]], str]] = {
    LOADED: _loaded,
    CONFIRMED: lambda _: "the same file came again: no row is new",
    DROPPED: lambda body: f"dropped, with {body['rows']:,} rows",
    "published": lambda body: "published: " + ", ".join(sorted(body["tables"])),
    "pruned": lambda body: f"removed: {body['why']}",
    "admitted": lambda _: "admitted",
    "sent": lambda body: f"run of {body['occurrence']} done: {body['messages']:,} messages written",
    "failed": _run("FAILED"),
    "refused": lambda body: _run("REFUSED")(body) if "occurrence" in body else "REFUSED: " + "; ".join(body["reasons"]),
    "skipped": _run("skipped"),
    "paused": _because("paused"),
    "resumed": _because("live again"),
    "stopped_all": _because("EVERYTHING STOPPED"),
    "resumed_all": _because("the stop was lifted"),
    "incident": lambda body: f"{body['what']}: {body['done']}",
    "preflighted": lambda _: "tried by the Factory",
}
