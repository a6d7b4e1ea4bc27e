"""Between treatments: which of several arms is the better one, for whoever has to choose."""

from __future__ import annotations

from dataclasses import replace
from math import comb

from shared.engines.protocol import Summary
from shared.evidence.contrasts import Estimator
from shared.evidence.model import Between
from shared.experiment.charter import Promise
from shared.stats.test_methods import FixedHorizon

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
        reach = FixedHorizon().reach(contrasts.found.se, contrasts.found.df, alpha)
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
