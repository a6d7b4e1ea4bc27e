"""What each command does first: closes the workspace to other accounts, and removes what killed commands left."""

from __future__ import annotations

from contextlib import suppress

from shared.core.errors import PilotPlantError
from shared.core.files import SCRATCH, remove_abandoned
from shared.state.access import close
from shared.state.workspace import Workspace

# Where work in progress lies: in a room, in one of its folders, beside a pilot's, or with a draft.
_PLACES = ("var/*", "var/*/*", "var/lab/*/*", "var/lab/pilots/*/*", "pilots")


def tidied(workspace: Workspace, *, everything: bool = False) -> list[str]:
    """What people should hear of it; nothing where all was well. It never keeps a command from its work."""
    said: list[str] = []
    # A disk that cannot be written, and another account's folders, are left as they are.
    with suppress(OSError):
        try:
            said += close(workspace, everything=everything).lines(workspace.root)
        except PilotPlantError as error:
            said.append(f"Who may reach this workspace was not checked: {error}")
    with suppress(OSError):
        _remove_abandoned(workspace)
    return said


def _remove_abandoned(workspace: Workspace) -> None:
    left = {found for place in _PLACES for found in workspace.root.glob(f"{place}/{SCRATCH}*")}
    for parent in {found.parent for found in left}:
        remove_abandoned(parent)
