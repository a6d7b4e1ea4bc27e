"""The owner's page: a summary as it is read, on the desk and as a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from promotion.gate.checks import CHECKS
from promotion.queue.summary import MEANS, Summary
from shared.core.errors import BadInput
from shared.core.files import write_atomically
from shared.trust.finding import Finding, alike
from shared.ui.page import Tone, pages

_QUESTIONS = {check.name: check.question for check in CHECKS}
_TONES: dict[str, tuple[Tone, str]] = {
    "admit": ("go", "check"),
    "refuse": ("no", "cross"),
    "undecided": ("wait", "ask"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the gate's checks of one name answered.

    Attributes:
        question: what they ask.
        names: which ones, and of which arms.
        reasons: their answers.
        remedy: what would change it; None where nothing has to.
    """

    question: str
    names: str
    tone: Tone
    icon: str
    word: str
    reasons: tuple[str, ...]
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class OwnerPage:
    """A pilot's results, and what they allow.

    Attributes:
        arms: each with how its verdict is drawn, and in words.
        admitted: the arms that may be scaled.
    """

    summary: Summary
    tone: Tone
    icon: str
    arms: tuple[tuple[str, Tone, str, str], ...]
    failed: tuple[Answer, ...]
    warned: tuple[Answer, ...]
    passed: tuple[Answer, ...]
    admitted: tuple[str, ...]


def owner_page(summary: Summary) -> OwnerPage:
    """The page of a summary."""
    return OwnerPage(
        summary,
        *_TONES[summary.verdict],
        arms=tuple((arm, *_TONES[verdict], MEANS[verdict]) for arm, verdict in summary.arms.items()),
        failed=tuple(_failed(names, one, blocks=True) for names, one in summary.obstacles),
        warned=tuple(_failed(names, one, blocks=False) for names, one in alike(summary.warnings)),
        passed=tuple(_passed(summary.passed)),
        admitted=tuple(arm for arm, verdict in summary.arms.items() if verdict == "admit"),
    )


def write_page(summary: Summary, path: Path) -> None:
    """Writes the page as one file that needs no other; raises BadInput where none can be written."""
    page = pages("promotion").get_template("summary.html.j2").render(page=owner_page(summary), s=summary)
    try:
        write_atomically(path, page)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadInput(f"the page cannot be written: {reason}", where=str(path), remedy="name a file here") from error


def _failed(names: str, one: Finding, *, blocks: bool) -> Answer:
    failed = one.outcome == "failed"
    tone: Tone = "no" if failed and blocks else "wait"
    what = "Failed" if failed else "Could not be checked"
    word = f"{what}, and keeps it from being scaled" if blocks else f"{what}; it warns and blocks nothing"
    return Answer(_QUESTIONS[one.check], names, tone, "cross" if failed else "ask", word, (one.reason,), one.remedy)


def _passed(findings: Sequence[Finding]) -> Iterator[Answer]:
    """One answer for each check, with what it said of each arm."""
    for name in dict.fromkeys(one.check for one in findings):
        mine = [one for one in findings if one.check == name]
        said = tuple(f"{one.arm}: {one.reason}" if one.arm else one.reason for one in mine)
        yield Answer(_QUESTIONS[name], name, "go", "check", "Passed", said)
