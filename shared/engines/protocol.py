"""What an engine is asked, and what it answers: the seam behind which rows become moments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from shared.data.contracts import Contract
from shared.engines.answers import EarlyOutcomes, Placement, PrePeriod, Uncaused, UnitValues
from shared.engines.by_arm import ByArm, Scope
from shared.experiment.charter import Charter, Promise
from shared.experiment.draw import Draw
from shared.experiment.metrics import Metric
from shared.stats.moments import Cells
from shared.stats.summaries import QuantileMoments

# Why intake held a row back: of units in two arms nothing counts, and health tells how many rows there were.
IN_TWO_ARMS = "unit in two arms"
NOT_ASSIGNED = "not the arm that was assigned"
EARLY = "outcome before its unit's first exposure"
# A column with more levels is no segment but an identifier, and each level would be an effect of its own.
LEVELS_MAX = 100


def value_of(metric: str) -> str:
    """The column of a metric's value."""
    return f"value:{metric}"


def per_of(metric: str) -> str:
    """The column of a ratio's denominator."""
    return f"per:{metric}"


def covariate(name: str) -> str:
    """The column of a covariate."""
    return f"covariate:{name}"


def early_of(metric: str) -> str:
    """The column of a metric's value in the first part of a unit's time."""
    return f"early:{metric}"


def late_of(metric: str) -> str:
    """The column of a metric's value in the part after it, which is as long."""
    return f"late:{metric}"


@dataclass(frozen=True, slots=True)
class PilotData:
    """The sealed files of a pilot.

    Attributes:
        exposures: event_id, unit, arm, at; one row per accepted exposure.
        outcomes: event_id, unit, at and the contract's columns; one row per accepted outcome.
        conflicts: kind, event_id, unit, reason; one row per row held back. From rules 2 on also what it said: arm, at
            and said (the outcome's values as JSON), all as text, and assigned, the arm that was drawn for its unit.
        traits: unit and the columns that the charter names (cluster, covariates, segments, strata), as they were
            before the pilot; one row per exposed unit that the population knows. None where it names none.
        pre_period: unit and every published column of the population, as it was before the pilot; one row per exposed
            unit that the population knows. None under the first rules.
        eligible: unit; one row for each that might take part. None where all of the population might.
    """

    exposures: Path
    outcomes: Path
    conflicts: Path
    traits: Path | None = None
    pre_period: Path | None = None
    eligible: Path | None = None

    @classmethod
    def in_folder(cls, folder: Path) -> PilotData:
        """The files by their names in a dataset or candidate."""
        known = (folder / f"{name}.parquet" for name in ("traits", "pre_period", "eligible"))
        return cls(
            folder / "exposures.parquet",
            folder / "outcomes.parquet",
            folder / "conflicts.parquet",
            *(path if path.exists() else None for path in known),
        )

    @property
    def able(self) -> str | None:
        """A query, over the files as views, for the units that might take part; None where all might."""
        return None if self.eligible is None else "SELECT unit FROM eligible"

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        known = (path for path in (self.traits, self.pre_period, self.eligible) if path is not None)
        return (self.exposures, self.outcomes, self.conflicts, *known)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a pilot's data.

    Attributes:
        metrics: by name, what is measured.
        covariates, segments: columns of the traits.
        strata, cluster: a column of the traits each, or None.
        timezone: where the days begin.
        until: exposures and outcomes from then on do not count; None counts all.
        novelty: the metrics whose value is wanted early and late in each unit's time, and how long each part is.
        scope: what is to be told by arm besides; None for nothing.
        everything: whether all counts that can be attributed to a unit and its assigned arm (intention to treat): who
            was seen in two arms, and what was held back. Needs a scope.
    """

    metrics: Mapping[str, Metric]
    covariates: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    strata: str | None = None
    cluster: str | None = None
    timezone: str = "UTC"
    until: datetime | None = None
    novelty: tuple[tuple[str, ...], timedelta] | None = None
    scope: Scope | None = None
    everything: bool = False

    @classmethod
    def of(cls, promise: Promise, until: datetime | None = None, ends: datetime | None = None) -> Question:
        """What a promise asks; a part of a unit's time is a quarter of the time box.

        `ends` is the first moment that is not in the data, where that is before `until` and the time box's end.
        """
        charter, box = promise.charter, promise.charter.time_box
        deciding = tuple(
            each.metric
            for each in charter.primaries
            if not (promise.metrics[each.metric].divided or promise.metrics[each.metric].quantile)
        )
        return cls(
            metrics=promise.metrics,
            covariates=charter.covariates,
            segments=charter.segments,
            strata=charter.strata,
            cluster=charter.cluster,
            timezone=box.timezone,
            until=until,
            novelty=(deciding, (box.ends - box.starts) / 4) if deciding else None,
            scope=None if promise.rules == 1 else _scope(promise, min(filter(None, (until, ends, box.ends)))),
        )


def _scope(promise: Promise, ends: datetime) -> Scope:
    """What a promise has told by arm: its primary metrics and guardrails decide, so theirs are the streams."""
    charter = promise.charter
    names = dict.fromkeys([*(each.metric for each in charter.primaries), *(rail.metric for rail in charter.guardrails)])
    return Scope(
        arms=(charter.control.name, *(arm.name for arm in charter.treatments)),
        drawn=charter.assignment == "pilotplant",
        starts=charter.time_box.starts,
        closes=charter.time_box.ends,
        ends=ends,
        streams=tuple(names),
        windows=tuple(dict.fromkeys(promise.metrics[name].window_days for name in names)),
        enrolled=charter.time_box.enrolled,
    )


@dataclass(frozen=True, slots=True)
class Delay:
    """How long after its exposure a unit of an arm has its first outcome.

    Attributes:
        units: those that have any outcome.
        median_s: the median, in seconds; None without any.
    """

    units: int
    median_s: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What an engine says of a pilot's data; everything else is computed from it.

    Units are the exposed ones, without those in two arms. Of every metric in `cells` there are its value (and its
    denominator, of a ratio), with mean, sum of squares, their product, and the products with every covariate; of the
    covariates all products among each other. With a cluster, cells count clusters, columns are sums over a cluster's
    units, `SIZE` is one of them, and every column has its product with it.

    Attributes:
        arms: cells by `arm`; with least and most of every value.
        days: cells by `arm` and `day` of the first exposure (`datetime.date`).
        segments: per segment, cells by `arm` and `level` (text; None where a unit has none).
        strata: cells by `arm` and `level` of the stratum; None without.
        tenure: cells by `arm` of the units with time enough, with `early_of` and `late_of` each novelty metric, and
            their product; None where nobody asked.
        quantiles: per arm and quantile metric.
        units: exposed units per arm.
        segment_units: per segment, exposed units by arm and level.
        day_units: exposed units by arm and day.
        reporting: of these, units with any outcome.
        unvalued: outcomes of these units without a value, per metric.
        untraited: per column of the traits, units without a value of it.
        delays: per arm.
        outcome_days: outcomes per day on which they happened (`YYYY-MM-DD`).
        multiple_units: units (or clusters) that were seen in two arms, or in another one than was assigned.
        conflicts: rows held back, by reason.
        exposures, outcomes: rows.
        first_exposure, last_exposure: RFC 3339.
        clusters: per arm, where clusters were drawn.
        crowded: columns of segments and strata with more levels than `LEVELS_MAX`, of which there are no cells.
        by_arm: what the question's scope asks for; None without one.
    """

    arms: Cells
    days: Cells
    segments: Mapping[str, Cells]
    strata: Cells | None
    tenure: Cells | None
    quantiles: Mapping[str, Mapping[str, QuantileMoments]]
    units: Mapping[str, int]
    segment_units: Mapping[str, Mapping[tuple[str, str | None], int]]
    day_units: Mapping[tuple[str, str], int]
    reporting: Mapping[str, int]
    unvalued: Mapping[str, int]
    untraited: Mapping[str, int]
    delays: Mapping[str, Delay]
    outcome_days: Mapping[str, int]
    multiple_units: int
    conflicts: Mapping[str, int]
    exposures: int
    outcomes: int
    first_exposure: str | None
    last_exposure: str | None
    clusters: Mapping[str, int] = field(default_factory=dict)
    crowded: tuple[str, ...] = ()
    by_arm: ByArm | None = None

    @property
    def drawn(self) -> Mapping[str, int]:
        """Per arm, how many of what arms were drawn for: clusters, or else units. These are what chance put there."""
        return self.clusters or self.units

    @property
    def drawn_by_day(self) -> Mapping[tuple[str, Any], int]:
        """The same by arm and day; a cluster's day is its first unit's."""
        return _counts(self.days) if self.clusters else self.day_units

    @property
    def drawn_by_segment(self) -> Mapping[str, Mapping[tuple[str, Any], int]]:
        """The same per segment, by arm and level; a cluster is in every level that one of its units has."""
        return {name: _counts(cells) for name, cells in self.segments.items()} if self.clusters else self.segment_units


