"""Reading: a file of finished tests, as its mapping says, becomes one record for each test."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
from pydantic import ValidationError

from lab.insights.retrospective.finished import Contrast, Finished, Stats
from lab.insights.retrospective.mapping import Mapping, Numbers
from shared.core.digests import digest_file
from shared.core.errors import BadInput
from shared.core.sql import identifier
from shared.data.contracts import Column, ColumnType
from shared.data.readers import ROW, read_raw
from shared.data.tabular import connect
from shared.data.typed import value_sql
from shared.experiment.metrics import Metric
from shared.state.workspace import Workspace

# Of the names that tests get: small letters, digits and hyphens, as those of pilots.
NAME_MAX = 60
DAYS_PER_WEEK = 7
# What marks the last day beside the first one of the same column.
LAST = " (last)"
Row = dict[str, Any]


def read(workspace: Workspace, name: str, file: Path, mapping: Mapping, said_in: Path) -> list[Finished]:
    """The finished tests of a CSV or Parquet file; several are called by `name` and what their column says.

    Raises BadInput, with row or test, for what does not say what the mapping promises.
    """
    metrics = {each: measured.definition(each, workspace) for each, measured in mapping.metrics.items()}
    reader = _Reader(name, file, mapping, metrics, digest_file(said_in))
    with connect() as connection:
        columns = reader.load(connection)
        if mapping.rows == "units":
            rows, crossed = _summed(connection, mapping, metrics, columns)
        else:
            rows, crossed = _fetched(connection, columns), {}
    return reader.tests(rows, crossed)


@dataclass(frozen=True, slots=True)
class _Reader:
    name: str
    file: Path
    mapping: Mapping
    metrics: dict[str, Metric]
    mapped_by: str

    def load(self, connection: duckdb.DuckDBPyConnection) -> list[Column]:
        """Reads the file as relation `raw`; returns the columns that the mapping names, each by the file's own name."""
        named = dict(_columns(self.mapping))
        columns = [
            Column(name=f"import_{number}", type=kind, physical=called)
            for number, (called, kind) in enumerate(named.items())
        ]
        there = {*read_raw(connection, self.file, "raw", columns)}
        missing = [str(column.physical) for column in columns if column.name not in there]
        if missing:
            raise BadInput(
                f"the file has no column `{missing[0]}`, which its mapping names"
                + (f" ({len(missing)} such)" if len(missing) > 1 else ""),
                where=str(self.file),
                remedy="correct the mapping: columns are named as the file's first line names them",
            )
        for column in columns:
            self._require_typed(connection, column)
        return columns

    def _require_typed(self, connection: duckdb.DuckDBPyConnection, column: Column) -> None:
        if column.type == "string":
            return
        text = identifier(column.name)
        bad = connection.execute(
            f"SELECT {ROW}, {text} FROM raw WHERE trim({text}) != '' AND {value_sql(column)} IS NULL LIMIT 1"
        ).fetchone()
        if bad is not None:
            raise BadInput(
                f"`{bad[1]}` in column `{column.physical}` is not a {column.type}",
                where=f"{self.file}, row {bad[0]}",
                remedy="correct the row, or the column that the mapping names",
            )

    def tests(self, rows: Sequence[Row], crossed: dict[Any, int]) -> list[Finished]:
        """One record for each test, in the order of the file."""
        groups: dict[Any, list[Row]] = {}
        for row in rows:
            groups.setdefault(row.get(self.mapping.test) if self.mapping.test else None, []).append(row)
        return [self._test(source, own, crossed.get(source)) for source, own in groups.items()]

    def _test(self, source: Any, rows: list[Row], crossed: int | None) -> Finished:
        where = f"{self.file}" + ("" if source is None else f", test {source}")
        mapping = self.mapping
        rows = _latest(rows, mapping)
        paired = _pairs(rows, mapping, where) if mapping.rows == "contrasts" else _beside_control(rows, mapping, where)
        control, units, contrasts = paired
        weights = _weights(mapping, units, where)
        try:
            return Finished(
                name=self.name if source is None else called(self.name, str(source)),
                source=None if source is None else str(source),
                control=control,
                units=units,
                weights=weights,
                crossed=crossed if mapping.unit is not None else None,
                metrics=self.metrics,
                catalogued=tuple(each for each, said in mapping.metrics.items() if said.metric is not None),
                contrasts=contrasts,
                started=_day(mapping.started, rows, mapping, where),
                ended=_end(mapping, rows, where),
                population=mapping.population,
                channel=mapping.channel,
                belief=mapping.belief or _text(mapping.belief_column, rows),
                from_="csv",
                file=digest_file(self.file),
                mapping=self.mapped_by,
            )
        except ValidationError as error:
            raise BadInput(error.errors()[0]["msg"].removeprefix("Value error, "), where=where) from error


