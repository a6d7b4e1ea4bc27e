"""Deciding at the desk: a choice with its reason, a last look at what would be signed, and the signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from pilotplant.desk.views.parts import title_of
from promotion.decisions.decision import Preview, decide, preview
from promotion.decisions.draft import Asked
from promotion.decisions.execution import Decided
from promotion.decisions.proposal import Proposed
from shared.core.errors import BadInput
from shared.state.workspace import Workspace
from shared.trust.decision import Word
from shared.ui.console import require_seen


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody chose on a pilot's page.

    Attributes:
        what: it in words, as the button says it.
    """

    pilot: str
    word: Word
    arm: str | None
    reason: str
    insight: str | None

    @property
    def what(self) -> str:
        """It in words."""
        return f"{title_of(self.word)}{f' {self.arm}' if self.arm else ''}"

    def asked(self, person: str, passphrase: str | None = None) -> Asked:
        """It as the gate is asked."""
        return Asked(self.word, person, self.reason, self.arm, self.insight, passphrase)


@dataclass(frozen=True, slots=True)
class Look:
    """The last look: what would be signed by whom, and what would follow; nothing is signed or written.

    Attributes:
        statement: what the signature says, by name and value.
        asks_passphrase: whether the key has one.
    """

    choice: Choice
    found: Preview
    statement: tuple[tuple[str, str], ...]
    asks_passphrase: bool


def choice_of(pilot: str, word: str, arm: str, reason: str, insight: str) -> Choice:
    """The choice that a form sends; raises BadInput for one that cannot be read."""
    if word not in get_args(Word):
        raise BadInput(f"`{word}` is not a decision", where="the form", expected="scale, revise or stop")
    said = [require_seen(" ".join(text.split()), where) for text, where in
            ((reason, "the reason"), (insight, "what is known now"), (arm, "the arm"))]  # fmt: skip
    known: Word = word  # type: ignore[assignment]
    return Choice(pilot, known, said[2] or None, said[0], said[1] or None)


def look(workspace: Workspace, choice: Choice, person: str) -> Look:
    """What would be signed; raises what signing would raise, but for a passphrase."""
    found = preview(workspace, choice.pilot, choice.asked(person))
    decision, said = found.decision, found.predicate
    statement = [
        ("You decide", f"{choice.what}, about {title_of(choice.pilot).lower()}"),
        ("Because", decision.reason),
        *([("What is known now", decision.insight)] if decision.insight else []),
        *([("It becomes the release", decision.release)] if decision.release else []),
        *([("A draft is opened", decision.successor)] if decision.successor else []),
        ("Signed by", " and ".join(found.signers) or "nobody again: it was signed before"),
    ]
    if said is not None:
        statement += [("The gate's verdict", said.verdict), ("The plan", said.promise), ("The evidence", said.evidence),
                      ("Ends, unless renewed", said.expires)]  # fmt: skip
    if found.awaits:
        missing = "a second person's signature" if found.awaits == "person" else "the gate's own signature"
        statement.append(("Then it waits for", missing))
    return Look(choice, found, tuple(statement), workspace.mode == "live")


def sign(workspace: Workspace, choice: Choice, person: str, passphrase: str | None) -> Decided | Proposed:
    """Signs and carries out what the person has looked at; raises Refused or Undecided where the gate says no."""
    return decide(workspace, choice.pilot, choice.asked(person, passphrase or None))
