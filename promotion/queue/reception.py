"""Reception: what became of each package that was handed over, by the receipts that the Factory leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from promotion.state import decisions, open_promotion
from shared.core.errors import BadInput
from shared.state.workspace import Workspace
from shared.trust.attestation import parse_attestation
from shared.trust.receipt import Receipt, read_receipt

State = Literal["handed_over", "admitted", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Reception:
    """One hand-over.

    Attributes:
        release: the name that it was handed over under.
        state: `handed_over` while the Factory has said nothing; `unknown` where what it said cannot be believed.
        at: when the Factory said so, by its clock.
        told: the state in a few words.
    """

    pilot: str
    release: str
    package: str
    state: State
    at: str | None
    told: str


def receptions(workspace: Workspace) -> tuple[Reception, ...]:
    """Every hand-over of this gate, the first one first; a row that cannot be read is `promote verify`'s to name."""
    with open_promotion(workspace).read() as connection:
        rows = connection.execute(sa.select(decisions).order_by(decisions.c.at, decisions.c.pilot)).all()
    found = []
    for row in rows:
        try:
            attestation = parse_attestation(row.envelope, where=f"decision on {row.pilot}")
        except BadInput:
            continue
        release = attestation.predicate.decision.release
        if release is not None:
            found.append(_reception(workspace, row.pilot, release, row.candidate, attestation.digest))
    return tuple(found)


def _reception(workspace: Workspace, pilot: str, release: str, package: str, attestation: str) -> Reception:
    try:
        receipt = read_receipt(workspace, package)
    except BadInput as error:
        return Reception(pilot, release, package, "unknown", None, f"cannot say: {error.what} ({error.where})")
    if receipt is None:
        return Reception(pilot, release, package, "handed_over", None, "handed over, not yet admitted")
    return Reception(pilot, release, package, *_said(receipt, release, attestation))


def _said(receipt: Receipt, release: str, attestation: str) -> tuple[State, str, str]:
    """State, time and words of a receipt; one for another decision says nothing of this one."""
    if receipt.outcome == "refused":
        return "refused", receipt.at, "refused because: " + "; ".join(receipt.reasons)
    if (receipt.release, receipt.attestation) != (release, attestation):
        told = f"cannot say: the Factory admitted it as {receipt.release}, by another attestation or name"
        return "unknown", receipt.at, told
    return "admitted", receipt.at, f"admitted as release {release}"
