"""What the scripts of this folder share: a file that is written from the code, or held against it with `--check`."""

from __future__ import annotations

import sys
from pathlib import Path


def settle(path: Path, text: str, complaint: str) -> None:
    """Writes the file; with `--check` on the command line ends with the complaint where it holds something else."""
    if "--check" not in sys.argv:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    elif not path.exists() or path.read_text(encoding="utf-8") != text:
        sys.exit(f"{complaint}; run `make docs`")
