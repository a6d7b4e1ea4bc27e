"""A ledger's chain: its entries and their hashes, wherever they are kept or shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.core.digests import digest_json

GENESIS = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: how many entries, and the last one's hash."""

    seq: int
    hash: str

    def as_json(self) -> dict[str, Any]:
        """As candidates and attestations carry it, to witness the chain from outside."""
        return {"seq": self.seq, "hash": self.hash}


@dataclass(frozen=True, slots=True)
class Witness(Head):
    """A head that was seen from outside, and where; `by` is empty where that need not be said."""

    by: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a ledger; `hash` covers everything else, the body by its digest and `prev` included."""

    seq: int
    at: str
    kind: str
    subject: str
    body: dict[str, Any]
    prev: str
    hash: str


@dataclass(frozen=True, slots=True)
class Dated:
    """What of an entry the order of time is about."""

    seq: int
    at: str
    kind: str


@dataclass(frozen=True, slots=True)
class End:
    """The last entry of a chain, and when it says that it was written."""

    head: Head
    dated: Dated


def entry_hash(*, seq: int, at: str, kind: str, subject: str, body: str, prev: str) -> str:
    """An entry's hash; `body` is the digest of the body's canonical form.

    So that a chain can be shown to others and followed by them without what its entries say.
    """
    return digest_json({"seq": seq, "at": at, "kind": kind, "subject": subject, "body": body, "prev": prev})
