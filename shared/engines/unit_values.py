"""What an A/A test splits: an arm's units, or those of a table with their history, with a number in each column."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from shared.core.sql import file_literal, identifier, literal
from shared.engines import files
from shared.engines.answers import Described
from shared.engines.exact import extents
from shared.engines.layout import Layout
from shared.engines.protocol import PilotData, Question, value_of
from shared.engines.unit_table import UNITS, make_unit_table, unvalued
from shared.experiment.metrics import Metric
from shared.stats.moments import Array

_TABLE = "history"


@dataclass(frozen=True, slots=True)
class UnitTable:
    """The units as a table of DuckDB, in an order that follows from their content or from the file's."""

    connection: duckdb.DuckDBPyConnection
    gaps: Mapping[str, str]

    def described(self, columns: Sequence[str]) -> tuple[int, Mapping[str, Described]]:
        """How many units there are, and what is in each column."""
        names = list(map(identifier, columns))
        totals = (each.total(name) for each, name in zip(extents(self.connection, _TABLE, names), names, strict=True))
        asked = "".join(
            f", count({name}), {total} / nullif(count({name}), 0), min({name}), max({name})"
            for name, total in zip(names, totals, strict=True)
        )
        [(units, *found)] = self.connection.execute(f"SELECT count(*){asked} FROM {_TABLE}").fetchall()
        numbers: list[Any] = [math.nan if number is None else number for number in found]
        return units, {name: Described(*numbers[4 * at : 4 * at + 4]) for at, name in enumerate(columns)}

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[dict[str, Array]]:
        """The columns, so many rows at a time."""
        asked = self.connection.sql(f"SELECT {', '.join(map(identifier, columns))} FROM {_TABLE}")
        rest = np.empty((len(columns), 0))
        # Where Arrow's own batches end depends on the threads, and sums depend on where these do.
        for batch in asked.to_arrow_reader(rows):
            more = [batch.column(name).to_numpy(zero_copy_only=False) for name in columns]
            rest = np.concatenate([rest, np.array(more, dtype=float)], axis=1)
            while rest.shape[1] >= rows:
                yield dict(zip(columns, rest[:, :rows], strict=True))
                rest = rest[:, rows:]
        if rest.size:
            yield dict(zip(columns, rest, strict=True))


@contextmanager
def of_arm(data: PilotData, metrics: Mapping[str, Metric], arm: str) -> Iterator[UnitTable]:
    """The units of an arm; a column is named by `value_of` a metric, and by `per_of` a ratio."""
    with files.opened(data) as connection:
        make_unit_table(connection, Question(metrics))
        columns = Layout.of(Question(metrics)).values.items()
        of_it = f"FROM {UNITS} WHERE arm = {literal(arm)}"
        named = ", ".join(f"{column} AS {identifier(name)}" for name, column in columns)
        connection.execute(f"CREATE TEMP TABLE {_TABLE} AS SELECT {named} {of_it} ORDER BY ALL")
        gaps = {name: f"{n} outcomes have no value of it" for name, n in unvalued(connection, metrics).items() if n}
        silent = not files.number(connection, f"SELECT count(since) {of_it}")
        yield UnitTable(connection, dict.fromkeys(metrics, f"arm {arm} has no outcome at all") if silent else gaps)


@contextmanager
def of_history(table: Path, metrics: Mapping[str, Metric]) -> Iterator[UnitTable]:
    """The rows of a table, with each metric's value from its `history` there."""
    rows = f"read_parquet({file_literal(table)})"
    values = [f"{_from_history(metric, rows)} AS {identifier(value_of(name))}" for name, metric in metrics.items()]
    with files.connect() as connection:
        connection.execute(f"CREATE TEMP VIEW {_TABLE} AS SELECT {', '.join(values) or '1 AS nothing'} FROM {rows}")
        yield UnitTable(connection, {})


def _from_history(metric: Metric, rows: str) -> str:
    """A unit's value from its history: 0 or 1 of a proportion, and never above the cap."""
    column = identifier(str(metric.history))
    if metric.kind == "proportion":
        return f"CAST({column} > 0 AS DOUBLE)"
    value = f"CAST({column} AS DOUBLE)"
    if metric.cap is None and metric.cap_quantile is None:
        return value
    cap = repr(metric.cap)
    if metric.cap_quantile is not None:
        cap = f"(SELECT quantile_cont({value}, {metric.cap_quantile!r}) FROM {rows} WHERE {column} > 0)"
    # What is not a finite number stays as it is, to be found.
    return f"CASE WHEN isfinite({value}) AND {value} > {cap} THEN {cap} ELSE {value} END"
