"""Past pilots: what they say about the next one on the same population."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import Protocol

from lab.analysis.analysis import latest
from lab.budget.accounts import account
from lab.insights.retrospective.effects import Shown
from lab.insights.retrospective.store import retrospectives
from lab.pilots.pilot import Pilot, all_pilots
from shared.core.clock import parse_rfc3339
from shared.core.errors import PilotPlantError
from shared.core.money import Money
from shared.evidence.model import RATIO_P_MIN, ArmEvidence, Evidence
from shared.evidence.recorded import recorded
from shared.experiment.charter import Charter
from shared.experiment.metrics import Metric
from shared.state.room import Room
from shared.stats.estimates import Means, differences
from shared.stats.problems import Problem
from shared.stats.summaries import Moments

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, slots=True)
class PastPilot:
    """A pilot that is over, analysed and sound.

    Attributes:
        cost: all of its costs.
    """

    pilot: Pilot
    evidence: Evidence
    cost: Money

    @property
    def charter(self) -> Charter:
        """Its charter."""
        return self.pilot.charter

    @property
    def days(self) -> int:
        """The length of its time box."""
        return (self.charter.time_box.end - self.charter.time_box.start).days

    @property
    def units(self) -> int:
        """Exposed units of all arms."""
        return sum(arm.units for arm in self.evidence.arms)

    @property
    def units_per_day(self) -> float:
        """Exposed units per day of exposing, had its layer's slice been all of it."""
        slice_ = self.charter.layer.frac if self.charter.layer else 1
        return self.units / self._exposing_days / float(slice_)

    @property
    def _exposing_days(self) -> int:
        first, last = (parse_rfc3339(m) for m in (self.evidence.first_exposure, self.evidence.last_exposure) if m)
        return max(1, math.ceil((last - first).total_seconds() / SECONDS_PER_DAY))

    def control(self, name: str, metric: Metric) -> Moments | None:
        """A metric in the control arm; None where it was not measured, or defined in another way."""
        arm = self.evidence.arm(self.evidence.control)
        found = _mean(arm, name) if arm and self._measured_alike(name, metric) else None
        if found is None or not found.variance > 0:
            return None
        n = int(found.n)
        return Moments(n=n, mean=float(found.mean), m2=float(found.variance) * n * (n - 1))

    def effects(self, charter: Charter, name: str, metric: Metric) -> Iterator[tuple[float, float]]:
        """Estimate and standard error of each arm whose play is of a kind with one of the charter's."""
        control = self.evidence.arm(self.evidence.control)
        kinds = {kind(treatment.name, charter) for treatment in charter.treatments}
        for arm in self.evidence.arms if control and self._measured_alike(name, metric) else ():
            if arm.arm == self.evidence.control or kind(arm.arm, self.charter) not in kinds:
                continue
            treated, untreated = _mean(arm, name), _mean(control, name) if control else None
            if treated is not None and untreated is not None:
                found = differences(treated, untreated)
                if found.known:
                    yield float(found.estimate), float(found.se)

    def _measured_alike(self, name: str, metric: Metric) -> bool:
        then = self.pilot.promise.metrics.get(name)
        return then is not None and then.definition == metric.definition


