"""The register of promises: the Lab deposits each with the gate, which stamps it by its own clock.

The rooms do not import each other, so the front door hands the gate's function to the Lab.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.charter import Promise
from shared.ledger import Head
from shared.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Receipt:
    """When the gate took a promise in, and its ledger's head from then on."""

    at: datetime
    ledger: Head


# Takes the promise and the Lab's ledger head, which the gate's ledger thereby witnesses.
Register = Callable[[Workspace, Promise, Head], Receipt]
