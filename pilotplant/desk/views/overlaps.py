"""Overlaps: pilots and releases that share customers at one time, by the Lab's own rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations

from lab.pilots.layers import apart, may_meet, written_to
from pilotplant.desk.views.parts import title_of
from pilotplant.desk.views.planned import Planned, Released, slice_of
from pilotplant.desk.views.weeks import Weeks
from shared.experiment.charter import Charter


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two that share customers, or would, at one time.

    Attributes:
        one, other: a pilot, and another pilot or a release.
        pages: where each is shown.
        starts, ends: the time that both have.
        apart: whether slices of one layer keep them from sharing anybody.
        why: what is shared, and what keeps them apart or would.
    """

    one: str
    other: str
    pages: tuple[str, str]
    starts: datetime
    ends: datetime
    apart: bool
    why: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A pilot with another pilot or a release, and the time that both have."""

    one: Planned
    other: Planned | Released
    starts: datetime
    ends: datetime
    apart: bool


def pairs(inside: Sequence[Planned], released: Sequence[Released], scale: Weeks) -> Iterator[Pair]:
    """Those that have a time and customers in common, by the Lab's own rules; of slices apart as well."""
    for one, other in combinations(inside, 2):
        common = _common(one, other, scale)
        if common is not None:
            if may_meet(one.charter, other.charter):
                yield Pair(one, other, *common, apart=False)
            elif _kept_apart(one.charter, other.charter):
                yield Pair(one, other, *common, apart=True)
    writing = [each for each in released if each.release.state == "live" and each.origin is not None]
    for one in inside:
        for each in writing:
            common = _common(one, each, scale)
            if common is not None and each.origin is not None and written_to(one.charter, each.origin):
                yield Pair(one, each, *common, apart=False)


def _kept_apart(one: Charter, other: Charter) -> bool:
    return (one.population, one.synthetic) == (other.population, other.synthetic) and apart(one, other)


def overlap(pair: Pair) -> Overlap:
    """A pair in words."""
    one, other = pair.one, pair.other
    population = title_of(one.charter.population).lower()
    if isinstance(other, Released):
        why = f"All arms get the release's messages as well ({population}), so effects come on top of it."
    elif pair.apart and one.charter.layer is not None:
        slices = f"{slice_of(one.charter)} and {slice_of(other.charter)} of layer {one.charter.layer.name}"
        why = f"Slices {slices}: no customer is in both."
    else:
        why = (
            f"Both draw from {population}, so a customer may be in both. "
            "Slices of one layer that lie apart (`layer`) would keep them apart."
        )
    return Overlap(one.name, other.name, (one.href, other.href), pair.starts, pair.ends, pair.apart, why)


def _common(one: Planned | Released, other: Planned | Released, scale: Weeks) -> tuple[datetime, datetime] | None:
    """The time that both have; None where none of it lies inside."""
    start, end = max(one.starts, other.starts), min(one.ends, other.ends)
    return (start, end) if start < end and scale.holds(start, end) else None
