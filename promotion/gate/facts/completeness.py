"""Completeness before the gate: what the recomputed evidence tells by arm."""

from __future__ import annotations

from promotion.gate.case import Case
from shared.core.errors import Undecided
from shared.evidence.model import Completeness


def completeness_of(case: Case) -> Completeness:
    """What the evidence tells by arm; raises Undecided where it tells nothing, or nobody was exposed."""
    told = case.evidence.completeness
    if told is None:
        raise Undecided("the evidence tells nothing by arm", remedy="analyse and submit again with this release")
    if not told.assigned:
        raise Undecided("nobody was exposed", remedy="record exposures, analyse and submit again")
    return told
