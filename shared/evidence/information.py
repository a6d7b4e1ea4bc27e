"""Information: how much of what a look sees had been seen at the one before it, which says how alike both are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.engines.protocol import Summary, value_of
from shared.evidence.effects import part_of
from shared.experiment.charter import Charter


def information(charter: Charter, summaries: Sequence[Summary]) -> tuple[float, ...]:
    """The information at each of these looks, oldest first; at the last one, how many units (or clusters) there are.

    A look has more of it for more units, and for what units did since. Of sums that grow by independent steps two looks
    correlate as the square root of the ratio of the sums' variances (Jennison and Turnbull 2000, "Group Sequential
    Methods", sect. 11.2). Of units, primary metrics and guardrails the one that grew most is taken: looks less alike
    than thought cross more often, and where everybody is exposed in the first days and answers over weeks, looks by
    units alone would err in one pilot of twelve, not of twenty. Looks more alike than thought cross less often.
    """
    if not summaries:
        return ()
    names = [name for name in charter.measured if part_of(charter, name) != "secondary"]
    amounts = np.array([_amounts(summary, names) for summary in summaries], dtype=float)
    with np.errstate(all="ignore"):
        kept = np.nan_to_num(amounts[:-1] / amounts[1:], nan=1.0, posinf=1.0).clip(0.0, 1.0).min(axis=1)
    return tuple((amounts[-1, 0] * np.append(np.cumprod(kept[::-1])[::-1], 1.0)).tolist())


def _amounts(summary: Summary, names: Sequence[str]) -> list[float]:
    """How many there are, and of each metric the variance of their sum, within arms."""
    columns = [value_of(name) for name in names]
    return [float(summary.arms.n.sum()), *(float(summary.arms.product(each, each).sum()) for each in columns)]
