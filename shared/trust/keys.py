"""Keys: ed25519 pairs, the private half outside the workspace, the public half as a small YAML record; and passkeys.

Of a passkey there is a record alone: its private half never leaves the authenticator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

import yaml
from pydantic import AfterValidator, Field, model_validator

from shared.core.clock import parse_rfc3339
from shared.core.errors import BadInput, Refused
from shared.core.files import write_atomically
from shared.core.frozen import FrozenModel
from shared.core.yamlfile import read_yaml
from shared.state.workspace import Mode, Workspace
from shared.trust.passkey import Passkey, PasskeyVerifier, key_id_of, require_cose

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import serialization as ser
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.signer import CryptoSigner, Signature

Role = Literal["gate", "owner", "factory"]
GATE = "gate"
FACTORY = "factory"
# Names that are no person's, each with the command that makes its key.
_OF_ROOMS = {GATE: "pilotplant promote enrol gate", FACTORY: "pilotplant factory enrol"}
# The least for a secret that nothing else stands beside (NIST SP 800-63B-4, section 3.1.1.2).
PASSPHRASE_MIN = 15
ED25519_BYTES = 32


def _is_moment(text: str) -> str:
    parse_rfc3339(text)
    return text


Moment = Annotated[str, AfterValidator(_is_moment)]


class Verifier(Protocol):
    """What checks a signature: a key of `securesystemslib`, or a passkey."""

    @property
    def keyid(self) -> str:
        """The id by which a signature names it."""

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        """Raises UnverifiedSignatureError where it is not good."""


class PublicKey(FrozenModel):
    """Whose key this is, for what, and the key itself (hexadecimal).

    Attributes:
        public: an ed25519 key, or the COSE key of a passkey.
        passkey: what a passkey is bound to; None for an ed25519 key, whose record does not name it.
        valid_from, ends: RFC 3339; by the gate's ledger it counts from the one moment, and no more from the other on.
        revoked_since: RFC 3339; from then on nothing that it signs is believed.
    """

    schema_version: Literal[1] = 1
    name: str
    role: Role
    mode: Mode
    key_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    public: str = Field(pattern=r"^([0-9a-f]{2})+$")
    passkey: Passkey | None = None
    valid_from: Moment | None = None
    ends: Moment | None = None
    revoked_since: Moment | None = None

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> PublicKey:
        if self.passkey is not None and self.role != "owner":
            raise ValueError("a passkey is a person's: gate and Factory sign without one")
        if self.passkey is None and len(self.public) != 2 * ED25519_BYTES:
            raise ValueError(f"an ed25519 key has {ED25519_BYTES} bytes")
        return self

    @property
    def kind(self) -> Literal["ed25519", "passkey"]:
        """What kind of key it is."""
        return "ed25519" if self.passkey is None else "passkey"

    def verifier(self) -> Verifier:
        """The key as signatures are checked with; raises BadInput where id and key do not belong together."""
        if self.passkey is not None:
            return self._passkey_verifier(self.passkey)
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from securesystemslib.signer import SSlibKey

        key = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public)))
        if key.keyid != self.key_id:
            raise BadInput(f"the key of {self.name} does not match its key_id", remedy="pin the key's record anew")
        verifier: Verifier = key
        return verifier

    def passkey_verifier(self) -> PasskeyVerifier | None:
        """The same of a passkey, which says why as well; None for an ed25519 key."""
        return None if self.passkey is None else self._passkey_verifier(self.passkey)

    def _passkey_verifier(self, passkey: Passkey) -> PasskeyVerifier:
        if key_id_of(self.public, passkey) != self.key_id:
            raise BadInput(f"the passkey of {self.name} does not match its key_id", remedy="pin the key's record anew")
        try:
            return PasskeyVerifier(self.key_id, require_cose(self.public), passkey)
        except ValueError as error:
            raise BadInput(
                f"the passkey of {self.name} cannot be used: {error}",
                expected="a COSE key for ES256, EdDSA or RS256, in its one form",
                remedy="register the passkey once more",
            ) from error

    def doubt(self, at: datetime, *, witnessed: datetime | None = None) -> str | None:
        """Why a good signature of `at` does not count, in words; None where it does.

        `at` is the signer's own claim, which dates nothing once the key is revoked: whoever holds it may claim any
        moment. `witnessed` is when somebody else is known to have had the signature.
        """
        name = f"the key {self.key_id[:12]} of {self.name}, which signed it,"
        if self.revoked_since is not None:
            if witnessed is None:
                return f"{name} is revoked since {self.revoked_since}, and nobody witnessed the signature before that"
            if witnessed >= parse_rfc3339(self.revoked_since):
                return f"{name} is revoked since {self.revoked_since}, and it was signed no earlier"
        if self.valid_from is not None and at < parse_rfc3339(self.valid_from):
            return f"{name} was enrolled only at {self.valid_from}"
        if self.ends is not None and at >= parse_rfc3339(self.ends):
            return f"{name} ended at {self.ends}, when another took its place"
        return None


@dataclass(frozen=True, slots=True)
class KeyStore:
    """Where private keys lie and where their public records go.

    Attributes:
        workspace: whose keys these are.
        passphrase: asked for when a live workspace's key is made or used; None in a rehearsal.
    """

    workspace: Workspace
    passphrase: str | None = None

    @property
    def folder(self) -> Path:
        """Outside the workspace, but for a rehearsal."""
        return self.workspace.private_keys

    @property
    def needs_passphrase(self) -> bool:
        """Whether a key of this workspace is encrypted."""
        return self.workspace.mode == "live"

    def has(self, name: str) -> bool:
        """Whether the private half of `name` is on this machine."""
        return self._path(name).exists()

    def require(self, name: str) -> None:
        """Raises Refused where the private half of `name` is not on this machine."""
        _require_file(name, self._path(name))

    def create(self, name: str, role: Role, *, as_next: bool = False) -> PublicKey:
        """A new pair; the private half is written, the public record returned.

        With `as_next` it waits beside the one that is in use, until `settle_next`.
        """
        from cryptography.hazmat.primitives import serialization as ser
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        encryption = self._encryption(name)
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, encryption)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        write_atomically(self._next_path(name) if as_next else self._path(name), pem)
        return self._record(name, role, key)

    def signer(self, name: str) -> CryptoSigner:
        """Signs as `name`; raises Refused where the key is not here or the passphrase is wrong."""
        from securesystemslib.signer import CryptoSigner

        return CryptoSigner(self._load(name))

    def public(self, name: str, role: Role) -> PublicKey:
        """The public record of a private key that is here."""
        return self._record(name, role, self._load(name))

    def has_next(self, name: str) -> bool:
        """Whether a key waits to take the place of the one in use."""
        return self._next_path(name).exists()

    def next(self, name: str, role: Role) -> PublicKey:
        """The public record of the key that waits."""
        return self._record(name, role, self._load(name, self._next_path(name)))

    def settle_next(self, name: str) -> None:
        """Puts the key that waits into use; the private half of the one before it is gone then."""
        self._next_path(name).replace(self._path(name))

    def _load(self, name: str, path: Path | None = None) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives import serialization as ser
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        path = path or self._path(name)
        _require_file(name, path)
        try:
            key = ser.load_pem_private_key(path.read_bytes(), self._secret(name))
        except (ValueError, TypeError) as error:
            raise Refused(
                f"the private key of {name} does not open",
                where=str(path),
                remedy=f"check the passphrase (asked for, or {passphrase_variable(name)})",
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise Refused(f"the private key of {name} is not an ed25519 key", where=str(path))
        return key

    def _record(self, name: str, role: Role, key: Ed25519PrivateKey) -> PublicKey:
        from cryptography.hazmat.primitives import serialization as ser
        from securesystemslib.signer import SSlibKey

        public = key.public_key()
        raw = public.public_bytes(ser.Encoding.Raw, ser.PublicFormat.Raw).hex()
        return PublicKey(
            name=name, role=role, mode=self.workspace.mode, key_id=SSlibKey.from_crypto(public).keyid, public=raw
        )

    def path(self, name: str) -> Path:
        """Where the private half of `name` lies."""
        return self._path(name)

    def _path(self, name: str) -> Path:
        if name not in _OF_ROOMS and ("/" in name or name.startswith(".") or "@" not in name):
            raise BadInput(f"`{name}` is not a key's name", expected="`gate`, `factory`, or a person's e-mail address")
        return self.folder / f"{name}.pem"

    def _next_path(self, name: str) -> Path:
        return self._path(name).with_suffix(".next.pem")

    def _secret(self, name: str) -> bytes | None:
        if not self.needs_passphrase:
            return None
        if not self.passphrase:
            raise BadInput(
                "a live workspace's keys need a passphrase",
                remedy=f"answer the question on a terminal, or set {passphrase_variable(name)} for a service",
            )
        return self.passphrase.encode()

    def _encryption(self, name: str) -> ser.KeySerializationEncryption:
        from cryptography.hazmat.primitives import serialization as ser

        secret = self._secret(name)
        if secret is not None and len(self.passphrase or "") < PASSPHRASE_MIN:
            raise BadInput(
                f"the passphrase has {len(self.passphrase or '')} characters",
                expected=f"at least {PASSPHRASE_MIN}: whoever has the file may try as many as they like",
                remedy="take four words that do not belong together; no key was made",
            )
        return ser.BestAvailableEncryption(secret) if secret else ser.NoEncryption()


def passphrase_variable(name: str) -> str:
    """The environment variable that may hold the passphrase of a key: the gate's, the Factory's, or a person's."""
    return f"PILOTPLANT_{name.upper()}_PASSPHRASE" if name in _OF_ROOMS else "PILOTPLANT_PASSPHRASE"


