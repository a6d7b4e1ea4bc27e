"""Calibration of the forecast: where it says that 30 % of pilots may scale, does the gate let 30 % of them through?

Each simulated pilot has its own metric, size, arms, alpha, margin and law of effects. The forecast knows of it what a
marketer would: a baseline from a past control arm, and a prior. Then customers are drawn one by one, and the gate's own
checks judge the evidence that the product computes from them.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from lab.forecast.simulation import Design, Ending, Rail, chances
from promotion.gate.checks.effects.guardrails import guardrails
from promotion.gate.checks.effects.primary_effect import primary_effect
from promotion.gate.checks.sample.sample_planned import sample_planned
from promotion.gate.gate import Judgement
from shared.engines.protocol import value_of
from shared.evidence.contrasts import Estimator
from shared.evidence.effects import effects as judged
from shared.evidence.model import ArmEvidence, Effect
from shared.experiment.charter import Charter
from shared.experiment.metrics import Metric
from shared.stats.moments import Cells, pair
from shared.stats.power import Baseline
from shared.stats.prior import PILOTS_MIN, Prior, default_harm, empirical_prior
from shared.stats.summaries import Moments
from shared.stats.test_methods import FixedHorizon
from tests.makers import make_charter

SEED, PILOTS, DRAWS, BINS = 20260102, 6_000, 3_000, 10
ECE_MAX = 0.03
PLOT = Path(__file__).parent.parent.parent / "docs" / "proof" / "forecast.svg"
METRICS = {
    "visit": Metric(kind="proportion", column="visit", unit="share of customers"),
    "spend": Metric(kind="mean", column="spend", unit="USD per customer"),
}
# The law of the pilots' effects: given to the forecast, or learned by it from past pilots of the kind.
KNOWN, LEARNED = "the law of effects is known", f"it is learned from {PILOTS_MIN} to 40 past pilots"


@dataclass(frozen=True, slots=True)
class Shop:
    """What customers do without a treatment: shares that visit and buy, and the gamma of a basket."""

    visit: float
    buy: float
    shape: float
    scale: float

    @property
    def spend(self) -> float:
        return self.buy * self.shape * self.scale

    @property
    def variance(self) -> float:
        """Of what a customer spends, most of them nothing."""
        return self.buy * self.shape * (self.shape + 1) * self.scale**2 - self.spend**2


@dataclass(frozen=True, slots=True)
class Forecasted:
    """One simulated pilot: the predicted chance of *scale*, and whether the gate admitted an arm."""

    prior: str
    predicted: float
    admitted: bool


def prove() -> tuple[str, bool]:
    found = list(simulate(SEED, PILOTS))
    PLOT.write_text(_plot(found), encoding="utf-8")
    return _page(found), calibration_error(found) < ECE_MAX and brier_skill(found) > 0


def simulate(seed: int, pilots: int) -> Iterator[Forecasted]:
    rng = np.random.default_rng(seed)
    for number in range(pilots):
        yield _pilot(rng, KNOWN if number % 2 else LEARNED)


def calibration_error(found: list[Forecasted]) -> float:
    """Expected calibration error over equal-width bins (Naeini, Cooper and Hauskrecht 2015, sect. 3)."""
    return sum(len(b) * abs(_mean(b, "predicted") - _mean(b, "admitted")) for b in _bins(found) if b) / len(found)


def brier_skill(found: list[Forecasted]) -> float:
    """How much smaller the mean squared error is than that of always saying the base rate (Brier 1950)."""
    rate = _mean(found, "admitted")
    return 1 - brier(found) / (rate * (1 - rate))


def brier(found: list[Forecasted]) -> float:
    return float(np.mean([(f.predicted - f.admitted) ** 2 for f in found]))


def _pilot(rng: np.random.Generator, prior: str) -> Forecasted:
    shop = Shop(
        visit=rng.uniform(0.05, 0.4),
        buy=rng.uniform(0.01, 0.05),
        shape=rng.uniform(0.7, 4),
        scale=rng.uniform(10, 60),
    )
    primary = "visit" if rng.random() < 2 / 3 else "spend"
    arms, per_arm = int(rng.integers(1, 4)), int(np.exp(rng.uniform(np.log(500), np.log(12_000))))
    charter = _charter(rng, shop, primary, arms, per_arm)
    minimum, margin = charter.primary.minimum_effect, charter.guardrails[0].margin
    law = Prior(rng.uniform(-0.5, 1.5) * minimum, rng.uniform(0.3, 2) * minimum)
    seen = _past_control(rng, shop)
    design = Design(
        alpha=charter.sample.alpha,
        minimum=minimum,
        worthwhile=charter.primary.worthwhile,
        planned=charter.sample.units_per_arm,
        units=per_arm * (arms + 1),
        shares=(1 / (arms + 1),) * (arms + 1),
        primary=seen[primary],
        sign=1,
        rails=(Rail(seen[charter.guardrails[0].metric], 1, margin),),
    )
    expected = law if prior == KNOWN else _learned(rng, law, seen[primary])
    predicted = chances(design, expected, (default_harm(margin),), rng, DRAWS)[Ending.SCALE]
    units = rng.multinomial(design.units, design.shares)
    effects = {
        primary: [0.0, *law.draw(rng, (arms,))],
        charter.guardrails[0].metric: [0.0, *default_harm(margin).draw(rng, (arms,))],
    }
    moments = {
        arm.name: _customers(rng, shop, int(n), {name: effect[index] for name, effect in effects.items()})
        for index, (arm, n) in enumerate(zip(charter.arms, units, strict=True))
    }
    return Forecasted(prior, predicted, _admitted(charter, moments))


def _charter(rng: np.random.Generator, shop: Shop, primary: str, arms: int, per_arm: int) -> Charter:
    """A plan whose minimum effect and margin lie between the hopeless and the certain."""
    errors = {
        "visit": (2 * shop.visit * (1 - shop.visit) / per_arm) ** 0.5,
        "spend": (2 * shop.variance / per_arm) ** 0.5,
    }
    other = "spend" if primary == "visit" else "visit"
    [control, treatment] = make_charter().model_dump(mode="json")["arms"]
    return make_charter(
        arms=[control, *(treatment | {"name": f"arm-{n}"} for n in range(arms))],
        primary={
            "metric": primary,
            "minimum_effect": float(rng.uniform(0.5, 4) * errors[primary]),
            "worthwhile": "estimate" if rng.random() < 0.7 else "lower_bound",
        },
        guardrails=[{"metric": other, "margin": -float(rng.uniform(2, 6) * errors[other])}],
        secondary=[],
        sample={"alpha": float(rng.choice([0.05, 0.1])), "units_per_arm": int(per_arm * rng.choice([0.9, 0.98]))},
    )


def _past_control(rng: np.random.Generator, shop: Shop) -> dict[str, Baseline]:
    """What the Lab knows of a metric: a control arm of the past."""
    found = _customers(rng, shop, int(rng.integers(2_000, 20_000)), {"visit": 0.0, "spend": 0.0})
    share = found["visit"].mean
    return {
        "visit": Baseline.of(share, 0, share=True, never_negative=True),
        "spend": Baseline.of(
            found["spend"].mean, found["spend"].m2 / (found["spend"].n - 1), share=False, never_negative=True
        ),
    }


def _learned(rng: np.random.Generator, law: Prior, baseline: Baseline) -> Prior:
    """The prior from the estimates of past pilots, of any size, under the same law."""
    pilots = int(rng.integers(PILOTS_MIN, 41))
    per_arm = np.exp(rng.uniform(np.log(500), np.log(12_000), pilots))
    errors = np.sqrt(2 * baseline.variance / per_arm)
    found = empirical_prior(rng.normal(law.draw(rng, (pilots,)), errors), errors, pilots)
    assert found is not None
    return found


def _customers(rng: np.random.Generator, shop: Shop, units: int, effects: dict[str, float]) -> dict[str, Moments]:
    """Customers one by one: buyers are among the visitors, so the two metrics go together.

    An effect on what they spend is one on how many buy, as in the test of Hillstrom (2008): per the published cells of
    pilotplant/demo/shop.py, 0.57, 1.25 and 0.88 % bought for 114, 114 and 122 dollars each.
    """
    propensity = rng.random(units)
    visits = (propensity > 1 - min(1, max(0, shop.visit + effects["visit"]))).astype(float)
    buyers = propensity > 1 - shop.buy * max(0.0, 1 + effects["spend"] / shop.spend)
    spend = np.zeros(units)
    spend[buyers] = rng.gamma(shop.shape, shop.scale, buyers.sum())
    return {name: _moments(values) for name, values in (("visit", visits), ("spend", spend))}


def _moments(values: np.ndarray) -> Moments:
    return Moments(n=len(values), mean=float(values.mean()), m2=float(((values - values.mean()) ** 2).sum()))


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the three checks read of the evidence."""

    arms: tuple[ArmEvidence, ...]
    effects: tuple[Effect, ...]
    standing: str = "decisive"
    method: str = "fixed"

    @staticmethod
    def others_left(_arm: str, _metric: str) -> bool:
        """No metric here leaves units out."""
        return False

    def effect(self, arm: str, metric: str) -> Effect:
        return next(e for e in self.effects if (e.arm, e.metric) == (arm, metric))


