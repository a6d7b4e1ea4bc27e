"""Is the time box complete, and all of it in the data?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promotion.case import Case
from promotion.check import Check, Rule, finding
from shared.clock import parse_rfc3339, rfc3339
from shared.finding import Finding


def _run(case: Case, _rule: Rule) -> Iterator[Finding]:
    ends = case.charter.time_box.ends
    covered = parse_rfc3339(case.candidate.manifest.covers_until)
    compared: dict[str, Any] = {"measured": rfc3339(covered), "threshold": rfc3339(ends)}
    if case.now < ends:
        yield finding(
            "failed",
            f"the time box is open until {ends:%Y-%m-%d %H:%M} UTC",
            measured=rfc3339(case.now),
            threshold=rfc3339(ends),
            remedy="wait until then, analyse and submit again",
        )
    elif covered < ends:
        yield finding(
            "failed",
            f"the data end at {covered:%Y-%m-%d %H:%M} UTC, before the time box does; a fixed plan has one look",
            remedy="analyse and submit again; a pilot that was closed early can be revised or stopped",
            **compared,
        )
    else:
        yield finding("passed", "the time box is complete, in whole weeks", **compared)


CHECK = Check(
    "time_box",
    "Is the time box complete, and all of it in the data?",
    "charter, manifest, the gate's clock",
    Rule,
    _run,
)
