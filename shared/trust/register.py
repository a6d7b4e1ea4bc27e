"""The register of promises: the Lab deposits each with the gate, which stamps it by its own clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.core.errors import Refused
from shared.state.chain import Head


class TooLate(Refused):
    """A promise that the gate would have had to take in earlier."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """When the gate took a promise in, and its ledger's head from then on.

    Attributes:
        lab: the Lab's head when the gate first heard of the pilot: a candidate shows the Lab's chain from there on.
        nonce: what the gate drew for the pilot's name, which draws its arms; None for one of the first rules.
    """

    at: datetime
    ledger: Head
    lab: Head
    nonce: str | None = None
