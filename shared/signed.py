"""Signed content: canonical JSON in a DSSE envelope, one kind of content per payload type.

DSSE (https://github.com/secure-systems-lab/dsse) signs the payload's type along with the payload, so that what was
signed as one kind is never taken for another.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.digests import canonical, digest_bytes
from shared.errors import BadInput

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signer

    from shared.keys import PublicKey


@dataclass(frozen=True, slots=True)
class Signed:
    """Content with the signatures on it; believe it only after `signed_by` named a key that is trusted.

    Attributes:
        content: what was signed.
        digest: of the envelope, signatures included.
    """

    content: dict[str, Any]
    envelope: Envelope
    digest: str

    def signed_by(self, keys: Sequence[PublicKey]) -> list[PublicKey]:
        """Those of `keys` whose signature is on it and good."""
        return [key for key in keys if verifies(self.envelope, key)]


def sign(kind: str, content: dict[str, Any], signers: Sequence[Signer]) -> bytes:
    """The envelope's bytes in canonical form, signed by all of `signers`; `kind` is a word like `preflight`."""
    from securesystemslib.dsse import Envelope

    envelope = Envelope(canonical(content), payload_type(kind), {})
    for signer in signers:
        envelope.sign(signer)
    return canonical(envelope.to_dict())


def parse(raw: bytes, kind: str, where: str) -> Signed:
    """The content of an envelope; raises BadInput, naming `where`, for any byte that is not as `sign` writes it."""
    from securesystemslib.dsse import Envelope

    try:
        envelope = Envelope.from_dict(json.loads(raw))
        # Base64 and JSON leave room for other bytes of the same meaning: only the canonical ones count.
        if canonical(envelope.to_dict()) != raw or envelope.payload_type != payload_type(kind):
            raise ValueError("not in canonical form, or of another kind")
        content = json.loads(envelope.payload)
        if not isinstance(content, dict) or canonical(content) != envelope.payload:
            raise ValueError("the content is not in canonical form")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"the signed {kind} is damaged", where=where, remedy="make it again") from error
    return Signed(content, envelope, digest_bytes(raw))


def payload_type(kind: str) -> str:
    """The media type under which a kind of content is signed."""
    return f"application/vnd.pilotplant.{kind}+json"


def verifies(envelope: Envelope, key: PublicKey) -> bool:
    """Whether a key's signature is on an envelope and good."""
    from securesystemslib.exceptions import VerificationError

    try:
        envelope.verify([key.verifier()], 1)
    except (VerificationError, BadInput):
        return False
    return True
