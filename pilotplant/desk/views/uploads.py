"""Files that are brought to the desk: what they may be called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shared.core.errors import BadInput
from shared.ui.console import require_seen

NAME_MAX = 100


def plain_name(name: str, kinds: Sequence[str], of: str) -> str:
    """The file's own name, without any folder; raises BadInput for a kind that cannot be read."""
    name = require_seen(Path(name.replace("\\", "/")).name, "the file's name")[-NAME_MAX:]
    if not name.lower().endswith(tuple(kinds)) or name.startswith("."):
        raise BadInput(
            f"`{name or 'nothing'}` is no file {of}", where="the file", expected=f"one of {', '.join(kinds)}",
            remedy="choose a file; nothing was done",
        )  # fmt: skip
    return name
