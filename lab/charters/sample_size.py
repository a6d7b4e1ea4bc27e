"""Sizing: the units, the smallest effect and the margin that a draft proposes, so that its plan can be kept.

The numbers are those of `lab check`: what a test needs for the planned power by the metric's baseline, and how many
units each arm can get.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal

import yaml

from lab.forecast.baselines import Known, baselines
from lab.forecast.past_pilots import everything_past
from lab.forecast.power import metric_power_of, sample_of
from lab.pilots.clusters import taking_part
from lab.pilots.promise import CONTRACTS, Frozen
from lab.pilots.sample import DEVIATIONS
from lab.state import open_lab
from shared.data.snapshot import latest_id, latest_snapshot
from shared.experiment.bounds import read_bounds
from shared.experiment.charter import Charter, Guardrail, Promise, measured_by
from shared.experiment.metrics import read_metrics
from shared.state.workspace import Workspace

DIGITS = 2
UNITS_DIGITS = 3
# How much of what it guards a margin lets be lost, if the units can rule that out.
USUAL_FRAC = 0.1
# The gate measures a margin by the share that was observed: at the policy's very limit it would be refused by chance.
OF_POLICY_FRAC = 0.9
# Below so many units in an arm no plan is proposed.
UNITS_FEWEST = 10
# How often a number is moved a step further until it can be kept: ninety steps of two digits multiply it by ten.
STEPS_MAX = 200


@dataclass(frozen=True, slots=True)
class Said:
    """What a draft's author says of its numbers; None leaves one to be proposed.

    Attributes:
        attrition: the share of assigned units that are expected never to be exposed.
    """

    units: int | None = None
    effect: float | None = None
    margin: float | None = None
    attrition: float = 0.0


@dataclass(frozen=True, slots=True)
class Sizing:
    """What a plan needs.

    Attributes:
        units_per_arm, minimum_effect, margin: None to leave them as they are.
        told: what was found, in sentences.
        missing: why the draft could hardly be scaled as it stands, and what would help, in sentences.
    """

    units_per_arm: int | None = None
    minimum_effect: float | None = None
    margin: float | None = None
    told: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def unknown(workspace: Workspace, text: str) -> list[str]:
    """The metrics that decide by a draft and have no baseline; none where nothing is published to plan on."""
    frozen = drafted(workspace, _charter(text))
    if frozen is None:
        return []
    known = baselines(frozen, everything_past(open_lab(workspace), frozen.promise.charter))
    return [name for name in frozen.promise.charter.bounded if not isinstance(known[name], Known)]


def sized(workspace: Workspace, text: str, said: Said) -> Sizing:
    """What a draft's plan needs; what its author said stays."""
    frozen = drafted(workspace, _charter(text))
    if frozen is None:
        return Sizing(missing=("nothing is published yet that it could be planned on: pilotplant factory publish",))
    return _Plan.of(workspace, frozen, said.attrition).sized(said)


def drafted(workspace: Workspace, charter: Charter) -> Frozen | None:
    """A draft that lies nowhere yet, as it would be frozen but for its files; None where nothing is published."""
    if latest_id(workspace) is None:
        return None
    snapshot = latest_snapshot(workspace)
    files = {
        f"{CONTRACTS}/{charter.outcomes}.odcs.yaml": workspace.configs / CONTRACTS / f"{charter.outcomes}.odcs.yaml",
        f"{CONTRACTS}/{charter.population}.odcs.yaml": snapshot.contract_file(charter.population),
    }
    promise = Promise(
        charter=charter,
        metrics=measured_by(charter, read_metrics(workspace)),
        files={},
        holdout_frac=snapshot.manifest.holdout_frac,
    )
    return Frozen(promise, files, snapshot)


def _charter(text: str) -> Charter:
    return Charter.model_validate(yaml.safe_load(text))


