"""An engine in plain Python over rows: slow, and plain enough to be seen right. What every engine is held against."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.parquet as pq

from shared.core.clock import rfc3339
from shared.engines.protocol import (
    IN_TWO_ARMS,
    LEVELS_MAX,
    NOT_ASSIGNED,
    Delay,
    Summary,
    covariate,
    early_of,
    late_of,
    per_of,
    value_of,
)
from shared.stats.moments import SIZE, Cells, pair
from shared.stats.quantiles import ranks
from shared.stats.summaries import QuantileMoments
from tests.shared.engines.reference_by_arm import Attribution


@dataclass
class Unit:
    id: str
    arm: str
    first: dt.datetime
    traits: dict
    outcomes: list = field(default_factory=list)
    numbers: dict = field(default_factory=dict)


class Reference:
    def summarise(self, data, question):
        return _Pilot(data, question).summary()


class _Pilot:
    def __init__(self, data, question):
        self.question = question
        self.exposures, self.outcomes = (
            [row for row in _rows(path) if question.until is None or row["at"] < question.until]
            for path in (data.exposures, data.outcomes)
        )
        self.conflicts = _rows(data.conflicts)
        self.traits = _traits(_rows(data.traits) if data.traits else [])
        self.zone = ZoneInfo(question.timezone)
        self.unvalued = Counter(dict.fromkeys(question.metrics, 0))
        self.numeric = {"visit": int, "spend": float}
        self.units = self._units()
        self.attribution = Attribution(self) if question.scope else None
        if question.everything:
            self._take_everything()
        else:
            self._attach_outcomes()
        self._fill_covariates()
        for unit in self.units:
            self._measure(unit)
        self._cap()
        self.levels = dict.fromkeys([*question.segments, *([question.strata] if question.strata else [])])
        self.crowded = [name for name in self.levels if len({u.traits[name] for u in self.units} - {None}) > LEVELS_MAX]

    def _units(self):
        arms, cluster = defaultdict(set), self.question.cluster
        for row in self.exposures:
            arms[row["unit"]].add(row["arm"])
        mixed = {unit for unit, seen in arms.items() if len(seen) > 1}
        mixed |= {row["unit"] for row in self.conflicts if row["reason"] in {IN_TWO_ARMS, NOT_ASSIGNED}} - {None}
        home = {unit: str(t[cluster]) for unit, t in self.traits.items() if cluster and t.get(cluster) is not None}
        cluster_arms = defaultdict(set)
        for unit, seen in arms.items():
            cluster_arms[home.get(unit)] |= seen
        torn = {name for name, seen in cluster_arms.items() if name is not None and len(seen) > 1}
        torn |= {home[unit] for unit in mixed if unit in home}
        self.multiple = len(torn) + len([unit for unit in mixed if unit not in home])
        self.left_out = mixed | {unit for unit in home if home[unit] in torn}
        named = [*self.question.covariates, *self.question.segments, self.question.strata, cluster]
        units = []
        for unit, seen in arms.items():
            if unit in mixed or home.get(unit) in torn:
                continue
            first = min(row["at"] for row in self.exposures if row["unit"] == unit)
            known = self.traits.get(unit, {})
            units.append(Unit(unit, seen.pop(), first, {name: known.get(name) for name in named if name}))
        return units

    def _take_everything(self):
        told, named = self.attribution, [*self.question.covariates, *self.question.segments]
        named += [name for name in (self.question.strata, self.question.cluster) if name]
        self.units = []
        for unit, arm in told.arm_of.items():
            known = self.traits.get(unit, {})
            self.units.append(Unit(unit, arm, told.first_of[unit], {name: known.get(name) for name in named}))
            outcomes = told.outcomes(unit)
            self.units[-1].outcomes = [{**row, "at": at, "unit": unit, "held": held} for at, row, held in outcomes]

    def _attach_outcomes(self):
        by_id = {unit.id: unit for unit in self.units}
        for row in self.outcomes:
            unit = by_id.get(row["unit"])
            if unit and row["at"] >= unit.first:
                unit.outcomes.append(row)

    def _fill_covariates(self):
        self.untraited = {}
        for name in self.question.covariates:
            known = [float(u.traits[name]) for u in self.units if u.traits[name] is not None]
            mean = sum(known) / len(known) if known else math.nan
            for unit in self.units:
                value = unit.traits[name]
                unit.numbers[covariate(name)] = mean if value is None else float(value)
            self.untraited[name] = len(self.units) - len(known)
        for name in [*self.question.segments, self.question.strata, self.question.cluster]:
            if name:
                gaps = sum(unit.traits[name] is None for unit in self.units)
                self.untraited[name] = max(gaps, self.untraited.get(name, 0))

    def _measure(self, unit):
        novel, part = self.question.novelty or ((), None)
        for name, metric in self.question.metrics.items():
            window = dt.timedelta(days=metric.window_days) if metric.window_days else dt.timedelta(days=99_999)
            inside = [row for row in unit.outcomes if row["at"] - unit.first < window]
            unit.numbers[value_of(name)] = _value(metric, inside)
            self.unvalued[name] += sum(_has_gap(metric, row) for row in inside if not row.get("held"))
            if metric.no_outcome == "left_out":
                told = [_read(metric.column or metric.expression, row) for row in inside]
                asked = metric.kind == "proportion"
                counted = [v for v in told if v is not None and not (asked and math.isnan(v))]
                unit.numbers[per_of(name)] = float(bool(counted))
            if metric.per:
                unit.numbers[per_of(name)] = sum(_known(_read(metric.denominator, row) for row in inside))
            if name in novel:
                early = [row for row in unit.outcomes if row["at"] - unit.first < part]
                late = [row for row in unit.outcomes if part <= row["at"] - unit.first < 2 * part]
                unit.numbers[early_of(name)], unit.numbers[late_of(name)] = _value(metric, early), _value(metric, late)

    def _cap(self):
        for name, metric in self.question.metrics.items():
            cap = metric.cap
            if metric.cap_quantile:
                unknown = any(math.isnan(u.numbers[value_of(name)]) for u in self.units)
                above = [u.numbers[value_of(name)] for u in self.units if u.numbers[value_of(name)] > 0]
                cap = math.nan if unknown else np.quantile(above, metric.cap_quantile) if above else None
            for unit in self.units:
                for column in (value_of(name), early_of(name), late_of(name)):
                    value = unit.numbers.get(column)
                    if cap is not None and math.isnan(cap) and value is not None:
                        unit.numbers[column] = math.nan
                    elif cap is not None and value is not None and math.isfinite(value):
                        unit.numbers[column] = min(value, cap)

    def summary(self):
        question, units = self.question, self.units
        levels = {name: self.cells(units, ("arm", name)) for name in self.levels if name not in self.crowded}
        counted = Counter(unit.arm for unit in units)
        return Summary(
            arms=self.cells(units, ("arm",), extremes=[value_of(name) for name in question.metrics]),
            days=self.cells(units, ("arm", "day")),
            segments={name: levels[name] for name in question.segments if name in levels},
            strata=levels.get(question.strata),
            tenure=self.tenure() if question.novelty else None,
            quantiles={arm: self.quantiles(arm) for arm in counted},
            units=dict(counted),
            segment_units={
                name: dict(Counter((unit.arm, _text(unit.traits[name])) for unit in units))
                for name in question.segments
                if name not in self.crowded
            },
            day_units=dict(Counter((unit.arm, str(self.day(unit.first))) for unit in units)),
            reporting={arm: sum(bool(u.outcomes) for u in units if u.arm == arm) for arm in counted},
            unvalued=dict(self.unvalued),
            untraited=self.untraited,
            delays={arm: self.delay(arm) for arm in counted},
            outcome_days=dict(Counter(str(self.day(row["at"])) for row in self.outcomes)),
            multiple_units=self.multiple,
            conflicts=dict(Counter(row["reason"] for row in self.conflicts)),
            exposures=len(self.exposures),
            outcomes=len(self.outcomes),
            first_exposure=rfc3339(min(row["at"] for row in self.exposures)) if self.exposures else None,
            last_exposure=rfc3339(max(row["at"] for row in self.exposures)) if self.exposures else None,
            clusters={arm: len({u.traits[question.cluster] for u in units if u.arm == arm} - {None}) for arm in counted}
            if question.cluster
            else {},
            crowded=tuple(self.crowded),
            by_arm=self.attribution.by_arm() if self.attribution and not question.everything else None,
        )

    def read(self, metric, row):
        """What a metric reads of an outcome; None where there is nothing, or nothing to read."""
        read = metric.column or metric.expression
        value = _read(read, row) if read else None
        return None if value is None else float(value)

    def members(self, units, keys):
        """What is counted, units or clusters within the keys' values: (values of the keys, numbers)."""
        cluster = self.question.cluster
        told = [(tuple(self.key(unit, key) for key in keys), unit) for unit in units]
        if not cluster:
            return [(key, unit.numbers) for key, unit in told]
        grouped = defaultdict(list)
        for key, unit in told:
            if unit.traits[cluster] is not None:
                grouped[key, str(unit.traits[cluster])].append(unit.numbers)
        sums = {}
        for (key, name), rows in grouped.items():
            sums[key, name] = {c: sum(row[c] for row in rows) for c in rows[0]} | {SIZE: float(len(rows))}
        return [(key, numbers) for (key, _), numbers in sums.items()]

    def key(self, unit, key):
        if key == "arm":
            return unit.arm
        if key != "day":
            return _text(unit.traits[key])
        cluster = self.question.cluster
        mates = [u for u in self.units if cluster and u.traits[cluster] == unit.traits[cluster]] or [unit]
        return self.day(min(mate.first for mate in mates))

    def day(self, moment):
        return moment.astimezone(self.zone).date()

    def cells(self, units, keys, parts=False, extremes=()):
        groups = defaultdict(list)
        for key, numbers in self.members(units, keys):
            groups[key].append(numbers)
        order = sorted(groups, key=lambda key: [(value is None, value) for value in key])
        names, pairs = self.asked(parts)
        means = {name: [_mean([row[name] for row in groups[key]]) for key in order] for name in names}
        products = {
            (a, b): [_product([r[a] for r in groups[key]], [r[b] for r in groups[key]]) for key in order]
            for a, b in pairs
        }
        said = ["level" if key in self.levels else key for key in keys]
        return Cells(
            {name: _objects([key[at] for key in order]) for at, name in enumerate(said)},
            np.array([len(groups[key]) for key in order], dtype=np.int64),
            {name: np.array(found, dtype=float) for name, found in means.items()},
            {each: np.array(found, dtype=float) for each, found in products.items()},
            {name: np.array([min(row[name] for row in groups[key]) for key in order]) for name in extremes},
            {name: np.array([max(row[name] for row in groups[key]) for key in order]) for name in extremes},
        )

    def asked(self, parts):
        """The columns of cells and the pairs that `Summary` promises."""
        question = self.question
        size = [SIZE] if question.cluster else []
        metrics = question.novelty[0] if parts else question.metrics
        own = [
            (early_of(name), late_of(name)) if parts
            else (value_of(name), per_of(name)) if question.metrics[name].divided
            else (value_of(name),)
            for name in metrics
        ]  # fmt: skip
        covariates = [] if parts else [covariate(name) for name in question.covariates]
        names = [column for columns in own for column in columns] + covariates + size
        pairs = {pair(a, b) for columns in own for a, b in combinations_with_replacement(columns, 2)}
        pairs |= {pair(a, b) for a, b in combinations_with_replacement(covariates, 2)}
        pairs |= {pair(column, x) for columns in own for column in columns for x in covariates}
        return names, pairs | {pair(SIZE, name) for name in names if size}

    def tenure(self):
        ends = self.question.until or max((row["at"] for row in (*self.exposures, *self.outcomes)), default=None)
        there = [unit for unit in self.units if unit.first + 2 * self.question.novelty[1] <= ends]
        return self.cells(there, ("arm",), parts=True)

    def quantiles(self, arm):
        found = {}
        for name, metric in self.question.metrics.items():
            if metric.quantile is None:
                continue
            values = sorted(unit.numbers[value_of(name)] for unit in self.units if unit.arm == arm)
            at = None if self.question.cluster else ranks(len(values), metric.quantile)
            if at is None or not all(map(math.isfinite, values)):
                low = value = high = math.nan
            else:
                low, value, high = (values[rank - 1] for rank in at)
            found[name] = QuantileMoments(n=len(values), quantile=metric.quantile, value=value, low=low, high=high)
        return found

    def delay(self, arm):
        waits = [
            (min(row["at"] for row in unit.outcomes) - unit.first).total_seconds()
            for unit in self.units
            if unit.arm == arm and unit.outcomes
        ]
        return Delay(len(waits), float(np.median(waits)) if waits else None)


