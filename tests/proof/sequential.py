"""Looking again and again: how often pilots pass that should not, how often intervals cover, and what it costs."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.stats.alpha_spending import Schedule, Spending
from shared.stats.detection import AtAnyTime, AtLooks
from shared.stats.power import Baseline, units_to_detect, units_to_rule_out
from shared.stats.test_methods import SEQUENCE_UNITS_MIN, AlwaysValid, FixedHorizon, GroupSequential, Method
from tests.proof.looking import Effects, Law, gamma_spend, lognormal_spend, normal, pilots, share

SEED, PILOTS, ALPHA, POWER = 20260104, 20_000, 0.05, 0.8
LOOKS, PER_LOOK = 50, 200
UNITS = tuple(PER_LOOK * (k + 1) for k in range(LOOKS))
FIVE = (0.2, 0.4, 0.6, 0.8, 1.0)
MISUSED, OBF, POCOCK, ANY_TIME = (
    "a test for one look, at every look",
    "spending, O'Brien-Fleming",
    "spending, Pocock",
    "confidence sequence",
)
KINDS: dict[str, Spending] = {OBF: "obrien_fleming", POCOCK: "pocock"}
PLOT = Path(__file__).parent.parent.parent / "docs" / "proof" / "sequential.svg"


@dataclass(frozen=True, slots=True)
class Row:
    """What was found of some pilots against what is promised; one that promises nothing only shows."""

    group: str
    what: str
    method: str
    found: int
    pilots: int
    limit: float | None = None
    at_most: bool = True

    @property
    def rate(self) -> float:
        return self.found / self.pilots

    @property
    def error(self) -> float:
        """One Monte-Carlo standard error, at the limit where there is one."""
        at = self.rate if self.limit is None else self.limit
        return (at * (1 - at) / self.pilots) ** 0.5

    @property
    def holds(self) -> bool:
        if self.limit is None:
            return True
        off = self.rate - self.limit if self.at_most else abs(self.rate - self.limit)
        return off <= 3 * self.error

    def line(self) -> str:
        promised, verdict = "–", ""
        if self.limit is not None:
            promised = f"{'at most ' if self.at_most else ''}{100 * self.limit:g} %"
            verdict = "holds" if self.holds else "**does not hold**"
        found = f"{100 * self.rate:.2f} % ± {100 * self.error:.2f}"
        return f"| {self.what} | {self.method} | {promised} | {found} | {verdict} |"


def prove() -> tuple[str, bool]:
    rng = np.random.default_rng(SEED)
    rows = []
    for law in (normal(), share(0.1), share(0.01), gamma_spend(0.05, 2, 50), lognormal_spend(0.05, 1)):
        rows += [*false_positives(rng, law, PILOTS), *margins(rng, law, PILOTS)]
    rows += [*coverage(rng, PILOTS), *powers(rng, PILOTS), *uneven(rng, PILOTS)]
    PLOT.write_text(_plot(), encoding="utf-8")
    return _page(rows), all(row.holds for row in rows)


def false_positives(rng: np.random.Generator, law: Law, number: int) -> Iterator[Row]:
    """No effect, fifty looks: any of them is significant."""
    looks = pilots(rng, law, UNITS, number)
    group, what = "No effect, looked at 50 times: significant at any look", law.name
    for method, judged in judges(looks).items():
        crossed = np.any([by.p_two_sided(found) <= ALPHA for by, found in judged], axis=0)
        limit = None if method == MISUSED else ALPHA
        yield Row(group, what, method, int(crossed.sum()), number, limit)


def margins(rng: np.random.Generator, law: Law, number: int) -> Iterator[Row]:
    """Harm exactly at a guardrail's margin, fifty looks: any of them rules it out."""
    margin = -(law.variance**0.5) / 20
    looks = pilots(rng, law, UNITS, number, effect=margin)
    group = "Harm exactly at a guardrail's margin, looked at 50 times: ruled out at any look"
    for method, judged in judges(looks).items():
        passed = np.any([by.p_one_sided(found, margin, 1) <= ALPHA for by, found in judged], axis=0)
        limit = None if method == MISUSED else ALPHA
        yield Row(group, law.name, method, int(passed.sum()), number, limit)


