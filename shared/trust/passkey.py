"""Passkeys: a WebAuthn credential as a second kind of key, and what its answer to a statement is worth.

The challenge is the SHA-256 of what a DSSE signature covers (docs/adr/0052), so that an answer stands under one
statement alone. What an authenticator gives is verified by `webauthn`; what is stricter here says why.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from shared.core.digests import canonical
from shared.core.errors import BadInput, Refused
from shared.core.frozen import FrozenModel

if TYPE_CHECKING:
    from securesystemslib.signer import Signature

# The part of a DSSE signature that holds what WebAuthn signs beside the challenge; readers of DSSE pass it over.
PART = "passkey"
_FIELDS = {"authenticator_data", "client_data", "credential_id"}
RSA_BITS_MIN = 2048
# Where a page counts as secure without TLS (https://www.w3.org/TR/secure-contexts/#is-origin-trustworthy).
_LOCAL = "localhost"
# What the library says of an answer that it refuses, and what a person is told.
_WORDS = {
    "Client data challenge": "it answers another challenge than the one that came with it",
    "Unexpected client data type": "it is not the answer to a request to sign",
    "Unexpected client data origin": "it was given on another page than those that the passkey was enrolled for",
    "Unexpected RP ID hash": "it was given for another site than the one that the passkey was enrolled for",
    "User was not present": "nobody touched the authenticator",
    "User verification": "the authenticator did not verify the person, by PIN, finger or face",
    "Could not verify": "its signature is not by the enrolled passkey, or something that it covers was changed",
}


class Passkey(FrozenModel):
    """What a passkey is bound to, beside its public key.

    Attributes:
        credential_id: base64url, as the browser names it.
        rp_id: the relying party: the domain for which the authenticator keeps it.
        origins: the pages on which an answer may have been given, as scheme, host and port.
        user_verification: the authenticator must have verified the person: a touch alone could be anybody's.
    """

    credential_id: str = Field(pattern=r"^[A-Za-z0-9_-]{16,1366}$")
    rp_id: str = Field(pattern=r"^[a-z0-9.-]{1,253}$")
    origins: tuple[str, ...] = Field(min_length=1)
    user_verification: Literal["required"] = "required"

    @model_validator(mode="after")
    def _origins_are_of_the_party(self) -> Passkey:
        for origin in self.origins:
            parts = urlsplit(origin)
            host, secure = parts.hostname or "", parts.scheme == "https"
            if origin != f"{parts.scheme}://{parts.netloc}".lower() or parts.username is not None:
                raise ValueError(f"{origin} is no origin: scheme, host and port alone")
            if not secure and not (parts.scheme == "http" and host == _LOCAL):
                raise ValueError(f"{origin} is not secure: https, or http on {_LOCAL}")
            if host != self.rp_id and not host.endswith(f".{self.rp_id}"):
                raise ValueError(f"{origin} is no page of {self.rp_id}")
        if list(self.origins) != sorted(set(self.origins)):
            raise ValueError("origins are named once each, in order")
        return self


def key_id_of(public: str, passkey: Passkey) -> str:
    """The id of a passkey: the digest of its public key and of all that it is bound to."""
    said = {"kind": "passkey", "public": public, **passkey.model_dump(mode="json")}
    return hashlib.sha256(canonical(said)).hexdigest()


def challenge_of(pae: bytes) -> bytes:
    """The challenge under which a statement is signed, from its DSSE pre-authentication encoding."""
    return hashlib.sha256(pae).digest()


def base64url(data: bytes) -> str:
    """As WebAuthn writes bytes: base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def unbase64url(text: str) -> bytes:
    """The bytes of `base64url`; raises ValueError for any other way of writing them."""
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64url(data) != text:
        raise ValueError("not base64url without padding")
    return data


