"""Deciding at the desk: a choice with its reason, a last look at what would be signed, and the signature."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import cast, get_args

from pilotplant.desk.views.parts import title_of
from promotion.decisions.decision import Preview, decide, preview
from promotion.decisions.draft import Asked
from promotion.decisions.prepared import Prepared, prepare, sign_with_passkey
from promotion.decisions.proposal import Proposed
from promotion.keys.enrolment import find_key
from promotion.keys.signers import gate_opens
from shared.core.errors import BadInput
from shared.experiment.people import same_person
from shared.state.workspace import Workspace
from shared.trust.decision import Decision, Word
from shared.trust.passkey import Answer
from shared.trust.proposal import PROPOSAL
from shared.ui.console import require_seen


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody chose on a pilot's page.

    Attributes:
        revise: for *scale*: whether the other arms go on in a successor.
        what: it in words, as the button says it.
    """

    pilot: str
    word: Word
    arm: str | None
    reason: str
    insight: str | None
    revise: bool = False

    @property
    def what(self) -> str:
        """It in words."""
        return f"{title_of(self.word)}{f' {self.arm}' if self.arm else ''}"

    def asked(self, person: str, passphrase: str | None = None) -> Asked:
        """It as the gate is asked, whose own key stays closed at the desk."""
        return Asked(
            self.word, person, self.reason, self.arm, self.insight, passphrase, revise=self.revise, gate_apart=True
        )


@dataclass(frozen=True, slots=True)
class Look:
    """The last look: what would be signed by whom, and what would follow; nothing is signed or written.

    Attributes:
        statement: what the signature says, by name and value.
        asks_passphrase: whether the key has one.
        prepared: what a passkey has to sign; None for somebody who signs with a key.
    """

    choice: Choice
    found: Preview
    statement: tuple[tuple[str, str], ...]
    asks_passphrase: bool
    prepared: Prepared | None = None

    @property
    def request(self) -> str:
        """What the browser asks the passkey, as JSON."""
        return json.dumps(self.prepared.request) if self.prepared else ""

    @property
    def content(self) -> str:
        """What is signed, to read."""
        return json.dumps(self.prepared.content, indent=2, ensure_ascii=False) if self.prepared else ""

    @property
    def origins(self) -> tuple[str, ...]:
        """The addresses at which the passkey answers."""
        passkey = self.prepared.key.passkey if self.prepared else None
        return passkey.origins if passkey else ()


def choice_of(pilot: str, word: str, arm: str, reason: str, insight: str, *, revise: bool = False) -> Choice:
    """The choice that a form sends; raises BadInput for one that cannot be read."""
    if word not in get_args(Word):
        raise BadInput(f"`{word}` is not a decision", where="the form", expected="scale, revise or stop")
    said = [require_seen(" ".join(text.split()), where) for text, where in
            ((reason, "the reason"), (insight, "what is known now"), (arm, "the arm"))]  # fmt: skip
    known: Word = word  # type: ignore[assignment]
    return Choice(pilot, known, said[2] or None, said[0], said[1] or None, revise)


def look(workspace: Workspace, choice: Choice, person: str) -> Look:
    """What would be signed; raises what signing would raise, but for a passphrase or a passkey's answer."""
    key = find_key(workspace, person)
    if key is not None and key.kind == "passkey":
        prepared = prepare(workspace, choice.pilot, choice.asked(person))
        found = cast("Preview", prepared.shown)  # of a decision, since no waiver was asked for
        statement = (*_statement(choice, found, person), *_of_prepared(prepared))
        return Look(choice, found, statement, asks_passphrase=False, prepared=prepared)
    found = preview(workspace, choice.pilot, choice.asked(person))
    return Look(choice, found, tuple(_statement(choice, found, person)), workspace.mode == "live")


def sign(workspace: Workspace, choice: Choice, person: str, passphrase: str | None) -> None:
    """Signs and carries out what the person has looked at; raises Refused or Undecided where the gate says no."""
    _complete(workspace, choice.pilot, decide(workspace, choice.pilot, choice.asked(person, passphrase or None)))


def take_answer(workspace: Workspace, prepared: Prepared, answer: Answer) -> None:
    """The same with a passkey's answer to what was prepared; raises Refused where it is an answer to anything else."""
    _complete(workspace, prepared.name, sign_with_passkey(workspace, prepared, answer))


def _complete(workspace: Workspace, pilot: str, done: object) -> None:
    """Has the gate sign what only waits for it, in a process of its own, where its key opens without a passphrase.

    What that process finds in the way stands on the pilot's page: the decision waits, or the gate has declined it.
    """
    if isinstance(done, Proposed) and done.awaits == "gate" and gate_opens(workspace):
        command = [sys.executable, "-m", "pilotplant", "--workspace", str(workspace.root), "promote", "countersign"]
        subprocess.run([*command, pilot], capture_output=True, check=False)


def _statement(choice: Choice, found: Preview, person: str) -> list[tuple[str, str]]:
    """What a person's signature says, and what it waits for."""
    decision, said = found.decision, found.predicate
    statement = [
        ("You decide", f"{choice.what}, about {title_of(choice.pilot).lower()}"),
        *_because(choice, decision, person),
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
    return statement


def _because(choice: Choice, decision: Decision, person: str) -> list[tuple[str, str]]:
    """Whose reasons they are: a second person signs under the first one's."""
    if same_person(decision.owner, person):
        return [("Because", decision.reason)]
    return [("As decided by", decision.owner), ("Because, as they say", decision.reason), ("You add", choice.reason)]


def _of_prepared(prepared: Prepared) -> list[tuple[str, str]]:
    """What the statement of a passkey names, so that it can be compared with what another machine shows."""
    content = prepared.content
    if prepared.kind != PROPOSAL:
        return [("Under what was signed", content["proposal"])]
    return [("The gate's verdict", content["verdict"]), ("The plan", content["promise"]),
            ("The results", content["candidate"])]  # fmt: skip
