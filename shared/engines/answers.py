"""What an engine answers beside the moments: where rows lie, what no arm can have caused, what was known before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a pilot's rows lie, as the gate asks it of a Lab that it need not believe.

    Attributes:
        misassigned: exposures in another arm than the salted hash draws for the unit, or for its sealed cluster; None
            where arms come from the source.
        outside: exposures of units that should take no part, by reason; a unit without a known cluster is one.
        early, late: exposures and outcomes before the time box opens, and from its end on.
        last_event: the last exposure or outcome; None without any.
        misattributed: rows that were held back and name another arm than is drawn for their unit, or none; only where
            arms are drawn here.
        untold: rows that were held back and do not say what they said.
        exposures: by arm.
    """

    misassigned: int | None
    outside: dict[str, int]
    early: int
    late: int
    last_event: datetime | None
    misattributed: int = 0
    untold: int = 0
    exposures: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """Units that have such an outcome, by arm.

    Attributes:
        units: how many of each arm.
        values: of each metric that adds up, by arm, what such outcomes of each of these units come to.
    """

    units: Mapping[str, int]
    values: Mapping[str, Mapping[str, NDArray[np.float64]]]


@dataclass(frozen=True, slots=True)
class Uncaused:
    """What no arm can have caused.

    Attributes:
        unexposed: of units without an exposure on record, by the arm that was drawn for them; None where arms come from
            elsewhere.
        early: from before their unit's exposure, by the arm that it was exposed to.
    """

    unexposed: Group | None
    early: Group


@dataclass(frozen=True, slots=True)
class EarlyOutcomes:
    """How much came before.

    Attributes:
        drawn: units (or clusters, where these were drawn) per arm, without those seen in two.
        early: of these, such as have an outcome from before the first exposure; of a cluster any of its units.
        before, after: outcomes of these.
    """

    drawn: Mapping[str, int]
    early: Mapping[str, int]
    before: int
    after: int


class Described(NamedTuple):
    """What is in a column of unit values: how many have one, and of these the mean, the least and the most.

    Without any, these are not known (NaN).
    """

    valued: int
    mean: float
    least: float
    most: float


class UnitValues(Protocol):
    """Units, each with a number in each column."""

    @property
    def gaps(self) -> Mapping[str, str]:
        """Why some metrics are not known of them."""
        ...

    def described(self, columns: Sequence[str]) -> tuple[int, Mapping[str, Described]]:
        """How many units there are, and what is in each column."""
        ...

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[dict[str, NDArray[np.float64]]]:
        """The columns, so many rows at a time, always in the same order."""
        ...


@dataclass(frozen=True, slots=True)
class PrePeriod:
    """What is compared.

    Attributes:
        arms: of each unit or cluster the number of its arm, in the order that was asked for.
        columns: a row for each unit or cluster, its units' distances from the mean of all units, summed.
        labels: what each column says: a name, one of its levels, or that it is missing.
        left_out: published columns that were not compared, since there are too few units for all of them.
        constant: published columns that say the same of everybody.
    """

    arms: NDArray[np.int8]
    columns: NDArray[np.float64]
    labels: tuple[str, ...]
    left_out: tuple[str, ...]
    constant: tuple[str, ...]
