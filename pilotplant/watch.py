"""The overview shown anew every few seconds: on a terminal in place of the last, as JSON one object on each line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NoReturn

from pilotplant.overview import Overview
from shared.core.errors import BadInput
from shared.ui.console import clear, emit, write_json_line


def require_watchable(*, check: bool, as_json: bool) -> None:
    """Raises BadInput where nobody could watch, or where an end is expected that does not come."""
    if check:
        raise BadInput(
            "--watch goes on until it is stopped, and --check is an exit code",
            where="pilotplant status",
            remedy="leave one of them away",
        )
    if not as_json and not sys.stdout.isatty():
        raise BadInput(
            "--watch shows the overview on a terminal, and its output goes to none",
            where="pilotplant status",
            remedy="add --json for one object on each line, or leave --watch away",
        )


def show_anew(look: Callable[[], Overview], every_s: int, *, as_json: bool) -> NoReturn:
    """Shows what `look` gives, every so many seconds, until Ctrl-C."""
    while True:
        found = look()
        if as_json:
            write_json_line(found)
        else:
            clear()
            emit(False, found, *found.lines(), "", f"Every {every_s} s; Ctrl-C ends it.")
        time.sleep(every_s)
