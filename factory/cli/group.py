"""The group that the Factory's commands belong to, and the argument that most of them take.

Commands return what their function returned, as Any: typer looks every annotation up when it starts, and the types
lie in modules that are too heavy to import for `--help`.
"""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(name="factory", help="The Factory: run what was approved, and nothing else.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The release's name.", metavar="NAME")]
