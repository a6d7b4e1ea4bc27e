"""Makers of what an engine says, from rows: every number by numpy's own functions, unit by unit."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np

from shared.engines.protocol import Delay, Summary
from shared.stats.moments import Cells, pair


def cells_of(columns, **keys):
    """Cells of rows: `columns` are arrays of values by name, `keys` the rows' values of each key."""
    rows = list(zip(*(np.asarray(values, dtype=object) for values in keys.values()), strict=True))
    groups = list(dict.fromkeys(rows))
    chosen = [np.array([row == group for row in rows]) for group in groups]
    values = {name: [np.asarray(column, dtype=float)[mask] for mask in chosen] for name, column in columns.items()}
    return Cells(
        keys={name: np.array([group[at] for group in groups], dtype=object) for at, name in enumerate(keys)},
        n=np.array([mask.sum() for mask in chosen]),
        means={name: np.array([part.mean() for part in parts]) for name, parts in values.items()},
        products={
            pair(one, other): np.array(
                [((x - x.mean()) * (y - y.mean())).sum() for x, y in zip(values[one], values[other], strict=True)]
            )
            for one, other in combinations_with_replacement(sorted(values), 2)
        },
        least={name: np.array([part.min() for part in parts]) for name, parts in values.items()},
        most={name: np.array([part.max() for part in parts]) for name, parts in values.items()},
    )


def summary_of(arm, columns, *, tenure=None, segments=None, days=None, **said):
    """A summary of units: `arm` is each unit's arm, `columns` its quantities, `days` the day it was exposed on."""
    arm = np.asarray(arm, dtype=object)
    days = np.asarray(["2026-01-05"] * len(arm) if days is None else days, dtype=object)
    units = {name: int((arm == name).sum()) for name in dict.fromkeys(arm)}
    whole = {
        "arms": cells_of(columns, arm=arm),
        "days": cells_of(columns, arm=arm, day=days),
        "segments": {name: cells_of(columns, arm=arm, level=levels) for name, levels in (segments or {}).items()},
        "strata": None,
        "tenure": cells_of(tenure[1], arm=tenure[0]) if tenure else None,
        "quantiles": {},
        "units": units,
        "segment_units": {name: _counted(arm, levels) for name, levels in (segments or {}).items()},
        "day_units": _counted(arm, days),
        "reporting": units,
        "unvalued": {},
        "untraited": {},
        "delays": {name: Delay(n, 3600.0) for name, n in units.items()},
        "outcome_days": {f"2026-01-{day:02}": 50 for day in range(5, 19)},
        "multiple_units": 0,
        "conflicts": {},
        "exposures": len(arm),
        "outcomes": len(arm),
        "first_exposure": "2026-01-05T09:00:00Z",
        "last_exposure": "2026-01-17T09:00:00Z",
    }
    return Summary(**{**whole, **said})


def _counted(arm, groups):
    found = {}
    for key in zip(arm, groups, strict=True):
        found[key] = found.get(key, 0) + 1
    return found
