"""The group that the Lab's commands belong to, and the argument that most of them take."""

from __future__ import annotations

from typing import Annotated

import typer

from shared.ui.completion import pilots

app = typer.Typer(name="lab", help="The Lab: launch time-boxed pilots and learn from them.", no_args_is_help=True)

Name = Annotated[
    str, typer.Argument(help="The pilot's name, like spring-email.", metavar="NAME", autocompletion=pilots)
]
