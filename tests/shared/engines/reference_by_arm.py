"""What the reference engine says by arm: over rows, one at a time, in the words of `ByArm` and `Scope`."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections import Counter, defaultdict

from shared.core.clock import rfc3339
from shared.engines.attribution import CROSSED, NO_PART, SEEN_TWICE
from shared.engines.by_arm import ANY, TOGETHER, ByArm, Spread, Trimmed
from shared.engines.protocol import EARLY

DAY_S = 86_400


class Held:
    """A row that was held back."""

    def __init__(self, row, scope):
        crossed = row["reason"] in CROSSED
        self.kind = row.get("kind") or ("exposures" if crossed else "outcomes")
        self.unit, self.reason = row["unit"], row["reason"]
        self.assigned, arm = row.get("assigned"), row.get("arm")
        self.said = self.assigned or (arm if arm in scope.arms else None)
        at = row.get("at")
        self.at = dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC) if at else None
        self.believed = self.at if self.at and self.at >= scope.starts else None
        self.values = json.loads(row["said"]) if row.get("said") else {}
        self.what = SEEN_TWICE if crossed else f"{self.kind}: {self.reason}"


class Attribution:
    """Of a pilot's rows: who was assigned which arm, and what was lost."""

    def __init__(self, pilot):
        self.pilot, self.scope, cluster = pilot, pilot.question.scope, pilot.question.cluster
        held = [Held(row, self.scope) for row in pilot.conflicts if row["reason"] not in NO_PART]
        early = self.scope.ends < self.scope.closes
        self.held = [row for row in held if not (early and row.at and row.at >= self.scope.ends)]
        home = {unit: traits.get(cluster) for unit, traits in pilot.traits.items()} if cluster else {}
        placed, first = defaultdict(list), defaultdict(list)
        self.entity_of, believed = {}, defaultdict(list)
        rows = [(row["unit"], row["arm"], row["at"], row["at"], 0) for row in pilot.exposures]
        rows += [
            (row.unit, row.assigned if self.scope.drawn else row.said, row.at, row.believed, 1)
            for row in self.held
            if row.kind == "exposures" and row.unit is not None
        ]
        for unit, arm, at, when, rank in rows:
            entity = (str(home[unit]) if home.get(unit) is not None else None) if cluster else unit
            if entity is None:
                continue
            placed[unit] = entity
            first[entity] += [(rank, at or dt.datetime.max.replace(tzinfo=dt.UTC), arm)] if arm else []
            believed[unit] += [when] if when else []
        arms = {entity: min(found)[2] for entity, found in first.items() if found}
        self.entity_of = {unit: entity for unit, entity in placed.items() if entity in arms}
        self.arm_of = {unit: arms[entity] for unit, entity in self.entity_of.items()}
        self.first_of = {unit: min(believed[unit], default=self.scope.starts) for unit in self.entity_of}

    def outcomes(self, unit):
        """Every outcome of a unit since its first exposure, with those held back, as `(at, row, whether held)`."""
        first = self.first_of[unit]
        found = [(row["at"], row, False) for row in self.pilot.outcomes if row["unit"] == unit]
        found += [
            (row.believed or first, self.row(row), True)
            for row in self.held
            if row.unit == unit and row.kind == "outcomes" and (row.reason != EARLY or row.at)
        ]
        return [(at, row, held) for at, row, held in found if at >= first]

    def row(self, held):
        """The values of a row that was held back, none beyond those that were accepted."""
        read = {}
        for name, kind in self.pilot.numeric.items():
            value = _typed(held.values.get(name), kind)
            accepted = [r[name] for r in self.pilot.outcomes if r[name] is not None]
            if value is not None and accepted and not any(map(math.isnan, accepted)):
                value = min(max(value, min(accepted)), max(accepted))
            read[name] = value
        return read

    def lost(self):
        """What happened, to whom, in which arm; `None` for an arm that cannot be told."""
        for n, row in enumerate(self.held):
            known = row.unit in self.entity_of
            if row.reason == EARLY:
                if known:
                    yield EARLY, self.entity_of[row.unit], row.unit, self.arm_of[row.unit]
            elif known:
                yield row.what, self.entity_of[row.unit], row.unit, self.arm_of[row.unit]
            elif row.unit is None:
                yield row.what, n, None, row.said
            elif row.kind != "outcomes":
                yield row.what, n, None, None
        for unit in self.entity_of:
            if unit in self.pilot.left_out:
                yield SEEN_TWICE, self.entity_of[unit], unit, self.arm_of[unit]
            if any(row["unit"] == unit and row["at"] < self.first_of[unit] for row in self.pilot.outcomes):
                yield EARLY, self.entity_of[unit], unit, self.arm_of[unit]

    def by_arm(self):
        pilot, scope, lost = self.pilot, self.scope, list(self.lost())
        counted, nobodys = defaultdict(lambda: defaultdict(set)), Counter()
        for what, entity, _, arm in lost:
            if arm is None:
                nobodys[what] += 1
                continue
            counted[what][arm].add(entity)
            if what != EARLY:
                counted[TOGETHER][arm].add(entity)
        last = {arm: max((row["at"] for u in pilot.units if u.arm == arm for row in u.outcomes), default=None)
                for arm in {u.arm for u in pilot.units}}  # fmt: skip
        last = {arm: at for arm, at in last.items() if at}
        first = self._first()
        return ByArm(
            assigned=self._distinct((self.arm_of[u], self.entity_of[u]) for u in self.entity_of),
            answering=self._distinct(
                (self.arm_of[u], self.entity_of[u])
                for u in self.entity_of
                if any(not (held and row is None) for _, row, held in self._answers(u))
            ),
            lost={what: {arm: len(who) for arm, who in found.items()} for what, found in counted.items()},
            unattributed=dict(nobodys),
            unattributed_values=self._nobodys(),
            unread=(unread := self._unread() if TOGETHER in counted else {}),
            ranges=self._ranges(unread),
            streams=self._streams(),
            last={arm: rfc3339(at) for arm, at in last.items()},
            after={
                arm: len({self._entity(u) for u in pilot.units if u.arm != arm
                          and any(row["at"] > at for row in u.outcomes)})
                for arm, at in last.items()
            },
            follow_up={
                (window, arm): _spread([self._left(at, window) for at in ats])
                for window in scope.windows
                for arm, ats in first.items()
            },
            times=self._times(first),
            cut_short={
                (window, arm): sum(at + dt.timedelta(days=window) > self._ends() for at in ats)
                for window in scope.windows
                if window
                for arm, ats in first.items()
            },
            exposures=dict(Counter(u.arm for u in pilot.units for row in pilot.exposures if row["unit"] == u.id)),
            trimmed=self._trimmed(lost) if TOGETHER in counted and not pilot.question.cluster else {},
        )  # fmt: skip

    def _answers(self, unit):
        held = [(None, {}, True) for row in self.held
                if row.unit == unit and row.kind == "outcomes" and row.reason != EARLY]  # fmt: skip
        return held + [each for each in self.outcomes(unit) if not each[2]]

    def _distinct(self, pairs):
        return dict(Counter(arm for arm, _ in set(pairs)))

    def _entity(self, unit):
        cluster = self.pilot.question.cluster
        home = unit.traits.get(cluster) if cluster else None
        return unit.id if home is None else str(home)

    def _nobodys(self):
        rows = [self.row(row) for row in self.held
                if row.kind == "outcomes" and row.unit is None and row.said is None]  # fmt: skip
        found = {}
        for name, metric in self.pilot.question.metrics.items():
            if metric.kind not in {"proportion", "mean", "count"} or metric.divided:
                continue
            values = [self.pilot.read(metric, row) for row in rows]
            told = [1.0 if metric.value is None else v for v in values]
            told = [v for v in told if v is not None and not (metric.kind != "mean" and math.isnan(v))]
            if metric.kind == "mean":
                found[name] = float(sum(v for v in told if v > 0)), float(sum(v for v in told if v < 0))
            else:
                found[name] = float(sum(v > 0 for v in told)), 0.0
        return found

    def _unread(self):
        rows = [row for row in self.held if row.kind == "outcomes" and row.reason != EARLY and row.unit in self.arm_of]
        found = {}
        for metric_name, metric in self.pilot.question.metrics.items():
            read = {name.casefold() for part in metric.reads for name in part.columns}
            gaps = [row for row in rows if any(self.row(row)[n] is None for n in self.pilot.numeric if n in read)]
            found[metric_name] = dict(Counter(self.arm_of[row.unit] for row in gaps))
        return {name: arms for name, arms in found.items() if arms}

    def _ranges(self, unread):
        found = {}
        for name in unread:
            metric = self.pilot.question.metrics[name]
            if metric.kind not in {"proportion", "mean", "count"} or metric.divided or metric.value is None:
                continue
            read = [self.pilot.read(metric, row) for row in self.pilot.outcomes]
            values = [v for v in read if v is not None and math.isfinite(v)]
            added = values if metric.kind == "mean" else [float(v > 0) for v in values]
            if added:
                found[name] = min(added), max(added)
        return found

    def _streams(self):
        pilot, found = self.pilot, {ANY: defaultdict(set)}
        for name in self.scope.streams:
            found[name] = defaultdict(set)
        for unit in pilot.units:
            for row in unit.outcomes:
                key = unit.arm, str(pilot.day(row["at"]))
                found[ANY][key].add(self._entity(unit))
                for name in self.scope.streams:
                    metric = pilot.question.metrics[name]
                    value = 1.0 if metric.value is None else pilot.read(metric, row)
                    unsure = metric.kind in {"proportion", "count"} and value is not None and math.isnan(value)
                    if value is not None and not unsure and value != 0:
                        found[name][key].add(self._entity(unit))
        return {name: {key: len(who) for key, who in days.items()} for name, days in found.items()}

    def _first(self):
        units, cluster = self.pilot.units, self.pilot.question.cluster
        firsts = {}
        for unit in units:
            if cluster and unit.traits.get(cluster) is None:
                continue
            key = unit.arm, self._entity(unit)
            firsts[key] = min(unit.first, firsts.get(key, unit.first))
        found = defaultdict(list)
        for (arm, _), at in firsts.items():
            found[arm].append(at)
        return found

    def _ends(self):
        """When watching ended: in the midst of a pilot with its last row that counted."""
        if self.scope.ends >= self.scope.closes:
            return self.scope.ends
        ats = [at for found in self._first().values() for at in found]
        ats += [row["at"] for unit in self.pilot.units for row in unit.outcomes]
        return min(self.scope.ends, max(ats, default=self.scope.ends))

    def _left(self, at, window):
        left = max((self._ends() - at) // dt.timedelta(seconds=1), 0)
        return left if window is None else min(left, window * DAY_S)

    def _times(self, first):
        found = defaultdict(list)
        for arm, ats in first.items():
            for at in ats:
                local = at.astimezone(self.pilot.zone).replace(tzinfo=None)
                found[arm, str(local.date())].append(
                    (local - dt.datetime.combine(local.date(), dt.time())) // dt.timedelta(seconds=1)
                )
        return {key: _spread(values) for key, values in found.items()}

    def _trimmed(self, lost):
        gone = {unit for what, _, unit, _ in lost if what.startswith("outcomes: ")}
        pilot, control = self.pilot, self.scope.arms[0]
        kept = {arm: [u for u in pilot.units if u.arm == arm and u.id not in gone] for arm in self.scope.arms}
        assigned, found = self._distinct((self.arm_of[u], u) for u in self.entity_of), {}
        for arm in self.scope.arms[1:]:
            if not kept[arm] or not kept[control]:
                continue
            shares = {each: len(kept[each]) / assigned[each] for each in (arm, control)}
            for name in self.scope.streams:
                metric = pilot.question.metrics[name]
                if metric.kind not in {"proportion", "mean", "count"} or metric.divided:
                    continue
                ends = {}
                for each, other in ((arm, control), (control, arm)):
                    frac = max(0.0, 1 - shares[other] / shares[each])
                    values = sorted(u.numbers[f"value:{name}"] for u in kept[each])
                    ends[each] = _cut(values[::-1], frac), _cut(values, frac)
                frac = max(0.0, *(1 - shares[b] / shares[a] for a, b in ((arm, control), (control, arm))))
                found[arm, name] = Trimmed(frac, ends[arm][0] - ends[control][1], ends[arm][1] - ends[control][0])
        return found


def _cut(values, frac):
    """The mean of what is left when a share of the weight is taken away from the front."""
    weights, gone = [], frac * len(values)
    for _ in values:
        weights.append(1 - min(1.0, max(0.0, gone)))
        gone -= 1
    return math.fsum(w * v for w, v in zip(weights, values, strict=True)) / math.fsum(weights)


def _spread(values):
    return Spread(len(values), sum(values), sum(v * v for v in values))


def _typed(text, kind):
    try:
        return None if text is None else kind(text)
    except ValueError:
        return None
