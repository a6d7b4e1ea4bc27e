"""What the gate's commands say to people of findings, checks and proposals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shared.ui.console import Line, counted, styled, table

if TYPE_CHECKING:
    from promotion.queue.views import Signed

MARKS = {
    "passed": ("passed", "green"),
    "failed": ("FAILED", "red"),
    "unevaluable": ("CANNOT SAY", "yellow"),
    "waived": ("WAIVED", "magenta"),
}


COLOURS = {"admit": "bold green", "refuse": "bold red", "undecided": "bold yellow"}
# What is read first: what stands in the way, then what is only warned of.
_FIRST = ("failed", "unevaluable", "waived", "passed")


def verdict_text(judgement: Any) -> list[Line]:
    """The verdict on each arm that could be scaled, and what it rests on; the pilot's where there is none."""
    if not judgement.arms:
        return [styled(judgement.verdict.upper(), COLOURS[judgement.verdict]), f"  {_because(judgement.findings)}"]
    lines: list[Line] = []
    for arm, word in judgement.verdicts.items():
        lines += [styled(f"{arm}: {word.upper()}", COLOURS[word]), f"  {_because(judgement.of_arm(arm))}"]
    return lines


def _because(findings: Sequence[Any]) -> str:
    """Why the verdict on these findings is what it is."""
    deciding = [finding for finding in findings if finding.level == "block"]
    failed, open_ = ([one.check for one in deciding if one.outcome == word] for word in ("failed", "unevaluable"))
    told = [
        *([f"failed: {', '.join(dict.fromkeys(failed))}"] if failed else []),
        *([f"could not be checked: {', '.join(dict.fromkeys(open_))}"] if open_ else []),
    ]
    waived = len({finding.check for finding in deciding if finding.outcome == "waived"})
    passed = f"all {counted(len({one.check for one in deciding}) - waived, 'check')} that can refuse it have passed"
    return "; ".join(told) or passed + (f", and {waived} {'is' if waived == 1 else 'are'} waived" if waived else "")


def passed_text(pilot: str, findings: Sequence[Any], *, shown: bool) -> list[Line]:
    """What could not change the verdict, and how many checks passed; each of them if they are to be shown."""
    passed = [finding for finding in findings if finding.outcome == "passed"]
    told = f"{counted(len({finding.check for finding in passed}), 'check')} passed"
    warned = list(dict.fromkeys(finding.check for finding in findings if finding.level == "warn"))
    return [
        *([f"Cannot change this verdict, by the policy: {', '.join(warned)}."] if warned else []),
        *([f"{told}:", *findings_text(passed)] if shown
          else [f"{told}; to see them: pilotplant promote check {pilot} --passed"]),
    ]  # fmt: skip


def findings_text(findings: Sequence[Any], *, explained: bool = False) -> list[Line]:
    """Findings for people, what failed first: a table, and below it what would help, each remedy once."""
    from shared.trust.finding import alike  # pydantic is not for `--help`

    if not findings:
        return []
    findings = sorted(findings, key=lambda finding: (finding.level == "warn", _FIRST.index(finding.outcome)))

    rows = [(names, _mark(finding), finding.reason) for names, finding in alike(findings)]
    grid = table("check", "outcome", "what was found", rows=rows)
    return [grid, *remedies_text(findings), *(numbers_text(finding) for finding in findings if explained)]


def remedies_text(findings: Sequence[Any]) -> list[str]:
    """What would help against findings, each remedy once with all that it is for."""
    asking: dict[str, list[str]] = {}
    for finding in findings:
        if finding.outcome != "passed" and finding.remedy:
            asking.setdefault(finding.remedy, []).append(finding.name)
    return [f"→ {', '.join(names)}: {remedy}" for remedy, names in asking.items()]


def _mark(finding: Any) -> Any:
    """A finding's outcome, in its colour."""
    word, style = MARKS[finding.outcome]
    marked = styled(word, style)
    return marked.append(" (warn only)", style="default") if finding.level == "warn" else marked


def waived_text(findings: Sequence[Any]) -> list[str]:
    """How many findings are waived, and each of them; nothing where none is."""
    waived = [finding for finding in findings if finding.outcome == "waived"]
    told = [f"Waived: {one.name}: {one.reason}" for one in waived]
    return [f"{counted(len(waived), 'finding')} waived.", *told] if waived else []


def proposal_text(pilot: str, found: Signed) -> list[str]:
    """What waits for a signature, whose, and what they type."""
    if found.for_gate:
        return [
            f"{pilot}: {found.word} is signed by {' and '.join(found.persons)} ({found.reason}).",
            f"  Only the gate's signature is missing. For ops: {found.next}",
        ]
    others = ", ".join(found.others) or "nobody yet: have configs/people.yaml entitle a second person"
    return [
        f"{pilot}: {found.word} is proposed by {found.by} ({found.reason}).",
        f"  A second signature may give: {others}",
        *([f"  They type: {found.next}"] if found.next else []),
    ]


def catalogue_text(found: Sequence[Any]) -> list[Line]:
    """The checks of the catalogue for people, a table for each group."""
    lines: list[Line] = []
    for group in dict.fromkeys(each.group for each in found):
        rows = [(each.name, *each.levels.values(), each.question) for each in found if each.group == group]
        lines += [table(group, "low", "standard", "high", "it asks", rows=rows), ""]
    return [*lines, "One that blocks decides the verdict, one that warns is only printed. One in full: "
            "pilotplant promote checks CHECK"]  # fmt: skip


def check_text(check: Any) -> list[str]:
    """All that there is to say of a check of the catalogue, its thresholds with their sources."""
    softened = f"; {', '.join(check.softened)} only because the policy says so" if check.softened else ""
    levels = ", ".join(f"{tier} {level}" for tier, level in check.levels.items())
    last = "It may be waived, by whom configs/people.yaml lets" if check.waivable else "Nobody may waive it"
    last += ", and it always blocks" if check.always else ""
    return [
        f"{check.name} ({check.group}): {check.question}",
        f"It reads: {check.reads}",
        f"Levels: {levels}{softened}",
        *([f"On its level: {check.about}"] if check.about else []),
        *(
            f"{each.name}: {_plain(each.tiers)} (default {_plain(each.default)}): {each.source}"
            for each in check.thresholds
        ),
        f"{last}. The policy is configs/gate.yaml.",
    ]


def numbers_text(finding: Any) -> str:
    """The numbers behind a finding, in one line."""
    measured, asked = _plain(finding.measured), _plain(finding.threshold)
    return f"{finding.name}: {finding.reason}; measured {measured}; asked {asked}"


def _plain(value: Any) -> str:
    """A JSON value for people: `key=value` for each of its parts, numbers to four significant digits."""
    if isinstance(value, dict):
        return ", ".join(_part(key, part) for key, part in value.items()) or "nothing"
    if isinstance(value, list | tuple):
        return ", ".join(_nested(part) for part in value) or "nothing"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "yes", False: "no"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _part(key: str, value: Any) -> str:
    return f"{key}={_nested(value)}"


def _nested(value: Any) -> str:
    return f"({_plain(value)})" if isinstance(value, dict | list | tuple) else _plain(value)
