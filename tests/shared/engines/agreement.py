"""What it means that two engines agree: equal counts, and numbers that are the same but for rounding."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

SQUARES_OVERFLOW = 1e150
CELLS = ("arms", "days", "strata", "tenure")


def assert_agree(one, other):
    """Every field of two summaries."""
    for field in dataclasses.fields(one):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if field.name in CELLS:
            assert_cells_agree(mine, theirs, field.name)
        elif field.name == "segments":
            assert set(mine) == set(theirs)
            for name in mine:
                assert_cells_agree(mine[name], theirs[name], name)
        elif field.name == "quantiles":
            assert {arm: set(found) for arm, found in mine.items()} == {arm: set(f) for arm, f in theirs.items()}
            for arm, found in mine.items():
                for name, moments in found.items():
                    assert moments.model_dump() == pytest.approx(theirs[arm][name].model_dump(), nan_ok=True)
        elif field.name == "delays":
            assert {arm: dataclasses.astuple(d) for arm, d in mine.items()} == {
                arm: pytest.approx(dataclasses.astuple(d)) for arm, d in theirs.items()
            }
        elif field.name == "by_arm":
            assert_by_arm_agrees(mine, theirs)
        else:
            assert mine == theirs, field.name


def assert_by_arm_agrees(one, other):
    """Counts to the last, and sums of values but for rounding; a number that is none may be written otherwise."""
    assert (one is None) == (other is None)
    if one is None:
        return
    for field in dataclasses.fields(one):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if field.name == "unattributed_values":
            assert set(mine) == set(theirs)
            for name, pair in mine.items():
                assert pair == pytest.approx(theirs[name], rel=1e-9)
        elif field.name == "trimmed":
            assert set(mine) == set(theirs)
            for key, found in mine.items():
                told = dataclasses.astuple(theirs[key])
                if all(abs(number) < SQUARES_OVERFLOW for number in told):
                    assert dataclasses.astuple(found) == pytest.approx(told, rel=1e-9, abs=1e-6)
        else:
            assert mine == theirs, (field.name, mine, theirs)


def assert_cells_agree(one, other, what):
    assert (one is None) == (other is None), what
    if one is None:
        return
    assert {key: values.tolist() for key, values in one.keys.items()} == {
        key: values.tolist() for key, values in other.keys.items()
    }, what
    assert one.n.tolist() == other.n.tolist(), what
    assert (set(one.means), set(one.products)) == (set(other.means), set(other.products)), what
    for name, values in one.means.items():
        # A number that is nothing beside the others in its column is lost in a sum around a pivot.
        size = np.abs(other.means[name][np.isfinite(other.means[name])]).max(initial=0.0)
        assert_numbers_agree(values, other.means[name], size * 1e-6, (what, name))
    for (a, b), values in one.products.items():
        # A product near zero is what is left of large ones: their size is what rounding is measured by.
        with np.errstate(all="ignore"):
            size = np.sqrt(np.abs(other.product(a, a))) * np.sqrt(np.abs(other.product(b, b)))
            # What is left of a constant's mean, squared, is no variance.
            left = 1e-21 * other.n * np.abs(other.means[a]) * np.abs(other.means[b])
        size = np.where(np.isfinite(size + left), size + left, 0.0)
        # Squares of such numbers overflow in one way of computing them, and not in another.
        calm = ~(np.maximum(np.abs(other.means[a]), np.abs(other.means[b])) > SQUARES_OVERFLOW)
        assert_numbers_agree(values[calm], other.products[a, b][calm], size[calm], (what, a, b))
    for mine, theirs in ((one.least, other.least), (one.most, other.most)):
        assert set(mine) == set(theirs), what
        for name, values in mine.items():
            told = np.isfinite(other.means[name])  # where not, there is no least nor most to speak of
            assert_numbers_agree(values[told], theirs[name][told], 0.0, (what, name))


def assert_numbers_agree(mine, theirs, size, what, rel=1e-9):
    """Finite in the same places, and there as near as rounding lets them be."""
    finite = np.isfinite(theirs)
    assert (np.isfinite(mine) == finite).all(), (what, mine, theirs)
    room = rel * np.maximum(np.abs(theirs), size)
    assert (np.abs(mine - theirs) <= room)[finite].all(), (what, mine, theirs)
