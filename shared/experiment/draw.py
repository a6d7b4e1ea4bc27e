"""The draw of a pilot: who takes part, and in which arm; the same answers one at a time and as SQL over millions.

What draws the arms is a nonce that the gate draws when it first takes in a promise under the pilot's name: whoever
writes a charter chooses no arms by it. Under the first rules it was the name alone.

Where arms are drawn by cluster, a cluster's value stands in for its units: all of them lie in one slice of a layer and
in one arm. The workspace's holdout is drawn by unit all the same: every pilot and every release leaves the same units
alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from shared.core.errors import Refused
from shared.experiment.assignment import (
    assign,
    assign_sql,
    boundaries,
    layer_salt,
    pilot_salt,
    sample_salt,
    within,
    within_sql,
    workspace_holdout_salt,
)
from shared.experiment.charter import Charter, Layer, Promise

HELD_OUT = "of the workspace's holdout"
CLUSTERLESS = "without a cluster"
OUTSIDE_SLICE = "outside the pilot's slice of its layer"
NOT_SAMPLED = "not drawn to take part"
NOT_ELIGIBLE = "not eligible"
# How `what_draws` calls what bounds who takes part.
SAMPLED = "sample.units_per_arm and sample.attrition"
AFTER_ENROLMENT = "first exposed after the enrolment had ended"
# Of reports that come in late: what happened once the time box was over is no part of the pilot, and no loss of it.
AFTER_THE_END = "after the time box"


@dataclass(frozen=True, slots=True)
class Draw:
    """All that decides what becomes of a unit in a pilot, as frozen in its promise.

    Attributes:
        salt, weights: what draws the arms, in the charter's order; no salt where the gate has drawn no nonce yet, and
            then nobody has an arm.
        layer: the slice that the pilot takes its units from; None for all of them.
        workspace: the workspace's id, which draws its holdout.
        holdout: the share of all units that no pilot of the workspace touches.
        sampled: of the units that could take part, the share that is drawn to, by `sampling`; None for all of them.
        sampling: what draws them; None where the gate has drawn no nonce yet.
        cluster: the column by whose value arms, samples and slices are drawn; None draws by unit. Every method then
            needs that value of the unit as text, and `None` (NULL in SQL) is a unit without one, which takes no part.
    """

    salt: str | None
    weights: Mapping[str, Fraction]
    layer: Layer | None
    workspace: str
    holdout: Fraction
    cluster: str | None = None
    sampled: Fraction | None = None
    sampling: str | None = None

    @classmethod
    def of(cls, promise: Promise, workspace: str, nonce: str | None) -> Draw:
        """The draw of a promise in the workspace of that id, by the nonce that its gate drew for the pilot's name.

        `nonce` is None before the promise is registered. One of the first rules is drawn by the name, whatever it is.
        """
        charter, by_name, sampled = promise.charter, promise.rules == 1, promise.sampled_frac
        salt = pilot_salt(charter.pilot, None if by_name else nonce) if by_name or nonce is not None else None
        return cls(
            salt, charter.weights, charter.layer, workspace, Fraction(promise.holdout_frac), charter.cluster,
            sampled=None if sampled is None else Fraction(sampled),
            sampling=None if sampled is None or nonce is None else sample_salt(charter.pilot, nonce),
        )  # fmt: skip

    @property
    def frac(self) -> Fraction:
        """Share of all units that takes part: samples, slices and holdouts are drawn independently of each other."""
        return self.able_frac * (1 if self.sampled is None else self.sampled)

    @property
    def able_frac(self) -> Fraction:
        """The share of all units that could take part."""
        return (1 - self.holdout) * (self.layer.frac if self.layer else 1)

    def against(self, unit: str, cluster: str | None = None) -> str | None:
        """Why the unit takes no part; None where it does."""
        if within(workspace_holdout_salt(self.workspace), unit, Fraction(0), self.holdout):
            return HELD_OUT
        drawn = unit if self.cluster is None else cluster
        if drawn is None:
            return CLUSTERLESS
        layer = self.layer
        if layer and not within(layer_salt(layer.name), drawn, Fraction(layer.start), Fraction(layer.end)):
            return OUTSIDE_SLICE
        if self.sampled is not None and not within(_drawn(self.sampling), drawn, Fraction(0), self.sampled):
            return NOT_SAMPLED
        return None

    def arm(self, unit: str, cluster: str | None = None) -> str | None:
        """The unit's arm; None where it takes no part."""
        drawn = unit if self.cluster is None else cluster
        return None if drawn is None or self.against(unit, cluster) else assign(_drawn(self.salt), drawn, self.weights)

    def hindrances_sql(self, unit: str, cluster: str = "cluster", able: str | None = None) -> dict[str, str]:
        """Each reason of `against` with the DuckDB condition under which it holds, in the order they are asked.

        `able`: a query for the units that the charter calls eligible, which is asked first; None where all are.
        """
        found = {} if able is None else {NOT_ELIGIBLE: f"{unit} NOT IN ({able})"}
        if self.holdout:
            found[HELD_OUT] = within_sql(workspace_holdout_salt(self.workspace), unit, Fraction(0), self.holdout)
        if self.cluster is not None:
            found[CLUSTERLESS] = f"{cluster} IS NULL"
        if self.layer:
            start, end = Fraction(self.layer.start), Fraction(self.layer.end)
            inside = within_sql(layer_salt(self.layer.name), self._drawn_by(unit, cluster), start, end)
            found[OUTSIDE_SLICE] = f"NOT {inside}"
        if self.sampled is not None:
            inside = within_sql(_drawn(self.sampling), self._drawn_by(unit, cluster), Fraction(0), self.sampled)
            found[NOT_SAMPLED] = f"NOT {inside}"
        return found

    def takes_part_sql(self, unit: str, cluster: str = "cluster", able: str | None = None) -> str:
        """The DuckDB condition under which the unit takes part; `able` as for `hindrances_sql`."""
        rules = self.hindrances_sql(unit, cluster, able)
        return " AND ".join(f"NOT ({condition})" for condition in rules.values()) or "true"

    def drawn_sql(self, unit: str, cluster: str = "cluster") -> str:
        """The DuckDB expression of the arm that is drawn for a unit that takes part."""
        return assign_sql(_drawn(self.salt), self._drawn_by(unit, cluster), self.weights)

    def _drawn_by(self, unit: str, cluster: str) -> str:
        return unit if self.cluster is None else cluster