@dataclass(frozen=True, slots=True)
class PasskeyVerifier:
    """Checks signatures as a key of `securesystemslib` does.

    Attributes:
        keyid: the record's.
        cose: the COSE public key.
    """

    keyid: str
    cose: bytes
    passkey: Passkey

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        """Raises UnverifiedSignatureError, with the reason, where the signature on `data` is not good."""
        from securesystemslib.exceptions import UnverifiedSignatureError

        reason = self.refusal(signature, data)
        if reason is not None:
            raise UnverifiedSignatureError(reason)

    def refusal(self, signature: Signature, data: bytes) -> str | None:
        """Why a signature on `data`, a pre-authentication encoding, is not good, in words; None where it is."""
        try:
            parts = signature.unrecognized_fields[PART]
            if set(signature.unrecognized_fields) != {PART} or set(parts) != _FIELDS:
                raise ValueError("other parts than a passkey signs")
            answer = Answer(
                parts["credential_id"],
                _unbase64(parts["authenticator_data"]),
                _unbase64(parts["client_data"]),
                bytes.fromhex(signature.signature),
            )
        except (KeyError, ValueError, TypeError, AttributeError):
            return "it does not hold what a passkey signs"
        # The other form of an ECDSA signature is as good, and would give the statement a second digest.
        if answer.signature != settled(self.cose, answer.signature):
            return "its signature is not in the one form that is kept"
        return self.objection(answer, data)

    def objection(self, answer: Answer, data: bytes) -> str | None:
        """Why an authenticator's answer is no signature on `data`, in words; None where it is."""
        if answer.credential_id != self.passkey.credential_id:
            return "it was given by another credential than the enrolled one"
        try:
            client = json.loads(answer.client_data)
            if client["challenge"] != base64url(challenge_of(data)):
                return "it was given for another statement than this one"
            if client.get("crossOrigin", False) is not False or "topOrigin" in client:
                return "it was given on a page within another site's page"
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return "its client data cannot be read"
        return self._refused_by_library(answer, data)

    def _refused_by_library(self, answer: Answer, data: bytes) -> str | None:
        from webauthn import verify_authentication_response
        from webauthn.helpers.exceptions import WebAuthnException

        try:
            verify_authentication_response(
                credential=answer.as_browser(),
                expected_challenge=challenge_of(data),
                expected_rp_id=self.passkey.rp_id,
                expected_origin=list(self.passkey.origins),
                credential_public_key=self.cose,
                # Of one signature nobody knows what came before it: the ledger's order is asked elsewhere.
                credential_current_sign_count=0,
                require_user_verification=True,
            )
        except WebAuthnException as error:
            return _in_words(error)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return "it cannot be read"
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    """What an authenticator gave: its data, the browser's, and the signature over both.

    Attributes:
        credential_id: base64url.
        client_data: the browser's JSON, to the byte.
    """

    credential_id: str
    authenticator_data: bytes
    client_data: bytes
    signature: bytes

    @property
    def sign_count(self) -> int:
        """How often the authenticator says that it has signed; 0 where it does not count."""
        return int.from_bytes(self.authenticator_data[33:37], "big")

    def as_browser(self) -> dict[str, Any]:
        """As `navigator.credentials.get()` gives it in JSON."""
        return {
            "id": self.credential_id,
            "rawId": self.credential_id,
            "type": "public-key",
            "response": {
                "authenticatorData": base64url(self.authenticator_data),
                "clientDataJSON": base64url(self.client_data),
                "signature": base64url(self.signature),
            },
        }

    def as_part(self) -> dict[str, str]:
        """As it stands in a DSSE signature beside `sig`."""
        return {
            "authenticator_data": b64encode(self.authenticator_data).decode(),
            "client_data": b64encode(self.client_data).decode(),
            "credential_id": self.credential_id,
        }


