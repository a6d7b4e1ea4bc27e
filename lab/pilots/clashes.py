"""Clashes: whoever else reaches the same units at the same time, so that effects mix."""

from __future__ import annotations

from collections.abc import Iterator

from lab.pilots.layers import beside, sharing
from lab.pilots.pilot import Pilot, all_pilots
from lab.pilots.promise import Frozen
from shared.experiment.charter import Charter
from shared.state.room import Room


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
        elif origin.charter.population == charter.population:
            yield (
                f"release {release.name} is live on `{charter.population}`: all arms get its messages as well, "
                "so effects come on top of it"
            )
