"""The desk as one object: the workspace that it shows, who is at it, and what it has just read."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextvars import ContextVar
from hashlib import sha256
from threading import Lock
from typing import Any

from cachetools import LRUCache, TTLCache

from pilotplant.desk.access import Links, Sessions
from pilotplant.desk.challenges import Challenges
from pilotplant.desk.views.history import rooms
from pilotplant.overview import Overview, overview
from promotion.decisions.prepared import Prepared
from shared.state.workspace import Workspace

# A judgement may be so old where nothing was written meanwhile.
JUDGED_S = 10 * 60
KEPT_MAX = 256
SECONDS_PER_MINUTE = 60
# What a request has seen of the ledgers, as soon as it has looked; None for what is no request.
_seen: ContextVar[list[tuple[Hashable, int]] | None] = ContextVar("seen", default=None)


class Desk:
    """One workspace's desk; many browsers ask it at once."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.links, self.sessions = Links(workspace), Sessions()
        # What passkeys were asked to sign, and to make, by this server alone.
        self.challenges: Challenges[Prepared] = Challenges()
        self.registrations: Challenges[str] = Challenges()
        # Whether its server ends: pages that stay open are let go then.
        self.is_closing: Callable[[], bool] = lambda: False
        self._read: LRUCache[Hashable, Any] = LRUCache(KEPT_MAX)
        self._computed: TTLCache[Hashable, Any] = TTLCache(KEPT_MAX, JUDGED_S)
        self._reading, self._computing = Lock(), Lock()

    def written(self) -> Hashable:
        """What changes when anything has been written into a ledger, or settings or the list of drafts have changed."""
        heads = []
        for room in rooms(self.workspace).values():
            with room.read() as connection:
                heads.append(room.head(connection).hash)
        files = (self.workspace.pilots, *sorted(self.workspace.configs.glob("*.yaml")))
        return (*heads, *(path.stat().st_mtime_ns for path in files))

    def stamp(self) -> tuple[Hashable, int]:
        """The same, and it changes every minute as well: time alone makes things due."""
        return self.written(), int(self.workspace.clock.now().timestamp()) // SECONDS_PER_MINUTE

    def look_once(self) -> None:
        """Has the rest of this request show one moment: whether anything has changed is looked up once."""
        _seen.set([])

    def _now(self) -> tuple[Hashable, int]:
        seen = _seen.get()
        if seen is None:
            return self.stamp()
        if not seen:
            seen.append(self.stamp())
        return seen[0]

    def mark(self) -> str:
        """What a page shows, in a word: another one where anything was written since."""
        return sha256(repr(self._now()[0]).encode()).hexdigest()[:16]

    def overview(self) -> Overview:
        """What stands where."""
        found: Overview = self.read("overview", lambda: overview(self.workspace))
        return found

    def read(self, key: Hashable, look: Callable[[], Any]) -> Any:
        """What is read from the rooms' databases; it is read anew once something has changed, and every minute."""
        with self._reading:
            now = (key, self._now())
            if now not in self._read:
                self._read[now] = look()
            return self._read[now]

    def computed(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """What takes an engine or a child process: one at a time, and anew once something has changed."""
        with self._computing:
            now = (key, self._now()[0])
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
            self._read.clear()
            self._computed.clear()
        if seen := _seen.get():
            seen.clear()