def _admitted(charter: Charter, moments: dict[str, dict[str, Moments]]) -> bool:
    """Whether the gate's checks on the effects and the sample let an arm through."""
    units = {arm: found["visit"].n for arm, found in moments.items()}
    arms = tuple(ArmEvidence(arm=a, planned_frac=1 / len(units), units=n, moments=moments[a]) for a, n in units.items())
    contrasts = Estimator(charter, METRICS).contrasts(_summary(moments, units))
    evidence = _Evidence(arms, judged(charter, METRICS, contrasts, FixedHorizon()))
    promise = SimpleNamespace(metrics=METRICS)
    case = SimpleNamespace(charter=charter, promise=promise, evidence=evidence, crossed_early=False)
    checks = (primary_effect, guardrails, sample_planned)
    findings = tuple(
        found.model_copy(update={"check": check.name}) for check in checks for found in check.run(case, check.rule())
    )
    return Judgement(findings, tuple(arm.name for arm in charter.treatments)).verdict == "admit"


def _summary(moments: dict[str, dict[str, Moments]], units: dict[str, int]) -> SimpleNamespace:
    """What an engine would say of these arms, as far as their effects go."""
    columns = {value_of(name): [found[name] for found in moments.values()] for name in METRICS}
    cells = Cells(
        keys={"arm": np.array(list(moments), dtype=object)},
        n=np.array(list(units.values())),
        means={name: np.array([m.mean for m in found]) for name, found in columns.items()},
        products={pair(name, name): np.array([m.m2 for m in found]) for name, found in columns.items()},
        least={},
        most={},
    )
    nothing = {"strata": None, "quantiles": {}, "unvalued": {}, "untraited": {}, "crowded": ()}
    return SimpleNamespace(arms=cells, units=units, reporting=units, **nothing)


