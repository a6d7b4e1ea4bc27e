"""Nonces: what draws a pilot's arms, drawn once for its name when the gate first takes in a promise under it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from promotion.state import REGISTERED
from shared.core.digests import digest_json
from shared.core.errors import Refused
from shared.experiment.amendment import remeasured, what_measures
from shared.experiment.charter import Promise
from shared.experiment.draw import what_draws
from shared.state.anchors import HeadRecord
from shared.state.chain import Entry
from shared.state.workspace import Mode
from shared.trust.registration import NONCE_BYTES, Registration

# The first registration of a name holds its nonce, and what it draws.
NONCE, DRAWS, MEASURES = "nonce", "draws", "measures"


def drawing(entries: Iterable[Entry], promise: Promise, seed: str | None) -> dict[str, Any]:
    """What a promise's entry in the ledger says of the draw: the first one of a name holds nonce and what it draws.

    It holds what the effects are computed from as well. `entries` are those of the pilot, `seed` that of a rehearsal.
    Raises Refused where the name was registered before, and this promise would draw other arms by the nonce that is
    known since then, or compute its effects otherwise.
    """
    first = first_registered(entries)
    if promise.rules == 1:
        return {}
    charter, draws = promise.charter, digest_json(what_draws(promise))
    if first is None:
        return {NONCE: drawn_nonce(charter.pilot, seed), DRAWS: draws, MEASURES: what_measures(promise)}
    if first.body.get(DRAWS) != draws:
        raise Refused(
            f"pilot {charter.pilot} was registered with another draw of its arms, and that stands",
            where=f"pilot {charter.pilot}",
            expected="arms, weights, control, population, eligible, assignment, cluster, layer and sample as at first",
            remedy="put these back as they were, or launch the pilot under a new name",
        )
    moved = remeasured(first.body[MEASURES], what_measures(promise)) if MEASURES in first.body else []
    if moved:
        raise Refused(
            f"pilot {charter.pilot} was registered with other measures, and its arms are known: {', '.join(moved)}",
            where=f"pilot {charter.pilot}",
            expected="primary metrics, guardrails, covariates and strata as they were first; guardrails may be added",
            remedy="put these back as they were, or launch the pilot under a new name",
        )
    return {}


def first_registered(entries: Iterable[Entry]) -> Entry | None:
    """The entry with which the gate first took in a promise of a pilot; None among entries without any."""
    return next((entry for entry in entries if entry.kind == REGISTERED), None)


def drawn_nonce(pilot: str, seed: str | None) -> str:
    """A new nonce; with the seed of a rehearsal always the same for a name."""
    if seed is None:
        return secrets.token_hex(NONCE_BYTES)
    return hashlib.sha256(f"{seed}:{pilot}".encode()).hexdigest()[: 2 * NONCE_BYTES]


def registrations(entries: Iterable[Entry], workspace: str, mode: Mode) -> list[Registration]:
    """Each registration with a nonce that a gate's ledger holds, the first one first; what cannot be read is none."""
    taken: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.kind == REGISTERED:
            taken.setdefault(entry.subject, []).append(entry)
    found = [(entry, first_registered(of_pilot)) for of_pilot in taken.values() for entry in of_pilot]
    said = (_registration(entry, first, workspace, mode) for entry, first in found)
    return sorted(filter(None, said), key=lambda one: one.ledger.seq)


def _registration(entry: Entry, first: Entry | None, workspace: str, mode: Mode) -> Registration | None:
    try:
        return Registration(
            workspace=workspace,
            mode=mode,
            pilot=entry.subject,
            promise=entry.body["promise"],
            at=entry.at,
            ledger=HeadRecord(seq=entry.seq, hash=entry.hash),
            nonce=first.body[NONCE] if first else "",
        )
    except (KeyError, ValidationError):
        return None  # of the first rules, or damaged, which the ledger's own chain tells
