"""An excerpt of the Lab's ledger: its chain between two heads, with the costs of one pilot and nothing else told.

A candidate carries it, so that the gate can follow the chain from a head that its own ledger witnessed. The hash of an
entry covers what it says by digest, so what others entered stays theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from shared.core.digests import digest_json
from shared.core.frozen import FrozenModel
from shared.state.chain import Entry, Head, entry_hash

# The kinds of entries that make up what a pilot has cost: their bodies hold a key, an amount and what it was for.
BOOKINGS = ("reserved", "settled", "released", "spent")


class Link(FrozenModel):
    """One entry of a chain as it is shown.

    Attributes:
        digest: of the body's canonical form.
        body: what the entry says, where it is shown.
    """

    seq: int
    at: str
    kind: str
    subject: str
    digest: str
    hash: str
    body: dict[str, Any] | None = None

    @property
    def head(self) -> Head:
        """The chain's end with this entry."""
        return Head(self.seq, self.hash)

    def as_json(self) -> dict[str, Any]:
        """As candidates carry it; a body that is not shown is left out."""
        return self.model_dump(mode="json", exclude=set() if self.body is not None else {"body"})


class Excerpt(FrozenModel):
    """A chain from behind the head `after` to its last link."""

    schema_version: Literal[1] = 1
    after: Head
    links: tuple[Link, ...]

    @property
    def heads(self) -> dict[int, str]:
        """The hash of every entry between the two ends, both included."""
        return {self.after.seq: self.after.hash, **{link.seq: link.hash for link in self.links}}

    @property
    def end(self) -> Head:
        """The last entry's head."""
        return self.links[-1].head if self.links else self.after

    def bookings(self, pilot: str) -> list[Link]:
        """The entries on what a pilot cost, whether or not they are shown."""
        return [link for link in self.links if link.subject == pilot and link.kind in BOOKINGS]

    def broken(self) -> list[str]:
        """Everything wrong with the chain, in words that name the entry; an empty list means consistent."""
        found, before = [], self.after
        for link in self.links:
            if link.seq != before.seq + 1:
                found.append(f"entry {before.seq + 1} is missing")
            elif _hash(link, before) != link.hash:
                found.append(f"entry {link.seq} ({link.kind}) is not the one that was written")
            before = link.head
        return found

    def as_json(self) -> dict[str, Any]:
        """As candidates carry it in `ledger.json`."""
        links = [link.as_json() for link in self.links]
        return {"schema_version": self.schema_version, "after": self.after.as_json(), "links": links}


def excerpt(entries: Iterable[Entry], after: Head, until: Head, pilot: str) -> Excerpt:
    """The chain from behind `after` to `until`; only the costs of the pilot are shown."""
    chosen = [entry for entry in entries if after.seq < entry.seq <= until.seq]
    return Excerpt(after=after, links=tuple(_link(entry, pilot) for entry in chosen))


def _link(entry: Entry, pilot: str) -> Link:
    shown = entry.subject == pilot and entry.kind in BOOKINGS
    return Link(
        seq=entry.seq,
        at=entry.at,
        kind=entry.kind,
        subject=entry.subject,
        digest=digest_json(entry.body),
        hash=entry.hash,
        body=entry.body if shown else None,
    )


def _hash(link: Link, before: Head) -> str | None:
    """What the entry's hash is by what is shown of it; None where its body is not what its digest says."""
    try:
        if link.body is not None and digest_json(link.body) != link.digest:
            return None
    except (ValueError, TypeError, RecursionError):
        return None  # canonical JSON has no form for it, so no ledger of ours holds it
    return entry_hash(
        seq=link.seq, at=link.at, kind=link.kind, subject=link.subject, body=link.digest, prev=before.hash
    )
