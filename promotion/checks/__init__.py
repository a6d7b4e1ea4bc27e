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
    contact_pressure,
    contract_compatible,
    data_fresh,
    data_quality,
    evidence_recomputed,
    factory_table,
    guardrails,
    holdout_kept,
    kill_switch,
    multiple_exposure,
    no_clash,
    no_personal_data,
    owner_entitled,
    preflight_signed,
    primary_effect,
    sample_planned,
    sample_ratio,
    shadow_run,
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
    preflight_signed.CHECK,
    contract_compatible.CHECK,
    factory_table.CHECK,
    data_fresh.CHECK,
    shadow_run.CHECK,
    no_personal_data.CHECK,
    holdout_kept.CHECK,
    contact_pressure.CHECK,
    no_clash.CHECK,
    kill_switch.CHECK,
    owner_entitled.CHECK,
)
