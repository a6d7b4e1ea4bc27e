"""What waits, as `--json` shows it."""

from __future__ import annotations

from typing import Any

from promotion.queue import queue
from shared.core.jsonable import jsonable
from shared.state.workspace import Workspace


def waiting(workspace: Workspace, *, owner: str | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = jsonable(queue.waiting(workspace, owner=owner))
    return found


def measures(workspace: Workspace) -> dict[str, Any]:
    found: dict[str, Any] = jsonable(queue.measures(workspace))
    return found
