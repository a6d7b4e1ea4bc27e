"""Layers: which running pilots may touch the same units, which slices are free, and who else reaches the same units."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from lab.pilots.pilot import Pilot, all_pilots
from lab.pilots.promise import Frozen
from shared.core.errors import Refused
from shared.experiment.charter import Charter, Layer
from shared.state.room import Room


def beside(room: Room, charter: Charter) -> list[Pilot]:
    """The launched pilots whose time with data overlaps the charter's, in the order of launch."""
    begins = max(charter.time_box.starts, room.now())
    return [
        pilot
        for pilot in all_pilots(room)
        if pilot.name != charter.pilot and pilot.charter.time_box.starts < charter.time_box.ends and begins < pilot.ends
    ]


def sharing(charter: Charter, others: list[Pilot]) -> list[Pilot]:
    """Those that may touch the charter's units, as `may_meet` says."""
    return [pilot for pilot in others if may_meet(charter, pilot.charter)]


def may_meet(one: Charter, other: Charter) -> bool:
    """Whether both may touch the same units: of one population, and without slices apart in one layer.

    Made-up units are nobody whom a pilot of real ones could meet.
    """
    same = (one.population, one.synthetic) == (other.population, other.synthetic)
    return same and not apart(one, other)


def written_to(charter: Charter, origin: Charter) -> bool:
    """Whether a release of the pilot `origin` writes to the charter's population: all its arms get those messages."""
    return origin.population == charter.population


def apart(one: Charter, other: Charter) -> bool:
    """Whether the two share no unit; slices that are drawn by different things may, wherever they lie."""
    if one.layer is None or other.layer is None or one.cluster != other.cluster:
        return False
    return one.layer.name == other.layer.name and not one.layer.overlaps(other.layer)


def overlap(charter: Charter, others: list[Pilot], *, where: str) -> Refused | None:
    """The refusal of a slice that other pilots hold already, with the slices that are free; None where nobody does.

    A layer is dealt out by one thing at a time: a slice of households and one of units share some, wherever they lie.
    """
    layer = charter.layer
    if layer is None:
        return None
    members = [pilot for pilot in others if pilot.charter.layer and pilot.charter.layer.name == layer.name]
    if strangers := [pilot for pilot in members if pilot.charter.cluster != charter.cluster]:
        return _otherwise_drawn(charter, layer, strangers, where)
    holders = [pilot for pilot in members if pilot.charter.layer and layer.overlaps(pilot.charter.layer)]
    if not holders:
        return None
    free = free_slices([pilot.charter.layer for pilot in members if pilot.charter.layer])
    until = min(pilot.ends for pilot in holders)
    return Refused(
        f"the slice {_range(layer.start, layer.end)} of layer `{layer.name}` overlaps "
        + ", ".join(_held(pilot) for pilot in holders),
        where=where,
        expected="free then: " + (", ".join(_range(*ends) for ends in free) or f"nothing before {until:%Y-%m-%d}"),
        remedy="take a slice that is free, move the time box, or leave `layer` out if sharing units does no harm",
    )


def _otherwise_drawn(charter: Charter, layer: Layer, others: list[Pilot], where: str) -> Refused:
    held = ", ".join(f"{_held(pilot)}, drawn by {_drawn_by(pilot.charter)}" for pilot in others)
    return Refused(
        f"the slice {_range(layer.start, layer.end)} of layer `{layer.name}` is drawn by {_drawn_by(charter)}, and may "
        f"share units with {held}",
        where=where,
        expected="slices of one layer that are drawn by the same `cluster`, or all by unit",
        remedy="draw the arms like those pilots, take another layer, or move the time box",
    )


def _drawn_by(charter: Charter) -> str:
    return f"`{charter.cluster}`" if charter.cluster else "unit"


def free_slices(taken: list[Layer]) -> list[tuple[Decimal, Decimal]]:
    """What is left of a layer, in order, as pairs of start and end."""
    free, reached = [], Decimal(0)
    for layer in sorted(taken, key=lambda each: each.start):
        if layer.start > reached:
            free.append((reached, layer.start))
        reached = max(reached, layer.end)
    return [*free, (reached, Decimal(1))] if reached < 1 else free


def _held(pilot: Pilot) -> str:
    layer = pilot.charter.layer
    held = f"{_range(layer.start, layer.end)} " if layer else ""
    return f"{held}of pilot {pilot.name} (until {_day(pilot.ends)})"


def _range(start: Decimal, end: Decimal) -> str:
    return f"{_plain(start)} to {_plain(end)}"


def _plain(share: Decimal) -> str:
    return f"{share.normalize():f}"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def clashes(room: Room, frozen: Frozen) -> list[str]:
    """Each open pilot and each live release that shares units with a draft, as a sentence."""
    pilots = {pilot.name: pilot for pilot in all_pilots(room)}
    return [*_with_pilots(room, frozen.promise.charter), *_with_releases(frozen, pilots)]


def _with_pilots(room: Room, charter: Charter) -> Iterator[str]:
    for pilot in sharing(charter, beside(room, charter)):
        yield (
            f"pilot {pilot.name} runs on `{charter.population}` until {pilot.ends:%Y-%m-%d}, and the two may share "
            "units; take slices of one layer that lie apart (`layer`), or wait"
        )


def _with_releases(frozen: Frozen, pilots: dict[str, Pilot]) -> Iterator[str]:
    charter = frozen.promise.charter
    for release in frozen.snapshot.manifest.releases:
        origin = pilots.get(release.pilot)
        if origin is None:
            yield f"release {release.name} is live, and the Lab does not know whom it reaches; ask marketing ops"
        elif written_to(charter, origin.charter):
            yield (
                f"release {release.name} is live on `{charter.population}`: all arms get its messages as well, "
                "so effects come on top of it"
            )
