"""A pilot's line before the gate: the earlier registrations that it continues, whatever it is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from promotion.registry.fingerprint import Fingerprint, fingerprint, read_fingerprint
from promotion.registry.lapses import lapses
from promotion.state import DECIDED, REGISTERED, open_promotion
from shared.experiment.charter import Promise
from shared.experiment.line import Before, Line, Why
from shared.state.chain import Entry
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.candidates import latest

LINE = "line"
WORDS = {"scale": "scaled", "revise": "revised", "stop": "stopped"}


def line(workspace: Workspace, promise: Promise, texts: Mapping[str, bytes]) -> Line:
    """The line that a promise would be registered in now; `texts` are the bytes of its files."""
    return line_of(open_promotion(workspace).entries(kinds=[REGISTERED]), promise, fingerprint(promise, texts))


def line_of(entries: Iterable[Entry], promise: Promise, known_by: Fingerprint) -> Line:
    """The line of a promise after these entries.

    Every registration counts, whether or not results came of it: the gate cannot know that nobody looked. For an
    amended pilot those count that came before the first version with this fingerprint, and what it names itself.
    """
    pilot, named = promise.charter.pilot, promise.charter.line.pilot if promise.charter.line else None
    written = [entry for entry in entries if entry.kind == REGISTERED and LINE in entry.body]
    first = next((entry for entry in written if entry.subject == pilot and _known_by(entry) == known_by), None)
    found: dict[str, Before] = {}
    for entry in written:
        if entry.subject == pilot or (first is not None and entry.seq > first.seq and entry.subject != named):
            continue
        why = _known_by(entry).alike(known_by) or ("named" if entry.subject == named else None)
        if why is not None:
            for each in (*(replace(one, why=None) for one in read_line(entry).before), _before(entry, why)):
                found[each.pilot] = _both(found.get(each.pilot), each)
    found.pop(pilot, None)
    order = {entry.subject: entry.seq for entry in reversed(written)}
    return Line(tuple(sorted(found.values(), key=lambda each: order[each.pilot])))


def entry_of(promise: Promise, known_by: Fingerprint, found: Line) -> dict[str, Any]:
    """What the ledger's entry of a registration says of the pilot's line."""
    charter = promise.charter
    return {
        "fingerprint": known_by.as_json(),
        "alpha": charter.sample.alpha,
        "tested_at": charter.alpha,
        "before": [asdict(each) for each in found.before],
    }


def read_line(entry: Entry) -> Line:
    """The line that a registration's entry tells of."""
    return Line(tuple(Before(**each) for each in entry.body[LINE]["before"]))


def recorded_line(registered: Iterable[Entry], promise: str) -> Line | None:
    """The line that the promise of a digest was registered in; None where the gate was not shown its files then."""
    taken = (entry for entry in registered if entry.body["promise"] == promise and LINE in entry.body)
    return next((read_line(entry) for entry in taken), None)


def fates(room: Room, found: Line) -> list[str]:
    """What became of each pilot of a line, as the owner's page names it."""
    words = {e.subject: WORDS[str(e.body["decision"]["word"])] for e in room.entries(kinds=[DECIDED])}
    lapsed, submitted = lapses(room), latest(room.workspace)
    told = []
    for each in found.before:
        fate = words.get(each.pilot) or ("lapsed without a decision" if each.pilot in lapsed else None)
        fate = fate or ("not decided yet" if each.pilot in submitted else "no results ever came before the gate")
        told.append(f"{each.pilot} ({fate})")
    return told


def _known_by(entry: Entry) -> Fingerprint:
    return read_fingerprint(entry.body[LINE]["fingerprint"])


def _before(entry: Entry, why: Why) -> Before:
    said = entry.body[LINE]
    return Before(entry.subject, why, float(said["alpha"]), float(said["tested_at"]))


def _both(one: Before | None, other: Before) -> Before:
    """The same pilot, told of twice: the most that it may have spent."""
    if one is None:
        return other
    why = one.why or other.why
    return Before(other.pilot, why, max(one.alpha, other.alpha), min(one.tested_at, other.tested_at))
