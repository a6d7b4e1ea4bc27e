"""The types of evidence, as candidates carry them in `evidence.json`."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field

from shared.core.digests import digest_json
from shared.core.frozen import FrozenModel
from shared.stats.summaries import AnyMoments

# Fabijan et al. (2019), "Diagnosing sample ratio mismatch": below this, chance is no explanation of the arms' sizes.
RATIO_P_MIN = 0.001
Part = Literal["primary", "guardrail", "secondary"]


class ArmEvidence(FrozenModel):
    """One arm: its planned share, its exposed units, and the moments of every metric whose values are finite.

    Attributes:
        clusters: how many clusters the units are in, where clusters were drawn. The moments then are those of
            clusters, each metric a ratio: a cluster's sum, over its units (or its sum of denominators).
    """

    arm: str
    planned_frac: float
    units: int
    clusters: int | None = None
    moments: dict[str, AnyMoments]


class Effect(FrozenModel):
    """One metric of one arm against the control.

    Attributes:
        estimate, low, high: absolute difference of means with its two-sided interval at 1 - alpha, unadjusted for
            further arms and metrics; None where it could not be evaluated.
        se, df: the estimate's standard error, and its degrees of freedom.
        p: two-sided p-value; where there are several looks, one that holds at every look.
        p_adjusted: Holm-adjusted over the arms; for the primary metric only.
        p_worthwhile: one-sided p-value of a gain no larger than the charter's minimum, Holm-adjusted over the arms;
            for the primary metric only.
        relative, relative_low, relative_high: lift over the control's mean by the delta method; None where
            the control's mean is not clearly apart from zero.
        margin, p_non_inferior: for a guardrail: its margin, and the one-sided p-value of being worse than it.
        bound: for a guardrail: the one-sided confidence bound on its bad side.
        plain: the estimate without covariates and strata, and its standard error: descriptive; None where the charter
            names neither.
        problem: why the effect could not be evaluated; None where it could.
    """

    arm: str
    metric: str
    part: Part
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    se: float | None = None
    df: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    p_worthwhile: float | None = None
    relative: float | None = None
    relative_low: float | None = None
    relative_high: float | None = None
    margin: float | None = None
    bound: float | None = None
    p_non_inferior: float | None = None
    plain: tuple[float, float] | None = None
    problem: str | None = None


class Between(FrozenModel):
    """One primary metric of one treatment against another one.

    Attributes:
        estimate, low, high: `arm` less `other`, with an interval that holds together with those of all other pairs and
            primary metrics at 1 - alpha.
        problem: why they could not be compared; None where they could.
    """

    arm: str
    other: str
    metric: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    problem: str | None = None


class LookEffect(FrozenModel):
    """One metric of one arm at one look.

    Attributes:
        z: the estimate over its standard error.
        boundary: how far z must be from zero, for this arm and metric alone, to cross at the charter's alpha.
        crossed: whether it is; None where it could not be evaluated.
    """

    arm: str
    metric: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    z: float | None = None
    boundary: float | None = None
    crossed: bool | None = None
    problem: str | None = None


class Look(FrozenModel):
    """A look that was agreed on beforehand, as the data stood then.

    Attributes:
        at_frac: when, as a share of the time box.
        at: when, RFC 3339.
        units: exposed units until then, of all arms.
        alpha_spent: how much of alpha has been used by then.
        effects: primary metrics, guardrails, and what a kill criterion reads, in every treatment.
    """

    at_frac: float
    at: str
    units: int
    alpha_spent: float
    effects: tuple[LookEffect, ...]


class DayEffect(FrozenModel):
    """A metric of one arm over all units exposed until the end of a day: a primary one, or of a kill criterion."""

    arm: str
    metric: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None


class Day(FrozenModel):
    """One day's exposures; descriptive.

    Attributes:
        day: `YYYY-MM-DD` in the charter's time zone.
        units: first exposed on it, per arm.
        p: of that day's sample ratio; None where there are too few units.
        effects: with all units up to it.
    """

    day: str
    units: dict[str, int]
    p: float | None
    effects: tuple[DayEffect, ...] = ()


class SegmentEffect(FrozenModel):
    """A metric of one arm in one level of a segment; descriptive, but for harm.

    Attributes:
        level: the segment's value; None where a unit has none.
        units: of the treatment and of the control in that level.
        p: two-sided, at one look.
        p_adjusted: by Benjamini and Hochberg over all levels, arms and metrics.
    """

    segment: str
    level: str | None
    arm: str
    metric: str
    units: tuple[int, int]
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    problem: str | None = None


class SampleRatio(FrozenModel):
    """Joint chi-square of exposed units against planned shares.

    Attributes:
        chi2, p: the statistic, and its upper tail; None where it could not be evaluated.
        deviation: the largest distance of an arm's share from its planned share.
    """

    chi2: float | None
    p: float | None
    deviation: float | None


State = Literal["good", "warning", "unevaluable"]


class Symptom(FrozenModel):
    """What one health check found.

    Attributes:
        check: its name, like `pre_period_balance`.
        state: `unevaluable` where it could not be asked: never the same as good.
        arm, metric, where: what it concerns; `where` names a segment's level, a day or a column.
        measured, threshold: the number that was compared, and with what.
        reason: in words.
    """

    check: str
    state: State
    reason: str
    arm: str | None = None
    metric: str | None = None
    where: str | None = None
    measured: float | None = None
    threshold: float | None = None

    @property
    def told(self) -> str:
        """The reason, with the arm where it does not name it."""
        named = self.arm is None or re.search(rf"\b{re.escape(self.arm)}\b", self.reason)
        return self.reason if named else f"{self.reason} ({self.arm})"


class Health(FrozenModel):
    """Whether the data can be believed.

    Attributes:
        sample_ratio: see there.
        multiple_units: units (or clusters, where these were drawn) seen in more than one arm; they are left out of
            every effect.
        multiple_frac: their share of all exposed ones; None without any.
        conflicts: rows held back at intake, by reason.
        symptoms: what the further checks found, each at least once.
    """

    sample_ratio: SampleRatio
    multiple_units: int
    multiple_frac: float | None
    conflicts: dict[str, int]
    symptoms: tuple[Symptom, ...] = ()


class Loss(FrozenModel):
    """One way in which something did not count.

    Attributes:
        what: what happened, like `outcomes: spend is not a number`.
        units: by the arm they were assigned, how many lost something that way.
        unattributed: rows of which no arm can be told.
        p: of these numbers, or more uneven ones, if every arm had lost alike; None where no arm can be told.
        deviation: the largest distance of an arm's share of units that lost something from that of all.
    """

    what: str
    units: dict[str, int]
    unattributed: int = 0
    p: float | None = None
    deviation: float | None = None


class Bound(FrozenModel):
    """Lee's bounds on an effect, without the error of chance.

    Attributes:
        frac: the share by which one arm lost more, trimmed from the other. Bounds that are no numbers are left out.
        low, high: where the difference may lie, whoever they were.
    """

    arm: str
    metric: str
    frac: float
    low: float
    high: float


class DayByArm(FrozenModel):
    """One day: units first exposed on it, and units with an outcome on it, by arm."""

    day: str
    exposed: dict[str, int]
    answering: dict[str, int]


class Outage(FrozenModel):
    """The days on which an arm's outcomes were fewest, beside the other arms' and its own other days.

    Attributes:
        stream: of which metric, or `any outcome`.
        day, days: the first one, and how many.
        outcomes, expected: units with such an outcome, summed over the days, and how many there should have been.
        p: of so few, for all days, arms and streams that were asked about together.
    """

    arm: str
    stream: str
    day: str
    days: int
    outcomes: int
    expected: float
    p: float


class Latest(FrozenModel):
    """When an arm's data end.

    Attributes:
        last: its last outcome, RFC 3339.
        hours: how long before the last one of all arms.
        after: units of other arms with an outcome since.
        p: of so many without any of this arm.
        median_s: how long after its exposure a unit has its first outcome, in seconds.
    """

    arm: str
    last: str
    hours: float
    after: int
    p: float
    median_s: float | None


class FollowUp(FrozenModel):
    """How long an arm's units could be watched, beside the control's.

    Attributes:
        window_days: of a metric that counts so many days after the exposure; None for all of the time.
        mean_h, control_h: their mean time from first exposure to its end, or the data's, in hours.
        p: of a difference so large, if the arms were exposed alike; None of fewer than two units.
        cut_short, control_cut_short: units of the arm, and of the control, whose window ends after the data do; None
            without a window.
    """

    arm: str
    window_days: int | None
    mean_h: float
    control_h: float
    p: float | None
    cut_short: int | None = None
    control_cut_short: int | None = None


class TimeOfDay(FrozenModel):
    """How much later in the day an arm's units were exposed than the control's, the days compared one by one.

    Attributes:
        later_h: in hours; below zero where earlier.
        p: of a difference so large, if the arms were exposed alike; None where no day has two units of each.
    """

    arm: str
    later_h: float | None
    p: float | None


class Completeness(FrozenModel):
    """What did not count, when, and for how long units could be watched, by arm.

    Attributes:
        assigned: units (or clusters) that were exposed, whatever became of them, by the arm they were assigned.
        answering: of these, such as have any outcome, counted or held back.
        losses: what did not count, the largest first.
        unread: per metric, by arm, held-back outcomes of these units whose value for it cannot be read.
        everything: primary metrics and guardrails with all counted in that can be attributed; empty where nothing was
            lost.
        worst: the same where each outcome of nobody, and each value that cannot be read, spoke against the arm as well;
            empty where there is none.
        bounds: by Lee, where more of one arm was lost than of another.
        days: exposures and outcomes by day.
        outages, latest: per arm.
        follow_up, time_of_day: per treatment.
    """

    assigned: dict[str, int]
    answering: dict[str, int]
    losses: tuple[Loss, ...]
    unread: dict[str, dict[str, int]]
    everything: tuple[Effect, ...]
    worst: tuple[Effect, ...]
    bounds: tuple[Bound, ...]
    days: tuple[DayByArm, ...]
    outages: tuple[Outage, ...]
    latest: tuple[Latest, ...]
    follow_up: tuple[FollowUp, ...]
    time_of_day: tuple[TimeOfDay, ...]


Standing = Literal["decisive", "descriptive"]


class Evidence(FrozenModel):
    """What a pilot showed, with the digests of what it was computed from.

    Attributes:
        data: each sealed data file with its digest.
        until: the first moment that is not in it, RFC 3339: of the look, or of the time box's end; None for all data.
        standing: whether the charter lets these numbers decide; anything else only describes.
        method: the charter's method of looks.
        no_outcome: what a unit without an outcome counts as, by metric.
        looks: every look so far, where the charter agreed on several.
        days, segments: effects over time and in segments.
        between: treatments against each other; none under earlier rules than 3, and then not there.
        first_exposure, last_exposure: RFC 3339, None without exposures.
        completeness: what is told by arm; None under rules 1, and then not there.
        software: name and version of what computed it.
    """

    schema_version: Literal[1, 2, 3] = 2
    pilot: str
    promise: str
    control: str
    alpha: float
    data: dict[str, str]
    until: str | None = None
    standing: Standing = "decisive"
    method: Literal["fixed", "group_sequential", "always_valid"] = "fixed"
    no_outcome: dict[str, Literal["zero", "left_out"]] = Field(default_factory=dict)
    looks: tuple[Look, ...] = ()
    days: tuple[Day, ...] = ()
    segments: tuple[SegmentEffect, ...] = ()
    exposures: int
    outcomes: int
    first_exposure: str | None
    last_exposure: str | None
    arms: tuple[ArmEvidence, ...]
    effects: tuple[Effect, ...]
    between: tuple[Between, ...] = Field(default=(), exclude_if=lambda told: not told)
    health: Health
    completeness: Completeness | None = Field(default=None, exclude_if=lambda told: told is None)
    software: str

    @property
    def digest(self) -> str:
        """The digest of the canonical form."""
        return digest_json(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Plain JSON content."""
        return self.model_dump(mode="json")

    def arm(self, name: str) -> ArmEvidence | None:
        """The evidence of one arm, or None."""
        return next((arm for arm in self.arms if arm.arm == name), None)

    def others_left(self, arm: str, metric: str) -> bool:
        """Whether the metric leaves out more, or fewer, units of an arm than of the control, and so compares others."""
        found = (each for each in self.health.symptoms if each.check == "left_out_alike" and each.state == "warning")
        return any((each.arm, each.metric) == (arm, metric) for each in found)

    def effect(self, arm: str, metric: str) -> Effect | None:
        """The effect of one arm on one metric, or None."""
        return next((effect for effect in self.effects if effect.arm == arm and effect.metric == metric), None)
