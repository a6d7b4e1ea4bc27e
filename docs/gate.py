"""Writes docs/gate.md from the checks themselves; `--check` only says whether it is up to date."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from generated import settle

from promotion.gate.catalogue import GROUPS, Listed, catalogue
from promotion.gate.policy import GateSettings
from shared.core.yamlfile import read_yaml

PAGE = Path(__file__).with_name("gate.md")
POLICY = Path(__file__).parents[1] / "configs" / "gate.yaml"
HEAD = """# What the gate asks

`make docs` writes this page from the checks themselves. `pilotplant promote checks` tells the same of your own policy
(`configs/gate.yaml`), and `pilotplant promote check NAME --explain CHECK` the numbers behind one.

Each check finds that something *passed*, *failed*, or is *unevaluable*, which never admits. One that **blocks** decides
the verdict: anything failed refuses, else anything unevaluable leaves it undecided. One that **warns** is always
printed, and never changes the verdict. What a charter may declare but need not (segments, covariates) passes where
nothing is declared, and says so; what was declared and cannot be looked at is unevaluable.

Where three values are given they are those of low, standard and high risk in the policy of a new workspace. A check
marked *always* cannot be made to warn: without it nothing else could be believed.
"""


def page() -> str:
    """The page's text."""
    found = catalogue(read_yaml(POLICY, GateSettings))
    return HEAD + "".join(
        f"\n## {group.capitalize()}\n{''.join(_section(each) for each in found if each.group == group)}"
        for group in GROUPS
    )


def _section(check: Listed) -> str:
    return "\n".join(["", f"### {check.name}", "", check.question, "", *_lines(check), ""])


def _lines(check: Listed) -> Iterator[str]:
    yield f"- reads {check.reads}"
    always = " (always)" if check.always else ""
    levels = tuple(check.levels.values())
    yield f"- level: {levels[0] if len(set(levels)) == 1 else ' / '.join(levels)}{always}"
    yield "- may be waived" if check.waivable else "- nobody may waive it"
    if check.about:
        yield f"- on its level: {check.about}"
    for each in check.thresholds:
        tiers = tuple(map(_said, each.tiers.values()))
        own = "" if set(tiers) == {_said(each.default)} else f" ({' / '.join(tiers)})"
        yield f"- `{each.name}` {_said(each.default)}{own}: {each.source}"


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


settle(PAGE, page(), "docs/gate.md is not what the checks say of themselves")