def _drawn(salt: str | None) -> str:
    """The salt; raises Refused where the gate has drawn no nonce for it yet."""
    if salt is None:
        raise Refused(
            "no arms are drawn yet: the gate draws them when it takes in the charter",
            expected="a pilot that was launched",
            remedy="launch it: pilotplant lab launch NAME",
        )
    return salt


def what_draws(promise: Promise) -> dict[str, Any]:
    """All of a promise by which units take part and get their arms: once the gate has drawn, none of it may move.

    Weights count by where an arm's range of buckets ends, so that what moves nobody is no change.
    """
    charter, sampled = promise.charter, promise.sampled_frac
    layer = charter.layer
    return {
        "arms": [[arm, str(bound)] for arm, bound in boundaries(charter.weights)],
        "control": charter.control.name,
        "population": charter.population,
        "assignment": charter.assignment,
        "cluster": charter.cluster,
        "layer": [layer.name, str(Fraction(layer.start)), str(Fraction(layer.end))] if layer else None,
        # Left out where they say nothing, so that what was registered before keeps its digest.
        **({} if charter.eligible is None else {"eligible": _eligible(promise)}),
        **({} if sampled is None else {SAMPLED: [str(Fraction(sampled)), *_plan(charter)]}),
    }


def _eligible(promise: Promise) -> list[str | None]:
    """The SELECT, and whom it selected: on another day it may select others, and then the draw is known already."""
    sql = promise.files.get(str(promise.charter.eligible))
    return [sql, promise.eligible.digest if promise.eligible else None]


def _plan(charter: Charter) -> tuple[int, float | None]:
    """What bounds the sample: a plan of fewer units that comes to the same share would be another plan all the same."""
    return charter.sample.units_per_arm, charter.sample.attrition


def redrawn(before: Promise, after: Promise) -> list[str]:
    """What of two promises draws differently, by the names of `what_draws`; empty where every unit keeps its arm."""
    one, other = what_draws(before), what_draws(after)
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]
