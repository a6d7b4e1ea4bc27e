"""A registration: what the gate says of a promise it took in, the nonce that draws the pilot's arms among it.

The Lab seals it with the candidate as plain facts. The gate signs the same facts as a receipt, for everybody who has to
believe that nobody chose the draw.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.core.frozen import FrozenModel
from shared.state.anchors import HeadRecord
from shared.state.workspace import Mode

# What a receipt is called where it is signed.
KIND = "registration"
# 128 bits in hexadecimal: nobody meets the same one twice, or guesses it.
NONCE_BYTES = 16
NONCE_PATTERN = rf"^[0-9a-f]{{{2 * NONCE_BYTES}}}$"


class Registration(FrozenModel):
    """What is sealed, and signed.

    Attributes:
        workspace, mode: the gate's own.
        pilot, promise: the pilot's name, and the digest of what was promised.
        at: when, by the gate's clock.
        ledger: the gate's ledger with this registration as its last entry.
        nonce: what draws the arms, and the holdouts of the releases; one for a pilot's name, for ever.
    """

    schema_version: Literal[1] = 1
    workspace: str
    mode: Mode
    pilot: str
    promise: str
    at: str
    ledger: HeadRecord
    nonce: str = Field(pattern=NONCE_PATTERN)

    def as_json(self) -> dict[str, Any]:
        """As candidates carry it in `registration.json`, and as the gate signs it."""
        return self.model_dump(mode="json")

    def differing(self, other: Registration) -> list[str]:
        """The names of the facts in which the two differ."""
        return [name for name in type(self).model_fields if getattr(self, name) != getattr(other, name)]
