"""The draw of a pilot: who takes part, and in which arm; the same answers one at a time and as SQL over millions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from shared.assignment import (
    assign,
    assign_sql,
    layer_salt,
    pilot_salt,
    within,
    within_sql,
    workspace_holdout_salt,
)
from shared.charter import Layer, Promise

HELD_OUT = "of the workspace's holdout"
OUTSIDE_SLICE = "outside the pilot's slice of its layer"


@dataclass(frozen=True, slots=True)
class Draw:
    """All that decides what becomes of a unit in a pilot, as frozen in its promise.

    Attributes:
        salt, weights: what draws the arms, in the charter's order.
        layer: the slice that the pilot takes its units from; None for all of them.
        workspace: the workspace's id, which draws its holdout.
        holdout: the share of all units that no pilot of the workspace touches.
    """

    salt: str
    weights: Mapping[str, Fraction]
    layer: Layer | None
    workspace: str
    holdout: Fraction

    @classmethod
    def of(cls, promise: Promise, workspace: str) -> Draw:
        """The draw that a promise made in the workspace of that id."""
        charter = promise.charter
        return cls(pilot_salt(charter.pilot), charter.weights, charter.layer, workspace, Fraction(promise.holdout_frac))

    @property
    def frac(self) -> Fraction:
        """The share of all units that takes part: slices and holdouts are drawn independently of each other."""
        return (1 - self.holdout) * (self.layer.frac if self.layer else 1)

    def against(self, unit: str) -> str | None:
        """Why the unit takes no part; None where it does."""
        if within(workspace_holdout_salt(self.workspace), unit, Fraction(0), self.holdout):
            return HELD_OUT
        layer = self.layer
        if layer and not within(layer_salt(layer.name), unit, Fraction(layer.start), Fraction(layer.end)):
            return OUTSIDE_SLICE
        return None

    def arm(self, unit: str) -> str | None:
        """The unit's arm; None where it takes no part."""
        return None if self.against(unit) else assign(self.salt, unit, self.weights)

    def hindrances_sql(self, unit: str) -> dict[str, str]:
        """Each reason of `against` with the DuckDB condition under which it holds, in the order they are asked."""
        found = {}
        if self.holdout:
            found[HELD_OUT] = within_sql(workspace_holdout_salt(self.workspace), unit, Fraction(0), self.holdout)
        if self.layer:
            start, end = Fraction(self.layer.start), Fraction(self.layer.end)
            found[OUTSIDE_SLICE] = f"NOT {within_sql(layer_salt(self.layer.name), unit, start, end)}"
        return found

    def takes_part_sql(self, unit: str) -> str:
        """The DuckDB condition under which the unit takes part."""
        return " AND ".join(f"NOT ({condition})" for condition in self.hindrances_sql(unit).values()) or "true"

    def drawn_sql(self, unit: str) -> str:
        """The DuckDB expression of the arm that is drawn for a unit that takes part."""
        return assign_sql(self.salt, unit, self.weights)
