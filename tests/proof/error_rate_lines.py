"""The claims of docs/proof/error-rates.md, one line each: what is simulated, and what is promised of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri

from shared.stats.domain import outside
from shared.stats.estimates import CLUSTERS_MIN, UNITS_PER_COVARIATE, Quantity, differences, means, relative
from shared.stats.moments import SIZE, Cells
from shared.stats.multiplicity import benjamini_hochberg, corrected_power, holm
from shared.stats.power import Baseline, units_to_detect, units_to_rule_out
from shared.stats.quantiles import SPREAD_MIN
from shared.stats.test_methods import FixedHorizon
from tests.proof import simulated as sim
from tests.proof.simulated import CLUSTERED, RATIO, VALUE, arms, of_quantile, over_strata, pasts, plain, with_covariates

PLAIN = FixedHorizon()
ALPHA, POWER = 0.05, 0.8
Promise = Literal["at most", "at least", "none"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Per pilot whether it happened, and whether the pilot could be evaluated."""

    happened: np.ndarray
    known: np.ndarray


@dataclass(frozen=True, slots=True)
class Line:
    """One claim.

    Attributes:
        limit: the rate that is promised.
    """

    section: str
    what: str
    promise: Promise
    limit: float
    run: Callable[[np.random.Generator, int], Outcome]


def lines() -> Iterator[Line]:
    """All of them."""
    yield from _false_positives()
    yield from _coverage()
    yield from _power()
    yield from _several()
    yield from _outside()


def _rejected(draws, units, estimate):
    def run(rng, pilots):
        found = differences(*arms(rng, pilots, draws, units, estimate))
        return Outcome(found.p() <= ALPHA, found.known)

    return run


def _null(draw, units, estimate=None):
    return _rejected((draw, draw), units, estimate or plain())


def _false_positives() -> Iterator[Line]:
    least, per = CLUSTERS_MIN, UNITS_PER_COVARIATE

    def line(what, run):
        return Line("false positives", what, "at most", ALPHA, run)

    yield line("normal, 3 : 3", _null(sim.normal(), (3, 3)))
    yield line("normal, 200 : 200", _null(sim.normal(), (200, 200)))
    unequal = (sim.normal(sd=3), sim.normal())
    yield line("normal, 20 : 80, the smaller arm with three times the spread", _rejected(unequal, (20, 80), plain()))
    yield line("a share of 10 %, 50 : 50", _null(sim.share(0.1), (50, 50)))
    yield line("a share of 1 %, 1,000 : 1,000", _null(sim.share(0.01), (1000, 1000)))
    yield line("a share of 10 %, 500 : 4,500", _null(sim.share(0.1), (500, 4500)))
    yield line("spend, nothing for 95 % of units, 200 : 200", _null(sim.spend(), (200, 200)))
    yield line("spend, nothing for 95 % of units, 5,000 : 15,000", _null(sim.spend(), (5000, 15_000)))
    yield line("lognormal (skewness 6), 20 : 20", _null(sim.lognormal(1), (20, 20)))
    yield line("lognormal (skewness 6), 500 : 1,000", _null(sim.lognormal(1), (500, 1000)))
    yield line("lognormal with sigma 2 (skewness 414), 500 : 500", _null(sim.lognormal(2), (500, 500)))
    yield line("a ratio, spend per visit, 50 : 50", _null(sim.visits(), (50, 50), plain(RATIO)))
    yield line(
        "a ratio with a covariate, 200 : 200", _null(sim.visits(), (200, 200), with_covariates(RATIO, Quantity("x")))
    )
    for count, units in ((1, (per, per)), (3, (3 * per, 3 * per)), (1, (per, 10 * per)), (3, (100, 100))):
        for tail in (False, True):
            if tail and units[0] != units[1]:
                continue
            kind = "lognormal" if tail else "normal"
            estimate = with_covariates(VALUE, *pasts(count))
            yield line(
                f"CUPED, {count} {kind} covariate{'s' if count > 1 else ''}, {units[0]} : {units[1]}",
                _null(sim.with_past(count, tail=tail), units, estimate),
            )
    yield line(
        "post-stratified, 4 strata, 200 : 200", _null(sim.in_strata([0.4, 0.3, 0.2, 0.1]), (200, 200), over_strata)
    )
    yield line("post-stratified, 10 strata, 80 : 80", _null(sim.in_strata(np.full(10, 0.1)), (80, 80), over_strata))
    for sizes in sim.SIZES:
        # So many that their effective number is about the minimum.
        count = {"equal": 1, "uniform from 1 to 60": 1.5, "exponential": 2.2, "lognormal": 3, "Pareto": 5}[
            sizes
        ] * least
        units = (int(count), int(count))
        yield line(
            f"clusters, sizes {sizes}, {units[0]} : {units[0]}", _null(sim.clusters(sizes), units, plain(CLUSTERED))
        )
    yield line(
        "clusters of shares, sizes lognormal, 100 : 100",
        _null(sim.clusters("lognormal", of_shares=True), (100, 100), plain(CLUSTERED)),
    )
    yield line(
        "clusters, sizes uniform from 1 to 60, 40 : 160",
        _null(sim.clusters("uniform from 1 to 60"), (40, 160), plain(CLUSTERED)),
    )
    adjusted = with_covariates(CLUSTERED, Quantity("x", SIZE))
    yield line(
        "clusters with a covariate, sizes lognormal, 60 : 60",
        _null(sim.clusters("lognormal", past=0.8), (60, 60), adjusted),
    )
    yield line("the median, lognormal, 40 : 40", _null(sim.lognormal(1), (40, 40), of_quantile(0.5)))
    yield line("the 0.9 quantile, lognormal, 200 : 200", _null(sim.lognormal(1), (200, 200), of_quantile(0.9)))
    yield line("the 0.99 quantile, lognormal, 2,000 : 2,000", _null(sim.lognormal(1), (2000, 2000), of_quantile(0.99)))


