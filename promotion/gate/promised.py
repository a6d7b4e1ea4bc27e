"""The promised effect: what an arm showed, less the luck of those who are chosen; kept beside the raw estimate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from promotion.gate.case import Case
from promotion.state import decisions
from shared.core.digests import digest_file, hex_of
from shared.core.errors import PilotPlantError
from shared.evidence.effects import part_of
from shared.evidence.model import Effect, Evidence
from shared.experiment.charter import Primary, Promise
from shared.stats import shrinkage
from shared.stats.prior import Prior, default_prior, empirical_prior
from shared.trust.attestation import Predicate, PriorRecord, Promised, parse_attestation
from shared.trust.candidate import EVIDENCE, PROMISE, open_candidate
from shared.trust.candidates import intake_folder

# What must have been found of a pilot before its numbers say what to expect of others.
SOUND = ("candidate_sealed", "charter_frozen", "evidence_recomputed", "sample_ratio")


@dataclass(frozen=True, slots=True)
class Past:
    """A pilot that was decided here, with the evidence that was judged."""

    promise: Promise
    evidence: Evidence


def promised(case: Case, arm: str, past: list[Past]) -> tuple[Promised, ...]:
    """What is to be expected of an arm on each primary metric; nothing on one whose effect could not be computed."""
    return tuple(
        _shrunk(effect, _prior(case, primary, past), case.charter.alpha)
        for primary in case.charter.primaries
        if (effect := case.evidence.effect(arm, primary.metric)) is not None and _measured(effect)
    )


def past_pilots(case: Case) -> list[Past]:
    """The other pilots that this gate has decided on, whichever way, if their data were sound.

    It reads what the gate itself signed, and files that are as they were sealed. What synthetic units did says nothing
    about customers, so only a synthetic pilot learns from synthetic ones.
    """
    query = sa.select(decisions).where(decisions.c.pilot != case.charter.pilot).order_by(decisions.c.pilot)
    with case.room.read() as connection:
        rows = connection.execute(query).all()
    found = (_past(case, row.candidate, row.envelope) for row in rows)
    return [past for past in found if past and (case.charter.synthetic or not past.promise.charter.synthetic)]


def _past(case: Case, digest: str, envelope: bytes) -> Past | None:
    folder = intake_folder(case.room.workspace) / hex_of(digest)
    try:
        if not _sound(parse_attestation(envelope, where=digest).predicate):
            return None
        candidate = open_candidate(folder)
        sealed = [digest_file(folder / name) == candidate.manifest.files.get(name) for name in (EVIDENCE, PROMISE)]
        if candidate.digest != digest or not all(sealed):
            return None
        return Past(candidate.promise(), candidate.evidence())
    except (PilotPlantError, OSError, ValueError):
        return None  # `promote verify` names it


def _sound(predicate: Predicate) -> bool:
    passed = {finding.check for finding in predicate.findings if finding.outcome == "passed"}
    return passed.issuperset(SOUND)


def _prior(case: Case, primary: Primary, past: list[Past]) -> Prior:
    """Fitted on what pilots with the same primary metric showed in every arm; by default from the smallest effect."""
    definition = case.promise.metrics[primary.metric].definition
    measured = {one.promise.charter.pilot: list(_effects(one, primary.metric, definition)) for one in past}
    effects = [effect for found in measured.values() for effect in found]
    fitted = empirical_prior(
        [effect.estimate or 0.0 for effect in effects],
        [effect.se or 0.0 for effect in effects],
        sum(bool(found) for found in measured.values()),
    )
    return fitted or default_prior(primary.minimum_effect)


def _effects(past: Past, metric: str, definition: str) -> Iterator[Effect]:
    measured = past.promise.metrics.get(metric)
    if measured is None or measured.definition != definition or part_of(past.promise.charter, metric) != "primary":
        return
    yield from (effect for effect in past.evidence.effects if effect.metric == metric and _measured(effect))


def _measured(effect: Effect) -> bool:
    numbers = (effect.estimate, effect.se)
    return all(number is not None and math.isfinite(number) for number in numbers) and bool(effect.se)


def _shrunk(effect: Effect, prior: Prior, alpha: float) -> Promised:
    estimate, se = effect.estimate or 0.0, effect.se or 0.0
    found = shrinkage.promised(estimate, se, prior, alpha)
    return Promised(
        metric=effect.metric,
        estimate=estimate,
        se=se,
        mean=float(found.mean),
        low=float(found.low),
        high=float(found.high),
        prior=PriorRecord(**prior.as_json()),
    )