class Past(Protocol):
    """What is over and tells what a metric is without a treatment, and which effects there were."""

    @property
    def days(self) -> int | None:
        """How long it ran; None where nobody says."""

    def control(self, name: str, metric: Metric) -> Moments | None:
        """A metric in the control arm; None where it was not measured, or defined in another way."""

    def effects(self, charter: Charter, name: str, metric: Metric) -> Iterable[tuple[float, float]]:
        """Estimate and standard error of each arm whose play is of a kind with one of the charter's."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A finished test that ran elsewhere and is sound, as far as its numbers tell."""

    shown: Shown

    @property
    def days(self) -> int | None:
        """How long it ran; None where nobody says."""
        return self.shown.test.days

    def control(self, name: str, metric: Metric) -> Moments | None:
        """A metric in the control arm; None where it was not measured, or defined in another way."""
        own = self._own(name, metric)
        found = next((each.control for each in self.shown.test.contrasts if each.metric == own), None)
        moments = None if found is None else found.moments
        return moments if moments is not None and moments.n > 1 and moments.m2 > 0 else None

    def effects(self, charter: Charter, name: str, metric: Metric) -> Iterator[tuple[float, float]]:
        """Estimate and standard error of each arm, where the test says no channel or one of the charter's."""
        channels = {kind(treatment.name, charter)[1] for treatment in charter.treatments}
        if self.shown.test.channel is not None and self.shown.test.channel not in channels:
            return
        own = self._own(name, metric)
        for effect in self.shown.effects:
            if effect.metric == own and effect.estimate is not None and effect.se:
                yield effect.estimate, effect.se

    def _own(self, name: str, metric: Metric) -> str | None:
        """What the test calls the metric, of those that were said to be the catalogue's; of several the same name."""
        test = self.shown.test
        alike = [own for own in test.catalogued if test.metrics[own].definition == metric.definition]
        return name if name in alike else next(iter(alike), None)


def elsewhere(room: Room, charter: Charter) -> list[Elsewhere]:
    """Finished tests of the charter's population whose randomisation nothing speaks against; none for made-up units."""
    if charter.synthetic:
        return []
    return [
        Elsewhere(kept.shown)
        for kept in retrospectives(room)
        if kept.test.population == charter.population and kept.shown.sound
    ]


def everything_past(room: Room, charter: Charter) -> list[Past]:
    """Past pilots of the charter's population, and finished tests that ran elsewhere."""
    return [*past_pilots(room, charter), *elsewhere(room, charter)]


def past_pilots(room: Room, charter: Charter) -> list[PastPilot]:
    """Past pilots of the charter's population, in the order of launch.

    Left out are those whose arms were not as large as planned, and what cannot be read. What synthetic units did says
    nothing about customers, so only a synthetic pilot learns from synthetic ones.
    """
    now = room.now()
    return [
        found
        for pilot in all_pilots(room)
        if pilot.name != charter.pilot
        and pilot.charter.population == charter.population
        and (charter.synthetic or not pilot.charter.synthetic)
        and now >= pilot.ends
        and (found := _past_pilot(room, pilot)) is not None
    ]


def traffic(found: list[PastPilot]) -> float | None:
    """Exposed units per day, the median of past pilots; None without any."""
    return median(past.units_per_day for past in found) if found else None


def cost_per_unit(found: list[PastPilot], currency: str) -> list[Decimal]:
    """What an exposed unit cost in each past pilot that recorded costs in the currency, rising."""
    return sorted(
        past.cost.amount / past.units for past in found if past.cost.amount and past.cost.currency == currency
    )


def kind(arm: str, charter: Charter) -> tuple[str, str]:
    """What makes two treatments of a kind: that of their plays, and the channel."""
    play = charter.play(arm)
    return play.kind, play.channel


def _past_pilot(room: Room, pilot: Pilot) -> PastPilot | None:
    try:
        analysis = latest(room, pilot)
    except (OSError, ValueError, PilotPlantError):
        return None  # the file was damaged: `lab analyse` says so of that pilot, and makes it again
    if analysis is None or analysis.interim or analysis.evidence.first_exposure is None:
        return None
    p = analysis.evidence.health.sample_ratio.p
    if p is None or p < RATIO_P_MIN:
        return None
    with room.read() as connection:
        return PastPilot(pilot, analysis.evidence, account(connection, pilot).spent)


def _mean(arm: ArmEvidence, name: str) -> Means | None:
    """A metric in an arm as a single mean; None where it was not measured or has no standard error."""
    moments = arm.moments.get(name)
    found = None if moments is None else recorded([moments]).at(0)
    return None if found is None or found.problem != Problem.NONE else found
