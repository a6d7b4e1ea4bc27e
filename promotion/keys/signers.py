"""Signers: the private keys of persons and of the gate, opened to sign, or why they cannot be."""

from __future__ import annotations

from securesystemslib.signer import CryptoSigner

from promotion.keys.enrolment import enrolled_key, find_key
from shared.core.errors import Refused
from shared.state.workspace import Workspace
from shared.trust.keys import GATE, KeyStore, PublicKey


def signer_of(workspace: Workspace, name: str, passphrase: str | None) -> CryptoSigner:
    """Signs as a person or the gate; raises Refused where the private key is not the one that is enrolled."""
    enrolled = enrolled_key(workspace, name)
    _require_key(enrolled)
    signer = KeyStore(workspace, passphrase).signer(name)
    if signer.public_key.keyid != enrolled.key_id:
        raise Refused(
            f"the private key of {name} is not the one that is enrolled",
            where=f"the key of {name}",
            expected=f"key {enrolled.key_id}",
            remedy="sign with the enrolled key, on the machine where it was made",
        )
    return signer


def gate_opens(workspace: Workspace, passphrase: str | None = None) -> bool:
    """Whether the gate's private key is on this machine, and needs nobody's answer to open."""
    store = KeyStore(workspace)
    return store.has(GATE) and bool(passphrase or not store.needs_passphrase)


def require_here(workspace: Workspace, name: str) -> None:
    """Raises Refused where `signer_of` would, whatever the passphrase: no key is enrolled, or it is not here."""
    store = KeyStore(workspace)
    if store.needs_passphrase:
        _require_key(enrolled_key(workspace, name))
        store.require(name)
    else:
        signer_of(workspace, name, None)


def passkey_of(workspace: Workspace, name: str) -> PublicKey:
    """The passkey with which a person signs now; raises Refused where they have none, or a key instead."""
    enrolled = enrolled_key(workspace, name)
    if enrolled.kind != "passkey":
        raise Refused(
            f"{name} signs with a key, not with a passkey",
            where=f"key {enrolled.key_id}",
            remedy="sign where that key is; a passkey takes its place with "
            f"`pilotplant promote enrol {name} --passkey FILE --rotate`",
        )
    return enrolled


def require_no_passkey(workspace: Workspace, name: str) -> None:
    """Raises Refused for somebody who signs with a passkey: asked before anybody is asked for a passphrase."""
    found = find_key(workspace, name)
    if found is not None:
        _require_key(found)


def _require_key(enrolled: PublicKey) -> None:
    if enrolled.kind == "passkey":
        raise Refused(
            f"{enrolled.name} signs with a passkey, which no command can open",
            where=f"key {enrolled.key_id}",
            expected="an answer of the passkey to the statement",
            remedy="write the statement with --draft FILE, have the browser answer, then: pilotplant promote sign FILE",
        )
