"""Histories: units whom nobody treated, each with a value of every metric that is known of it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

from lab.analysis.analysis import latest
from lab.pilots.pilot import Pilot, get_pilot
from shared.core.digests import digest_file
from shared.core.errors import BadInput, Refused
from shared.data.contracts import Contract
from shared.data.snapshot import Snapshot
from shared.engines.answers import UnitValues
from shared.engines.duckdb import DuckDB
from shared.engines.protocol import PilotData
from shared.experiment.metrics import Catalogue, Metric
from shared.state.room import Room
from shared.trust.aa_certificate import AaSource
from shared.trust.candidate import DATA

# As evidence has it where no charter says otherwise.
ALPHA, HALF = 0.05, 0.5
# Kinds of which one column holds a unit's value.
PER_UNIT = {"proportion", "mean", "count"}


@dataclass(frozen=True, slots=True)
class History:
    """What is split.

    Attributes:
        metrics: those that were asked for.
        unknown: of these, why some cannot be split.
        alpha: the error rate that the test promises.
        treated_frac: the chance with which a unit is treated.
    """

    source: AaSource
    metrics: dict[str, Metric]
    unknown: dict[str, str]
    alpha: float = ALPHA
    treated_frac: float = HALF


def of_snapshot(snapshot: Snapshot, catalogue: Catalogue, table: str | None) -> History:
    """The rows of one table, with every metric whose `history` is a column there; its arms are equal.

    Raises Refused where there is none, BadInput where several tables have some and none is named.
    """
    wanted = {name: metric for name, metric in catalogue.metrics.items() if metric.history}
    numbers = {name: _numbers(snapshot.contract(name)) for name in ([table] if table else snapshot.manifest.tables)}
    having = [name for name, columns in numbers.items() if any(m.history in columns for m in wanted.values())]
    if not having:
        raise Refused(
            f"snapshot {snapshot.id} holds no history of any metric" + (f" in table `{table}`" if table else ""),
            where="configs/metrics.yaml",
            expected="a metric whose `history:` names a published column of numbers",
            remedy="name one, or certify the metrics of an analysed pilot: pilotplant lab aa PILOT",
        )
    if len(having) > 1:
        raise BadInput(
            "several tables of the snapshot hold a history of metrics",
            where="--table",
            expected="one of: " + ", ".join(having),
        )
    [chosen] = having
    metrics = {name: metric for name, metric in wanted.items() if metric.history in numbers[chosen]}
    source = AaSource(
        kind="snapshot",
        name=snapshot.id,
        table=chosen,
        columns={name: str(metric.history) for name, metric in metrics.items()},
        data={f"{chosen}.parquet": snapshot.manifest.tables[chosen].data},
    )
    return History(source, metrics, {name: why for name, m in metrics.items() if (why := _unsplittable(m, "snapshot"))})


def of_pilot(room: Room, name: str) -> History:
    """The control arm of a pilot's latest analysis, with every metric that it measures, and its weights.

    Where treatments differ in weight, the one furthest from the control's counts: the less alike the arms, the more a
    skewed metric asks of the test. Raises Refused where there is no analysis, or its data were changed.
    """
    pilot = get_pilot(room, name)
    data = _data(room, pilot)
    charter, metrics = pilot.charter, pilot.promise.metrics
    weights = charter.weights
    control = weights[charter.control.name]
    fracs = [float(weights[arm.name] / (control + weights[arm.name])) for arm in charter.treatments]
    unknown = {each: why for each, metric in metrics.items() if (why := _unsplittable(metric, "pilot"))}
    if charter.cluster:
        unknown |= dict.fromkeys(metrics, f"arms were drawn by {charter.cluster}, and units are split here")
    return History(
        AaSource(kind="pilot", name=name, data={path.name: digest_file(path) for path in data.files}),
        metrics,
        unknown,
        charter.sample.alpha,
        max(fracs, key=lambda frac: abs(frac - HALF)),
    )


def unit_values(room: Room, snapshot: Snapshot | None, history: History) -> AbstractContextManager[UnitValues]:
    """The units that are split, with the metrics that are known of them."""
    known = {name: metric for name, metric in history.metrics.items() if name not in history.unknown}
    if snapshot is not None:
        return DuckDB().history_values(snapshot.table(str(history.source.table)), known)
    pilot = get_pilot(room, history.source.name)
    return DuckDB().unit_values(_data(room, pilot), known, pilot.charter.control.name)


def _data(room: Room, pilot: Pilot) -> PilotData:
    analysis = latest(room, pilot)
    again = f"pilotplant lab analyse {pilot.name}"
    if analysis is None:
        raise Refused(f"pilot {pilot.name} has not been analysed", where=f"pilot {pilot.name}", remedy=again)
    data = PilotData.in_folder(analysis.folder / DATA)
    if {path.name: digest_file(path) for path in data.files} != analysis.evidence.data:
        raise Refused(
            f"the data of {pilot.name} were changed after they were analysed", where=str(analysis.folder), remedy=again
        )
    return data


def _numbers(contract: Contract) -> set[str]:
    return {c.name for c in contract.columns if c.classification == "public" and c.type in {"integer", "number"}}


def _unsplittable(metric: Metric, kind: str) -> str | None:
    if metric.kind == "quantile":
        return "a quantile is a rank within each arm: sums over the units of a split do not say it"
    if kind == "snapshot" and metric.kind not in PER_UNIT:
        return "a ratio needs two numbers of each unit, and its history is one; certify it by a pilot: lab aa PILOT"
    return None
