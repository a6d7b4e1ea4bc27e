"""Priors: what effects to expect of a pilot before it has begun, from those of its kind or by a stated default."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Below this many pilots, what varies between them is little better known than by the default.
PILOTS_MIN = 10


@dataclass(frozen=True, slots=True)
class Prior:
    """Expected effects: a location-scale t distribution, which is normal for infinite degrees of freedom.

    Attributes:
        mean, sd: location and scale, in the metric's unit.
        df: degrees of freedom.
        pilots: how many past pilots it comes from; 0 for the default.
        after: the pilot whose estimate it has taken in, because the next one continues it; None without one.
    """

    mean: float
    sd: float
    df: float = math.inf
    pilots: int = 0
    after: str | None = None

    def updated(self, estimate: float, error: float, pilot: str) -> Prior:
        """What is expected once a pilot that the next one continues has shown an effect, with its standard error.

        The posterior of a normal prior and a normal estimate: both weighed by their precision (Gelman et al. 2013,
        "Bayesian Data Analysis", eq. 2.10).
        """
        own, told = 1 / self.sd**2, 1 / error**2
        mean = (own * self.mean + told * estimate) / (own + told)
        return Prior(mean, math.sqrt(1 / (own + told)), pilots=self.pilots, after=pilot)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """True effects."""
        drawn = rng.standard_normal(shape) if math.isinf(self.df) else rng.standard_t(self.df, shape)
        return self.mean + self.sd * drawn

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        df = None if math.isinf(self.df) else self.df
        after = {} if self.after is None else {"after": self.after}
        return {"mean": self.mean, "sd": self.sd, "df": df, "pilots": self.pilots, **after}


def default_prior(minimum: float) -> Prior:
    """Effects around none, as far apart as the smallest one worth scaling: one arm in six (16 %) is worth it.

    Between a tenth and a third of well-tested ideas are (Kohavi, Tang and Xu 2020, "Trustworthy Online Controlled
    Experiments", ch. 1).
    """
    return Prior(mean=0.0, sd=abs(minimum))


def default_harm(margin: float) -> Prior:
    """Side effects on a guardrail around none: one arm in forty-four (2.3 %) does harm beyond the margin."""
    return Prior(mean=0.0, sd=abs(margin) / 2)


def empirical_prior(estimates: Sequence[float], errors: Sequence[float], pilots: int) -> Prior | None:
    """What past effects say of the next one; None where they come from fewer than `PILOTS_MIN` pilots.

    An empirical-Bayes normal-normal model: the variance between pilots by the method of moments (DerSimonian and
    Laird 1986, "Meta-analysis in clinical trials", eq. 8-9), and the predictive distribution of a new effect with the
    uncertainty of the mean in it, t with k - 2 degrees of freedom (Higgins, Thompson and Spiegelhalter 2009,
    "A re-evaluation of random-effects meta-analysis", sect. 4.1).
    """
    if pilots < PILOTS_MIN:
        return None
    found, weights = np.asarray(estimates), 1 / np.square(errors)
    fixed = float(weights @ found / weights.sum())
    spread = float(weights @ np.square(found - fixed)) - (len(found) - 1)
    scale = float(weights.sum() - np.square(weights).sum() / weights.sum())
    between = max(0.0, spread / scale)
    shrunk = 1 / (between + np.square(errors))
    mean = float(shrunk @ found / shrunk.sum())
    return Prior(mean, math.sqrt(between + 1 / float(shrunk.sum())), df=pilots - 2.0, pilots=pilots)
