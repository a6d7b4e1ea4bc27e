"""The charter: a pilot's written promise, frozen by digest at launch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Discriminator, Field, PrivateAttr, Tag, field_validator, model_validator

from shared.core.clock import YEARS
from shared.core.digests import canonical, digest_bytes
from shared.core.errors import BadInput
from shared.core.exact import WorkspaceHoldout
from shared.core.money import Amount, Money
from shared.core.sql import COLUMN
from shared.core.timezone import TimeZone
from shared.experiment.assignment import SampledFrac
from shared.experiment.metrics import Catalogue, Metric
from shared.experiment.people import Tier
from shared.experiment.play import FileName, Play
from shared.experiment.sample_plan import Part, SamplePlan
from shared.experiment.value import Value

DAYS_PER_WEEK = 7
ARMS_MIN = 2
# The name of a release, `<pilot>-<arm>`, becomes a folder's, a deployment's and part of every message's key.
RELEASE_CHARACTERS_MAX = 63
AMENDMENT_REASON_MIN = 10
UNRELATED_REASON_MIN = 10
# The rules by which promises are frozen, computed and judged from this build on. A promise keeps those it was first
# registered under, through all its amendments.
RULES: Literal[3] = 3
Email = Annotated[str, Field(pattern=r"^[^@\s/]+@[^@\s/]+$")]
NAME_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
ColumnName = Annotated[str, Field(pattern=COLUMN)]


class Hypothesis(Part):
    """Because … we believe that … will ….

    Attributes:
        because: what was seen that makes one think so.
        we_believe: what is to be tried.
        will: what it will do.
    """

    because: str = Field(min_length=1)
    we_believe: str = Field(min_length=1)
    will: str = Field(min_length=1)


class Primary(Part):
    """The metric that decides.

    Attributes:
        metric: its name in the catalogue.
        minimum_effect: the smallest absolute difference worth scaling, in the metric's unit, above zero.
        worthwhile: `estimate` asks the point estimate to reach the minimum and the interval to exclude zero;
            `lower_bound` asks the interval's lower end to reach it.
    """

    metric: str
    minimum_effect: float = Field(gt=0, allow_inf_nan=False)
    worthwhile: Literal["estimate", "lower_bound"] = "estimate"


class Guardrail(Part):
    """A metric that must not get worse than its margin.

    Attributes:
        metric: its name in the catalogue.
        margin: the worst absolute difference that is accepted: below zero where more is better.
    """

    metric: str
    margin: float = Field(allow_inf_nan=False)


class KillCriterion(Part):
    """What closes a pilot early: harm beyond any doubt that the charter's alpha leaves.

    Attributes:
        metric: its name in the catalogue; one of those that the charter measures.
        worse_than: an absolute difference on the bad side of zero: the criterion is met where an arm's whole interval
            lies beyond it.
    """

    metric: str
    worse_than: float = Field(allow_inf_nan=False)


class Layer(Part):
    """A pilot's slice of a mutual-exclusion layer: pilots with slices apart share no unit.

    Attributes:
        name: the layer.
        start, end: the slice, as shares of the layer's buckets: from `start` on, up to but without `end`.
    """

    name: Name
    start: Decimal = Field(default=Decimal(0), ge=0, lt=1, allow_inf_nan=False)
    end: Decimal = Field(default=Decimal(1), gt=0, le=1, allow_inf_nan=False)

    @model_validator(mode="after")
    def _not_empty(self) -> Layer:
        if self.start >= self.end:
            raise ValueError(f"the slice from {self.start} to {self.end} holds nobody")
        return self

    @property
    def frac(self) -> Fraction:
        """The share of the layer that the slice holds."""
        return Fraction(self.end) - Fraction(self.start)

    def overlaps(self, other: Layer) -> bool:
        """Whether the two could share a unit."""
        return self.name == other.name and self.start < other.end and other.start < self.end


class Arm(Part):
    """One arm; the one without a play is the control.

    Attributes:
        name: the arm's name; `<pilot>-<arm>` is the release that it becomes.
        weight: its planned share, relative to the other arms'.
        play: what the Factory runs if the arm is scaled; none for the control.
    """

    name: Name
    weight: Decimal = Field(default=Decimal(1), gt=0, allow_inf_nan=False)
    play: Play | None = None


def _require_years(**days: date | None) -> None:
    for name, day in days.items():
        if day is not None and day.year not in YEARS:
            raise ValueError(f"`{name}` ({day}) is not in the years from {YEARS[0]} to {YEARS[-1]}")


class TimeBox(Part):
    """From the start of `start` to the start of `end`, in whole weeks.

    Attributes:
        start: the first day.
        end: the day after the last.
        timezone: where the days begin, an IANA name like Europe/Berlin.
        enrol_until: the day from which on no unit begins any more, so that each can be watched as long as a metric with
            a window asks; None where units begin until the end.
        record_until: the day from which on nothing of the time box may be recorded any more, for systems that report
            late; None where that is its end. When something happened is held to the time box all the same.
    """

    start: date
    end: date
    timezone: TimeZone = "UTC"
    enrol_until: date | None = Field(default=None, exclude_if=lambda day: day is None)
    record_until: date | None = Field(default=None, exclude_if=lambda day: day is None)

    @model_validator(mode="after")
    def _whole_weeks(self) -> TimeBox:
        _require_years(start=self.start, end=self.end, record_until=self.record_until)
        days = (self.end - self.start).days
        if days <= 0:
            raise ValueError(f"it ends ({self.end}) before it has begun ({self.start})")
        if days % DAYS_PER_WEEK:
            raise ValueError(
                f"{days} days are not whole weeks; end on {self.start + timedelta(days=days - days % 7 or 7)}, or a "
                f"week later, so that every weekday counts the same"
            )
        if self.enrol_until is not None and not self.start < self.enrol_until <= self.end:
            raise ValueError(f"`enrol_until` ({self.enrol_until}) is not within {self.start} to {self.end}")
        if self.record_until is not None and self.record_until < self.end:
            raise ValueError(f"`record_until` ({self.record_until}) is before the time box ends ({self.end})")
        return self

    def moment(self, day: date) -> datetime:
        """The start of a day here, in UTC."""
        return datetime.combine(day, time(), ZoneInfo(self.timezone)).astimezone(UTC)

    @property
    def starts(self) -> datetime:
        """The first moment inside."""
        return self.moment(self.start)

    @property
    def ends(self) -> datetime:
        """The first moment outside again."""
        return self.moment(self.end)

    @property
    def closes(self) -> datetime:
        """The first moment from which on nothing is recorded any more."""
        return self.ends if self.record_until is None else self.moment(self.record_until)

    @property
    def enrolled(self) -> datetime | None:
        """The first moment from which on no unit begins; None where units begin until the end."""
        return None if self.enrol_until is None else self.moment(self.enrol_until)


class Budget(Part):
    """What the pilot may cost.

    Attributes:
        media, ai, infrastructure: the parts, each with at most two decimals; none above their sum is taken.
        currency: an ISO 4217 code like EUR, the Lab's own.
    """

    media: Amount = Decimal("0.00")
    ai: Amount = Decimal("0.00")
    infrastructure: Amount = Decimal("0.00")
    currency: str = Field(pattern=r"^[A-Z]{3}$")

    @model_validator(mode="after")
    def _not_below_zero(self) -> Budget:
        if min(self.media, self.ai, self.infrastructure) < 0:
            raise ValueError("no part of a budget is below zero")
        return self

    @property
    def total(self) -> Money:
        """All parts together."""
        return Money(amount=self.media + self.ai + self.infrastructure, currency=self.currency)


class Follows(Part):
    """What a pilot continues: one that was revised, or an earlier attempt at the same.

    Attributes:
        pilot: the one before it.
        candidate: the candidate on which *revise* was decided; None where nobody decided so.
        change: what the owner asked to be changed, or what is different this time.
        alpha_spent: the error rates that it and the ones before it have used up.
    """

    pilot: Name
    candidate: str | None = Field(default=None, exclude_if=lambda candidate: candidate is None)
    change: str
    alpha_spent: float = Field(ge=0)


class Unrelated(Part):
    """That a pilot continues none of those that look like it: `follows: {none: why}`.

    Attributes:
        none: why not, for its owner to read.
    """

    none: str = Field(min_length=UNRELATED_REASON_MIN)


def _kind_of_follows(value: Any) -> str:
    return "none" if isinstance(value, Unrelated) or (isinstance(value, dict) and "none" in value) else "line"


Lineage = Annotated[
    Annotated[Follows, Tag("line")] | Annotated[Unrelated, Tag("none")], Discriminator(_kind_of_follows)
]


class Charter(Part):
    """A pilot's written promise; every field is part of it.

    Attributes:
        pilot: the pilot's name, also its folder's.
        hypothesis: because … we believe that … will ….
        risk_tier: which policy of the gate applies.
        requester: who asks for the promotion.
        owner: who decides it.
        population: the snapshot's table whose identifier is the unit.
        eligible: the file with one SELECT that returns the `unit`s of it that may take part; None for all.
        cluster: a column of it by which arms are drawn, so that a household, say, has one arm; None draws each unit.
        covariates: columns of it that were known before the pilot, to lessen the noise of the estimates.
        segments: columns of it in whose groups effects are shown as well.
        strata: a column of it whose groups are weighed alike in every arm (post-stratification); None for none.
        sources: further tables of the snapshot that the pilot's SQL reads.
        layer: the slice of a mutual-exclusion layer that the pilot takes its units from; None for all units.
        assignment: `pilotplant` draws arms by salted hash and holds exposures to it; `source` takes the arm from
            the system that did the exposing.
        outcomes: the contract that recorded outcomes keep.
        arms: what is compared; the one without a play is the control.
        primary, guardrails, secondary: what is measured, and what for.
        co_primary: further primary metrics; an arm that is to be scaled wins on each of them as well.
        kill_criteria: what closes the pilot early.
        sample: how many units, how sure, and when to look.
        time_box: when exposures and outcomes count.
        budget: what it may cost.
        value: what a gain is worth, and what the play costs to run; None where the charter does not say.
        decide_by: the day by whose end the owner has decided; silence is *stop*.
        follows: for a further attempt at what earlier pilots tried: its lineage; or why it is none of theirs.
        synthetic: whether the units are made up; such a pilot is scaled in a rehearsal only.
        exposure: `once` where each unit is reached a single time, as by one mail: then no day of the week has to be in
            the data, nothing can wear off by being seen again, and silence between outcomes is no gap.
    """

    schema_version: Literal[1]
    pilot: Name
    hypothesis: Hypothesis
    risk_tier: Tier = "standard"
    requester: Email
    owner: Email
    population: str
    eligible: FileName | None = Field(default=None, exclude_if=lambda file: file is None)
    cluster: ColumnName | None = None
    covariates: tuple[ColumnName, ...] = ()
    segments: tuple[ColumnName, ...] = ()
    strata: ColumnName | None = Field(default=None, exclude_if=lambda column: column is None)
    sources: tuple[str, ...] = ()
    layer: Layer | None = None
    assignment: Literal["pilotplant", "source"] = "pilotplant"
    outcomes: str = "outcomes"
    arms: tuple[Arm, ...]
    primary: Primary
    co_primary: tuple[Primary, ...] = ()
    guardrails: tuple[Guardrail, ...] = ()
    secondary: tuple[str, ...] = ()
    kill_criteria: tuple[KillCriterion, ...] = ()
    sample: SamplePlan
    time_box: TimeBox
    decide_by: date
    budget: Budget
    value: Value | None = Field(default=None, exclude_if=lambda value: value is None)
    follows: Lineage | None = None
    synthetic: bool = False
    exposure: Literal["once", "repeated"] = Field(default="repeated", exclude_if=lambda how: how == "repeated")

    @field_validator("follows", mode="before")
    @classmethod
    def _none_has_a_reason(cls, value: Any) -> Any:
        if value == "none":
            raise ValueError("it takes a reason: `follows: {none: why it continues no earlier pilot}`")
        return value

    @model_validator(mode="after")
    def _hangs_together(self) -> Charter:
        names = [arm.name for arm in self.arms]
        if len(names) < ARMS_MIN:
            raise ValueError(f"a pilot has at least two arms, this one has {len(names)}")
        if len(set(names)) < len(names):
            raise ValueError("two arms have the same name")
        controls = [arm.name for arm in self.arms if arm.play is None]
        if len(controls) != 1:
            raise ValueError(
                "exactly one arm, the control, has no play; here "
                + (f"these have none: {', '.join(controls)}" if controls else "every arm has one")
            )
        measured = self.measured
        if len(set(measured)) < len(measured):
            raise ValueError("a metric has one part only: primary, guardrail or secondary")
        unmeasured = [kill.metric for kill in self.kill_criteria if kill.metric not in measured]
        if unmeasured:
            raise ValueError(
                f"a kill criterion reads `{unmeasured[0]}`, which is neither primary, guardrail nor secondary"
            )
        unmeasured = [name for name in self.sample.assume if name not in measured]
        if unmeasured:
            raise ValueError(f"`assume` names `{unmeasured[0]}`, which is neither primary, guardrail nor secondary")
        if self.sample.attrition is not None and self.assignment == "source":
            raise ValueError(
                "`attrition` bounds who gets an arm here; with `assignment: source` the system that exposes does that"
            )
        for said, columns in (("covariates", self.covariates), ("segments", self.segments), ("sources", self.sources)):
            if len(set(columns)) < len(columns):
                raise ValueError(f"`{said}` names something twice")
        return self

    @model_validator(mode="after")
    def _is_decided_on_all_of_it(self) -> Charter:
        _require_years(decide_by=self.decide_by)
        if self.decide_by < self.time_box.end:
            raise ValueError(f"decide_by ({self.decide_by}) is before the time box ends ({self.time_box.end})")
        if self.time_box.record_until is not None and self.decide_by < self.time_box.record_until:
            raise ValueError(f"decide_by ({self.decide_by}) is before `record_until` ({self.time_box.record_until})")
        return self

    @model_validator(mode="after")
    def _every_release_has_room_for_its_name(self) -> Charter:
        for arm in self.treatments:
            release = self.release(arm.name)
            if len(release) > RELEASE_CHARACTERS_MAX:
                raise ValueError(
                    f"the release would be called `{release}`, {len(release)} characters; "
                    f"at most {RELEASE_CHARACTERS_MAX}: shorten the pilot's name or the arm's"
                )
        return self

    def release(self, arm: str) -> str:
        """The name of the release that an arm becomes."""
        return f"{self.pilot}-{arm}"

    @property
    def control(self) -> Arm:
        """The arm without a play."""
        return next(arm for arm in self.arms if arm.play is None)

    @property
    def treatments(self) -> tuple[Arm, ...]:
        """The arms with a play."""
        return tuple(arm for arm in self.arms if arm.play is not None)

    @property
    def alpha(self) -> float:
        """The error rate at which the primary metrics are tested.

        Each alpha that the pilots before it in its line have spent halves it: revised as often as one likes, a line
        of pilots errs at most twice as often as a single one.
        """
        return self._left(self.sample.alpha)

    @property
    def guardrail_alpha(self) -> float:
        """The error rate of each guardrail's one-sided test, halved like `alpha`."""
        return self._left(self.sample.guardrail_alpha or self.sample.alpha)

    def _left(self, alpha: float) -> float:
        spent = self.line.alpha_spent if self.line else 0.0
        return alpha * math.pow(0.5, spent / self.sample.alpha)

    @property
    def line(self) -> Follows | None:
        """What it continues; None where it says nothing, or that it continues none."""
        return self.follows if isinstance(self.follows, Follows) else None

    @property
    def unrelated(self) -> str | None:
        """Why it continues none of the pilots that look like it; None where it does not say that."""
        return self.follows.none if isinstance(self.follows, Unrelated) else None

    @property
    def weights(self) -> dict[str, Fraction]:
        """Planned weights, exactly, in the charter's order."""
        return {arm.name: Fraction(arm.weight) for arm in self.arms}

    @property
    def measured(self) -> tuple[str, ...]:
        """Every metric's name: primary ones, then guardrails, then secondary ones."""
        primaries = (each.metric for each in self.primaries)
        return (*primaries, *(rail.metric for rail in self.guardrails), *self.secondary)

    @property
    def bounded(self) -> tuple[str, ...]:
        """The metrics of which it asks something in numbers, each once: primaries, guardrails, kill criteria."""
        named = [each.metric for each in self.primaries]
        named += [rail.metric for rail in self.guardrails]
        named += [kill.metric for kill in self.kill_criteria]
        return tuple(dict.fromkeys(named))

    @property
    def traits(self) -> tuple[str, ...]:
        """The columns of the population that the evidence reads, each once: cluster, covariates, segments, strata."""
        named = (self.cluster, *self.covariates, *self.segments, self.strata)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @property
    def files(self) -> tuple[str, ...]:
        """The files beside it that it names, each once: of its plays, and of who is eligible."""
        named = [name for arm in self.treatments if arm.play for name in arm.play.files]
        return tuple(dict.fromkeys([*named, *([self.eligible] if self.eligible else [])]))

    @property
    def primaries(self) -> tuple[Primary, ...]:
        """Every primary metric, the first one first."""
        return (self.primary, *self.co_primary)

    def primary_of(self, metric: str) -> Primary | None:
        """What is asked of a metric as a primary one; None where it is none."""
        return next((each for each in self.primaries if each.metric == metric), None)

    @property
    def deadline(self) -> datetime:
        """The first moment that is too late to decide."""
        return self.time_box.moment(self.decide_by + timedelta(days=1))

    def play(self, arm: str) -> Play:
        """The play of a treatment arm; raises BadInput for any other name."""
        for candidate in self.treatments:
            if candidate.name == arm and candidate.play is not None:
                return candidate.play
        raise BadInput(
            f"`{arm}` is not an arm that can be scaled",
            where=f"pilot {self.pilot}",
            expected="one of: " + ", ".join(candidate.name for candidate in self.treatments),
        )


