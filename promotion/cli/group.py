"""The group that the gate's commands belong to, and what several of them take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shared.ui.completion import pilots

app = typer.Typer(
    name="promote", help="The gate between Lab and Factory: evidence, quality, owner.", no_args_is_help=True
)

Name = Annotated[
    str, typer.Argument(help="A pilot's name, or the digest of a candidate.", metavar="NAME", autocompletion=pilots)
]
Looker = Annotated[
    str | None, typer.Option("--as", help="Who looks: the ledger keeps who has seen results, if they say so.")
]
DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"]
Draft = Annotated[
    Path | None, typer.Option(help="With a passkey: write what it has to sign into this file; then `promote sign`.")
]