def coverage(rng: np.random.Generator, number: int) -> Iterator[Row]:
    """An effect, fifty looks: the interval at which a pilot is stopped misses it, or that of any look does."""
    effect = 0.02
    looks = pilots(rng, share(0.1), UNITS, number, treated=share(0.1 + effect), effect=effect)
    group = "An effect of 2 points on a share of 10 %: how often the 95 % interval misses it"
    for method, judged in judges(looks, each=True).items():
        half = np.array([by.half_width(found.se, found.df, ALPHA) for by, found in judged])
        estimate = np.array([found.estimate for _, found in judged])
        covers, stops = np.abs(estimate - effect) <= half, np.abs(estimate) > half
        first = np.where(stops.any(axis=0), stops.argmax(axis=0), len(half) - 1)
        stopped = np.take_along_axis(covers, first[None], axis=0)[0]
        missed = {"stopped at the first significant look": ~stopped, "at the worst of all looks": ~covers.all(axis=0)}
        for when, misses in missed.items():
            yield Row(group, when, method, int(misses.sum()), number, _promised(method))


def powers(rng: np.random.Generator, number: int) -> Iterator[Row]:
    """As many units as the planner says: an effect is found, or harm ruled out, as often as it promised."""
    baseline, effect, margin = Baseline(0.1, 0.09, "share"), 0.02, -0.02
    group = f"As many units as the planner asks for, power {100 * POWER:g} %, five looks (the sequence: at the end)"
    for method in (OBF, POCOCK, ANY_TIME):
        looks = AtAnyTime(ALPHA) if method == ANY_TIME else AtLooks(FIVE, KINDS[method])
        units = units_to_detect(baseline, effect, ALPHA, POWER, looks=looks)
        assert units is not None
        judged = _last(method, pilots(rng, share(0.1), _at(units), number, treated=share(0.12), effect=effect), units)
        found = int((judged[0].p_two_sided(judged[1]) <= ALPHA).sum())
        what = f"2 points on a share of 10 % found with {units:,} per arm"
        yield Row(group, what, method, found, number, POWER, at_most=False)
        units = units_to_rule_out(baseline, margin, ALPHA, POWER, looks=looks)
        assert units is not None
        judged = _last(method, pilots(rng, share(0.1), _at(units), number), units)
        found = int((judged[0].p_one_sided(judged[1], margin, 1) <= ALPHA).sum())
        what = f"harm of 2 points ruled out with {units:,} per arm"
        yield Row(group, what, method, found, number, POWER, at_most=False)


def uneven(rng: np.random.Generator, number: int) -> Iterator[Row]:
    """Five control units for each treated one: skewness no longer cancels, and units in the small arm count."""
    group = (
        f"Five control units per treated one, no effect, looks from {SEQUENCE_UNITS_MIN:,} treated units on: "
        "significant at any look"
    )
    units = tuple(SEQUENCE_UNITS_MIN + PER_LOOK * k for k in range(LOOKS))
    everything, sequence = {OBF, POCOCK, ANY_TIME}, {ANY_TIME}
    laws = {
        share(0.1): everything,
        share(0.05): everything,
        share(0.01): sequence,
        gamma_spend(0.05, 2, 50): sequence,
        lognormal_spend(0.01, 1): set(),
    }
    for law, promised in laws.items():
        looks = pilots(rng, law, units, number, per_treated=5)
        alone = int((FixedHorizon().p_two_sided(looks[0]) <= ALPHA).sum())
        yield Row(group, law.name, "one look, at the first", alone, number)
        for method, judged in judges(looks, units).items():
            if method != MISUSED:
                crossed = np.any([by.p_two_sided(found) <= ALPHA for by, found in judged], axis=0)
                limit = ALPHA if method in promised else None
                yield Row(group, law.name, method, int(crossed.sum()), number, limit)


def judges(
    looks: Sequence[Effects], units: Sequence[int] = UNITS, *, each: bool = False
) -> dict[str, list[tuple[Method, Effects]]]:
    """Per method, what judges which looks; a spending plan's last look knows of all, unless `each` is wanted."""
    found: dict[str, list[tuple[Method, Effects]]] = {MISUSED: [(FixedHorizon(), look) for look in looks]}
    for method, kind in KINDS.items():
        numbers = range(1, len(looks) + 1) if each else [len(looks)]
        found[method] = [(_spending(looks[:k], units[:k], len(units), kind), looks[k - 1]) for k in numbers]
    found[ANY_TIME] = [
        (AlwaysValid(n, units[-1], ALPHA), look)
        for n, look in zip(units, looks, strict=True)
        if n >= SEQUENCE_UNITS_MIN
    ]
    return found