class Amends(Part):
    """What makes a promise a later version of another one; its digest covers it.

    Attributes:
        version: which one this is; the first amendment makes version 2.
        before: the digest of the promise it takes the place of.
        reason: why.
    """

    version: int = Field(ge=2)
    before: str
    reason: str = Field(min_length=AMENDMENT_REASON_MIN)


class Source(Part):
    """The snapshot that a pilot reads, and when it was published: no promise is older than what it was made on."""

    id: str
    published: AwareDatetime


class Eligible(Part):
    """Who may take part by a charter's SELECT, as it was when the pilot was launched.

    Attributes:
        units: how many.
        digest: of the file that lists them, which the Lab keeps beside what was frozen.
    """

    units: int = Field(ge=1)
    digest: str


class Promise(Part):
    """A charter with everything it refers to: what is frozen, and whose digest stands for the pilot.

    Attributes:
        charter: the charter itself.
        metrics: the definitions of the metrics it names.
        files: each file it names (SQL, templates, contracts) with its digest.
        amends: for a later version: the one before it, and the reason; None as launched.
        holdout_frac: the workspace's holdout as the snapshot said it, which the pilot leaves alone to its end.
        source: the snapshot it was made on; None in what earlier builds promised.
        eligible: who may take part, where the charter names a SELECT of them; None where all of the population may.
        sampled_frac: the share of the units that could take part which do, where the plan bounds them; None for all.
        rules: under which rules it was made, which select the computation of its evidence and the checks that bind it.
    """

    schema_version: Literal[1] = 1
    charter: Charter
    metrics: dict[str, Metric]
    files: dict[str, str]
    amends: Amends | None = Field(default=None, exclude_if=lambda amends: amends is None)
    holdout_frac: WorkspaceHoldout = Decimal(0)
    source: Source | None = Field(default=None, exclude_if=lambda source: source is None)
    eligible: Eligible | None = Field(default=None, exclude_if=lambda eligible: eligible is None)
    sampled_frac: SampledFrac | None = Field(default=None, exclude_if=lambda frac: frac is None)
    rules: Literal[1, 2, 3] = Field(default=1, exclude_if=lambda rules: rules == 1)
    _stored: bytes | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _lists_who_is_eligible(self) -> Promise:
        named = self.charter.eligible
        if (named is None) != (self.eligible is None) or (named is not None and named not in self.files):
            raise ValueError("a charter that says who is eligible is promised with its SELECT, and with their list")
        return self

    @classmethod
    def stored(cls, content: bytes) -> Promise:
        """The promise that was stored as these bytes, whose digest is theirs; raises ValueError where they are none."""
        promise = cls.model_validate_json(content)
        promise._stored = content  # noqa: SLF001 - its own
        return promise

    @property
    def content(self) -> bytes:
        """Its bytes as they were stored; in RFC 8785 form where it is a new one."""
        return self._stored if self._stored is not None else canonical(self.model_dump(mode="json"))

    def __eq__(self, other: object) -> bool:
        """Whether both are the same promise, to the byte."""
        return isinstance(other, Promise) and self.content == other.content

    def __hash__(self) -> int:
        """By its bytes."""
        return hash(self.content)

    @property
    def digest(self) -> str:
        """The digest of its bytes, which the gate keeps: a field that comes later changes no promise made before."""
        return digest_bytes(self.content)

    @property
    def version(self) -> int:
        """Which version of the pilot's promise it is; the launched one is the first."""
        return self.amends.version if self.amends else 1

    def as_json(self) -> dict[str, Any]:
        """Its content as it was stored, an object of JSON."""
        found: dict[str, Any] = json.loads(self.content)
        return found

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Promise:
        """A copy, which is a new promise where anything is updated."""
        copied = super().model_copy(update=update, deep=deep)
        if update:
            copied._stored = None  # noqa: SLF001 - its own
        return copied

    def amending(self, before: Promise, reason: str) -> Promise:
        """This content as the version after `before`."""
        amends = Amends(version=before.version + 1, before=before.digest, reason=reason)
        return self.model_copy(update={"amends": amends, "source": before.source})

    def same_as(self, other: Promise) -> bool:
        """Whether both promise the same, whichever versions they are, under whichever rules and on whichever data."""
        own = {"amends", "rules", "source", "eligible", "sampled_frac"}
        return self.model_dump(exclude=own) == other.model_dump(exclude=own)