def _covered(draws, units, effect, estimate=None):
    def run(rng, pilots):
        found = differences(*arms(rng, pilots, draws, units, estimate or plain()))
        low, high = found.interval(ALPHA)
        return Outcome((low <= effect) & (effect <= high), found.known)

    return run


def _lift_covered(draws, units, lift, estimate=None):
    def run(rng, pilots):
        _, low, high = relative(*arms(rng, pilots, draws, units, estimate or plain()), ALPHA)
        return Outcome((low <= lift) & (lift <= high), np.isfinite(low))

    return run


def _coverage() -> Iterator[Line]:
    def line(what, run):
        return Line("coverage", what, "at least", 1 - ALPHA, run)

    yield line(
        "normal, 20 : 80, unequal spread, effect 0.5", _covered((sim.normal(0.5, 3), sim.normal()), (20, 80), 0.5)
    )
    yield line("a share, 13 % against 10 %, 500 : 500", _covered((sim.share(0.13), sim.share(0.1)), (500, 500), 0.03))
    basket = sim.BASKET_SHAPE * sim.BASKET_SCALE
    more = (sim.spend(buyers=0.07), sim.spend())
    yield line("spend, 7 % buy against 5 %, 2,000 : 2,000", _covered(more, (2000, 2000), 0.02 * basket))
    yield line("spend, its relative lift of 40 %, 5,000 : 5,000", _lift_covered(more, (5000, 5000), 0.4))
    lift = (sim.normal(12, 5), sim.normal(10, 5))
    yield line("normal, a relative lift of 20 %, 200 : 200", _lift_covered(lift, (200, 200), 0.2))
    loss = (sim.normal(-8, 5), sim.normal(-10, 5))
    yield line(
        "normal, a relative lift of 20 % over a negative baseline, 200 : 200", _lift_covered(loss, (200, 200), 0.2)
    )
    shares = (sim.share(0.13), sim.share(0.1))
    yield line("a share, its relative lift of 30 %, 1,000 : 1,000", _lift_covered(shares, (1000, 1000), 0.3))
    ratio = (sim.visits(2.0), sim.visits())
    yield line("a ratio, effect 2 per visit, 100 : 100", _covered(ratio, (100, 100), 2.0, plain(RATIO)))
    tail = (sim.lognormal(1, 1.2), sim.lognormal(1))
    yield line(
        "lognormal (skewness 6), effect 0.2 of the mean, 1,000 : 1,000",
        _covered(tail, (1000, 1000), 0.2 * np.exp(0.5)),
    )
    cuped = with_covariates(VALUE, *pasts(2))
    moved = (sim.with_past(2, effect=0.4), sim.with_past(2))
    yield line("CUPED, 2 covariates, 20 : 20", _covered(moved, (20, 20), 0.4, cuped))
    apart = (sim.with_past(2, effect=0.4, response=1.0), sim.with_past(2))
    yield line("CUPED, the effect rises with the covariates, 100 : 100", _covered(apart, (100, 100), 0.4, cuped))
    effects = (sim.in_strata([0.5, 0.3, 0.2], [0.3, 0.3, 0.3]), sim.in_strata([0.5, 0.3, 0.2]))
    yield line("post-stratified, 100 : 100", _covered(effects, (100, 100), 0.3, over_strata))
    for sizes, count in (("uniform from 1 to 60", 30), ("lognormal", 60)):
        draws = (sim.clusters(sizes, 0.3), sim.clusters(sizes))
        yield line(
            f"clusters, sizes {sizes}, {count} : {count}", _covered(draws, (count, count), 0.3, plain(CLUSTERED))
        )
    quantile = np.exp(ndtri(0.9))
    doubled = (sim.lognormal(1, 1.5), sim.lognormal(1))
    yield line("the 0.9 quantile, 300 : 300", _covered(doubled, (300, 300), 0.5 * quantile, of_quantile(0.9)))
    yield line("the median, 100 : 100", _covered(doubled, (100, 100), 0.5, of_quantile(0.5)))