@dataclass(frozen=True, slots=True)
class _Plan:
    """A draft with what is known of its metrics, and how many units its smallest arm is all but sure to get."""

    workspace: Workspace
    frozen: Frozen
    known: dict[str, Known]
    able: int

    @classmethod
    def of(cls, workspace: Workspace, frozen: Frozen, attrition: float) -> _Plan:
        charter = frozen.promise.charter
        past = everything_past(open_lab(workspace), charter)
        known = {name: k for name, k in baselines(frozen, past).items() if isinstance(k, Known)}
        share = float(min(charter.weights.values()) / sum(charter.weights.values()))
        return cls(workspace, frozen, known, _sure_of(taking_part(frozen) * share * (1 - attrition)))

    @property
    def charter(self) -> Charter:
        return self.frozen.promise.charter

    def sized(self, said: Said) -> Sizing:
        """Units for the primary metric, and for the guardrail a margin that as many units can rule out."""
        unsaid = [self._unsaid(name) for name in self.charter.bounded if name not in self.known]
        primary = self.charter.primary.metric
        if primary not in self.known:
            return Sizing(missing=tuple(unsaid))
        if said.units is None and self.able < UNITS_FEWEST:
            few = f"the smallest arm is sure to get {self.able:,} units, too few for any test: take a larger table"
            return Sizing(missing=(*unsaid, few))
        effect, needed = self._effect(said.effect, said.units or self.able)
        units = said.units or min(needed, self.able)
        rail = next((rail for rail in self.charter.guardrails if rail.metric in self.known), None)
        margin = None if rail is None else said.margin or self._margin(rail, units)
        guarded = 0 if rail is None or margin is None else self._units_for_margin(rail, margin)
        if said.units is None:
            units = min(max(units, guarded or 0), self.able)
        power = f"a power of {100 * self.charter.sample.power:g} %"
        short = []
        if units < needed:
            short.append(
                f"{primary} needs {needed:,} units in each arm to show a difference of {effect:g} with {power}, and "
                f"each has {units:,}: name a larger smallest difference, or have more units take part"
            )
        if rail is not None and (guarded is None or guarded > units):
            needs = "more units than there can be" if guarded is None else f"{guarded:,} units in each arm"
            short.append(
                f"{rail.metric} needs {needs} to rule out a loss of {margin:g}, and each has {units:,}: guard a metric "
                "that more customers have a part in, or have more units take part"
            )
        told = (
            f"{units:,} units in each arm show a difference of {effect:g} in {primary} with {power}, by "
            f"{self.known[primary].source}"
        )
        return Sizing(units, effect, margin, () if short else (told,), (*unsaid, *short))

    def _effect(self, said: float | None, able: int) -> tuple[float, int]:
        """The smallest difference, or if it was not said one that so many units can show, and what it needs."""
        effect, least = said or self.charter.primary.minimum_effect, self._units_for_effect
        needed = least(effect)
        if said is None and (needed is None or needed > able):
            largest = self._largest()
            found = _until(effect, lambda each: each >= largest or ((n := least(each)) is not None and n <= able))
            effect, needed = (found, least(found)) if found < largest else (effect, needed)
        if needed is None:
            return effect, able + 1
        return effect, min(rounded_up(needed), able) if needed <= able else needed

    def _largest(self) -> float:
        """How far the primary metric can move at most."""
        primary = self.charter.primary.metric
        known, sign = self.known[primary].baseline, self.frozen.promise.metrics[primary].sign
        if known.kind == "share":
            return 1 - known.mean if sign > 0 else known.mean
        return math.inf if sign > 0 or known.kind == "plain" else known.mean

    def _margin(self, rail: Guardrail, units: int) -> float:
        """A tenth of the baseline, or the least above it that so many units rule out; no more than the policy takes."""
        bounds, mean = read_bounds(self.workspace, self.charter.risk_tier), abs(self.known[rail.metric].baseline.mean)
        if not mean:
            return abs(rail.margin)
        # A loss of all that there is could never show, whatever the policy takes.
        widest = rounded_down(mean * min(OF_POLICY_FRAC * bounds.margin_frac_max, 1 - USUAL_FRAC))

        def enough(margin: float) -> bool:
            needed = self._units_for_margin(rail, margin)
            return margin >= widest or (needed is not None and needed <= units)

        return min(_until(rounded_down(mean * USUAL_FRAC), enough), widest)

    def _units_for_effect(self, effect: float) -> int | None:
        primary = self.charter.primary.model_copy(update={"minimum_effect": effect})
        return self._needed(primary.metric, {"primary": primary})

    def _units_for_margin(self, rail: Guardrail, margin: float) -> int | None:
        changed = rail.model_copy(update={"margin": math.copysign(margin, rail.margin)})
        rails = tuple(changed if each is rail else each for each in self.charter.guardrails)
        return self._needed(rail.metric, {"guardrails": rails})

    def _needed(self, metric: str, changed: dict[str, object]) -> int | None:
        """Units in every arm that a metric needs by `lab check`, were the charter changed so."""
        promise = self.frozen.promise.model_copy(update={"charter": self.charter.model_copy(update=changed)})
        frozen = replace(self.frozen, promise=promise)
        return metric_power_of(frozen, metric, self.known[metric], sample_of(frozen, [])).units_needed

    def _unsaid(self, name: str) -> str:
        share = self.frozen.promise.metrics[name].kind == "proportion"
        return (
            f"what `{name}` is without a treatment is not known, so nobody knows whether the plan is large enough: say "
            f"it with --assume {name}={'SHARE' if share else 'MEAN:SD'}, or under `sample` in the charter"
        )


def _until(value: float, enough: Callable[[float], bool]) -> float:
    """The value, or the first one above it in steps of two digits that is enough; the last one tried if none is."""
    for _ in range(STEPS_MAX):
        if enough(value):
            break
        value = _next(value)
    return value


def _next(value: float) -> float:
    step = Decimal(1).scaleb(Decimal(repr(value)).adjusted() - DIGITS + 1)
    return float(Decimal(repr(value)).quantize(step) + step)


def rounded_up(number: int) -> int:
    """A number of units as people plan it: no less, and to three digits."""
    step = Decimal(1).scaleb(max(0, Decimal(number).adjusted() - UNITS_DIGITS + 1))
    return int(Decimal(number).quantize(step, rounding=ROUND_CEILING))


def _sure_of(expected: float) -> int:
    """How many units an arm has but for one pilot in 700, of those that it has on average."""
    return max(0, int(expected - DEVIATIONS * math.sqrt(expected)))


def rounded_down(value: float) -> float:
    """A number as people write it: no more, and to two digits."""
    exact = Decimal(repr(value))
    step = Decimal(1).scaleb(exact.adjusted() - DIGITS + 1)
    return float(exact - exact % step)