def measured_by(charter: Charter, catalogue: Catalogue) -> dict[str, Metric]:
    """The definitions of the charter's metrics.

    Raises BadInput for an unknown one, a margin of the wrong sign, or an assumption that cannot be.
    """
    found = {name: catalogue.get(name) for name in charter.measured}
    _require_sensible(charter, found)
    harms = [(f"the margin of guardrail `{rail.metric}`", rail.metric, rail.margin) for rail in charter.guardrails]
    harms += [
        (f"`worse_than` of the kill criterion on `{kill.metric}`", kill.metric, kill.worse_than)
        for kill in charter.kill_criteria
    ]
    for what, metric, harm in harms:
        if harm * found[metric].sign >= 0:
            better = "more" if found[metric].sign > 0 else "less"
            raise BadInput(
                f"{what} is {harm}",
                where=f"charter of {charter.pilot}",
                expected=f"a number {'below' if better == 'more' else 'above'} zero, since {better} is better there",
            )
    return found


def _require_sensible(charter: Charter, metrics: dict[str, Metric]) -> None:
    """Raises BadInput for an assumption that is not one of its metric's kind."""
    for name, assumed in charter.sample.assume.items():
        share = metrics[name].kind == "proportion"
        if share and not (0 < assumed.mean < 1 and assumed.sd is None):
            raise BadInput(
                f"`assume` of `{name}` is not a share",
                where=f"charter of {charter.pilot}",
                expected="`mean` between 0 and 1, and no `sd`, which follows from it",
            )
        if not share and assumed.sd is None:
            raise BadInput(
                f"`assume` of `{name}` lacks `sd`",
                where=f"charter of {charter.pilot}",
                expected="the standard deviation between units, beside `mean`",
            )