def _spending(looks: Sequence[Effects], units: Sequence[int], planned: int, kind: Spending) -> GroupSequential:
    shares = tuple((k + 1) / planned for k in range(len(looks)))
    return GroupSequential(Schedule(shares, tuple(map(float, units)), kind), tuple(looks[:-1]))


def _last(method: str, looks: list[Effects], units: int) -> tuple[Method, Effects]:
    """What judges the last of five looks."""
    if method == ANY_TIME:
        return AlwaysValid(units, units, ALPHA), looks[-1]
    return _spending(looks, _at(units), len(FIVE), KINDS[method]), looks[-1]


def _at(units: int) -> tuple[int, ...]:
    return tuple(round(units * share_) for share_ in FIVE)


def _promised(method: str) -> float | None:
    return None if method == MISUSED else ALPHA


def widths() -> dict[str, float]:
    """How many times as wide the interval at the end is as one look's, for many units."""
    one = float(FixedHorizon().half_width(1.0, np.inf, ALPHA))
    shares = tuple((k + 1) / LOOKS for k in range(LOOKS))
    found = {}
    for method, kind in KINDS.items():
        found[f"{method}, 5 looks"] = float(Schedule(FIVE, FIVE, kind).boundaries(ALPHA)[-1]) / one
        found[f"{method}, 50 looks"] = float(Schedule(shares, shares, kind).boundaries(ALPHA)[-1]) / one
    for part in (1.0, 0.5, 0.25, 2.0):
        name = f"{ANY_TIME}, with {part:g} times the planned units"
        found[name] = float(AlwaysValid(part * 10**6, 10**6, ALPHA).boundary(ALPHA)) / one
    return found


def _page(rows: list[Row]) -> str:
    lines = [
        f"# Looking again and again\n\n`make proof`; seed {SEED}, {PILOTS:,} simulated pilots per line,",
        f"alpha {ALPHA:g}. Where nothing else is said there are {LOOKS} looks, one every {PER_LOOK} units per arm, to",
        f"{UNITS[-1]:,} at the end; a confidence sequence begins at {SEQUENCE_UNITS_MIN:,} units in the smaller arm,",
        "and is made for the units at the end. ± is one Monte-Carlo standard error; a line holds within three of them.",
        "Lines without a promise show what the others are for, and where the promises end: with uneven arms and a",
        "metric that few units have any of, the first looks are at too few of these, as one look there would be.",
    ]
    for group in dict.fromkeys(row.group for row in rows):
        lines += [f"\n## {group}\n", "| simulated | method | promised | found | |", "|---|---|---|---|---|"]
        lines += [row.line() for row in rows if row.group == group]
    lines += [
        "\n## What it costs: the interval at the end, as a multiple of one look's\n",
        "| method | width |\n|---|---:|",
        *(f"| {method} | {width:.3f} |" for method, width in widths().items()),
        "\n![How far out an estimate must be at each look](sequential.svg)\n",
    ]
    return "\n".join(lines)


def _plot() -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    shares = tuple((k + 1) / LOOKS for k in range(LOOKS))
    lines = [
        (method, Schedule(shares, shares, kind).boundaries(ALPHA), colour, style)
        for (method, kind), colour, style in zip(KINDS.items(), ("#0072B2", "#D55E00"), ("-", "--"), strict=True)
    ]
    sequence = AlwaysValid(np.multiply(shares, 10**6), 10**6, ALPHA).boundary(ALPHA)
    lines += [(ANY_TIME, sequence, "#009E73", "-."), ("one look", np.full(LOOKS, 1.96), "#555555", ":")]
    with rc_context({"svg.hashsalt": "pilotplant", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(6.5, 4), layout="constrained")
        panel = figure.subplots()
        for name, bounds, colour, style in lines:
            panel.plot(100 * np.array(shares), bounds, style, color=colour, label=name, linewidth=1.4)
        panel.set_ylim(1.5, 6)
        panel.set_xlabel("share of the time box that is over, %")
        panel.set_ylabel("standard errors from zero to be significant")
        panel.legend(loc="upper right", frameon=False, fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return stream.getvalue()