def _power() -> Iterator[Line]:
    def line(what, run):
        return Line("power", what, "at least", POWER, run)

    basket = sim.BASKET_SHAPE * sim.BASKET_SCALE
    second = sim.BUYERS * basket * sim.BASKET_SCALE * (sim.BASKET_SHAPE + 1)
    unit, spent = Baseline(0.0, 1.0), Baseline(sim.BUYERS * basket, second - (sim.BUYERS * basket) ** 2, "rare")
    half, shares = (sim.normal(0.5), sim.normal()), (sim.share(0.13), sim.share(0.1))
    plans = [
        ("normal, half a standard deviation", unit, 0.5, half, 1.0),
        ("normal, half a standard deviation, three times the control", unit, 0.5, half, 3.0),
        ("a share, 10 % to 13 %", Baseline(0.1, 0.09, "share"), 0.03, shares, 1.0),
        ("spend, two more buyers in a hundred", spent, 0.02 * basket, (sim.spend(buyers=0.07), sim.spend()), 1.0),
    ]
    for what, baseline, effect, draws, per in plans:
        units = units_to_detect(baseline, effect, ALPHA, POWER, per)
        pair = (units, int(np.ceil(units * per)))
        yield line(f"{what}: found with {pair[0]:,} : {pair[1]:,}", _rejected(draws, pair, plain()))
    units = units_to_rule_out(Baseline(0.1, 0.09, "share"), -0.03, ALPHA, POWER)
    yield line(
        f"a share of 10 %: harm of 3 points ruled out with {units:,} : {units:,}",
        _ruled_out((sim.share(0.1), sim.share(0.1)), units, -0.03),
    )
    yield line("one primary metric and three guardrails, planned with corrected power: all four pass", _all_pass(3))


def _ruled_out(draws, units, margin):
    def run(rng, pilots):
        found = differences(*arms(rng, pilots, draws, (units, units), plain()))
        return Outcome(PLAIN.p_one_sided(found, margin, 1) <= ALPHA, found.known)

    return run


def _all_pass(guardrails):
    each = corrected_power(POWER, guardrails)
    detect = units_to_detect(Baseline(0.0, 1.0), 0.5, ALPHA, each)
    rule_out = units_to_rule_out(Baseline(0.0, 1.0), -0.5, ALPHA, each)

    def run(rng, pilots):
        primary = differences(*arms(rng, pilots, (sim.normal(0.5), sim.normal()), (detect, detect), plain()))
        passed = primary.p() <= ALPHA
        for _ in range(guardrails):
            rail = differences(*arms(rng, pilots, (sim.normal(), sim.normal()), (rule_out, rule_out), plain()))
            passed &= PLAIN.p_one_sided(rail, -0.5, 1) <= ALPHA
        return Outcome(passed, primary.known)

    return run


def _family(rng, pilots, draws, control, units) -> tuple[np.ndarray, np.ndarray]:
    """P-values of several treatments, each against the same control, and which could be evaluated."""
    base, parts = None, []
    for draw in draws:
        treated, other = arms(rng, pilots, (draw, control), (units, units), plain())
        base = base or other
        parts.append(differences(treated, base))
    return np.stack([each.p() for each in parts], axis=1), np.stack([each.known for each in parts], axis=1)