def read_answer(raw: bytes | str | Mapping[str, Any], *, where: str) -> Answer:
    """The answer that a browser gave, as JSON; raises BadInput for anything that is none."""
    try:
        said = json.loads(raw) if isinstance(raw, bytes | str) else raw
        if said["type"] != "public-key" or said["id"] != said["rawId"]:
            raise ValueError("no public-key credential")
        response = said["response"]
        unbase64url(said["id"])
        return Answer(
            said["id"],
            unbase64url(response["authenticatorData"]),
            unbase64url(response["clientDataJSON"]),
            unbase64url(response["signature"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(
            "this is no answer of a passkey",
            where=where,
            expected="the JSON of navigator.credentials.get(): id, rawId, type and response",
            remedy="have the browser answer once more, and keep what it gives as it is",
        ) from error


@dataclass(frozen=True, slots=True)
class AnswerSigner:
    """Signs, in the place of a private key, the one statement that an answer was given for."""

    verifier: PasskeyVerifier
    answer: Answer

    def sign(self, payload: bytes) -> Signature:
        """The signature of that statement; raises Refused for any other one, with the reason."""
        from securesystemslib.signer import Signature

        reason = self.verifier.objection(self.answer, payload)
        if reason is not None:
            raise Refused(
                f"the passkey's answer does not count: {reason}",
                where=f"key {self.verifier.keyid}",
                expected="an answer of the enrolled passkey to this very statement",
                remedy="prepare the statement once more, and sign that",
            )
        kept = settled(self.verifier.cose, self.answer.signature)
        return Signature(self.verifier.keyid, kept.hex(), {PART: self.answer.as_part()})


def settled(cose: bytes, signature: bytes) -> bytes:
    """The one form of a signature that is kept: of the two that ECDSA lets pass the lower, in DER."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
    from webauthn.helpers import decode_credential_public_key
    from webauthn.helpers.cose import COSEKTY

    if decode_credential_public_key(cose).kty != COSEKTY.EC2:
        return signature
    try:
        r, s = decode_dss_signature(signature)
        return encode_dss_signature(r, min(s, _P256_ORDER - s))
    except ValueError:
        return signature


# The order of P-256's base point (FIPS 186-5 / SP 800-186, section 3.2.1.3).
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def require_cose(public: str) -> bytes:
    """The COSE key of a record; raises ValueError where it is not ES256, EdDSA or RS256 in its one form."""
    cose = bytes.fromhex(public)
    if _canonical_cose(cose) != cose:
        raise ValueError("not the one form of a COSE key")
    return cose


def _canonical_cose(cose: bytes) -> bytes:
    """A COSE key with its own parameters alone, in the order of CTAP2: one key has one record."""
    from webauthn.helpers import decode_credential_public_key, decoded_public_key_to_cryptography, encode_cbor
    from webauthn.helpers.decode_credential_public_key import DecodedEC2PublicKey, DecodedOKPPublicKey
    from webauthn.helpers.exceptions import WebAuthnException

    parts: dict[int, Any]
    try:
        key = decode_credential_public_key(cose)
        decoded_public_key_to_cryptography(key)
        kty, alg = int(key.kty), int(key.alg)
        if isinstance(key, DecodedEC2PublicKey):
            fits = (kty, alg, int(key.crv), len(key.x), len(key.y)) == (2, -7, 1, 32, 32)
            parts = {-1: 1, -2: key.x, -3: key.y}
        elif isinstance(key, DecodedOKPPublicKey):
            fits = (kty, alg, int(key.crv), len(key.x)) == (1, -8, 6, 32)
            parts = {-1: 6, -2: key.x}
        else:
            modulus, exponent = getattr(key, "n", b""), getattr(key, "e", b"")
            long_enough = int.from_bytes(modulus, "big").bit_length() >= RSA_BITS_MIN
            fits = (kty, alg) == (3, -257) and long_enough and modulus[:1] != b"\0" != exponent[:1]
            parts = {-1: modulus, -2: exponent}
    except (WebAuthnException, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError("no COSE public key") from error
    if not fits:
        raise ValueError("another algorithm than ES256, EdDSA or RS256, or too short a key")
    encoded: bytes = encode_cbor({1: kty, 3: alg, **parts})
    return encoded


@dataclass(frozen=True, slots=True)
class Registered:
    """What a browser registered: the COSE key (hexadecimal), what it is bound to, and its counter then."""

    public: str
    passkey: Passkey
    sign_count: int


def read_registration(raw: bytes, rp_id: str, origins: tuple[str, ...], *, where: str) -> Registered:
    """The passkey that a registration brings: `{"challenge": …, "credential": …}`, as the browser gave it.

    Raises BadInput for anything that is none, and Refused where the answer does not hold for this site.
    """
    from webauthn import verify_registration_response
    from webauthn.helpers.cose import COSEAlgorithmIdentifier
    from webauthn.helpers.exceptions import WebAuthnException

    remedy = "register the passkey once more, on a page of --origin, and keep what the browser gives as it is"
    try:
        said = json.loads(raw)
        challenge, credential = unbase64url(said["challenge"]), dict(said["credential"])
        client = json.loads(unbase64url(credential["response"]["clientDataJSON"]))
        embedded = client.get("crossOrigin", False) is not False or "topOrigin" in client
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(
            "this is no registration of a passkey",
            where=where,
            expected='{"challenge": base64url, "credential": the JSON of navigator.credentials.create()}',
            remedy=remedy,
        ) from error
    try:
        if embedded:
            raise ValueError("it was given on a page within another site's page")
        done = verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=rp_id,
            expected_origin=list(origins),
            require_user_verification=True,
            supported_pub_key_algs=[
                COSEAlgorithmIdentifier.ECDSA_SHA_256,
                COSEAlgorithmIdentifier.EDDSA,
                COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
            ],
        )
        passkey = Passkey(credential_id=base64url(done.credential_id), rp_id=rp_id, origins=tuple(sorted(set(origins))))
        return Registered(_canonical_cose(done.credential_public_key).hex(), passkey, done.sign_count)
    except (WebAuthnException, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        told = _in_words(error) if isinstance(error, WebAuthnException) else str(error)
        raise Refused(f"this registration does not count: {told}", where=where, remedy=remedy) from error


def _in_words(error: Exception) -> str:
    said = str(error)
    return next((words for start, words in _WORDS.items() if said.startswith(start)), said)


def _unbase64(text: str) -> bytes:
    data = b64decode(text, validate=True)
    if b64encode(data).decode() != text:
        raise ValueError("not base64 in its one form")
    return data
