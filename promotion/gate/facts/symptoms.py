"""Symptoms before the gate: what the health of the recomputed evidence says, as checks read it."""

from __future__ import annotations

from promotion.gate.case import Case
from shared.core.errors import Undecided
from shared.evidence.model import Symptom

# One rule for every check on what a charter may declare but need not: nothing declared is nothing to find fault with,
# and the finding says so. What was declared and could not be looked at is unevaluable.
NOTHING_DECLARED = "not asked: the charter names no {}"


def symptoms_of(case: Case, name: str) -> tuple[Symptom, ...]:
    """All symptoms of that name, in the evidence as the gate computes it; raises Undecided where it has none."""
    found = tuple(each for each in case.evidence.health.symptoms if each.check == name)
    if not found:
        raise Undecided(
            f"the evidence says nothing of {name.replace('_', ' ')}",
            remedy="analyse and submit again with this release",
        )
    return found


def limit_of(symptom: Symptom, p_min: float, *, in_evidence: float) -> float:
    """What a policy's `p_min` comes to for one of several tests: evidence divided its own among them (Bonferroni)."""
    return p_min * (symptom.threshold or 0.0) / in_evidence


def unasked(found: tuple[Symptom, ...]) -> str:
    """Why some could not be asked, each reason once; empty where all could."""
    return "; ".join(dict.fromkeys(each.reason for each in found if each.state == "unevaluable"))
