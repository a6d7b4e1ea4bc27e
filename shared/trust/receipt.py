"""Receipts: what became of a package, as the Factory writes it down beside its inbox for the gate to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from shared.core.clock import parse_rfc3339
from shared.core.digests import canonical, hex_of
from shared.core.errors import BadInput
from shared.core.frozen import FrozenModel
from shared.state.anchors import HeadRecord
from shared.state.workspace import Mode, Workspace


class Receipt(FrozenModel):
    """The Factory's word on a package, which follows from one entry of its ledger; it is not signed.

    Attributes:
        workspace, mode: of that Factory.
        package: the digest under which it was handed over.
        attestation: of an admitted package: the digest of the attestation that it was admitted with.
        release: of an admitted package: its name.
        reasons: of a refused one: why.
        at: by the Factory's clock.
        ledger: the Factory's ledger at the entry that says so.
    """

    schema_version: Literal[1] = 1
    workspace: str
    mode: Mode
    package: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    outcome: Literal["admitted", "refused"]
    attestation: str | None = None
    release: str | None = None
    reasons: tuple[str, ...] = ()
    at: str
    ledger: HeadRecord

    @model_validator(mode="after")
    def _says_what_its_outcome_needs(self) -> Receipt:
        parse_rfc3339(self.at)
        admitted = self.outcome == "admitted"
        if admitted != (self.release is not None) or admitted != (self.attestation is not None):
            raise ValueError("release and attestation belong to an admitted package")
        if admitted == bool(self.reasons):
            raise ValueError("reasons belong to a refused package")
        return self

    def as_bytes(self) -> bytes:
        """The file's content."""
        return canonical(self.model_dump(mode="json"))


def receipts_folder(workspace: Workspace) -> Path:
    """Where the Factory leaves them: the one place of its own that the gate reads."""
    return workspace.factory / "receipts"


def receipt_path(workspace: Workspace, package: str) -> Path:
    """Where the receipt of a package lies."""
    return receipts_folder(workspace) / f"{hex_of(package)}.json"


def read_receipt(workspace: Workspace, package: str) -> Receipt | None:
    """The receipt of a package, or None where there is none; raises BadInput where it is not as it was written."""
    path = receipt_path(workspace, package)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _damaged(path) from error
    try:
        content: Any = json.loads(raw)
        found = Receipt.model_validate(content)
        sound = found.as_bytes() == raw
    except (ValueError, TypeError, RecursionError, ValidationError) as error:
        raise _damaged(path) from error
    if not sound or found.package != package or (found.workspace, found.mode) != (workspace.id, workspace.mode):
        raise _damaged(path)
    return found


def _damaged(path: Path) -> BadInput:
    return BadInput(
        "the receipt is damaged, or another package's",
        where=str(path),
        expected="a receipt to the last byte as the Factory wrote it",
        remedy="have ops write it anew from the Factory's ledger: pilotplant factory admit",
    )
