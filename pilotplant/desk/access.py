"""Who is at the desk: links that open it once, and the sessions that they open."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from shared.core.files import write_atomically
from shared.state.workspace import Workspace

# Long enough to change to the browser, and too short to be found later in a terminal's history.
LINK_LASTS_S = 10 * 60
# A session ends after so long without a page, and after so long in any case.
IDLE_S, LASTS_S = 60 * 60, 12 * 60 * 60
# Of one person at once; the oldest makes room.
SESSIONS_MAX = 5
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that was let in.

    Attributes:
        person: whose, by address; None for somebody who only reads.
        token: what each form of theirs carries, so that no other site can send one.
        began, seen: by the machine's own clock, in seconds.
    """

    person: str | None
    token: str
    began: float
    seen: float

    def is_over(self, now: float) -> bool:
        """Whether it has ended."""
        return now - self.seen > IDLE_S or now - self.began > LASTS_S

    def owns(self, token: str) -> bool:
        """Whether a form carries this session's token."""
        return hmac.compare_digest(self.token.encode(), token.encode())


class Links:
    """Links that let one browser in, once, within a few minutes.

    They lie in the workspace as files named by their digest, so that the command line makes them beside a running
    server, and whoever reads the folder cannot use one.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._folder = workspace.root / "var" / "desk" / "links"

    def make(self, person: str | None) -> str:
        """The secret of a new link for a person, or for somebody who only reads."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        for folder in (self._folder.parent, self._folder):
            folder.mkdir(mode=0o700, exist_ok=True)
        write_atomically(self._path(secret), json.dumps({"person": person, "until": time.time() + LINK_LASTS_S}))
        return secret

    def look(self, secret: str) -> tuple[str | None] | None:
        """Whom a link would let in, in a tuple; None where it is none, was used, or is too old."""
        try:
            said = json.loads(self._path(secret).read_bytes())
            return (said["person"],) if time.time() <= said["until"] else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def use(self, secret: str) -> tuple[str | None] | None:
        """The same, and the link is used up; of two browsers one is let in."""
        found = self.look(secret)
        try:
            self._path(secret).unlink()
        except OSError:
            return None
        return found

    def _path(self, secret: str) -> Path:
        return self._folder / f"{hashlib.sha256(secret.encode()).hexdigest()}.json"


@dataclass
class Sessions:
    """Everybody who is in; they end with the server."""

    now: Callable[[], float] = time.time
    _open: dict[str, Session] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, person: str | None) -> str:
        """The secret of a new session, which was no cookie before: nobody can have chosen it beforehand."""
        secret, now = secrets.token_urlsafe(SECRET_BYTES), self.now()
        with self._lock:
            self._open = {key: each for key, each in self._open.items() if not each.is_over(now)}
            mine = sorted((each.began, key) for key, each in self._open.items() if each.person == person)
            for _, key in mine[: max(0, len(mine) - SESSIONS_MAX + 1)]:
                del self._open[key]
            self._open[secret] = Session(person, secrets.token_urlsafe(SECRET_BYTES), now, now)
        return secret

    def find(self, secret: str | None, *, seen: bool = True) -> Session | None:
        """The session of a cookie; None where there is none, or it has ended.

        A page that stays open and asks by itself has not been `seen`.
        """
        with self._lock:
            found = self._open.get(secret or "")
            if found is None:
                return None
            now = self.now()
            if found.is_over(now):
                del self._open[secret or ""]
                return None
            if seen:
                self._open[secret or ""] = replace(found, seen=now)
            return found

    def end(self, secret: str | None) -> None:
        """Ends one; the cookie is worth nothing from now on."""
        with self._lock:
            self._open.pop(secret or "", None)
