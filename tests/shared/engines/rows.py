"""A pilot's sealed files from plain rows."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq

from shared.engines.protocol import PilotData

AT = pa.timestamp("us", tz="UTC")
SCHEMAS = {
    "exposures": [("unit", pa.string()), ("arm", pa.string()), ("at", AT)],
    "outcomes": [("unit", pa.string()), ("at", AT), ("visit", pa.int64()), ("spend", pa.float64())],
    "conflicts": [("unit", pa.string()), ("reason", pa.string())],
}
HELD = [(name, pa.string()) for name in ("kind", "arm", "assigned", "at", "said")]


def moment(text):
    """A moment from `2026-01-05 09:00`, UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def write_rows(folder, exposures=(), outcomes=(), conflicts=(), traits=None):
    """The files of rows: exposures (unit, arm, at), outcomes (unit, at, visit, spend), conflicts (unit, reason).

    Moments are texts; traits are a dict per unit, by its id. Where a conflict goes on (kind, arm, assigned, at, said),
    all of them do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("exposures", exposures), ("outcomes", outcomes), ("conflicts", conflicts)):
        columns = {"event_id": [f"{name}-{n}" for n in range(len(rows))]}
        told = any(len(row) > len(SCHEMAS[name]) for row in rows)
        for at, (column, kind) in enumerate([*SCHEMAS[name], *(HELD if told else [])]):
            values = [moment(row[at]) if kind == AT else row[at] for row in rows]
            columns[column] = pa.array(values, kind)
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    if traits is not None:
        named = list(dict.fromkeys(name for known in traits.values() for name in known))
        columns = {name: [known.get(name) for known in traits.values()] for name in named}
        pq.write_table(pa.table({"unit": list(traits), **columns}), folder / "traits.parquet")
    return PilotData.in_folder(folder)