def called(prefix: str, source: str) -> str:
    """The name of one of several tests: small letters, digits and hyphens of what the source calls it."""
    plain = re.sub(r"[^a-z0-9]+", "-", source.lower()).strip("-")
    return f"{prefix}-{plain}"[:NAME_MAX].rstrip("-")


def stats(numbers: Numbers, metric: str, value: Callable[[str], Any], where: str) -> Stats:
    """A metric's numbers in one arm; raises BadInput for such as no data can have."""
    said = {name: value(column) for name, column in numbers.model_dump().items() if column is not None}
    units = said["units"]
    if units is None or not math.isfinite(units) or units < 0 or units != int(units):
        raise BadInput(f"`{units}` is no number of units", where=where, expected=f"a whole number in `{numbers.units}`")
    n = int(units)
    level = next(said[name] for name in ("count", "sum", "mean") if name in said)
    if level is None or not math.isfinite(level):
        raise BadInput(f"{metric} has no number", where=where, expected="one in each arm, or leave the row out")
    if "count" in said:
        if not 0 <= level <= n:
            raise BadInput(f"{level:g} of {n:,} units did it", where=where, expected="no more than there are")
        share = level / n if n else 0.0
        return _checked(n, share, n * share * (1 - share), metric, where)
    mean = level if "mean" in said else (level / n if n else 0.0)
    return _checked(n, mean, _spread(said, n, mean, metric, where), metric, where)


def _checked(n: int, mean: float, m2: float | None, metric: str, where: str) -> Stats:
    try:
        return Stats(n=n, mean=mean, m2=m2)
    except ValidationError as error:
        raise BadInput(
            f"the numbers of {metric} are too large to be computed with", where=where,
            remedy="look whether the mapping names the right columns",
        ) from error  # fmt: skip


def _spread(said: dict[str, Any], n: int, mean: float, metric: str, where: str) -> float | None:
    """The sum of squared deviations; None where it is not told."""
    for name in ("variance", "sd", "sum_squares"):
        value = said.get(name)
        if value is None or not math.isfinite(value):
            continue
        found = float(
            {"variance": value * (n - 1), "sd": value * abs(value) * (n - 1)}.get(name, value - n * mean * mean)
        )
        # What a sum of squares has lost to rounding is no spread below zero.
        if found < 0 and (name != "sum_squares" or abs(found) > 1e-9 * abs(value)):
            raise BadInput(
                f"the {name.replace('_', ' ')} of {metric} is {value:g}, which no values can have",
                where=where,
                remedy="look whether the mapping names the right column",
            )
        return max(found, 0.0) if n > 1 else None
    return None


def _columns(mapping: Mapping) -> Iterable[tuple[str, ColumnType]]:
    """Each column that the mapping names, with how it is read."""
    texts = [mapping.test, mapping.arm, mapping.unit, mapping.metric, mapping.belief_column]
    texts += [day for day in (mapping.started, mapping.ended) if isinstance(day, str)]
    yield from ((name, "string") for name in texts if name is not None)
    if mapping.latest_by is not None:
        yield mapping.latest_by, "number"
    for measured in mapping.metrics.values():
        if measured.column is not None:
            yield measured.column, "number"
        for numbers in (measured.arm, measured.treatment, measured.control):
            yield from ((name, "number") for name in (numbers.columns if numbers else ()))


