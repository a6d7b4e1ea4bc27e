"""The ledger's page: who did what, when and on which evidence, in all three rooms; and what verifying it found."""

from __future__ import annotations

from dataclasses import dataclass

from pilotplant.desk.views.history import Event, history
from pilotplant.soundness import Soundness
from shared.state.workspace import Workspace
from shared.ui.console import counted
from shared.ui.page import Tone

SHOWN = 100


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """The page.

    Attributes:
        entries: the latest ones, the newest first.
        more: whether there are others.
        verified, problems: what verifying the record found; empty where nobody asked.
    """

    headline: str
    why: str
    tone: Tone
    icon: str
    subject: str | None
    entries: tuple[Event, ...]
    more: bool
    verified: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def ledger_page(workspace: Workspace, subject: str | None, found: Soundness | None = None) -> LedgerPage:
    """The latest entries, of everything or of one subject."""
    entries = history(workspace, subject=subject or None, most=SHOWN + 1)
    tone: Tone = "new"
    headline, icon = "Who did what, and when", "info"
    why = "Every entry holds the one before it by its digest, so none can be changed or taken out unseen."
    problems: tuple[str, ...] = ()
    if found is not None:
        problems = (*found.problems, *found.unread)
        tone, icon = ("no", "warn") if problems else ("go", "check")
        headline = f"{counted(len(problems), 'problem')} in the record" if problems else "The record is unbroken"
        open_end = "Whether entries at its end were removed cannot be told without a copy kept elsewhere."
        why = "" if problems else open_end
    return LedgerPage(
        headline, why, tone, icon, subject or None, entries[:SHOWN], len(entries) > SHOWN,
        tuple(found.verified) if found else (), problems,
    )  # fmt: skip
