"""The group that the Factory's commands belong to, and the argument that most of them take.

Commands return what their function returned, as Any: typer looks every annotation up when it starts, and the types
lie in modules that are too heavy to import for `--help`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from shared.core.errors import PilotPlantError
from shared.ui.completion import releases
from shared.ui.console import progress, session

if TYPE_CHECKING:
    from shared.state.workspace import Workspace

app = typer.Typer(name="factory", help="The Factory: run what was approved, and nothing else.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The release's name.", metavar="NAME", autocompletion=releases)]


def settled(context: typer.Context, *, everything: bool = False) -> Workspace:
    """The workspace this command works in, its runs that were cut off on record as what they are; see `Session`."""
    from factory.releases.releases import has_open_runs

    workspace = session(context).workspace(everything=everything)
    # Whatever stands in the way is the command's own to say.
    with suppress(PilotPlantError, OSError):
        if has_open_runs(workspace):
            from factory.runtime.campaign import close_cut_off

            for line in close_cut_off(workspace):
                progress(line)
    return workspace