def _rows(path):
    return pq.read_table(path).to_pylist()


def _traits(rows):
    """What is told once of a unit; of a unit in two rows nothing is known."""
    times = Counter(row["unit"] for row in rows)
    return {row["unit"]: row for row in rows if times[row["unit"]] == 1}


def _read(expression, row):
    """The value of a column or of two with a sign between them; None where there is none."""
    one, sign, other = re.fullmatch(r"(\w+)(?: ([-/]) (\w+))?", expression).groups()
    if row[one] is None or (other and row[other] is None) or (sign == "/" and row[other] == 0):
        return None
    return row[one] if sign is None else row[one] - row[other] if sign == "-" else row[one] / row[other]


def _known(values):
    return [float(value) for value in values if value is not None]


def _value(metric, rows):
    read = metric.column or metric.expression
    values = _known(_read(read, row) for row in rows) if read else []
    counted = [value for value in values if not math.isnan(value)]
    match metric.kind:
        case "proportion":
            return float(any(value > 0 for value in counted))
        case "count":
            return float(sum(value > 0 for value in counted) if read else len(rows))
        case _:
            return float(sum(values))


def _has_gap(metric, row):
    if metric.no_outcome == "left_out":
        return False
    reads = [metric.column or metric.expression, metric.denominator]
    values = [_read(each, row) for each in reads if each]
    # Whether it is above zero cannot be told of what is not a number.
    asked = metric.kind in {"proportion", "count"}
    return any(value is None or (asked and math.isnan(value)) for value in values)


def _text(value):
    return None if value is None else str(value)


def _objects(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _mean(values):
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.nan


def _product(one, other):
    a, b = _mean(one), _mean(other)
    terms = [(x - a) * (y - b) for x, y in zip(one, other, strict=True)]
    return math.fsum(terms) if all(map(math.isfinite, terms)) else math.nan
