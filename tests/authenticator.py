"""An authenticator and its browser in software: real COSE keys, real signatures, whatever a test has them lie about."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any, Literal

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

Algorithm = Literal["ES256", "EdDSA", "RS256"]
RP, ORIGIN = "localhost", "http://localhost:8484"
UP, UV, AT = 0x01, 0x04, 0x40


def b64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _make(algorithm: Algorithm) -> Any:
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else rsa.generate_private_key(65537, 2048)


@dataclass
class Authenticator:
    """One credential; `count` goes up with each answer, unless it is None, which says 0 for ever."""

    algorithm: Algorithm = "ES256"
    rp_id: str = RP
    origin: str = ORIGIN
    count: int | None = 0
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: Any = None

    def __post_init__(self) -> None:
        self.key = self.key or _make(self.algorithm)

    @property
    def cose(self) -> dict[int, Any]:
        """The public key as COSE has it (RFC 9053)."""
        public = self.key.public_key()
        if self.algorithm == "ES256":
            said = public.public_numbers()
            return {1: 2, 3: -7, -1: 1, -2: said.x.to_bytes(32, "big"), -3: said.y.to_bytes(32, "big")}
        if self.algorithm == "EdDSA":
            return {1: 1, 3: -8, -1: 6, -2: public.public_bytes_raw()}
        said = public.public_numbers()
        return {1: 3, 3: -257, -1: said.n.to_bytes(256, "big"), -2: said.e.to_bytes(3, "big")}

    def register(self, challenge: bytes = b"r" * 32, *, flags: int = UP | UV, **client: Any) -> bytes:
        """What the desk keeps of a registration, attestation `none`: the challenge, and the browser's JSON."""
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cbor2.dumps(self.cose)
        data = self._data(flags | AT) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        name = b64url(self.credential_id)
        said = {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "response": {
                "clientDataJSON": b64url(self._client("webauthn.create", challenge, client)),
                "attestationObject": b64url(attestation),
            },
        }
        return json.dumps({"challenge": b64url(challenge), "credential": said}).encode()

    def answer(self, challenge: bytes, *, flags: int = UP | UV, **client: Any) -> dict[str, Any]:
        """The browser's JSON of an assertion over a challenge; `client` changes what the browser says of the page."""
        if self.count is not None:
            self.count += 1
        data, told = self._data(flags), self._client("webauthn.get", challenge, client)
        signature = self.sign(data + hashlib.sha256(told).digest())
        name = b64url(self.credential_id)
        response = {
            "authenticatorData": b64url(data),
            "clientDataJSON": b64url(told),
            "signature": b64url(signature),
            "userHandle": None,
        }
        return {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}

    def sign(self, data: bytes) -> bytes:
        """The signature of the algorithm."""
        if self.algorithm == "ES256":
            return bytes(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
        if self.algorithm == "EdDSA":
            return bytes(self.key.sign(data))
        return bytes(self.key.sign(data, padding.PKCS1v15(), hashes.SHA256()))

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + (self.count or 0).to_bytes(4, "big")

    def _client(self, kind: str, challenge: bytes, more: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": b64url(challenge), "origin": self.origin, "crossOrigin": False}
        return json.dumps(said | more).encode()
