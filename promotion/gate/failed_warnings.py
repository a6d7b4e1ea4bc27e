"""Failed warnings in words: they change no verdict, so they stand wherever a verdict does."""

from __future__ import annotations

from collections.abc import Sequence

from shared.trust.finding import Finding, alike, failed_warnings
from shared.ui.console import counted

SAID = {"failed": "failed", "unevaluable": "could not be checked"}


def told(findings: Sequence[Finding]) -> list[str]:
    """How many warnings among these findings failed, and each of them; nothing where none did.

    Several that did so for the same reason stand in one line.
    """
    poor = failed_warnings(findings)
    if not poor:
        return []
    failed = sum(one.outcome == "failed" for one in poor)
    counts = [f"{counted(failed, 'warning')} failed"] if failed else []
    if unasked := len(poor) - failed:
        counts.append(f"{counted(unasked, 'warning')} could not be checked")
    lines = [f"Warning: {names} {SAID[one.outcome]}: {one.reason}" for names, one in alike(poor)]
    return [f"{', '.join(counts)}. The verdict stands; whoever decides answers for them.", *lines]
