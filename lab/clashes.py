"""Clashes: whoever else reaches the same units at the same time, so that effects mix."""

from __future__ import annotations

from collections.abc import Iterator

from lab.freezing import Frozen
from lab.pilots import Pilot, all_pilots
from shared.charter import Charter
from shared.record import decisions
from shared.room import Room


def clashes(room: Room, frozen: Frozen) -> list[str]:
    """Each open pilot and each live release that shares units with a draft, as a sentence."""
    pilots = {pilot.name: pilot for pilot in all_pilots(room)}
    return [*_with_pilots(room, frozen.promise.charter, pilots), *_with_releases(frozen, pilots)]


def _with_pilots(room: Room, charter: Charter, pilots: dict[str, Pilot]) -> Iterator[str]:
    decided, now = decisions(room.workspace), room.now()
    for pilot in pilots.values():
        if pilot.state(now, decided.get(pilot.name)) == "running" and _meet(charter, pilot):
            yield (
                f"pilot {pilot.name} runs on `{charter.population}` until {pilot.ends:%Y-%m-%d}, and the two may share "
                "units; take slices of one layer that lie apart (`layer`), or wait"
            )


def _meet(charter: Charter, pilot: Pilot) -> bool:
    """Whether the two could expose one unit; synthetic units are nobody whom a real pilot could meet."""
    other = pilot.charter
    same_units = (other.population, other.synthetic) == (charter.population, charter.synthetic)
    same_time = charter.time_box.starts < pilot.ends and other.time_box.starts < charter.time_box.ends
    return pilot.name != charter.pilot and same_units and same_time and not _apart(charter, other)


def _apart(one: Charter, other: Charter) -> bool:
    if one.layer is None or other.layer is None:
        return False
    return one.layer.name == other.layer.name and not one.layer.overlaps(other.layer)


def _with_releases(frozen: Frozen, pilots: dict[str, Pilot]) -> Iterator[str]:
    charter = frozen.promise.charter
    for release in frozen.snapshot.manifest.releases:
        origin = pilots.get(release.pilot)
        if origin is None:
            yield f"release {release.name} is live, and the Lab does not know whom it reaches; ask marketing ops"
        elif origin.charter.population == charter.population:
            yield (
                f"release {release.name} is live on `{charter.population}`: all arms get its messages as well, "
                "so effects come on top of it"
            )
