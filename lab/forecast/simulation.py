"""Chances: how often each decision would come, by drawing many pilots and letting the gate's own rule judge them.

What is drawn are the statistics that the rule reads, not customers: a share's count is binomial, a mean is normal and
its variance chi-square, and a mean over units of which most have nothing is gamma. Metrics are drawn independently of
each other, and data are taken to arrive whole. Where looks were agreed on, units come evenly and every look is drawn;
an arm that passes at any of them is scaled. A confidence sequence is looked at once, at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from shared.experiment.sample_plan import AlwaysValid, FixedHorizon, GroupSequential, SamplePlan
from shared.stats.alpha_spending import Schedule
from shared.stats.decision_rule import Shortfall, Worthwhile, harm_ruled_out, shortfall
from shared.stats.estimates import UNITS_MIN, degrees
from shared.stats.multiplicity import holm
from shared.stats.power import Baseline
from shared.stats.prior import Prior
from shared.stats.test_methods import EveryLook, Method, method_of

Array = NDArray[np.float64]
DRAWS = 20_000
ONE_LOOK = FixedHorizon()


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
        looks: when the evidence may be looked at to decide, as in the charter.
        guardrail_alpha: as in the charter; None for alpha.
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
    looks: FixedHorizon | GroupSequential | AlwaysValid = ONE_LOOK
    guardrail_alpha: float | None = None

    @property
    def at(self) -> tuple[float, ...]:
        """The looks that are drawn, as shares of the time box."""
        return self.looks.at if isinstance(self.looks, GroupSequential) else (1.0,)

    @property
    def units_by_look(self) -> NDArray[np.int64]:
        """How many units there are by each of them, of all arms."""
        return np.round(np.multiply(self.units, self.at)).astype(np.int64)

    def method(self, units: NDArray[np.int64]) -> Method:
        """What all looks are judged by; with the units of each arm by then, one row per look and pilot."""
        if isinstance(self.looks, GroupSequential):
            information = tuple(map(float, self.units_by_look))
            return EveryLook(Schedule(self.looks.at, information, self.looks.spending))
        plan = SamplePlan(alpha=self.alpha, units_per_arm=self.planned, looks=self.looks)
        return method_of(plan, units=np.minimum(units[..., 1:], units[..., :1]))

    @property
    def arms(self) -> int:
        """How many treatments there are."""
        return len(self.shares) - 1


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Differences with their errors: one row per look and pilot, one column per treatment."""

    estimate: Array
    se: Array
    df: Array


@dataclass(frozen=True, slots=True)
class _Sums:
    """Units, means and sums of squared deviations: one column per arm, the control's first."""

    n: NDArray[np.int64]
    mean: Array
    m2: Array

    def merge(self, other: _Sums) -> _Sums:
        """Both together (Chan, Golub and LeVeque 1979, eq. 2.1)."""
        n, delta = self.n + other.n, other.mean - self.mean
        return _Sums(n, self.mean + delta * other.n / n, self.m2 + other.m2 + delta * delta * self.n * other.n / n)

    def differences(self) -> _Drawn:
        """Of each treatment to the control."""
        n, mean, variance = self.n, self.mean, self.m2 / (self.n - 1) / self.n
        parts = [variance[..., 1:], variance[..., :1]]
        # As in the evidence, an arm in which nothing varies has shown nothing of its error.
        se = np.where(np.minimum(*parts) > 0, np.sqrt(sum(parts)), 0.0)
        return _Drawn(mean[..., 1:] - mean[..., :1], se, degrees(parts, [n[..., 1:], n[..., :1]]))


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
    steps = np.diff(design.units_by_look, prepend=0)
    new = [rng.multinomial(step, design.shares, len(effects)) for step in steps]
    with np.errstate(divide="ignore", invalid="ignore"):  # a metric that happens not to vary cannot be evaluated
        primary = _path(rng, design.primary, effects, new)
        rails = [_path(rng, rail.baseline, harm, new) for rail, harm in zip(design.rails, harms, strict=True)]
        units = np.cumsum(new, axis=0)
        looks = _at_looks(design, design.method(units), primary, rails)
    last = np.where(units[-1].min(axis=1) < design.planned, Ending.TOO_FEW_UNITS, looks[-1])
    return np.where((looks[:-1] == Ending.SCALE).any(axis=0), Ending.SCALE, last).astype(np.int64)


