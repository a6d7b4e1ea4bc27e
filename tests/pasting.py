"""Commands as a page shows them, pasted into a shell that stops at the first one that fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def paste(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Gives the commands in a folder, with this project's own `pilotplant` before any other."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env={**os.environ, "PATH": path, **environment},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
