"""A check and its answer: what cannot be asked is told with its reason, and is never taken for sound."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shared.core.errors import Damaged, PilotPlantError, Undecided
from shared.core.faults import fault, first_line
from shared.core.printable import line
from shared.ui.console import counted, styled


@dataclass(frozen=True, slots=True)
class Check:
    """One answer.

    Attributes:
        ok: None where it could not be asked, which counts as not ok.
        what: what was seen.
        remedy: how to mend it; None where nothing is wrong.
    """

    name: str
    ok: bool | None
    what: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A check that is still to be asked.

    Attributes:
        ask: returns its answer; it may raise.
        remedy: how to mend what raised without saying how itself.
    """

    name: str
    ask: Callable[[], Check]
    remedy: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All answers.

    Attributes:
        workspace: None where only the machine was looked at.
    """

    workspace: Path | None
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether everything could be asked, and is well."""
        return all(check.ok for check in self.checks)

    def lines(self) -> list[Any]:
        """For people: verdict first, then what is wrong with its remedy, then what is well."""
        wrong, well = [one for one in self.checks if not one.ok], [one for one in self.checks if one.ok]
        place = "this machine" if self.workspace is None else f"this machine and {self.workspace}"
        verdict = f"{counted(len(wrong), 'thing')} to mend" if wrong else "Nothing is wrong"
        said: list[Any] = [styled(f"{verdict}: {place}", "bold red" if wrong else "bold"), ""]
        for check in wrong:
            said.append(f"{'WRONG      ' if check.ok is False else 'CANNOT SAY '} {check.name}: {check.what}")
            said += [f"            Mend it: {check.remedy}"] if check.remedy else []
        said += [f"ok          {check.name}: {check.what}" for check in well]
        if self.workspace is None:
            said.append("No workspace was looked at; name one with --workspace DIR.")
        return said


def run(questions: Iterable[Question]) -> tuple[Check, ...]:
    """The answers, whatever the questions meet."""
    return tuple(_answer(question) for question in questions)


def _answer(question: Question) -> Check:
    try:
        found = question.ask()
    except PilotPlantError as error:
        found = _of_error(question, error)
    except Exception as error:  # noqa: BLE001 - a machine may be broken in any way, and is to be told of all of them
        known = fault(error)
        said = f"it cannot be asked ({type(error).__name__}: {first_line(error)})"
        found = _of_error(question, known) if known else Check(question.name, None, said, question.remedy)
    remedy = None if found.ok else found.remedy or question.remedy
    return replace(found, what=line(found.what), remedy=remedy and line(remedy))


def _of_error(question: Question, error: PilotPlantError) -> Check:
    """What could not be evaluated stays open; what was understood, and is not as it should be, is wrong."""
    unasked = isinstance(error, Undecided) and not isinstance(error, Damaged)
    return Check(question.name, None if unasked else False, said(error), error.remedy)


def said(error: PilotPlantError) -> str:
    """What is wrong, and where."""
    return f"{error.what} ({error.where})" if error.where else error.what
