"""Lee's bounds: what an effect may be where more of one arm was lost than of another.

Of the arm with fewer losses the share that the other one lost beyond it is trimmed, once the best of its units and once
the worst: whoever is missing may have been any of these (Lee 2009, "Training, wages, and sample selection: estimating
sharp bounds on treatment effects", prop. 1a).
"""

from __future__ import annotations


def excess(kept: float, other_kept: float) -> float:
    """The share of an arm to be trimmed, from the shares of both that were kept; zero where it kept no more."""
    return max(0.0, (kept - other_kept) / kept) if kept > 0 else 0.0


def trimmed_mean(n: int, total: float, frac: float, cut: float, edge: float) -> float:
    """The mean of n values without a share of them at one end.

    `cut` is the sum of as many whole values at that end as the share holds, `edge` the next one, which goes in part:
    bounds then do not depend on how ties are broken.
    """
    gone = frac * n
    return (total - cut - (gone - int(gone)) * edge) / (n - gone)
