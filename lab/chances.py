"""Chances: how often each decision would come, by drawing many pilots and letting the gate's own rule judge them.

What is drawn are the statistics that the rule reads, not customers: a share's count is binomial, a mean is normal and
its variance chi-square, and a mean over units of which most have nothing is gamma. Metrics are drawn independently of
each other, and data are taken to arrive whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from shared.evidence.estimates import UNITS_MIN, degrees, p_no_better, p_no_difference, reach
from shared.evidence.multiplicity import holm
from shared.evidence.planning import Baseline
from shared.evidence.prior import Prior
from shared.evidence.rule import Shortfall, Worthwhile, harm_ruled_out, shortfall

Array = NDArray[np.float64]
DRAWS = 20_000


class Ending(IntEnum):
    """What the gate says of an arm; the least of its arms' is what it says of the pilot."""

    SCALE = 0
    UNDECIDED = 1
    HARM_NOT_RULED_OUT = 2
    NO_EFFECT = 3
    TOO_FEW_UNITS = 4


@dataclass(frozen=True, slots=True)
class Rail:
    """A guardrail: its baseline, the sign of what is better, and its margin."""

    baseline: Baseline
    sign: int
    margin: float


@dataclass(frozen=True, slots=True)
class Design:
    """What decides, in numbers.

    Attributes:
        alpha, minimum, worthwhile: as in the charter.
        planned: units that every arm must reach.
        units: how many units will be exposed in all.
        shares: each arm's share of them, the control's first.
        primary, sign: the primary metric's baseline, and the sign of what is better.
    """

    alpha: float
    minimum: float
    worthwhile: Worthwhile
    planned: int
    units: int
    shares: tuple[float, ...]
    primary: Baseline
    sign: int
    rails: tuple[Rail, ...]

    @property
    def arms(self) -> int:
        """How many treatments there are."""
        return len(self.shares) - 1


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Differences with their errors: one row per pilot, one column per treatment."""

    estimate: Array
    se: Array
    df: Array

    @property
    def unevaluable(self) -> NDArray[np.bool_]:
        return ~(self.se > 0)


def chances(
    design: Design, effect: Prior, harms: tuple[Prior, ...], rng: np.random.Generator, draws: int = DRAWS
) -> dict[Ending, float]:
    """The probability of each ending; true effects come from the priors, one of `harms` per guardrail."""
    endings = judge(
        design,
        effect.draw(rng, (draws, design.arms)),
        tuple(harm.draw(rng, (draws, design.arms)) for harm in harms),
        rng,
    )
    counts = np.bincount(endings, minlength=len(Ending))
    return {ending: int(counts[ending]) / draws for ending in Ending}


def judge(design: Design, effects: Array, harms: tuple[Array, ...], rng: np.random.Generator) -> NDArray[np.int64]:
    """The ending of each pilot, given the true effects of its arms; one row per pilot, one column per treatment."""
    units = rng.multinomial(design.units, design.shares, len(effects))
    with np.errstate(divide="ignore", invalid="ignore"):  # a metric that happens not to vary cannot be evaluated
        primary = _draw(rng, design.primary, effects, units)
        rails = [_draw(rng, rail.baseline, harm, units) for rail, harm in zip(design.rails, harms, strict=True)]
        arms = np.select(
            [_lacking(design, primary), *(_harmful(design, r, d) for r, d in zip(design.rails, rails, strict=True))],
            [Ending.NO_EFFECT, *(Ending.HARM_NOT_RULED_OUT for _ in rails)],
            Ending.SCALE,
        )
    for drawn in (primary, *rails):
        arms = np.where((arms == Ending.SCALE) & drawn.unevaluable, Ending.UNDECIDED, arms)
    if not design.rails:
        arms = np.where(arms == Ending.SCALE, Ending.UNDECIDED, arms)
    return np.where(units.min(axis=1) < design.planned, Ending.TOO_FEW_UNITS, arms.min(axis=1)).astype(np.int64)


def _lacking(design: Design, drawn: _Drawn) -> NDArray[np.bool_]:
    p = p_no_difference(drawn.estimate, drawn.se, drawn.df)
    beyond = p_no_better(drawn.estimate, drawn.se, drawn.df, design.sign * design.minimum, design.sign)
    half = reach(drawn.se, drawn.df, design.alpha)
    lacks = shortfall(
        drawn.estimate,
        (drawn.estimate - half, drawn.estimate + half),
        _adjusted(p, drawn),
        _adjusted(beyond, drawn),
        sign=design.sign,
        alpha=design.alpha,
        minimum=design.minimum,
        worthwhile=design.worthwhile,
    )
    lacking: NDArray[np.bool_] = (lacks != Shortfall.NONE) & ~drawn.unevaluable
    return lacking


def _adjusted(p: Array, drawn: _Drawn) -> Array:
    """An arm that cannot be evaluated keeps its place in the family with p = 1, as in the evidence."""
    return holm(np.where(drawn.unevaluable, 1.0, p))


def _harmful(design: Design, rail: Rail, drawn: _Drawn) -> NDArray[np.bool_]:
    p = p_no_better(drawn.estimate, drawn.se, drawn.df, rail.margin, rail.sign)
    harmful: NDArray[np.bool_] = np.logical_not(harm_ruled_out(p, design.alpha) | drawn.unevaluable)
    return harmful


def _draw(rng: np.random.Generator, baseline: Baseline, effects: Array, units: NDArray[np.int64]) -> _Drawn:
    """One difference per treatment to the control, which is the first column of `units`."""
    true, spread = baseline.under(np.column_stack([np.zeros(len(effects)), effects]))
    n = np.maximum(units, UNITS_MIN)
    if baseline.kind == "share":
        mean = rng.binomial(n, true) / n
        variance = mean * (1 - mean) / (n - 1)
    elif baseline.kind == "rare":
        mean, variance = _rare(rng, true, spread, n)
    else:
        mean = rng.normal(true, np.sqrt(spread / n))
        variance = spread * rng.chisquare(n - 1) / (n - 1) / n
    parts = [variance[:, 1:], variance[:, :1]]
    # As in the evidence, an arm in which nothing varies has shown nothing of its error.
    se = np.where(np.minimum(*parts) > 0, np.sqrt(sum(parts)), 0.0)
    return _Drawn(mean[:, 1:] - mean[:, :1], se, degrees(parts, [n[:, 1:], n[:, :1]]))


def _rare(rng: np.random.Generator, true: Array, spread: Array, n: NDArray[np.int64]) -> tuple[Array, Array]:
    """Sample means and their squared errors where few units have any.

    The mean is gamma, and its error grows with it: where more units happen to have any, both are larger.
    """
    some = true > 0
    scale = np.divide(spread, n * true, out=np.zeros_like(true), where=some)
    mean = rng.gamma(np.divide(true, scale, out=np.zeros_like(true), where=some & (scale > 0)), scale)
    second = np.divide(spread, true, out=np.zeros_like(true), where=some) + true
    return mean, np.maximum(second * mean - mean * mean, 0) / (n - 1)
