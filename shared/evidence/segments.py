"""Segments: the primary metrics of every treatment in every level of every segment, adjusted for how many there are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shared.engines.protocol import Summary
from shared.evidence.contrasts import Estimator, compared_with_first, reasons
from shared.evidence.model import SegmentEffect
from shared.stats.multiplicity import benjamini_hochberg
from shared.stats.test_methods import FixedHorizon


def segment_effects(estimator: Estimator, summary: Summary) -> tuple[SegmentEffect, ...]:
    """Effects in segments, by the test of one look; adjusted by Benjamini and Hochberg (1995) over all of them."""
    found = [effect for name in estimator.charter.segments for effect in _of_segment(estimator, summary, name)]
    adjusted = benjamini_hochberg([1.0 if effect.p is None else effect.p for effect in found])
    return tuple(
        effect if effect.p is None else effect.model_copy(update={"p_adjusted": float(p)})
        for effect, p in zip(found, adjusted, strict=True)
    )


def _of_segment(estimator: Estimator, summary: Summary, segment: str) -> Iterator[SegmentEffect]:
    charter, cells = estimator.charter, summary.segments.get(segment)
    primaries = [primary.metric for primary in charter.primaries]
    if cells is None:
        for arm in charter.treatments:
            for metric in primaries:
                yield SegmentEffect(
                    segment=segment, level=None, arm=arm.name, metric=metric, units=(0, 0),
                    problem=f"`{segment}` has too many levels to be a segment, or is not known of the units",
                )  # fmt: skip
        return
    slopes = estimator.slopes(summary)
    for level in dict.fromkeys(cells.keys["level"].tolist()):
        every = cells.aligned(arm=estimator.arms, level=[level] * len(estimator.arms))
        means = estimator.means(every, slopes)
        found = compared_with_first(means)
        why = reasons(means, found, estimator.arms)
        with np.errstate(all="ignore"):
            half = FixedHorizon().half_width(found.se, found.df, charter.alpha)
            p = FixedHorizon().p_two_sided(found)
        units = summary.segment_units[segment]
        for row, arm in enumerate(charter.treatments):
            for metric in primaries:
                column = estimator.names.index(metric)
                problem = str(why[row, column])
                if estimator.metrics[metric].kind == "quantile":
                    problem = "a quantile is not estimated in segments"
                estimate, reach = float(found.estimate[row, column]), float(half[row, column])
                numbers = {} if problem else {
                    "estimate": estimate, "low": estimate - reach, "high": estimate + reach, "p": float(p[row, column]),
                }  # fmt: skip
                yield SegmentEffect(
                    segment=segment, level=level, arm=arm.name, metric=metric,
                    units=(units.get((arm.name, level), 0), units.get((charter.control.name, level), 0)),
                    problem=problem or None, **numbers,
                )  # fmt: skip
