"""Cells from raw rows by numpy, as tests and proofs need them."""

from __future__ import annotations

import numpy as np

from shared.stats.moments import Cells, pair


def cells_of(columns, **keys):
    """One cell per combination of the keys' values, in their first order, from columns of one value per unit."""
    told = list(zip(*(np.asarray(values).tolist() for values in keys.values()), strict=True))
    found = list(dict.fromkeys(told))
    chosen = [np.array([key == each for key in told]) for each in found]
    parts = [
        drawn_cells({name: np.asarray(v, dtype=float)[rows][None] for name, v in columns.items()}) for rows in chosen
    ]
    cells = parts[0].joined(parts[1:])
    named = {name: np.array([key[at] for key in found], dtype=object) for at, name in enumerate(keys)}
    return Cells(named, cells.n, cells.means, cells.products, cells.least, cells.most)


def drawn_cells(columns):
    """One cell per row of matrices with a column per unit: simulated arms of one size."""
    rows, units = next(iter(columns.values())).shape
    with np.errstate(all="ignore"):
        means = {name: values.mean(axis=1) if units else np.zeros(rows) for name, values in columns.items()}
        apart = {name: values - means[name][:, None] for name, values in columns.items()}
        products = {
            pair(one, other): np.einsum("ij,ij->i", apart[one], apart[other])
            for at, one in enumerate(columns)
            for other in list(columns)[at:]
        }
    return Cells({}, np.full(rows, units, dtype=np.int64), means, products, {}, {})
