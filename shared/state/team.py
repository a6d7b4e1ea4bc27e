"""The team, from `configs/team.yaml`: what it sees the time in. Workspaces of earlier builds have no such file."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from shared.core.errors import PilotPlantError
from shared.core.frozen import FrozenModel
from shared.core.times import read_in
from shared.core.yamlfile import read_yaml
from shared.core.zones import TimeZone
from shared.state.workspace import Workspace

FILE = "team.yaml"


class TeamSettings(FrozenModel):
    """`configs/team.yaml`.

    Attributes:
        timezone: in which people read times, and drafts begin their days, an IANA name like Europe/Berlin; None for
            UTC, and for the zone that the templates say. Whatever a script reads is UTC.
    """

    schema_version: Literal[1]
    timezone: TimeZone | None = Field(default=None)


def read_team(workspace: Workspace) -> TeamSettings:
    """The workspace's settings of the team; the defaults where it has none."""
    path = workspace.configs / FILE
    return read_yaml(path, TeamSettings) if path.exists() else TeamSettings(schema_version=1)


def read_in_its_zone(workspace: Workspace) -> None:
    """From now on moments are told in the team's zone; in UTC where it names none, or that cannot be read."""
    read_in(None)
    with suppress(PilotPlantError):  # a file that cannot be read keeps nobody from stopping a release
        name = read_team(workspace).timezone
        read_in(None if name is None else ZoneInfo(name))
