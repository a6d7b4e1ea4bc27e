"""Signed statements: a small JSON object in a DSSE envelope, read only in the one byte form in which it was written.

The envelope is that of https://github.com/secure-systems-lab/dsse; payload and envelope are canonical JSON (RFC 8785).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.core.digests import canonical, digest_bytes
from shared.core.errors import BadInput

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signer

    from shared.trust.keys import PublicKey

_PARTS = {"payload", "payloadType", "signatures"}
_SIGNATURE = {"keyid", "sig"}


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement as it was read; believe its content only after `verified_by` named a key that one trusts.

    Attributes:
        digest: of the envelope's bytes.
    """

    envelope: Envelope
    content: dict[str, Any]
    digest: str

    def verified_by(self, keys: Sequence[PublicKey]) -> list[PublicKey]:
        """Those of `keys` whose signature is on it and good."""
        return [key for key in keys if verifies(self.envelope, key)]


def payload_type(kind: str) -> str:
    """The media type of a kind of statement, which its signatures cover: none passes for one of another kind."""
    return f"application/vnd.pilotplant.{kind}+json"


def sign(kind: str, content: Mapping[str, Any], signers: Sequence[Signer]) -> bytes:
    """The envelope's bytes, signed by all of `signers`; ed25519 gives the same bytes for the same content."""
    from securesystemslib.dsse import Envelope

    envelope = Envelope(canonical(dict(content)), payload_type(kind), {})
    for signer in signers:
        envelope.sign(signer)
    return canonical_envelope(envelope)


def canonical_envelope(envelope: Envelope) -> bytes:
    """An envelope in the one form in which it is read back."""
    return canonical(envelope.to_dict())


def parse(raw: bytes, kind: str, *, where: str) -> Signed:
    """The statement in an envelope's bytes; raises BadInput where any byte is not as `sign` writes it."""
    from securesystemslib.dsse import Envelope

    try:
        parts = json.loads(raw)
        if set(parts) != _PARTS or any(set(signature) != _SIGNATURE for signature in parts["signatures"]):
            raise ValueError("parts that nobody signs")
        envelope = Envelope.from_dict(parts)
        # Base64 and JSON leave room for other bytes of the same meaning: only the canonical ones count.
        content = json.loads(envelope.payload)
        if canonical(envelope.to_dict()) != raw or canonical(content) != envelope.payload:
            raise ValueError("not in canonical form")
        if envelope.payload_type != payload_type(kind) or not isinstance(content, dict):
            raise ValueError("a statement of another kind")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(
            f"this is no {kind}, or it was changed after it was signed",
            where=where,
            expected=f"a {kind} to the last byte as it was written",
            remedy="take the copy that was kept elsewhere",
        ) from error
    return Signed(envelope, content, digest_bytes(raw))


def verifies(envelope: Envelope, key: PublicKey) -> bool:
    """Whether the key's signature is on the envelope and good."""
    from securesystemslib.exceptions import VerificationError

    try:
        envelope.verify([key.verifier()], 1)
    except (VerificationError, BadInput):
        return False
    return True
