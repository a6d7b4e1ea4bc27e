"""Receipts: what the gate's ledger says of each registration with a nonce, signed, as a file that everybody may read.

The gate's key may not open when a promise is registered: its passphrase is somebody's. So each receipt is signed by
whatever the gate signs next. What is signed is what the ledger says, and the same to the byte whenever it is signed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from promotion.keys.keyring import KEY_KINDS, keyring
from promotion.keys.signers import gate_opens, signer_of
from promotion.registry.nonces import registrations
from promotion.state import REGISTERED
from shared.core.clock import parse_rfc3339
from shared.core.errors import BadInput, PilotPlantError
from shared.core.files import write_atomically
from shared.state.chain import Entry
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.keys import GATE, PublicKey, passphrase_variable
from shared.trust.record import receipt_path
from shared.trust.registration import KIND, Registration
from shared.trust.signed import Signed, parse, sign

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner


def sign_outstanding(room: Room, signer: CryptoSigner) -> None:
    """Signs each receipt that is not there, is damaged, or has no signature that counts any more.

    Nothing is signed of a ledger that does not verify, and nothing that says otherwise than a receipt that is there:
    `promote verify` names both.
    """
    workspace, entries = room.workspace, room.entries(kinds=[*KEY_KINDS, REGISTERED])
    keys = list(keyring(entries, workspace).keys.get(GATE, ()))
    said = registrations(entries, workspace.id, workspace.mode)
    unsigned = [one for one in said if _unsigned(receipt_path(workspace, one.promise), one, keys)]
    if unsigned and not room.problems():
        for one in unsigned:
            write_atomically(receipt_path(workspace, one.promise), sign(KIND, one.as_json(), [signer]))


def gate_signer(room: Room, passphrase: str | None) -> CryptoSigner:
    """Signs as the gate, after signing every receipt that waits for it; raises as `signer_of` does."""
    signer = signer_of(room.workspace, GATE, passphrase)
    sign_outstanding(room, signer)
    return signer


def sign_waiting(room: Room, passphrase: str | None = None) -> None:
    """Signs the receipts that wait, where the gate's key is here and opens without a question; else they go on waiting.

    A key that is not enrolled, or does not open, is told of by the command that has to sign with it.
    """
    passphrase = passphrase or os.environ.get(passphrase_variable(GATE))
    if not gate_opens(room.workspace, passphrase):
        return
    with suppress(PilotPlantError, OSError):
        gate_signer(room, passphrase)


def waiting(workspace: Workspace, entries: Iterable[Entry]) -> list[Registration]:
    """The registrations without a receipt."""
    said = registrations(entries, workspace.id, workspace.mode)
    return [one for one in said if not receipt_path(workspace, one.promise).exists()]


def receipt_doubts(path: Path, said: Registration, keys: Sequence[PublicKey]) -> list[str]:
    """Why a receipt is not believed, given what the ledger says and the gate's keys; empty where it is."""
    try:
        signed = parse_receipt(path)
    except BadInput as error:
        return [error.what]
    if differing := Registration.model_validate(signed.content).differing(said):
        return [f"it does not follow from the ledger, which differs in: {', '.join(differing)}"]
    return _doubts(signed, said, keys)


def _unsigned(path: Path, said: Registration, keys: Sequence[PublicKey]) -> bool:
    """Whether a receipt of these very facts has to be signed, for the first time or anew."""
    try:
        signed = parse_receipt(path)
    except BadInput:
        return True
    return signed.content == said.as_json() and bool(_doubts(signed, said, keys))


def _doubts(signed: Signed, said: Registration, keys: Sequence[PublicKey]) -> list[str]:
    good = signed.verified_by([key for key in keys if key.role == "gate" and key.mode == said.mode])
    if not good:
        return ["none of its signatures is by a key of the gate that is known here"]
    # It may have been signed long after it was registered: only the end of a key, and its revocation, speak against it.
    at = parse_rfc3339(said.at)
    doubts = [key.model_copy(update={"valid_from": None}).doubt(at) for key in good]
    return [] if None in doubts else [doubt for doubt in doubts if doubt]


def parse_receipt(path: Path) -> Signed:
    """A receipt with its signatures; raises BadInput for a file that is none."""
    try:
        signed = parse(path.read_bytes(), KIND, where=str(path))
        Registration.model_validate(signed.content)
    except OSError as error:
        raise BadInput("the receipt cannot be read", where=str(path), expected="a file") from error
    except ValidationError as error:
        raise BadInput("the receipt does not say what one says", where=str(path)) from error
    return signed