def _fetched(connection: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> list[Row]:
    said = ", ".join(value_sql(column) for column in columns)
    found = connection.execute(f"SELECT {ROW}, {said} FROM raw ORDER BY {ROW}").fetchall()
    return [dict(zip([ROW, *(str(c.physical) for c in columns)], row, strict=True)) for row in found]


def _summed(
    connection: duckdb.DuckDBPyConnection, mapping: Mapping, metrics: dict[str, Metric], columns: Sequence[Column]
) -> tuple[list[Row], dict[Any, int]]:
    """Rows of units, summed up by test and arm: a unit's rows count together, and one in two arms is left out."""
    by = {str(column.physical): value_sql(column) for column in columns}
    test, arm = by[mapping.test] if mapping.test else "NULL", by[str(mapping.arm)]
    unit = by[mapping.unit] if mapping.unit else ROW
    for said, column in (("unit", mapping.unit), ("arm", mapping.arm)):
        if column is not None:
            _require_said(connection, by[column], said, column)
    values, done = [], []
    for number, (name, measured) in enumerate(mapping.metrics.items()):
        value = by[str(measured.column)]
        share = metrics[name].kind == "proportion"
        values.append(f"{f'CAST(bool_or({value} > 0) AS INT)' if share else f'sum({value})'} AS v{number}")
        done.append(f"avg(coalesce(v{number}, 0)), var_samp(coalesce(v{number}, 0))")
    # What is said of a test as a whole stands in each of its rows: it began on the first day, and ended on the last.
    whole = [(mapping.started, "min", ""), (mapping.ended, "max", LAST), (mapping.belief_column, "min", "")]
    extra = [(f"{name}{mark}", by[name], most) for name, most, mark in whole if isinstance(name, str)]
    said = "".join(f", {most}({value}) AS said_{n}" for n, (_, value, most) in enumerate(extra))
    connection.execute(
        f"CREATE TEMP TABLE per_unit AS SELECT {test} AS test, {unit} AS unit, min({arm}) AS arm, "
        f"count(DISTINCT {arm}) AS arms, min({ROW}) AS place, {', '.join(values)}{said} FROM raw "
        f"WHERE {arm} IS NOT NULL GROUP BY ALL"
    )
    crossed = dict(connection.execute("SELECT test, count(*) FROM per_unit WHERE arms > 1 GROUP BY test").fetchall())
    again = "".join(f", {most}(said_{n})" for n, (_, _, most) in enumerate(extra))
    found = connection.execute(
        f"SELECT test, arm, count(*), min(place), {', '.join(done)}{again} FROM per_unit WHERE arms = 1 "
        "GROUP BY test, arm ORDER BY min(place)"
    ).fetchall()
    rows = []
    for source, name, units, place, *numbers in found:
        row: Row = {ROW: place, str(mapping.arm): name, "units": units}
        if mapping.test:
            row[mapping.test] = source
        for number, metric in enumerate(mapping.metrics):
            row[f"{metric}.mean"], row[f"{metric}.variance"] = numbers[2 * number : 2 * number + 2]
        row |= dict(zip([key for key, *_ in extra], numbers[2 * len(metrics) :], strict=True))
        rows.append(row)
    return rows, {source: crossed.get(source, 0) for source, *_ in found}


def _require_said(connection: duckdb.DuckDBPyConnection, value: str, what: str, column: str) -> None:
    """Raises BadInput for a row that names no unit, or no arm: rows without one are not all of one."""
    blank = connection.execute(f"SELECT {ROW} FROM raw WHERE coalesce(trim({value}), '') = '' LIMIT 1").fetchone()
    if blank is not None:
        raise BadInput(
            f"a row names no {what}", where=f"column `{column}`, row {blank[0]}", remedy="complete it, or take it out"
        )


def _latest(rows: list[Row], mapping: Mapping) -> list[Row]:
    """Of several rows for one arm and metric the latest; all of them where nothing tells which that is."""
    if mapping.latest_by is None:
        return rows
    found: dict[Any, Row] = {}
    for row in rows:
        key = (row.get(mapping.arm) if mapping.arm else row[ROW], row.get(mapping.metric) if mapping.metric else None)
        if key not in found or (row[mapping.latest_by] or 0) >= (found[key][mapping.latest_by] or 0):
            found[key] = row
    return list(found.values())


def _of_row(mapping: Mapping, row: Row) -> list[str]:
    """The metrics that a row holds."""
    if mapping.metric is None:
        return [*mapping.metrics]
    said = str(row[mapping.metric])
    return [said] if said in mapping.metrics else []


def _pairs(rows: list[Row], mapping: Mapping, where: str) -> tuple[str, dict[str, int], tuple[Contrast, ...]]:
    """Treatments that stand beside their control in one row each."""
    contrasts, units, order = [], {}, list(mapping.metrics)
    control = "control" if mapping.control == "first" else mapping.control
    units[control] = 0
    for row in rows:
        for name in _of_row(mapping, row):
            measured, arm = mapping.metrics[name], str(row[str(mapping.arm)])
            if measured.treatment is None or measured.control is None:
                continue
            place = f"{where}, row {row[ROW]}"
            treated, beside = (
                stats(numbers, name, row.get, place) for numbers in (measured.treatment, measured.control)
            )
            contrasts.append(Contrast(arm=arm, metric=name, treated=treated, control=beside))
            units[control] = max(units[control], beside.n)
            units[arm] = max(units.get(arm, 0), treated.n)
    contrasts.sort(key=lambda each: order.index(each.metric))
    return control, units, _each_once(contrasts, where)


def _beside_control(rows: list[Row], mapping: Mapping, where: str) -> tuple[str, dict[str, int], tuple[Contrast, ...]]:
    """Arms with a row each, or one for each metric: every other one beside the control."""
    arms: dict[str, dict[str, Stats]] = {}
    for number, row in enumerate(rows, start=1):
        arm = str(row[mapping.arm]) if mapping.arm else str(number)
        for name in _of_row(mapping, row):
            place = f"{where}, row {row[ROW]}"
            if name in arms.setdefault(arm, {}):
                raise BadInput(
                    f"arm `{arm}` has {name} twice",
                    where=place,
                    remedy="say which row counts with `latest_by` in the mapping, or take one of them out",
                )
            arms[arm][name] = _arm_stats(mapping, name, row, place)
    control = next(iter(arms), "") if mapping.control == "first" else mapping.control
    if control not in arms:
        raise BadInput(
            f"there is no arm `{control}`, which the mapping calls the control",
            where=where,
            expected="one of: " + ", ".join(arms),
        )
    units = {arm: max(each.n for each in found.values()) for arm, found in arms.items() if found}
    ordered = {control: units[control], **{arm: n for arm, n in units.items() if arm != control}}
    contrasts = [
        Contrast(arm=arm, metric=name, treated=arms[arm][name], control=arms[control][name])
        for name in mapping.metrics
        for arm in ordered
        if arm != control and name in arms[arm] and name in arms[control]
    ]
    return control, ordered, tuple(contrasts)


def _arm_stats(mapping: Mapping, name: str, row: Row, place: str) -> Stats:
    measured = mapping.metrics[name]
    if measured.arm is not None:
        return stats(measured.arm, name, row.get, place)
    said = Numbers(units="units", mean=f"{name}.mean", variance=f"{name}.variance")
    return stats(said, name, row.get, place)


def _each_once(contrasts: list[Contrast], where: str) -> tuple[Contrast, ...]:
    seen = Counter((each.arm, each.metric) for each in contrasts)
    twice = next((pair for pair, count in seen.items() if count > 1), None)
    if twice is not None:
        raise BadInput(
            f"arm `{twice[0]}` has {twice[1]} twice",
            where=where,
            remedy="say which row counts with `latest_by` in the mapping, or take one of them out",
        )
    return tuple(contrasts)


def _weights(mapping: Mapping, units: dict[str, int], where: str) -> dict[str, float] | None:
    if mapping.weights == "unknown":
        return None
    if mapping.weights == "equal":
        return {arm: 1 / len(units) for arm in units}
    strangers = [arm for arm in units if arm not in mapping.weights]
    if strangers or not all(0 < weight < math.inf for weight in mapping.weights.values()):
        raise BadInput(
            f"`weights` does not say how large arm `{strangers[0]}` was meant to be" if strangers
            else "`weights` are above zero",
            where=where,
        )  # fmt: skip
    whole = sum(mapping.weights[arm] for arm in units)
    return {arm: mapping.weights[arm] / whole for arm in units}


def _day(said: date | str | None, rows: list[Row], mapping: Mapping, where: str, *, last: bool = False) -> date | None:
    """A day of a test: as it was said, or the first that its column holds, or the last."""
    if not isinstance(said, str):
        return said
    key = f"{said}{LAST}" if last and rows and f"{said}{LAST}" in rows[0] else said
    told = sorted({str(row[key]).strip() for row in rows if row.get(key) not in {None, ""}})
    if not told:
        return None
    text = told[-1] if last else told[0]
    try:
        if mapping.dates == "iso_week":
            digits = re.sub(r"\D", "", text)
            return date.fromisocalendar(int(digits[:4]), int(digits[4:]), 1)
        return date.fromisoformat(text[:10])
    except ValueError as error:
        raise BadInput(
            f"`{text}` in column `{said}` is no day",
            where=where,
            expected="like 2026-01-05; or `dates: iso_week` in the mapping, for weeks like 202602",
        ) from error


def _end(mapping: Mapping, rows: list[Row], where: str) -> date | None:
    """When a test ended; one whose week alone is known ended with it."""
    found = _day(mapping.ended, rows, mapping, where, last=True)
    if found is None or not isinstance(mapping.ended, str):
        return found
    return found + timedelta(days=DAYS_PER_WEEK) if mapping.dates == "iso_week" else found


def _text(column: str | None, rows: list[Row]) -> str | None:
    """What a column says of a test, where it says anything."""
    return next((str(row[column]).strip() for row in rows if column is not None and row.get(column)), None)