def _require_file(name: str, path: Path) -> None:
    if not path.exists():
        raise Refused(
            f"the private key of {name} is not on this machine",
            where=str(path),
            remedy=f"sign where it is, or make one with `{_OF_ROOMS.get(name, f'pilotplant promote enrol {name}')}`",
        )


def record_name(key: PublicKey) -> str:
    """The file stem of a key that has ended, beside the record of the one that took its place."""
    return f"{key.name}.{key.key_id[:12]}"


def record_bytes(key: PublicKey) -> bytes:
    """A public record as it is written."""
    return yaml.safe_dump(key.model_dump(mode="json", exclude_none=True), sort_keys=False).encode()


def write_public(folder: Path, key: PublicKey, *, stem: str | None = None) -> Path:
    """Writes a public record as `<folder>/<name>.yaml`, or under another stem."""
    path = folder / f"{stem or key.name}.yaml"
    write_atomically(path, record_bytes(key))
    return path


def narrowed(pinned: PublicKey, published: Sequence[PublicKey]) -> PublicKey:
    """A pinned key with the end and the revocation that were published of it since; it never gains by that."""
    for key in published:
        if key.key_id == pinned.key_id:
            ends = [moment for moment in (pinned.ends, key.ends) if moment is not None]
            revoked = [moment for moment in (pinned.revoked_since, key.revoked_since) if moment is not None]
            pinned = pinned.model_copy(
                update={
                    "ends": min(ends, key=parse_rfc3339, default=None),
                    "revoked_since": min(revoked, key=parse_rfc3339, default=None),
                }
            )
    return pinned


def read_public(folder: Path) -> list[PublicKey]:
    """Every public record in a folder, by name; a name may have several keys."""
    return [read_yaml(path, PublicKey) for path in sorted(folder.glob("*.yaml"))]
