"""The team, from `configs/team.yaml`: what it sees the time in. Workspaces of earlier builds have no such file."""

from __future__ import annotations

from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from shared.core.frozen import FrozenModel
from shared.core.timezone import TimeZone
from shared.core.yamlfile import read_yaml
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


def zone_of(workspace: Workspace) -> ZoneInfo | None:
    """The zone in which people read times; None for UTC."""
    name = read_team(workspace).timezone
    return None if name is None else ZoneInfo(name)
