"""10,000 seeded pilots, random and degenerate: each result is a sound number, or has a problem and no number at all.

Where the numbers are well-conditioned they are those of the same formulas over raw rows in extended precision.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from shared.stats.adjustment import adjusted, centres, slopes, stratified
from shared.stats.decision_rule import Shortfall, harm_ruled_out, shortfall
from shared.stats.estimates import Quantity, differences, means, relative
from shared.stats.moments import SIZE, Cells
from shared.stats.problems import Problem
from shared.stats.test_methods import FixedHorizon
from tests.shared.cells import drawn_cells

PLAIN = FixedHorizon()
PILOTS, SEED, ALPHA = 10_000, 20260310, 0.05
SIZES = (0, 1, 2, 3, 5, 25, 60)
VALUES = {
    "normal": lambda rng, n: rng.normal(3, 2, n),
    "negative": lambda rng, n: rng.normal(-50, 4, n),
    "near zero": lambda rng, n: rng.normal(0, 1, n),
    "share": lambda rng, n: (rng.random(n) < 0.2) * 1.0,
    "spend": lambda rng, n: rng.lognormal(1, 2, n) * (rng.random(n) < 0.3),
    "far": lambda rng, n: 1e6 + rng.normal(0, 1, n),
    "zero": lambda _, n: np.zeros(n),
    "constant": lambda _, n: np.full(n, 0.1),
    "one apart": lambda _, n: (np.arange(n) == 0) * 1.0,
    "farther": lambda rng, n: 1e15 + rng.normal(0, 1e-3, n),
    "huge": lambda rng, n: rng.normal(0, 1e300, n),
    "large": lambda rng, n: rng.normal(1e160, 1e150, n),
    "big": lambda rng, n: rng.normal(1e140, 1e139, n),
    "tiny": lambda rng, n: rng.normal(1e-200, 1e-201, n),
    "small": lambda rng, n: rng.normal(1e-147, 1e-148, n),
    "least": lambda _, n: np.full(n, 5e-324),
    "mixed": lambda rng, n: rng.choice([0.0, 1e300, -1e300, 1e-300, 1.0], n),
    "gaps": lambda rng, n: np.where(rng.random(n) < 0.3, np.nan, rng.normal(0, 1, n)),
    "without end": lambda rng, n: np.where(rng.random(n) < 0.2, rng.choice([np.inf, -np.inf]), rng.normal(0, 1, n)),
}
GOOD = ("normal", "negative", "share", "spend", "far")


def draw(rng):
    """An arm's rows: a value, a denominator, two covariates, maybe alike or the value itself; and their kinds."""
    n = int(rng.choice(SIZES))
    kinds = [str(rng.choice(GOOD if rng.random() < 0.75 else list(VALUES))) for _ in range(4)]
    rows = {name: VALUES[kind](rng, n) for name, kind in zip("ydxz", kinds, strict=True)}
    rows["d"] = np.abs(rows["d"])
    if rng.random() < 0.2:
        rows["z"] = rng.choice([1.0, -2.0, 1e-9]) * rows[str(rng.choice(["x", "y", "d"]))] + rng.choice([0.0, 1.0])
    return rows, kinds


@pytest.fixture(scope="module")
def pilots():
    """Each pilot's two arms, their kinds, and all cells, the treatments' and the controls' in turn."""
    rng = np.random.default_rng(SEED)
    arms = [draw(rng) for _ in range(2 * PILOTS)]
    with np.errstate(all="ignore"):
        each = [drawn_cells({name: values[None] for name, values in rows.items()}) for rows, _ in arms]
    return arms, each[0].joined(each[1:])


def sound_means(found):
    known = found.problem == Problem.NONE
    assert (np.isfinite(found.mean) & np.isfinite(found.variance) & (found.variance >= 0))[known].all()
    assert (np.isfinite(found.df) & (found.df >= 1))[known].all()
    assert np.isnan([found.mean, found.variance, found.df])[:, ~known].all()


def sound(found):
    low, high = found.interval(ALPHA)
    numbers = [
        found.estimate,
        found.se,
        found.df,
        found.p(),
        PLAIN.p_one_sided(found, 0.1, 1),
        PLAIN.bound(found, ALPHA, 1),
        low,
        high,
    ]
    assert np.isfinite(numbers)[:, found.known].all()
    assert np.isnan(numbers)[:, ~found.known].all()
    assert (found.se > 0)[found.known].all()
    assert ((found.p() >= 0) & (found.p() <= 1))[found.known].all()
    lacking = shortfall(
        found.estimate, (low, high), found.p(), PLAIN.p_one_sided(found, 0.1, 1),
        sign=1, alpha=ALPHA, minimum=-1e308, worthwhile="estimate",
    )  # fmt: skip
    assert (lacking != Shortfall.NONE)[~found.known].all()
    assert not harm_ruled_out(PLAIN.p_one_sided(found, -1e308, 1), ALPHA)[~found.known].any()


def sound_lifts(treated, control):
    lift, low, high = relative(treated, control, ALPHA)
    known = np.isfinite(lift)
    assert np.isnan([lift, low, high])[:, ~known].all()
    assert (np.isfinite(low) & np.isfinite(high) & (low <= lift) & (lift <= high))[known].all()
    assert not known[(treated.problem != Problem.NONE) | (control.problem != Problem.NONE)].any()


