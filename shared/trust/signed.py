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
from shared.trust.passkey import PART

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signer

    from shared.trust.keys import PublicKey

_PARTS = {"payload", "payloadType", "signatures"}
# A passkey's signature holds what it covers beside the statement.
_SIGNATURE = ({"keyid", "sig"}, {"keyid", "sig", PART})


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

    def refusals(self, keys: Sequence[PublicKey]) -> list[str]:
        """Why answers of passkeys among `keys` that are on it do not count, each in words."""
        told = ((key, refused(self.envelope, key)) for key in keys)
        return [f"the answer of {key.name}'s passkey does not count: {reason}" for key, reason in told if reason]


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
        if set(parts) != _PARTS or any(set(signature) not in _SIGNATURE for signature in parts["signatures"]):
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


def refused(envelope: Envelope, key: PublicKey) -> str | None:
    """Why a passkey's signature on the envelope is not good, in words; None where it is good or not there."""
    signature, verifier = envelope.signatures.get(key.key_id), key.passkey_verifier()
    return verifier.refusal(signature, envelope.pae()) if signature is not None and verifier is not None else None


def verifies(envelope: Envelope, key: PublicKey) -> bool:
    """Whether the key's signature is on the envelope and good."""
    from securesystemslib.exceptions import VerificationError

    signature = envelope.signatures.get(key.key_id)
    # What an ed25519 signature does not cover gives the same statement a second digest.
    if signature is None or (key.kind == "ed25519" and signature.unrecognized_fields):
        return False
    try:
        envelope.verify([key.verifier()], 1)
    except (VerificationError, BadInput):
        return False
    return True
