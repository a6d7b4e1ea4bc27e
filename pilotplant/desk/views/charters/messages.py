"""Messages: what each arm of a pilot or draft says, as one customer reads it."""

from __future__ import annotations

from lab.launch.preview import Rendering, preview
from shared.core.errors import PilotPlantError
from shared.state.workspace import Workspace


def messages(workspace: Workspace, name: str) -> tuple[tuple[Rendering, ...], str | None]:
    """One message of each treatment, and None; none, and why, where they cannot be rendered."""
    try:
        found = preview(workspace, name).renderings
    except PilotPlantError as error:
        return (), error.what
    first = {each.arm: each for each in reversed(found)}
    return tuple(first[arm] for arm in dict.fromkeys(each.arm for each in found)), None
