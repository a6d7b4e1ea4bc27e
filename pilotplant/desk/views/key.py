"""A person's key: what they sign with, and a passkey that they registered at the desk and ops have yet to enrol."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from promotion.keys.enrolment import find_key
from shared.core.errors import BadInput, PilotPlantError
from shared.core.files import write_atomically
from shared.state.workspace import Workspace
from shared.trust.keys import PublicKey
from shared.trust.passkey import base64url, key_id_of, read_registration

CHALLENGE_BYTES = 32
# In the order of preference: ES256, EdDSA, RS256 (IANA's registry of COSE algorithms).
ALGORITHMS = (-7, -8, -257)


@dataclass(frozen=True, slots=True)
class Registered:
    """A passkey that a browser registered.

    Attributes:
        key_id: what ops compare before the Factory trusts it.
        commands: how ops enrol it, and have it trusted.
    """

    key_id: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeyPage:
    """What somebody signs with.

    Attributes:
        key: the enrolled one; None where there is none.
        registered: what waits to be enrolled in its place; None where nothing does.
    """

    person: str
    key: PublicKey | None
    registered: Registered | None


def key_page(workspace: Workspace, person: str, origin: str) -> KeyPage:
    """The page of a person whose browser is at `origin`."""
    key = find_key(workspace, person)
    path = registration_of(workspace, person)
    waits = _registered(workspace, path, person, origin, key) if path.exists() else None
    return KeyPage(person, key, waits)


def creation(person: str, origin: str) -> dict[str, Any]:
    """What `navigator.credentials.create()` is asked, as JSON, with a new challenge."""
    return {
        "challenge": base64url(secrets.token_bytes(CHALLENGE_BYTES)),
        "rp": {"id": site_of(origin), "name": "Pilot Plant"},
        "user": {"id": base64url(hashlib.sha256(person.encode()).digest()), "name": person, "displayName": person},
        "pubKeyCredParams": [{"type": "public-key", "alg": algorithm} for algorithm in ALGORITHMS],
        "authenticatorSelection": {"userVerification": "required", "residentKey": "preferred"},
        "attestation": "none",
    }


def register(workspace: Workspace, person: str, origin: str, raw: bytes) -> None:
    """Keeps a passkey for ops to enrol; raises BadInput or Refused for what is none of this site.

    It signs nothing until then: whoever has somebody's browser for a minute puts no key in the place of theirs.
    """
    path = registration_of(workspace, person)
    read_registration(raw, site_of(origin), (origin,), where="the passkey's registration")
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    write_atomically(path, raw)


def registration_of(workspace: Workspace, person: str) -> Path:
    """Where the passkey lies that a person registered last."""
    return workspace.root / "var" / "desk" / "passkeys" / f"{hashlib.sha256(person.encode()).hexdigest()[:32]}.json"


def site_of(origin: str) -> str:
    """The relying party of the desk at an address; raises BadInput where browsers make no passkey for it."""
    host = urlsplit(origin).hostname or ""
    if host.replace(".", "").isdigit() or ":" in host:
        raise BadInput(
            f"a passkey belongs to a name, and {host} is a number",
            where=origin,
            expected="the desk under its name, like http://localhost:8700",
            remedy="open the desk there, and sign in once more: pilotplant desk --link",
        )
    return host


def _registered(workspace: Workspace, path: Path, person: str, origin: str, key: PublicKey | None) -> Registered | None:
    """What waits to be enrolled; None where it is enrolled, or was registered at another address of the desk."""
    try:
        found = read_registration(path.read_bytes(), site_of(origin), (origin,), where=str(path))
    except PilotPlantError:
        return None
    key_id = key_id_of(found.public, found.passkey)
    if key is not None and key.key_id == key_id:
        return None
    file, rotate = path.relative_to(workspace.root), " --rotate" if key else ""
    return Registered(
        key_id,
        (
            f"pilotplant promote enrol {person} --passkey {file} --origin {origin}{rotate}",
            f"pilotplant factory trust {person}{' --replace' if key else ''}",
        ),
    )
