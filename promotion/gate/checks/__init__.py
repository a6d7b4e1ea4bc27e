"""One file per check of the gate, and the order in which they are asked."""

from __future__ import annotations

from typing import Any

from promotion.gate.check import Check
from promotion.gate.checks.data.data_quality import data_quality
from promotion.gate.checks.data.evidence_fresh import evidence_fresh
from promotion.gate.checks.data.loss_bounds import loss_bounds
from promotion.gate.checks.data.losses_by_arm import losses_by_arm
from promotion.gate.checks.data.outages_by_arm import outages_by_arm
from promotion.gate.checks.data.outcomes_after_exposure import outcomes_after_exposure
from promotion.gate.checks.data.recording_gaps import recording_gaps
from promotion.gate.checks.data.time_at_risk import time_at_risk
from promotion.gate.checks.data.time_box import time_box
from promotion.gate.checks.data.weekdays_complete import weekdays_complete
from promotion.gate.checks.effects.aa_fresh import aa_fresh
from promotion.gate.checks.effects.domain import domain
from promotion.gate.checks.effects.evidence_recomputed import evidence_recomputed
from promotion.gate.checks.effects.guardrails import guardrails
from promotion.gate.checks.effects.guardrails_powered import guardrails_powered
from promotion.gate.checks.effects.improbably_good import improbably_good
from promotion.gate.checks.effects.kill_criteria import kill_criteria
from promotion.gate.checks.effects.metrics_vary import metrics_vary
from promotion.gate.checks.effects.novelty import novelty
from promotion.gate.checks.effects.outlier_influence import outlier_influence
from promotion.gate.checks.effects.portfolio_fdr import portfolio_fdr
from promotion.gate.checks.effects.primary_effect import primary_effect
from promotion.gate.checks.effects.segments_unharmed import segments_unharmed
from promotion.gate.checks.promise.alpha_carried import alpha_carried
from promotion.gate.checks.promise.candidate_sealed import candidate_sealed
from promotion.gate.checks.promise.charter_frozen import charter_frozen
from promotion.gate.checks.promise.promise_reasonable import promise_reasonable
from promotion.gate.checks.promise.revision_made import revision_made
from promotion.gate.checks.promise.times_in_order import times_in_order
from promotion.gate.checks.promise.units_real import units_real
from promotion.gate.checks.release.audience_tested import audience_tested
from promotion.gate.checks.release.contact_pressure import contact_pressure
from promotion.gate.checks.release.contract_compatible import contract_compatible
from promotion.gate.checks.release.data_fresh import data_fresh
from promotion.gate.checks.release.factory_table import factory_table
from promotion.gate.checks.release.holdout_kept import holdout_kept
from promotion.gate.checks.release.human_step import human_step
from promotion.gate.checks.release.kill_switch import kill_switch
from promotion.gate.checks.release.no_clash import no_clash
from promotion.gate.checks.release.no_personal_data import no_personal_data
from promotion.gate.checks.release.preflight_signed import preflight_signed
from promotion.gate.checks.release.rollout_declared import rollout_declared
from promotion.gate.checks.release.shadow_run import shadow_run
from promotion.gate.checks.sample.analysis_unit import analysis_unit
from promotion.gate.checks.sample.multiple_exposure import multiple_exposure
from promotion.gate.checks.sample.pre_period_balance import pre_period_balance
from promotion.gate.checks.sample.randomised import randomised
from promotion.gate.checks.sample.sample_planned import sample_planned
from promotion.gate.checks.sample.sample_ratio import sample_ratio
from promotion.gate.checks.sample.sample_ratio_by_day import sample_ratio_by_day
from promotion.gate.checks.sample.sample_ratio_by_segment import sample_ratio_by_segment
from promotion.gate.checks.sample.traits_known import traits_known
from promotion.gate.checks.sample.units_assigned import units_assigned
from promotion.gate.checks.value.budget_kept import budget_kept
from promotion.gate.checks.value.owner_entitled import owner_entitled
from promotion.gate.checks.value.spend_reconciled import spend_reconciled
from promotion.gate.checks.value.worth_it import worth_it

# fmt: off
CHECKS: tuple[Check[Any], ...] = (
    candidate_sealed, units_real, charter_frozen, promise_reasonable, times_in_order, alpha_carried, revision_made,
    units_assigned, randomised, analysis_unit, time_box, weekdays_complete, evidence_fresh, sample_planned,
    sample_ratio, sample_ratio_by_day, sample_ratio_by_segment, multiple_exposure, outcomes_after_exposure,
    losses_by_arm, loss_bounds, recording_gaps, outages_by_arm, time_at_risk, traits_known, pre_period_balance,
    data_quality, evidence_recomputed, aa_fresh, kill_criteria, metrics_vary, domain, primary_effect,
    outlier_influence, novelty, improbably_good, segments_unharmed, guardrails, guardrails_powered, budget_kept,
    spend_reconciled, worth_it, human_step, rollout_declared, portfolio_fdr, preflight_signed, contract_compatible,
    factory_table, data_fresh, shadow_run, audience_tested, no_personal_data, holdout_kept, contact_pressure,
    no_clash, kill_switch, owner_entitled,
)
# fmt: on
