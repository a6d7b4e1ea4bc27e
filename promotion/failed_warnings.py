"""Failed warnings in words: they change no verdict, so they stand wherever a verdict does."""

from __future__ import annotations

from collections.abc import Sequence

from shared.console import counted
from shared.finding import Finding, failed_warnings

SAID = {"failed": "failed", "unevaluable": "could not be checked"}


def told(findings: Sequence[Finding]) -> list[str]:
    """How many warnings among these findings failed, and each of them; nothing where none did.

    Several that did so for the same reason stand in one line.
    """
    poor = failed_warnings(findings)
    if not poor:
        return []
    alike: dict[tuple[str, str], list[str]] = {}
    for one in poor:
        alike.setdefault((one.outcome, one.reason), []).append(one.name)
    lines = [f"Warning: {', '.join(names)} {SAID[outcome]}: {reason}" for (outcome, reason), names in alike.items()]
    return [f"{counted(len(poor), 'warning')} failed. The verdict stands; whoever decides answers for them.", *lines]
