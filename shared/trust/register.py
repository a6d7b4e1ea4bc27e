"""The register of promises: the Lab deposits each with the gate, which stamps it by its own clock.

The rooms do not import each other, so the front door hands the gate's function to the Lab.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.core.errors import Refused
from shared.experiment.charter import Promise
from shared.experiment.line import Line
from shared.state.chain import Head
from shared.state.workspace import Workspace


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


class Register(Protocol):
    """The gate's function."""

    def __call__(
        self,
        workspace: Workspace,
        promise: Promise,
        lab: Head,
        *,
        before: datetime | None = None,
        texts: Mapping[str, bytes] | None = None,
    ) -> Receipt:
        """Takes in the promise, and the Lab's ledger head, which the gate's ledger thereby witnesses.

        `texts` are the bytes of the promise's files: by them the gate knows a pilot again that has another name.

        Raises TooLate for a promise that is new at or after `before`, and Uncarried for one that does not carry what
        the pilots have spent that it continues.
        """
        ...


class LineOf(Protocol):
    """The gate's answer to what a promise would continue, were it registered now; nothing is taken in."""

    def __call__(self, workspace: Workspace, promise: Promise, texts: Mapping[str, bytes]) -> Line:
        """The line of the promise, of whose files `texts` are the bytes."""
        ...