def checked(found):
    """Everything that is computed of cells whose arms alternate."""
    sound_means(found)
    treated, control = found.at(slice(0, None, 2)), found.at(slice(1, None, 2))
    sound(differences(treated, control))
    sound_lifts(treated, control)
    # Of each two pilots the strata of one, with weights of which some mean nothing.
    weights = np.random.default_rng(SEED).choice([0.0, 1.0, 3.0], (2,))
    for each in (np.array([1.0, 2.0]), weights, np.array([np.nan, 1.0]), np.array([0.0, 0.0]), np.array([-1.0, 2.0])):
        both = [arm.at(slice(None)) for arm in (treated, control)]
        layers = [
            type(arm)(
                *(getattr(arm, f).reshape(2, PILOTS // 2, -1) for f in ("n", "mean", "variance", "df", "problem"))
            )
            for arm in both
        ]
        sound(differences(*(stratified(arm, each) for arm in layers)))
    return differences(treated, control)


QUANTITIES = [Quantity("y"), Quantity("y", "d"), Quantity("x"), Quantity("d", "y")]
COVARIATES = [Quantity("x"), Quantity("z"), Quantity("x", "d")]


def test_no_pilot_crashes_warns_or_has_a_neutral_number(pilots):
    _, cells = pilots
    group = np.repeat(np.arange(PILOTS), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = checked(means(cells, QUANTITIES))
        for covariates in (COVARIATES[:1], COVARIATES):
            theta = slopes(cells, QUANTITIES, covariates, group)
            checked(adjusted(cells, QUANTITIES, covariates, theta, centres(cells, covariates, group)))
            pooled = slopes(cells, QUANTITIES, covariates)
            checked(adjusted(cells, QUANTITIES, covariates, pooled))
    # That it says something: of plain means, most have one, and every problem of a mean comes up.
    assert 0.3 < found.known[:, 0].mean() < 0.8
    assert {Problem.TOO_FEW, Problem.NOT_FINITE, Problem.CONSTANT} <= set(found.problem[:, 0].tolist())
    assert {Problem.ZERO_DENOMINATOR, Problem.DENOMINATOR_NEAR_ZERO} <= set(found.problem[:, 1].tolist())


def test_no_clusters_of_any_size_crash_warn_or_have_a_neutral_number(pilots):
    _, cells = pilots
    means_of, products = dict(cells.means), dict(cells.products)
    sized = Cells(
        {}, cells.n, {**means_of, SIZE: means_of["d"]},
        {**products, ("d", SIZE): products["d", "d"], (SIZE, SIZE): products["d", "d"],
         (SIZE, "y"): products["d", "y"], (SIZE, "x"): products["d", "x"], (SIZE, "z"): products["d", "z"]}, {}, {},
    )  # fmt: skip
    quantities, covariates = [Quantity("y", SIZE), Quantity("y", "d")], [Quantity("x", SIZE), Quantity("z", SIZE)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = checked(means(sized, quantities))
        checked(adjusted(sized, quantities, covariates, slopes(sized, quantities, covariates)))
    assert Problem.TOO_FEW_CLUSTERS in set(found.problem[:, 0].tolist())
    assert found.known[:, 0].any()


def well(rows, kinds, columns):
    """Whether an arm's numbers say something: enough units, and columns that vary."""
    return rows["y"].size >= 5 and all(
        kinds["ydxz".index(name)] in {*GOOD, "big"} and rows[name].std() > 1e-3 for name in columns
    )


def exact(rows, quantity):
    """An arm's values in extended precision; of a ratio linearised by the delta method."""
    y, d = (rows[name].astype(np.longdouble) for name in "yd")
    return y.mean() / d.mean() + (y - y.mean() / d.mean() * d) / d.mean() if quantity == "ratio" else y


def residuals(lines, pair):
    """Both arms' values less the slope times the covariate, and how large what cancels in them is."""
    xs = [rows["x"].astype(np.longdouble) for rows in pair]
    across = sum(((x - x.mean()) * (y - y.mean())).sum() for x, y in zip(xs, lines, strict=True))
    theta = across / sum(((x - x.mean()) ** 2).sum() for x in xs)
    return [y - theta * x for y, x in zip(lines, xs, strict=True)], sum(np.abs(theta * x).max() for x in xs)


@pytest.mark.parametrize(
    ("quantity", "columns", "least"), [("mean", "y", 1000), ("ratio", "yd", 300), ("adjusted", "yx", 300)]
)
def test_well_conditioned_pilots_have_the_numbers_of_extended_precision(pilots, quantity, columns, least):
    arms, cells = pilots
    one, x, group = (
        [Quantity("y", "d" if quantity == "ratio" else None)],
        COVARIATES[:1],
        np.repeat(np.arange(PILOTS), 2),
    )
    found = means(cells, one)
    if quantity == "adjusted":
        found = adjusted(cells, one, x, slopes(cells, one, x, group), centres(cells, x, group))
    between = differences(found.at(slice(0, None, 2)), found.at(slice(1, None, 2)))
    compared = 0
    for at in np.flatnonzero(between.known[:, 0]):
        pair = [rows for rows, kinds in arms[2 * at : 2 * at + 2] if well(rows, kinds, columns)]
        if len(pair) < 2:
            continue
        lines = [exact(rows, quantity) for rows in pair]
        scale, total, lost = sum(np.abs(y).max() for y in lines), sum(y.var() for y in lines), 0
        if quantity == "adjusted":
            lines, more = residuals(lines, pair)
            scale, lost = scale + more, 1
        parts = np.array([y.var() * y.size / (y.size - 1 - lost) / y.size for y in lines])
        if parts.sum() < 1e-6 * total:
            continue  # next to nothing is left of what was explained
        df = parts.sum() ** 2 / sum(part**2 / (y.size - 1 - lost) for part, y in zip(parts, lines, strict=True))
        assert abs(between.estimate[at, 0] - (lines[0].mean() - lines[1].mean())) <= 1e-9 * scale
        assert between.se[at, 0] == pytest.approx(float(np.sqrt(parts.sum())), rel=1e-7)
        assert between.df[at, 0] == pytest.approx(float(df), rel=1e-6)
        compared += 1
    assert compared > least
