"""What was known of a pilot's units before it, as numbers: one row for each unit or cluster that was drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shared.core.errors import BadInput
from shared.core.sql import identifier
from shared.engines.answers import PrePeriod
from shared.engines.files import opened
from shared.engines.protocol import PilotData

Array = NDArray[np.float64]


def pre_period(
    data: PilotData, arms: Sequence[str], told: Sequence[str], cluster: str | None, *, units_per_column: int
) -> PrePeriod:
    """The sealed columns of the exposed units, without those in two arms; `told` are asked in this order.

    Numbers are taken as they are, a gap as the mean and a column of its own. Of texts each level is a column; levels of
    fewer than `units_per_column` units are one together. Raises BadInput where a column is not sealed, a unit is in it
    twice, or in an arm that was not planned.
    """
    with opened(data) as connection:
        table = _table(connection, data, told, cluster)
    number_of = dict(zip(arms, range(len(arms)), strict=True))
    coded = [number_of.get(arm, -1) for arm in table.column("arm").to_pylist()]
    if -1 in coded:
        raise BadInput("units are in an arm that was not planned", remedy="find out who wrote them, and run again")
    groups = _groups(table, cluster)
    of_group, first = _first_of(groups)
    room, kept, left_out, constant = len(first) // units_per_column, [], [], []
    for name in told:
        found = list(_numbers(name, table.column(name), units_per_column))
        if not found:
            constant.append(name)
        elif len(found) > room:
            left_out.append(name)
        else:
            kept += found
            room -= len(found)
    columns = (
        np.stack([_summed(values, of_group, len(first)) for _, values in kept], axis=1) if kept else _nothing(first)
    )
    labels = tuple(label for label, _ in kept)
    # A cluster's sums may be alike where its units are not.
    varies = np.ptp(columns, axis=0) > 0 if len(first) else np.zeros(columns.shape[1], dtype=bool)
    return PrePeriod(
        arms=np.array(coded, dtype=np.int8)[first],
        columns=columns[:, varies],
        labels=tuple(label for label, does in zip(labels, varies, strict=True) if does),
        left_out=tuple(left_out),
        constant=tuple(constant),
    )


def _table(
    connection: duckdb.DuckDBPyConnection, data: PilotData, told: Sequence[str], cluster: str | None
) -> pa.Table:
    if data.pre_period is None:
        raise BadInput("what was known of the units before the pilot is not sealed", remedy="submit the pilot again")
    held = {row[0] for row in connection.execute("DESCRIBE pre_period").fetchall()}
    if missing := [name for name in ("unit", *told) if name not in held]:
        raise BadInput(
            f"what was known of the units before the pilot lacks {', '.join(missing)}, which the population publishes",
            remedy="submit the pilot again",
        )
    if connection.execute("SELECT unit FROM pre_period GROUP BY unit HAVING count(*) > 1 LIMIT 1").fetchall():
        raise BadInput("a unit is more than once in what was known before the pilot", remedy="submit the pilot again")
    said = "".join(f", p.{identifier(name)}" for name in told)
    together, joined = "", ""
    if cluster is not None:
        if data.traits is None:
            raise BadInput("the clusters that the arms were drawn by are not sealed", remedy="submit the pilot again")
        together = ", t.cluster AS _cluster"
        joined = (
            f" LEFT JOIN (SELECT unit, min(CAST({identifier(cluster)} AS VARCHAR)) AS cluster FROM traits "
            "GROUP BY unit) t USING (unit)"
        )
    return connection.sql(
        f"SELECT e.unit, e.arm{together}{said} FROM (SELECT unit, any_value(arm) AS arm FROM exposures "
        f"GROUP BY unit HAVING min(arm) = max(arm)) e LEFT JOIN pre_period p USING (unit){joined} ORDER BY e.unit"
    ).to_arrow_table()


def _groups(table: pa.Table, cluster: str | None) -> pa.ChunkedArray:
    """What was drawn: units, or clusters. One that is seen in two arms is two here, and `units_assigned` names it."""
    if cluster is None:
        return table.column("unit")
    return pc.binary_join_element_wise(table.column("arm"), table.column("_cluster").fill_null(""), "\x1f")


def _first_of(groups: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The number of each row's group, and where each group is first."""
    codes = np.asarray(groups.combine_chunks().dictionary_encode().indices, dtype=np.int64)
    return codes, np.unique(codes, return_index=True)[1]


def _numbers(name: str, values: pa.ChunkedArray, units_min: int) -> Iterator[tuple[str, Array]]:
    """A column as columns of numbers, none of them constant, each with what it says."""
    kind = values.type
    if pa.types.is_temporal(kind):
        values = values.cast(pa.timestamp("us")).cast(pa.int64())
    if pa.types.is_temporal(kind) or pa.types.is_boolean(kind) or _is_number(kind):
        yield from _of_numbers(name, np.asarray(values.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64))
    else:
        yield from _of_levels(name, values.cast(pa.string()).combine_chunks(), units_min)


def _of_numbers(name: str, values: Array) -> Iterator[tuple[str, Array]]:
    known = np.isfinite(values)
    if known.any() and np.ptp(values[known]) > 0:
        yield name, np.where(known, values, values[known].mean())
    if known.any() and not known.all():
        yield f"{name} missing", (~known).astype(np.float64)


def _of_levels(name: str, values: Any, units_min: int) -> Iterator[tuple[str, Array]]:
    coded = values.dictionary_encode(null_encoding="encode")
    codes = np.asarray(coded.indices, dtype=np.int64)
    counts = np.bincount(codes, minlength=len(coded.dictionary))
    common = [(level, text) for level, text in enumerate(coded.dictionary.to_pylist()) if counts[level] >= units_min]
    common.sort(key=lambda pair: (-counts[pair[0]], str(pair[1])))
    rare = ~np.isin(codes, [level for level, _ in common])
    found = [(f"{name} missing" if text is None else f"{name} {text}", codes == level) for level, text in common]
    found += [(f"{name}, rarer ones", rare)] if rare.any() else []
    if len(found) < 2:  # noqa: PLR2004 - one level is the same for everybody
        return
    # Of two levels one says all of the other.
    for label, which in found[1:] if len(found) == 2 else found:  # noqa: PLR2004
        yield label, which.astype(np.float64)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _summed(values: Array, of_group: NDArray[np.int64], groups: int) -> Array:
    return np.asarray(np.bincount(of_group, weights=values - values.mean(), minlength=groups), dtype=np.float64)


def _nothing(first: NDArray[np.int64]) -> Array:
    return np.zeros((len(first), 0))
