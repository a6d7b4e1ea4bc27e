"""Excerpts: a gate's whole chain for strangers, with the bodies of those entries only that concern one pilot."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from promotion.keys.keyring import ENROLLED, REVOKED
from promotion.state import DECIDED
from shared.core.clock import parse_rfc3339
from shared.core.digests import canonical, digest_json
from shared.core.errors import BadInput
from shared.core.frozen import FrozenModel
from shared.state.chain import GENESIS, Entry, Head, entry_hash
from shared.state.room import GENESIS_KIND
from shared.state.workspace import Mode, Workspace


class Line(FrozenModel):
    """One entry; its hash covers the body by `body_digest`, so that it can be followed where the body is not shown.

    Attributes:
        body: what the entry says; None where it concerns somebody else.
    """

    seq: int = Field(ge=1)
    at: str
    kind: str
    subject: str
    body_digest: str
    body: dict[str, Any] | None
    prev: str
    hash: str


class Excerpt(FrozenModel):
    """A gate's ledger from its first entry to the last, as far as others may see it."""

    schema_version: Literal[1] = 1
    workspace: str
    mode: Mode
    pilot: str
    entries: tuple[Line, ...] = Field(min_length=1)

    @property
    def head(self) -> Head:
        """Its last entry."""
        return Head(self.entries[-1].seq, self.entries[-1].hash)

    def shown(self) -> list[Entry]:
        """The entries whose body it shows."""
        return [
            Entry(one.seq, one.at, one.kind, one.subject, one.body, one.prev, one.hash)
            for one in self.entries
            if one.body is not None
        ]

    def decided(self) -> Entry | None:
        """The entry of the decision on the pilot."""
        found = (one for one in self.shown() if (one.kind, one.subject) == (DECIDED, self.pilot))
        return next(found, None)

    def problems(self, heads: Iterable[tuple[Head, str]] = ()) -> list[str]:
        """Everything wrong with the chain, by entry; `heads` are ends that were seen of it, and by whom."""
        found, prev, hashes = [], GENESIS, {}
        for number, line in enumerate(self.entries, 1):
            found += _against(line, number, prev)
            prev = hashes[line.seq] = line.hash
        first = self.entries[0]
        if (first.kind, first.body) != (GENESIS_KIND, {"workspace": self.workspace, "mode": self.mode}):
            found.append("ledger.json: entry 1 does not open the ledger of this workspace")
        return found + [
            f"ledger.json: entry {head.seq} is not the one that {by} has seen; the chain was cut or replaced"
            for head, by in heads
            if hashes.get(head.seq) != head.hash
        ]

    def as_bytes(self) -> bytes:
        """The file's content."""
        return canonical(self.model_dump(mode="json"))


def excerpt(workspace: Workspace, entries: Iterable[Entry], pilot: str, names: Collection[str]) -> Excerpt:
    """The chain, with what it says of a pilot and of the keys of `names`."""
    keys = {ENROLLED, REVOKED}
    lines = [
        Line(
            seq=entry.seq,
            at=entry.at,
            kind=entry.kind,
            subject=entry.subject,
            body_digest=digest_json(entry.body),
            body=entry.body
            if entry.subject == pilot or entry.kind == GENESIS_KIND or (entry.kind in keys and entry.subject in names)
            else None,
            prev=entry.prev,
            hash=entry.hash,
        )
        for entry in entries
    ]
    return Excerpt(workspace=workspace.id, mode=workspace.mode, pilot=pilot, entries=tuple(lines))


def read_excerpt(path: Path) -> Excerpt:
    """The excerpt in a file; raises BadInput where it is not as it was written."""
    try:
        raw = path.read_bytes()
        found = Excerpt.model_validate(json.loads(raw))
        for line in found.entries:
            parse_rfc3339(line.at)
        if found.as_bytes() != raw:
            raise ValueError("not in canonical form")
    except (OSError, ValueError, TypeError, RecursionError, ValidationError) as error:
        raise BadInput(
            "the excerpt of the ledger is damaged",
            where=str(path),
            expected="an excerpt to the last byte as `promote export` writes it",
            remedy="ask for it again",
        ) from error
    return found


def _against(line: Line, number: int, prev: str) -> list[str]:
    name = f"ledger.json: entry {line.seq}"
    found = [] if line.seq == number else [f"{name} is not in its place: entry {number} is missing"]
    if line.prev != prev:
        found.append(f"{name} does not continue the one before it")
    if line.body is not None and digest_json(line.body) != line.body_digest:
        found.append(f"{name} ({line.kind}) says something else than was written")
    said = {"seq": line.seq, "at": line.at, "kind": line.kind, "subject": line.subject, "prev": line.prev}
    if entry_hash(**said, body=line.body_digest) != line.hash:  # type: ignore[arg-type]
        found.append(f"{name} ({line.kind}) was changed after it was written")
    return found
