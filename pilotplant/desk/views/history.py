"""History: what the three rooms' ledgers say happened, in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from typing import Any

from factory.runtime.journal import what_of
from pilotplant.desk.views.parts import title_of
from pilotplant.witnesses import OPENERS
from shared.core.clock import parse_rfc3339
from shared.state.chain import Entry
from shared.state.ledger import legible
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.ui.console import counted
from shared.ui.page import sentence


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a ledger.

    Attributes:
        room, seq: which ledger's, and its place there.
        what: what happened, in a sentence.
        who: whose doing it was, where the entry says so.
        hash: the entry's own.
    """

    room: str
    seq: int
    at: datetime
    kind: str
    subject: str
    what: str
    who: str | None
    hash: str


def rooms(workspace: Workspace) -> dict[str, Room]:
    """The three rooms that keep a ledger."""
    return {name: opener(workspace) for name, opener in OPENERS.items()}


def history(
    workspace: Workspace, *, since: datetime | None = None, subject: str | None = None, most: int = 50
) -> tuple[Event, ...]:
    """The latest events, the newest first; of one pilot, release or table where one is named."""
    found = (
        event
        for name, room in rooms(workspace).items()
        for event in _events(name, room)
        if (since is None or event.at >= since) and subject in {None, event.subject}
    )
    return tuple(nlargest(most, found, key=lambda event: (event.at, event.room, event.seq)))


def _events(name: str, room: Room) -> Iterator[Event]:
    with room.read() as connection:
        entries = legible(connection, room.entries_table)
    for entry in entries:
        try:
            at = parse_rfc3339(entry.at)
        except ValueError:
            continue  # `verify` names it
        yield Event(name, entry.seq, at, entry.kind, entry.subject, words(name, entry), _who(entry), entry.hash)


def words(name: str, entry: Entry) -> str:
    """An entry in a sentence."""
    subject = title_of(entry.subject)
    try:
        said = _WORDS[name][entry.kind](entry.body) if entry.kind in _WORDS[name] else None
    except (KeyError, TypeError, AttributeError, ValueError):
        said = None
    if said is None and name == "factory":
        said = what_of(entry.kind, entry.body)
    return sentence(f"{subject}: {said or entry.kind.replace('_', ' ')}")


def _who(entry: Entry) -> str | None:
    said = entry.body.get("by") or entry.body.get("to") or _decision(entry.body).get("owner")
    return said if isinstance(said, str) else None


def _decision(body: Mapping[str, Any]) -> Mapping[str, Any]:
    said = body.get("decision")
    return said if isinstance(said, dict) else {}


def _money(body: Mapping[str, Any]) -> str:
    return f"{body['money']['amount']} {body['money']['currency']}"


def _decided(body: Mapping[str, Any]) -> str:
    said = body["decision"]
    arm = f" {said['arm']}" if said.get("arm") else ""
    return f"decided: {said['word']}{arm}. {said['reason']}"


_WORDS: dict[str, dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "lab": {
        "genesis": lambda _: "the Lab's record begins",
        "launched": lambda _: "launched; its plan is frozen",
        "assigned": lambda _: "customers were drawn into its arms",
        "recorded": lambda body: f"{counted(int(body['exposures']), 'exposure')} and "
        f"{counted(int(body['outcomes']), 'outcome')} came in",
        "reserved": lambda body: f"{_money(body)} set aside for {body['purpose']}",
        "settled": lambda _: "a bill was settled",
        "released": lambda _: "money that was set aside is free again",
        "spent": lambda body: f"{_money(body)} spent on {body['purpose']}",
        "analysed": lambda _: "analysed",
        "last_look": lambda _: "closed for late data, to be analysed",
        "queried": lambda _: "somebody looked at its rows",
        "submitted": lambda _: "its results were sealed and handed to the gate",
        "ended": lambda body: f"closed early: {body['reason']}",
        "amended": lambda body: f"its plan was changed: {body['reason']}",
        "deposited": lambda _: "the gate took the changed plan in",
        "withdrawn": lambda _: "a change of its plan was taken back",
        "certified": lambda _: "tried with no difference between arms (A/A)",
        "tagged": lambda body: f"tagged {', '.join(body['tags'])}",
        "linked": lambda body: f"{body['kind']} {body['other']}: {body['reason']}",
        "imported": lambda _: "a finished test from elsewhere was taken in",
        "test_sent": lambda body: f"a test mail of arm {body['arm']} was sent",
    },
    "promotion": {
        "genesis": lambda _: "the gate's record begins",
        "registered": lambda _: "the gate took its plan in, before anybody was reached",
        "looked": lambda body: f"its results were read ({body['what']})",
        "decided": _decided,
        "proposed": lambda body: f"proposed: {_decided(body)}" if "decision" in body else "a decision waits for a "
        "second signature",
        "seconded": lambda _: "signed by a second person",
        "declined": lambda body: f"the gate would not sign: {body['reason']}",
        "waived": lambda body: f"{body['check']} was waived until {body['until'][:10]}: {body['reason']}",
        "lapsed": lambda _: "nobody decided in time, so it was stopped",
        "enrolled": lambda _: "a key was enrolled",
        "revoked": lambda _: "a key was revoked",
        "witnessed": lambda _: "a copy of the record was made, to be kept elsewhere",
    },
    "factory": {
        "genesis": lambda _: "the Factory's record begins",
        "sent": lambda body: f"ran; {counted(int(body['messages']), 'message')} were written",
        "paused": lambda body: f"paused: {body.get('reason') or 'no reason was given'}",
        "resumed": lambda body: f"runs again: {body.get('reason') or 'no reason was given'}",
        "stopped_all": lambda body: f"everything was stopped: {body.get('reason') or 'no reason was given'}",
        "resumed_all": lambda body: f"the stop was lifted: {body.get('reason') or 'no reason was given'}",
        "admitted": lambda _: "the Factory took it in, as it was signed",
        "preflighted": lambda _: "the Factory tried it on its own tables",
    },
}  # fmt: skip