def _counts(cells: Cells) -> dict[tuple[str, Any], int]:
    """By arm and the other key, the cells' n."""
    arms, others = (values.tolist() for values in cells.keys.values())
    told = (str(other) if isinstance(other, date) else other for other in others)
    return dict(zip(zip(arms, told, strict=True), cells.n.tolist(), strict=True))


class Engine(Protocol):
    """What reads a pilot's rows: all that Lab and gate know of them, they ask of an engine.

    It answers alike for the same files, to the last bit.
    """

    def summarise(self, data: PilotData, question: Question) -> Summary:
        """Counts and moments of a pilot's data, in as few scans as they take."""
        ...

    def place(self, data: PilotData, draw: Draw, charter: Charter) -> Placement:
        """Compares each row's unit, arm and time with what was drawn and promised."""
        ...

    def uncaused(self, data: PilotData, draw: Draw | None, metrics: Mapping[str, Metric]) -> Uncaused:
        """Outcomes that no arm can have caused; `draw` is None where arms come from elsewhere."""
        ...

    def early_outcomes(self, data: PilotData, cluster: str | None = None) -> EarlyOutcomes:
        """How much came before its unit's first exposure."""
        ...

    def pre_period(
        self, data: PilotData, arms: Sequence[str], told: Sequence[str], cluster: str | None, *, units_per_column: int
    ) -> PrePeriod:
        """The sealed columns of the exposed units, as numbers; raises BadInput where they are not as promised."""
        ...

    def made_up(self, data: PilotData, *, rehearsed: bool = False) -> int:
        """How many exposures and outcomes carry the mark of synthetic units, or if that is asked of rehearsed ones."""
        ...

    def personal_rows(self, data: PilotData, outcomes: Contract) -> dict[str, int]:
        """How many values look like an address or a telephone number, by `table.column`; only where there are any."""
        ...

    def unit_values(
        self, data: PilotData, metrics: Mapping[str, Metric], arm: str
    ) -> AbstractContextManager[UnitValues]:
        """The units of an arm; a column is named by `value_of` a metric, and by `per_of` a ratio."""
        ...

    def history_values(self, table: Path, metrics: Mapping[str, Metric]) -> AbstractContextManager[UnitValues]:
        """The rows of a table, with each metric's value from its `history` there; columns are named alike."""
        ...
