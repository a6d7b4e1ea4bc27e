"""The desk as one object: the workspace that it shows, who is at it, and what it has just read."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any

from cachetools import TTLCache

from pilotplant.desk.access import Links, Sessions
from pilotplant.desk.history import rooms
from pilotplant.overview import Overview, overview
from shared.state.workspace import Workspace

# What a page says may be so old; whatever is done at the desk itself shows at once.
FRESH_S, JUDGED_S = 3, 10 * 60
KEPT_MAX = 256
SECONDS_PER_MINUTE = 60


class Desk:
    """One workspace's desk; many browsers ask it at once."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.links, self.sessions = Links(workspace), Sessions()
        self._overview: TTLCache[str, Overview] = TTLCache(1, FRESH_S)
        self._computed: TTLCache[Hashable, Any] = TTLCache(KEPT_MAX, JUDGED_S)
        self._reading, self._computing = Lock(), Lock()

    def heads(self) -> tuple[str, ...]:
        """What changes when anything has been written into a ledger."""
        found = []
        for room in rooms(self.workspace).values():
            with room.read() as connection:
                found.append(room.head(connection).hash)
        return tuple(found)

    def stamp(self) -> Hashable:
        """The same, and it changes every minute as well: time alone makes things due."""
        return self.heads(), int(self.workspace.clock.now().timestamp()) // SECONDS_PER_MINUTE

    def overview(self) -> Overview:
        """What stands where, at most a few seconds ago."""
        with self._reading:
            found = self._overview.get("")
            if found is None:
                found = self._overview[""] = overview(self.workspace)
            return found

    def computed(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """What takes an engine or a child process: one at a time, and anew once something has changed."""
        with self._computing:
            now = (key, self.heads())
            if now not in self._computed:
                self._computed[now] = compute()
            return self._computed[now]

    def alone(self, work: Callable[[], Any]) -> Any:
        """What signs or computes anew, with nothing else that takes an engine beside it."""
        with self._computing:
            return work()

    def changed(self) -> None:
        """Has the next page look anew."""
        with self._reading, self._computing:
            self._overview.clear()
            self._computed.clear()
