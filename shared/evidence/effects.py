"""Effects: contrasts judged by the charter's test method, with the adjustment for several arms and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.engines.protocol import Summary
from shared.evidence.contrasts import Contrasts, Estimator
from shared.evidence.model import Between, Effect, Part
from shared.experiment.charter import Charter, Promise
from shared.experiment.metrics import Metric
from shared.stats.multiplicity import holm
from shared.stats.test_methods import FixedHorizon, Method


def part_of(charter: Charter, name: str) -> Part:
    """What a metric is there for."""
    if charter.primary_of(name) is not None:
        return "primary"
    return "secondary" if name in charter.secondary else "guardrail"


def effects(
    charter: Charter, metrics: Mapping[str, Metric], contrasts: Contrasts, method: Method
) -> tuple[Effect, ...]:
    """Every metric of every treatment, with Holm's adjustment over the primary ones of all treatments."""
    numbers = _numbers(charter, metrics, contrasts, method)
    found = [
        _effect(charter, contrasts, numbers, row, column)
        for row in range(len(charter.treatments))
        for column in range(len(contrasts.metrics))
    ]
    return _adjusted(found)


def _numbers(
    charter: Charter, metrics: Mapping[str, Metric], contrasts: Contrasts, method: Method
) -> dict[str, NDArray[np.float64]]:
    found, lifts, alpha = contrasts.found, contrasts.lifts, charter.alpha
    signs = np.array([metrics[name].sign for name in contrasts.metrics], dtype=float)
    asked = [charter.primary_of(name) for name in contrasts.metrics]
    worth = signs * np.array([primary.minimum_effect if primary else np.nan for primary in asked])
    rails = {rail.metric: rail.margin for rail in charter.guardrails}
    margins = np.array([rails.get(name, np.nan) for name in contrasts.metrics])
    with np.errstate(all="ignore"):
        half, reach = method.half_width(found.se, found.df, alpha), method.half_width(lifts.se, lifts.df, alpha)
        return {
            "estimate": found.estimate,
            "low": found.estimate - half,
            "high": found.estimate + half,
            "se": found.se,
            "df": found.df,
            "p": method.p_two_sided(found),
            "p_worthwhile": method.p_one_sided(found, worth, signs),
            "relative": lifts.estimate,
            "relative_low": lifts.estimate - reach,
            "relative_high": lifts.estimate + reach,
            "p_non_inferior": method.p_one_sided(found, margins, signs),
            "bound": method.bound(found, charter.guardrail_alpha, signs),
        }


_NEEDED = ("estimate", "low", "high", "se", "df", "p")
_OF_PRIMARY, _OF_GUARDRAIL = {"p_worthwhile"}, {"p_non_inferior", "bound"}


def _effect(
    charter: Charter, contrasts: Contrasts, numbers: Mapping[str, NDArray[np.float64]], row: int, column: int
) -> Effect:
    name = contrasts.metrics[column]
    part = part_of(charter, name)
    said: dict[str, Any] = {"arm": charter.treatments[row].name, "metric": name, "part": part}
    values = {key: float(array[row, column]) for key, array in numbers.items()}
    problem = str(contrasts.problems[row, column])
    if not problem and not all(np.isfinite(values[key]) for key in _NEEDED):
        problem = "too few units for this method of looks"
    if problem:
        return Effect(**said, problem=problem)
    left_out = (set() if part == "primary" else _OF_PRIMARY) | (set() if part == "guardrail" else _OF_GUARDRAIL)
    kept = {key: value for key, value in values.items() if key not in left_out and np.isfinite(value)}
    if part == "guardrail":
        said["margin"] = next(rail.margin for rail in charter.guardrails if rail.metric == name)
    if charter.covariates or charter.strata:
        plain = float(contrasts.plain.estimate[row, column]), float(contrasts.plain.se[row, column])
        said["plain"] = plain if np.isfinite(plain).all() else None
    return Effect(**said, **kept)


def _adjusted(effects: list[Effect]) -> tuple[Effect, ...]:
    """The family is every primary metric in every arm, what could not be evaluated included."""
    family = [effect for effect in effects if effect.part == "primary"]
    # What cannot be evaluated keeps its place in the family with p = 1, so that its absence lightens no other test.
    adjusted = holm([1.0 if e.p is None else e.p for e in family])
    worthwhile = holm([1.0 if e.p_worthwhile is None else e.p_worthwhile for e in family])
    updates = {
        (effect.arm, effect.metric): {"p_adjusted": float(p), "p_worthwhile": float(q)}
        for effect, p, q in zip(family, adjusted, worthwhile, strict=True)
    }
    return tuple(
        effect.model_copy(update=updates[effect.arm, effect.metric])
        if effect.part == "primary" and effect.p is not None
        else effect
        for effect in effects
    )


# The rules from which on evidence has it; what was promised before keeps its digest.
SINCE = 3


def between(promise: Promise, estimator: Estimator, summary: Summary) -> tuple[Between, ...]:
    """Every pair of treatments in every primary metric, estimated as the charter says.

    Intervals hold together over all pairs and primary metrics at 1 - alpha (Bonferroni), by Student's t with Welch's
    degrees of freedom. They are for one look, and decide nothing: each arm was tested against the control.
    """
    charter, found = promise.charter, []
    if promise.rules < SINCE or len(charter.treatments) < 2:  # noqa: PLR2004 - a pair
        return ()
    alpha = charter.alpha / (comb(len(charter.treatments), 2) * len(charter.primaries))
    for base in charter.treatments[:-1]:
        beside = replace(estimator, base=base.name)
        contrasts = beside.contrasts(summary)
        reach = FixedHorizon().half_width(contrasts.found.se, contrasts.found.df, alpha)
        for row, arm in enumerate(beside.arms[1:]):
            for column, metric in enumerate(contrasts.metrics):
                if charter.primary_of(metric) is None:
                    continue
                said = {"arm": arm, "other": base.name, "metric": metric}
                if problem := str(contrasts.problems[row, column]):
                    found.append(Between(**said, problem=problem))
                    continue
                estimate, half = float(contrasts.found.estimate[row, column]), float(reach[row, column])
                found.append(Between(**said, estimate=estimate, low=estimate - half, high=estimate + half))
    return tuple(found)
