"""Writes docs/cli.md from the commands' own help; `--check` only says whether it is up to date."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from generated import settle

from pilotplant.app import app

PAGE = Path(__file__).with_name("cli.md")
HEAD = """# The command line

`pilotplant [--workspace DIR] GROUP COMMAND … [--json]`. `make docs` writes this page from the commands' own help;
`pilotplant --version` prints the version.

Results go to stdout, progress to stderr. Exit codes: 0 done, 1 a defect, 2 bad input, 3 refused, 4 undecided.
With `--json` a command prints one JSON object; an error is `{"error": {"what", "where", "expected", "remedy"}}`.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_sections(typer.main.get_command(app), "pilotplant"))


def _sections(command: Any, path: str) -> Iterator[str]:
    children = getattr(command, "commands", {})
    if not children:
        yield _section(command, path)
    for name, child in children.items():
        if getattr(child, "commands", None):
            yield f"\n## {name}\n\n{child.help}\n"
        yield from _sections(child, f"{path} {name}")


def _section(command: Any, path: str) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    shown = [(p.metavar or p.name.upper()).strip("[]") for p in arguments]
    usage = " ".join([path, *(f"[{m}]" if not p.required else m for p, m in zip(arguments, shown, strict=True))])
    lines = [f"\n### `{usage}`\n", f"\n{command.help}\n\n"]
    lines += [f"- `{m}`: {p.help}\n" for p, m in zip(arguments, shown, strict=True) if p.help]
    lines += [f"- {_flags(p)}: {p.help or ''}{_default(p)}\n" for p in options]
    return "".join(lines)


def _flags(option: Any) -> str:
    required = ", needed" if option.required else ""
    return ", ".join(f"`{flag}`" for flag in option.opts) + required


def _default(option: Any) -> str:
    return "" if option.default in {None, False, ""} else f" Default: `{option.default}`."


settle(PAGE, page(), "docs/cli.md is not what the commands say of themselves")
