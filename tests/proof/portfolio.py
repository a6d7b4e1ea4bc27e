"""What a bound on false discoveries over all pilots costs a team of usual size in power, and whether it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import norm

from promotion.registry.online_fdr import Gamma, gamma, level

HISTORIES, YEARS, SEED = 20_000, 3, 20_261_127
ALPHA, POWER = 0.05, 0.8
# Where the estimate of a true effect is expected, in standard errors, in a pilot of that power.
SHIFT = float(ndtri(1 - ALPHA / 2) + ndtri(POWER))
# A time box of four weeks and a week to decide.
WEEKS = 5
SES = 3
PER_YEAR, TRUE = (20, 30, 40), (0.1, 0.2, 0.33)
BOUNDS = (None, 0.1, 0.2)
Table = NDArray[np.float64]
HEAD = """# The portfolio: what a bound on false discoveries costs

`python -m tests.proof portfolio`; {histories:,} simulated histories of {years} years per line. A pilot has a true
effect with the given probability (between a tenth and a third of ideas work: Kohavi, Tang and Xu 2020, ch. 1),
which its plan detects with a power of 80 % at 5 %; else it has none. Pilots begin evenly over the year and are
decided five weeks later, so that several run at a time. An arm is scaled where it is better at 5 % two-sided and,
under a bound, at its own level as well (LORD++, levels fixed when a pilot begins). ± is one standard error.

*Power* is the share of true effects that are scaled, *false* the expected share of scaled ones without an effect (0
where none is scaled). *Other rewards* divides each reward as onlineFDR does by default (Javanmard and Montanari
2018), over many more tests. A bound holds where the false share is at most the bound and three standard errors.
"""
TAIL = """
## What follows

- Without any bound, {worst:.0f} % of what is scaled does nothing where a tenth of ideas work, and {best:.0f} %
  where a third do.
- A bound of 20 % costs a team between {least:.0f} and {most:.0f} percentage points of power, one of 10 % between
  {least_10:.0f} and {most_10:.0f}: the more of its ideas work, the less. So the default is 20 %, which *warns* at
  low and standard risk: the level is told beside every verdict, and the owner weighs it. It *blocks* at high risk,
  where a false promotion costs more than a true one that has to be run again.
- Rewards that are spread over many tests would cost more: a team makes tens of pilots, not thousands.
- Half of the bound is never used: an arm without an effect has to be better, not only different.
"""


@dataclass(frozen=True, slots=True)
class Found:
    """Rates over all histories, each with its standard error."""

    power: float
    power_se: float
    false: float
    false_se: float
    false_per_year: float


def theirs(place: int) -> float:
    """How onlineFDR divides a reward by default."""
    return float(0.07720838 * np.log(max(place, 2)) / (place * np.exp(np.sqrt(np.log(place)))))


def simulated(per_year: int, true: float, bound: float | None, by: Gamma) -> Found:
    """What a team with so many pilots a year finds."""
    rng = np.random.default_rng([SEED, per_year, round(100 * true)])
    pilots, lag = YEARS * per_year, round(per_year * WEEKS / 52)
    real = rng.random((HISTORIES, pilots)) < true
    z = rng.standard_normal((HISTORIES, pilots)) + SHIFT * real
    better = (2 * norm.sf(np.abs(z)), z > 0)
    scaled = better[1] & (better[0] <= ALPHA)
    if bound is not None:
        scaled = _within(better[0], scaled, bound, lag, by)
    return _rates(real, scaled)


def _within(p: Table, scaled: NDArray[np.bool_], bound: float, lag: int, by: Gamma) -> NDArray[np.bool_]:
    """What is scaled under a bound; each history's levels are those of `promotion.registry.online_fdr.level`."""
    histories, pilots = p.shape
    shares = np.array([by(place) for place in range(1, pilots + 1)])
    levels = np.tile(bound / 2 * shares, (histories, 1))
    found, discoveries = np.zeros_like(scaled), np.zeros(histories, dtype=int)
    for pilot in range(pilots):
        found[:, pilot] = scaled[:, pilot] & (p[:, pilot] <= levels[:, pilot])
        reward = found[:, pilot] * np.where(discoveries == 0, bound / 2, bound)
        discoveries += found[:, pilot]
        after = pilot + lag + 1  # the first pilot that begins when the discovery is known
        levels[:, after:] += reward[:, None] * shares[: max(0, pilots - after)]
    _require_same(found[0], levels[0], bound, lag, by)
    return found


def _require_same(found: NDArray[np.bool_], levels: Table, bound: float, lag: int, by: Gamma) -> None:
    """Holds the levels of one history against the gate's own."""
    begun = [int(pilot) + lag + 1 for pilot in np.flatnonzero(found)]
    own = [
        level(place, [then for then in begun if then < place], bound=bound, by=by)
        for place in range(1, len(levels) + 1)
    ]
    np.testing.assert_allclose(levels, own, rtol=1e-9)


def _rates(real: NDArray[np.bool_], scaled: NDArray[np.bool_]) -> Found:
    false = (scaled & ~real).sum(axis=1)
    share = false / np.maximum(scaled.sum(axis=1), 1)
    some = real.any(axis=1)
    power = (scaled & real)[some].sum(axis=1) / real[some].sum(axis=1)
    return Found(
        *(100 * float(each) for rates in (power, share) for each in (rates.mean(), rates.std() / len(rates) ** 0.5)),
        false_per_year=float(false.mean()) / YEARS,
    )


def prove() -> tuple[str, bool]:
    """The page, and whether every bound holds."""
    lines, found = [], {}
    holds = True
    for per_year in PER_YEAR:
        for true in TRUE:
            for bound, by, told in _arms():
                one = found[per_year, true, told] = simulated(per_year, true, bound, by)
                kept = bound is None or one.false <= 100 * bound + SES * one.false_se
                holds &= kept
                lines.append(_line(per_year, true, told, one, "" if bound is None else "holds" if kept else "FAILS"))
    head = HEAD.format(histories=HISTORIES, years=YEARS)
    table = "\n| pilots a year | true | bound | power | false | false ones a year | |\n|---|---|---|---|---|---|---|\n"
    return head + table + "".join(lines) + _told(found), holds


def _arms() -> Iterator[tuple[float | None, Gamma, str]]:
    for bound in BOUNDS:
        yield bound, gamma, "none" if bound is None else f"{100 * bound:g} %"
    yield 0.2, theirs, "20 %, other rewards"


def _line(per_year: int, true: float, told: str, one: Found, kept: str) -> str:
    return (
        f"| {per_year} | {100 * true:g} % | {told} | {one.power:.1f} % ± {one.power_se:.1f} "
        f"| {one.false:.1f} % ± {one.false_se:.1f} | {one.false_per_year:.2f} | {kept} |\n"
    )


def _told(found: dict[tuple[int, float, str], Found]) -> str:
    def over(cell: Callable[[int, float], float], true: tuple[float, ...] = TRUE) -> list[float]:
        return [cell(per_year, share) for per_year in PER_YEAR for share in true]

    def lost(told: str, per_year: int, share: float) -> float:
        return found[per_year, share, "none"].power - found[per_year, share, told].power

    twenty, ten = (over(partial(lost, told)) for told in ("20 %", "10 %"))
    return TAIL.format(
        worst=max(over(lambda per_year, share: found[per_year, share, "none"].false, TRUE[:1])),
        best=min(over(lambda per_year, share: found[per_year, share, "none"].false, TRUE[-1:])),
        least=min(twenty),
        most=max(twenty),
        least_10=min(ten),
        most_10=max(ten),
    )
