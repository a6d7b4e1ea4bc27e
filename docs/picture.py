"""Draws docs/gate.svg: the owner's pages of a demo's two pilots, one that the gate admits and one that it refuses.

Run `python docs/picture.py demo/rehearsal` after `make demo`; the picture is the commands' real output.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).with_name("gate.svg")
WIDTH = 120


def main(workspace: str) -> None:
    """Runs the two commands and draws what they print."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for pilot in ("spring-mail", "womens-mail"):
        console.print(f"$ pilotplant promote summary {pilot}", style="bold cyan", markup=False)
        console.print(Text.from_ansi(said(workspace, pilot)))
        console.print()
    svg = console.export_svg(title="the gate")
    # A page must not fetch a font for a picture: the reader's own monospaced one will do.
    svg = re.sub(r"@font-face\s*{.*?}", "", svg, flags=re.DOTALL).replace("Fira Code", "ui-monospace")
    PICTURE.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


def said(workspace: str, pilot: str) -> str:
    """What a command prints, with its colours."""
    words = [sys.executable, "-m", "pilotplant", "--workspace", workspace, "promote", "summary", pilot]
    environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(WIDTH)}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment).stdout.rstrip()


main(*sys.argv[1:])