def _bins(found: list[Forecasted]) -> list[list[Forecasted]]:
    bins: list[list[Forecasted]] = [[] for _ in range(BINS)]
    for one in found:
        bins[min(BINS - 1, int(one.predicted * BINS))].append(one)
    return bins


def _mean(found: list[Forecasted], field: str) -> float:
    return float(np.mean([getattr(one, field) for one in found]))


def _page(found: list[Forecasted]) -> str:
    groups: dict[str, Callable[[Forecasted], bool]] = {
        "all": lambda _: True,
        KNOWN: lambda one: one.prior == KNOWN,
        LEARNED: lambda one: one.prior == LEARNED,
    }
    lines = [
        f"# The forecast's calibration\n\n`make proof`; seed {SEED}, {len(found):,} simulated pilots: one to three",
        "treatments, 500 to 12,000 units per arm, a share or a heavy-tailed mean as primary metric and the other as",
        "guardrail, both rules of what is worthwhile, effects from a law of each pilot's own. The forecast",
        f"(`lab/forecast/simulation.py`, {DRAWS:,} draws) sees a past control arm and a prior. Then customers",
        "are drawn, and the gate's own checks judge the evidence computed from them. Predicted is the chance that an",
        "arm may scale.\n",
        f"Promised: expected calibration error below {ECE_MAX}, and a Brier skill above 0 against the base rate.\n",
        "| pilots | | base rate | calibration error | Brier score | Brier skill |\n|---|---|---|---|---|---|",
    ]
    for name, of in groups.items():
        own = [one for one in found if of(one)]
        lines.append(
            f"| {len(own):,} | {name} | {100 * _mean(own, 'admitted'):.1f} % | {calibration_error(own):.4f} | "
            f"{brier(own):.4f} | {brier_skill(own):.3f} |"
        )
    lines += ["\n| predicted | pilots | mean prediction | were let through |\n|---|---|---|---|"]
    for number, own in enumerate(_bins(found)):
        if own:
            error = 100 * (_mean(own, "admitted") * (1 - _mean(own, "admitted")) / len(own)) ** 0.5
            lines.append(
                f"| {10 * number} to {10 * number + 10} % | {len(own):,} | {100 * _mean(own, 'predicted'):.1f} % | "
                f"{100 * _mean(own, 'admitted'):.1f} % ± {error:.1f} |"
            )
    return "\n".join([*lines, "\n± is one Monte-Carlo standard error.\n\n![Predicted against found](forecast.svg)\n"])


def _plot(found: list[Forecasted]) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "pilotplant", "svg.fonttype": "none", "font.size": 10}):
        figure = Figure(figsize=(5, 5), layout="constrained")
        panel = figure.subplots()
        panel.plot([0, 100], [0, 100], ":", color="#555555", linewidth=1, label="perfect")
        for prior, colour, mark in ((KNOWN, "#0072B2", "o"), (LEARNED, "#D55E00", "s")):
            bins = [b for b in _bins([one for one in found if one.prior == prior]) if b]
            predicted, observed = (
                np.array([100 * _mean(b, field) for b in bins]) for field in ("predicted", "admitted")
            )
            errors = np.sqrt(observed * (100 - observed) / [len(b) for b in bins])
            panel.errorbar(predicted, observed, 2 * errors, color=colour, marker=mark, linewidth=1.2, label=prior)
        panel.set_xlabel("predicted chance of scale, %")
        panel.set_ylabel("let through by the gate, %")
        panel.legend(loc="upper left", frameon=False, fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return stream.getvalue()
