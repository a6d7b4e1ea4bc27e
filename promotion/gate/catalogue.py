"""The catalogue of checks: what each asks, what it reads, and what the policy of each tier makes of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from promotion.gate.check import Check, Group, NeverOff, Rule
from promotion.gate.checks import CHECKS
from promotion.gate.policy import GateSettings
from shared.core.errors import BadInput
from shared.experiment.people import Tier

TIERS: tuple[Tier, ...] = get_args(Tier)
GROUPS: tuple[Group, ...] = get_args(Group)
# `name: what it is`, and its further lines, which are indented more.
_ATTRIBUTE = re.compile(r"^ {8}(\w+(?:, \w+)*): (.+(?:\n {12,}.+)*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Threshold:
    """One field of a check's policy.

    Attributes:
        default: what holds where the policy says nothing.
        tiers: what holds in each tier.
        source: what it is, and where its default comes from.
    """

    name: str
    default: Any
    tiers: dict[str, Any]
    source: str


@dataclass(frozen=True, slots=True)
class Listed:
    """One check as the policy has it.

    Attributes:
        levels: `block` or `warn` in each tier.
        default_level: what holds where the policy says nothing.
        waivable: whether anybody may waive it in any tier, if configs/people.yaml lets them.
        always: whether it blocks whatever the policy says.
        about: what its rule says of all thresholds, or of its level.
    """

    name: str
    group: Group
    question: str
    reads: str
    levels: dict[str, str]
    default_level: str
    waivable: bool
    always: bool
    thresholds: tuple[Threshold, ...]
    about: str

    @property
    def softened(self) -> tuple[str, ...]:
        """The tiers in which the policy only warns where the default is to block."""
        return tuple(tier for tier, level in self.levels.items() if (level, self.default_level) == ("warn", "block"))


def catalogue(settings: GateSettings, name: str | None = None) -> tuple[Listed, ...]:
    """Every check by group, or the one of that name; raises BadInput naming those that exist."""
    known = [check.name for check in CHECKS]
    if name is not None and name not in known:
        raise BadInput(f"there is no check `{name}`", where="promote checks", expected="one of: " + ", ".join(known))
    chosen = [check for group in GROUPS for check in CHECKS if check.group == group and name in {None, check.name}]
    return tuple(_listed(check, settings) for check in chosen)


def _listed(check: Check[Any], settings: GateSettings) -> Listed:
    rules = {tier: settings.policy(tier).rules[check.name] for tier in TIERS}
    default, told = check.rule(), dict(_attributes(check.rule))
    return Listed(
        name=check.name,
        group=check.group,
        question=check.question,
        reads=check.reads,
        levels={tier: rule.level for tier, rule in rules.items()},
        default_level=default.level,
        waivable=any(rule.waivable for rule in rules.values()),
        always=issubclass(check.rule, NeverOff),
        thresholds=tuple(
            Threshold(
                name=field,
                default=_plain(default)[field],
                tiers={tier: _plain(rule)[field] for tier, rule in rules.items()},
                source=told.get(field, ""),
            )
            for field in check.rule.model_fields
            if field not in {"level", "waivable"}
        ),
        about="" if check.rule in {Rule, NeverOff} or "level:" not in (check.rule.__doc__ or "") else told["level"],
    )


def _attributes(rule: type[Rule]) -> Iterator[tuple[str, str]]:
    """What the docstrings of a rule, and of what it builds on, say of each field: there defaults have their source."""
    for each in reversed(rule.__mro__[: rule.__mro__.index(BaseModel)]):
        for names, text in _ATTRIBUTE.findall(each.__doc__ or ""):
            for name in names.split(", "):
                yield name, " ".join(text.split())


def _plain(rule: Rule) -> dict[str, Any]:
    return rule.model_dump(mode="json")
