"""Anchors: the heads of the other rooms' ledgers that a room wrote down when they met."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from shared.core.frozen import FrozenModel
from shared.state.chain import Entry, Head, Witness

ROOMS = ("lab", "promotion", "factory")
# Under which word an entry of one room names the head of another, where it does not say `ledgers`.
_WORDS = {"lab": "lab", "gate": "promotion"}


class HeadRecord(FrozenModel):
    """The end of a ledger in a file that leaves its room."""

    seq: int = Field(ge=1)
    hash: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


def anchors(name: str, entries: Iterable[Entry]) -> dict[str, list[Witness]]:
    """By room, the heads that the entries of the ledger `name` witness; what is no head is left out."""
    found: dict[str, list[Witness]] = {room: [] for room in ROOMS}
    for entry in entries:
        for room, said in _heads(entry.body).items():
            head = head_of(said)
            if room in found and head is not None and head.seq:
                found[room].append(Witness(head.seq, head.hash, f"entry {entry.seq} ({entry.kind}) of {name}"))
    return found


def head_of(said: Any) -> Head | None:
    """The head in a piece of JSON, or None."""
    if not isinstance(said, Mapping):
        return None
    seq, digest = said.get("seq"), said.get("hash")
    return Head(seq, digest) if isinstance(seq, int) and isinstance(digest, str) else None


def _heads(body: Mapping[str, Any]) -> dict[str, Any]:
    ledgers = body.get("ledgers")
    named = {room: body[word] for word, room in _WORDS.items() if word in body}
    return {**named, **(ledgers if isinstance(ledgers, Mapping) else {})}