def _at_looks(design: Design, by: Method, primary: _Drawn, rails: list[_Drawn]) -> NDArray[np.int64]:
    """The ending of each pilot were it judged at each look; one row per look."""
    lacking, unknown = _lacking(design, by, primary)
    harmful = []
    for rail, drawn in zip(design.rails, rails, strict=True):
        harm, unseen = _harmful(design, rail, by, drawn)
        harmful.append(harm)
        unknown = unknown | unseen
    arms = np.select([lacking, *harmful], [Ending.NO_EFFECT, *(Ending.HARM_NOT_RULED_OUT for _ in rails)], Ending.SCALE)
    if not design.rails:
        unknown = np.ones_like(unknown)
    return np.asarray(np.where((arms == Ending.SCALE) & unknown, Ending.UNDECIDED, arms).min(axis=-1))


def _lacking(design: Design, by: Method, drawn: _Drawn) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where the primary metric lacks something, and where it cannot be evaluated."""
    half = by.half_width(drawn.se, drawn.df, design.alpha)
    unknown = ~(half > 0)
    beyond = by.p_one_sided(drawn, design.sign * design.minimum, design.sign)
    lacks = shortfall(
        drawn.estimate,
        (drawn.estimate - half, drawn.estimate + half),
        _adjusted(by.p_two_sided(drawn), unknown),
        _adjusted(beyond, unknown),
        sign=design.sign,
        alpha=design.alpha,
        minimum=design.minimum,
        worthwhile=design.worthwhile,
    )
    return (lacks != Shortfall.NONE) & ~unknown, unknown


def _adjusted(p: Array, unknown: NDArray[np.bool_]) -> Array:
    """An arm that cannot be evaluated keeps its place in the family with p = 1, as in the evidence."""
    return holm(np.where(unknown, 1.0, p))


def _harmful(design: Design, rail: Rail, by: Method, drawn: _Drawn) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where harm is not ruled out, and where that cannot be evaluated."""
    p = by.p_one_sided(drawn, rail.margin, rail.sign)
    unknown = ~(drawn.se > 0) | np.isnan(p)
    return np.logical_not(harm_ruled_out(p, design.guardrail_alpha or design.alpha)) & ~unknown, unknown


def _path(rng: np.random.Generator, baseline: Baseline, effects: Array, new: Sequence[NDArray[np.int64]]) -> _Drawn:
    """The differences at each look, given each look's new units, the control's first."""
    law = baseline.under(np.column_stack([np.zeros(len(effects)), effects]))
    arms = list(accumulate((_draw(rng, baseline, law, np.maximum(units, UNITS_MIN)) for units in new), _Sums.merge))
    return _Sums(*(np.stack([getattr(sums, name) for sums in arms]) for name in ("n", "mean", "m2"))).differences()


def _draw(rng: np.random.Generator, baseline: Baseline, law: tuple[Array, Array], n: NDArray[np.int64]) -> _Sums:
    """So many units of each arm, under a law with these means and variances."""
    true, spread = law
    if baseline.kind == "share":
        mean = rng.binomial(n, true) / n
        return _Sums(n, mean, mean * (1 - mean) * n)
    if baseline.kind == "rare":
        return _rare(rng, true, spread, n)
    mean = rng.normal(true, np.sqrt(spread / n))
    return _Sums(n, mean, spread * rng.chisquare(n - 1))


def _rare(rng: np.random.Generator, true: Array, spread: Array, n: NDArray[np.int64]) -> _Sums:
    """Sample means and squared deviations where few units have any.

    The mean is gamma, and its error grows with it: where more units happen to have any, both are larger.
    """
    some = true > 0
    scale = np.divide(spread, n * true, out=np.zeros_like(true), where=some)
    mean = rng.gamma(np.divide(true, scale, out=np.zeros_like(true), where=some & (scale > 0)), scale)
    second = np.divide(spread, true, out=np.zeros_like(true), where=some) + true
    return _Sums(n, mean, np.maximum(second * mean - mean * mean, 0) * n)
