"""Priors from retrospective tests: do held-back effects fall where the prior of the others expects them?"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.stats import binomtest, t

from lab.insights.retrospective.store import Kept, bring_in
from shared.state.workspace import create
from shared.stats.prior import Prior, empirical_prior

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
SEED, HEADLINES, FITTED, DRAWS = 20260105, 400, (10, 20, 50, 200), 20
# Nominal coverage with the least and the most that is taken for calibrated.
LEVELS = {0.5: (0.40, 0.65), 0.8: (0.70, 0.90), 0.95: (0.85, 1.0)}


@dataclass(slots=True)
class Coverage:
    """How often held-back effects fell into the intervals of a prior that was fitted on others."""

    what: str
    fitted: str
    held: int = 0
    inside: dict[float, int] = field(default_factory=lambda: dict.fromkeys(LEVELS, 0))

    def add(self, prior: Prior, effects: Iterable[tuple[float, float]]) -> None:
        """Counts effects, each with its standard error, against the prior's predictions of them."""
        for estimate, error in effects:
            z = (estimate - prior.mean) / math.hypot(prior.sd, error)
            outside = 2 * float(t.cdf(-abs(z), prior.df))
            self.held += 1
            for level in LEVELS:
                self.inside[level] += outside > 1 - level

    @property
    def holds(self) -> bool:
        """Whether each interval holds about as many as it says."""
        return all(low <= self.inside[level] / self.held <= high for level, (low, high) in LEVELS.items())

    def row(self) -> str:
        """A line of the table."""
        shares = []
        for count in self.inside.values():
            low, high = binomtest(count, self.held).proportion_ci(0.95, "exact")
            shares.append(f"{100 * count / self.held:.0f} % [{100 * low:.0f}, {100 * high:.0f}]")
        held = "holds" if self.holds else "**does not hold**"
        return f"| {self.what} | {self.fitted} | {self.held:,} | {' | '.join(shares)} | {held} |\n"


def prove() -> tuple[str, bool]:
    """The page, and whether the priors are calibrated; the page as it stands where the real data are not there."""
    folder = os.environ.get("PILOTPLANT_REAL_DATA")
    page = DOCS / "proof" / "priors.md"
    if folder is None:
        sys.stderr.write("priors: skipped, PILOTPLANT_REAL_DATA does not say where the real data lie\n")
        return page.read_text(encoding="utf-8"), True
    with tempfile.TemporaryDirectory() as scratch:
        found = [*_asos(Path(folder), Path(scratch)), *_upworthy(Path(folder), Path(scratch))]
    return _page(found), all(each.holds for each in found)


def mapping_of(word: str) -> str:
    """The mapping of docs/retrospective.md that names a column."""
    page = (DOCS / "retrospective.md").read_text(encoding="utf-8")
    blocks = [block.split("\n", 1)[1] for block in page.split("```")[1::2] if block.startswith("yaml")]
    return next(block for block in blocks if word in block)


def _kept(scratch: Path, name: str, file: Path, word: str) -> list[Kept]:
    workspace, _ = create(scratch / name, "rehearsal")
    mapping = scratch / f"{name}.yaml"
    mapping.write_text(mapping_of(word), encoding="utf-8")
    yaml.safe_load(mapping.read_text(encoding="utf-8"))
    return list(bring_in(workspace, name, file, mapping=mapping).tests)


def _effects(tests: Sequence[Kept], metric: str) -> dict[str, list[tuple[float, float]]]:
    """By test, the effects on a metric that could be evaluated, of tests that nothing speaks against."""
    found = {
        kept.test.name: [
            (effect.estimate, effect.se)
            for effect in kept.shown.effects
            if effect.metric == metric and effect.estimate is not None and effect.se
        ]
        for kept in tests
        if kept.shown.sound
    }
    return {name: effects for name, effects in found.items() if effects}


def _fitted(chosen: Iterable[list[tuple[float, float]]]) -> Prior | None:
    several = list(chosen)
    pairs = [pair for effects in several for pair in effects]
    return empirical_prior([e for e, _ in pairs], [se for _, se in pairs], len(several))


def _asos(folder: Path, scratch: Path) -> Iterator[Coverage]:
    """Each experiment is held back once, and the prior is fitted on all others."""
    tests = _kept(scratch, "asos", folder / "asos_dev.parquet", "experiment_id")
    for metric in tests[0].test.metrics:
        effects = _effects(tests, metric)
        found = Coverage(f"ASOS, metric {metric}", f"the other {len(effects) - 1} experiments")
        for name, own in effects.items():
            prior = _fitted(each for other, each in effects.items() if other != name)
            if prior is not None:
                found.add(prior, own)
        yield found


def _upworthy(folder: Path, scratch: Path) -> Iterator[Coverage]:
    """Some tests are fitted, and as many as are left of 100 others held back, drawn again and again."""
    frame = pd.read_parquet(folder / "upworthy_dev.parquet")
    rng = np.random.default_rng(SEED)
    chosen = rng.permutation(frame.clickability_test_id.unique())[:HEADLINES]
    file = scratch / "headlines.parquet"
    frame[frame.clickability_test_id.isin(chosen)].to_parquet(file)
    effects = _effects(_kept(scratch, "headline", file, "impressions"), "click")
    names = np.array(sorted(effects))
    for fitted in FITTED:
        found = Coverage("Upworthy, clicks", f"{fitted} tests")
        for _ in range(DRAWS):
            drawn = rng.permutation(names)[: fitted + 100]
            prior = _fitted(effects[name] for name in drawn[:fitted])
            if prior is not None:
                found.add(prior, [pair for name in drawn[fitted:] for pair in effects[name]])
        yield found


def _page(found: Sequence[Coverage]) -> str:
    limits = "; ".join(f"{100 * level:g} %: {100 * low:g} to {100 * high:g} %" for level, (low, high) in LEVELS.items())
    return (
        f"# Priors from retrospective tests\n\n`make proof` with the real data; seed {SEED}. Real experiments are "
        "brought in with the mappings of [retrospective.md](../retrospective.md). Of some of them a prior is fitted as "
        "a forecast does it, and the effects of the others, which it has not seen, are held against it: how many lie "
        "within the interval in which it expects so many? A prediction is of an estimate, so it holds the prior's "
        "spread and the estimate's own error.\n\nTests whose arms had other sizes than planned are left out, as "
        "forecasts leave them out. Brackets hold the exact 95 % interval, as if all effects were independent.\n\n"
        "| effects | fitted on | held back | 50 % | 80 % | 95 % | |\n|---|---|---|---|---|---|---|\n"
        + "".join(each.row() for each in found)
        + f"\nTaken for calibrated: {limits}. The 95 % intervals hold a little fewer than they say: a few experiments "
        'in a hundred have effects far beyond the rest, more than a normal distribution has (Azevedo et al. 2020, "A/B '
        'testing with fat tails"). Such an effect is a surprise to any prior of this kind, whoever fits it.\n'
    )
