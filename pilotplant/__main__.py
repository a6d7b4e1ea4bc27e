"""`python -m pilotplant` is the same as `pilotplant`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

INTERRUPTED = 130


def main() -> None:
    """Runs a command; Ctrl-C ends it in order from its first moment on, also while modules are still loading."""
    try:
        _open_streams()
        from pilotplant.app import main as run

        run()
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)


def _open_streams() -> None:
    """Gives every stream somewhere to go, and a way to show what its encoding has no sign for."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us, as by `>&-`
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for the process's life
        elif mode == "w":
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
