"""What is planned and what runs, as far as a calendar asks: pilots, drafts and releases with their times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from factory.releases.releases import list_releases
from factory.state.states import Release
from lab.pilots.pilot import Pilot
from lab.pilots.promise import read_charter
from shared.core.clock import parse_rfc3339
from shared.core.errors import PilotPlantError
from shared.experiment.charter import Charter
from shared.state.workspace import Workspace
from shared.trust.record import Decided
from shared.ui.page import sentence


@dataclass(frozen=True, slots=True)
class Planned:
    """A pilot, launched or not, as far as the calendar asks."""

    name: str
    charter: Charter
    state: str
    starts: datetime
    ends: datetime
    decided: Decided | None = None

    @property
    def href(self) -> str:
        """Its page."""
        return f"/drafts/{self.name}" if self.state == "draft" else f"/lab/{self.name}"


@dataclass(frozen=True, slots=True)
class Released:
    """A release with the charter that it came of, as far as the Lab knows it."""

    release: Release
    starts: datetime
    ends: datetime
    origin: Charter | None

    @property
    def name(self) -> str:
        """The release's name."""
        return self.release.name

    @property
    def href(self) -> str:
        """Its page."""
        return f"/factory/{self.name}"


def planned(pilot: Pilot, decided: Decided | None, now: datetime) -> Planned:
    """A launched pilot."""
    state = pilot.state(now, decided)
    return Planned(pilot.name, pilot.charter, state, pilot.charter.time_box.starts, pilot.ends, decided)


def drafted(workspace: Workspace, names: Iterable[str]) -> tuple[list[Planned], list[tuple[str, str]]]:
    """The drafts whose plan can be read, and those whose cannot, with the reason."""
    read, unread = list[Planned](), list[tuple[str, str]]()
    for name in names:
        try:
            charter = read_charter(workspace, name)
        except PilotPlantError as error:
            unread.append((name, sentence(error.what)))
        else:
            read.append(Planned(name, charter, "draft", charter.time_box.starts, charter.time_box.ends))
    return read, unread


def released_by(workspace: Workspace, charters: dict[str, Charter]) -> Iterator[Released]:
    """The releases, each with the charter of its pilot where the Lab knows it."""
    for each in list_releases(workspace):
        starts, ends = parse_rfc3339(each.admitted_at), parse_rfc3339(each.expires)
        yield Released(each, starts, ends, charters.get(each.pilot))


def decided_by(one: Planned) -> datetime:
    """When its decision was made, or has to be."""
    return min(one.decided.at, one.charter.deadline) if one.decided else one.charter.deadline


def slice_of(charter: Charter) -> str:
    """Its slice of a layer, in per cent; nothing where it has none."""
    layer = charter.layer
    return "" if layer is None else f"{100 * float(layer.start):g} to {100 * float(layer.end):g} %"
