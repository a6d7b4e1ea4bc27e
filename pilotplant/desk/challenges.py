"""Challenges: what the desk has asked a passkey, so that it takes an answer to nothing else."""

from __future__ import annotations

from threading import Lock
from typing import Generic, TypeVar

from cachetools import TTLCache

from pilotplant.desk.access import Session
from shared.core.errors import BadInput

# Somebody who looks longer than this looks at what may have changed meanwhile.
LASTS_S = 15 * 60
KEPT_MAX = 256
Asked = TypeVar("Asked")


class Challenges(Generic[Asked]):
    """What was asked in each session; an answer counts once, in the browser that was asked."""

    def __init__(self) -> None:
        self._kept: TTLCache[tuple[str, str], Asked] = TTLCache(KEPT_MAX, LASTS_S)
        self._lock = Lock()

    def keep(self, session: Session, challenge: str, asked: Asked) -> None:
        """Keeps what a page is about to ask, by its challenge (base64url)."""
        with self._lock:
            self._kept[session.token, challenge] = asked

    def take(self, session: Session, challenge: str) -> Asked:
        """What was asked with a challenge, once; raises BadInput where this session was asked nothing of the kind."""
        with self._lock:
            try:
                return self._kept.pop((session.token, challenge))
            except KeyError:
                raise BadInput(
                    "the desk did not ask for this answer, or it was given already",
                    where="the passkey's answer",
                    expected=f"an answer within {LASTS_S // 60} minutes to what this browser was shown",
                    remedy="go back, look once more, and sign that; nothing was done",
                ) from None