def _several() -> Iterator[Line]:
    def any_of_three(rng, pilots):
        p, known = _family(rng, pilots, [sim.share(0.1)] * 3, sim.share(0.1), 500)
        return Outcome((holm(p) <= ALPHA).any(axis=1), known.any(axis=1))

    def any_null(rng, pilots):
        p, known = _family(rng, pilots, [sim.normal(0.4), sim.normal(), sim.normal()], sim.normal(), 100)
        return Outcome((holm(p)[:, 1:] <= ALPHA).any(axis=1), known.any(axis=1))

    def with_gaps(rng, pilots):
        p, known = _family(rng, pilots, [sim.share(0.01)] * 3, sim.share(0.01), 200)
        return Outcome((holm(p) <= ALPHA).any(axis=1), known.any(axis=1))

    def discoveries(rng, pilots):
        # Of twenty segments four have an effect; per pilot the share of false ones among what is found.
        p = np.stack(
            [
                differences(*arms(rng, pilots, (sim.normal(0.5 * (k < 4)), sim.normal()), (100, 100), plain())).p()
                for k in range(20)
            ],
            axis=1,
        )
        found = benjamini_hochberg(p) <= ALPHA
        false = found[:, 4:].sum(axis=1) / np.maximum(found.sum(axis=1), 1)
        # A rate of false ones becomes a yes or no by a draw of its own, so that its error is the table's.
        return Outcome(rng.random(pilots) < false, np.ones(pilots, dtype=bool))

    def line(what, run):
        return Line("several", what, "at most", ALPHA, run)

    yield line("three arms without an effect, one control: any passes Holm's test", any_of_three)
    yield line("three arms, one with an effect: any of the others passes Holm's test", any_null)
    yield line("three arms of rare shares, some of which cannot be evaluated: any passes Holm's test", with_gaps)
    yield line("20 segments, 4 with an effect: false ones among those found (Benjamini and Hochberg)", discoveries)
    rails = [
        ("normal, 50 : 50", (sim.normal(-0.3), sim.normal()), 50, -0.3),
        ("a share, 300 : 300", (sim.share(0.27), sim.share(0.3)), 300, -0.03),
        ("spend, 4,000 : 4,000", (sim.spend(-0.5), sim.spend()), 4000, -0.5),
    ]
    for what, draws, units, margin in rails:
        yield line(f"harm at the guardrail's margin, {what}: it passes", _ruled_out(draws, units, margin))


def _outside() -> Iterator[Line]:
    def line(what, run, promise="at most"):
        return Line("outside", what, promise, ALPHA, run)

    few, per = CLUSTERS_MIN - 1, UNITS_PER_COVARIATE
    yield line(f"clusters, sizes equal, {few} : {few}", _null(sim.clusters("equal"), (few, few), plain(CLUSTERED)))
    short = 2 * per - 1
    yield line(
        f"CUPED, 2 covariates, {short} : {short}",
        _null(sim.with_past(2), (short, short), with_covariates(VALUE, *pasts(2))),
    )
    units = int(SPREAD_MIN / 0.09) - 1
    yield line(f"the 0.9 quantile, {units} : {units}", _null(sim.lognormal(1), (units, units), of_quantile(0.9)))
    yield line("the median of spend, which is nothing, 500 : 500", _null(sim.spend(), (500, 500), of_quantile(0.5)))
    yield line("the same for every unit, 100 : 100", _null(lambda _, shape: {"y": np.full(shape, 0.1)}, (100, 100)))
    nobody = (sim.share(0.0), sim.share(0.01))
    yield line("a share of 1 % against no success at all, 100 : 900", _rejected(nobody, (100, 900), plain()))
    yield line("a ratio over next to nothing, 100 : 100", _null(_next_to_nothing, (100, 100), plain(RATIO)))
    for what, draw, units in (
        ("normal, 3 : 30", sim.normal(), (3, 30)),
        ("a share of 1 %, 1,000 : 9,000", sim.share(0.01), (1000, 9000)),
        ("spend, 200 : 1,800", sim.spend(), (200, 1800)),
        ("lognormal (skewness 6), 200 : 1,800", sim.lognormal(1), (200, 1800)),
        ("lognormal with sigma 2 (skewness 414), 1,000 : 9,000", sim.lognormal(2), (1000, 9000)),
    ):
        yield line(f"{what}, all pilots", _null(draw, units), "none")
        yield line(f"{what}, pilots without a warning", _not_warned_of(draw, units))


def _not_warned_of(draw, units):
    """Two-sided tests of the pilots of which health does not say that they are outside of the test's domain."""

    def run(rng, pilots):
        values = [draw(rng, (pilots, n))["y"] for n in units]
        n, mean = tuple(np.full(pilots, k) for k in units), tuple(v.mean(axis=1) for v in values)
        m2 = tuple(np.square(v - m[:, None]).sum(axis=1) for v, m in zip(values, mean, strict=True))
        warned = outside(n, mean, m2, tuple(v.min(axis=1) for v in values))
        cells = [
            Cells({}, k.astype(np.int64), {"y": m}, {("y", "y"): s}, {}, {})
            for k, m, s in zip(n, mean, m2, strict=True)
        ]
        found = differences(*(means(each, [VALUE]).at(np.s_[:, 0]) for each in cells))
        return Outcome(found.p() <= ALPHA, found.known & ~warned)

    return run


def _next_to_nothing(rng, shape):
    d = np.zeros(shape)
    d[:, :3] = rng.random((shape[0], 3))
    return {"y": rng.standard_normal(shape), "d": d}
