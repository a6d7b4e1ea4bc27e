"""One file per check of the gate, and the order in which they are asked."""

from __future__ import annotations

from typing import Any

from promotion.check import Check
from promotion.checks import (
    aa_fresh,
    alpha_carried,
    budget_kept,
    candidate_sealed,
    charter_frozen,
    data_quality,
    evidence_recomputed,
    guardrails,
    multiple_exposure,
    owner_entitled,
    primary_effect,
    sample_planned,
    sample_ratio,
    time_box,
    units_assigned,
    units_real,
)

CHECKS: tuple[Check[Any], ...] = (
    candidate_sealed.CHECK,
    units_real.CHECK,
    charter_frozen.CHECK,
    alpha_carried.CHECK,
    units_assigned.CHECK,
    time_box.CHECK,
    sample_planned.CHECK,
    sample_ratio.CHECK,
    multiple_exposure.CHECK,
    data_quality.CHECK,
    evidence_recomputed.CHECK,
    aa_fresh.CHECK,
    primary_effect.CHECK,
    guardrails.CHECK,
    budget_kept.CHECK,
    owner_entitled.CHECK,
)
