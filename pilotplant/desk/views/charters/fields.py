"""The fields of a charter's form: which values of the file it shows, in which words, and what each takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Literal

from lab.charters.edits import Number, Place, Value
from lab.state import read_settings
from shared.core.errors import BadInput
from shared.experiment.metrics import Metric, read_metrics
from shared.experiment.people import TIERS, read_people
from shared.state.workspace import Workspace
from shared.ui.console import require_seen

# As people write numbers, and every reader of YAML reads them.
NUMBER, WHOLE = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?"), re.compile(r"0|[1-9]\d*")
GUARDRAILS, ASSUME = "guardrails", "sample.assume"
Kind = Literal["text", "long", "number", "whole", "day", "choice"]


@dataclass(frozen=True, slots=True)
class Field:
    """One value of the charter.

    Attributes:
        name: its place in the file, like `hypothesis.because`.
        choices: what it may be; None for anything.
        optional: whether it may be left empty, and is then not in the file.
        problem: what is wrong with what was typed; None where nothing is.
    """

    name: str
    label: str
    kind: Kind
    value: str
    hint: str = ""
    choices: tuple[str, ...] | None = None
    optional: bool = False
    problem: str | None = None

    @property
    def place(self) -> Place:
        """Where it is in the file."""
        return tuple(int(step) if step.isdigit() else step for step in self.name.split("."))

    def read(self, said: str) -> Value:
        """What was typed as a value; raises BadInput for what is none of its kind."""
        if self.kind in {"number", "whole"}:
            pattern, like = (WHOLE, "21400") if self.kind == "whole" else (NUMBER, "0.01")
            if not pattern.fullmatch(said):
                raise BadInput(f"this is no number: write it like {like}")
            return Number(said)
        if self.kind == "day":
            try:
                return date.fromisoformat(said)
            except ValueError as error:
                raise BadInput("this is no day: write it like 2026-12-31") from error
        if self.choices is not None and said not in self.choices:
            raise BadInput(f"it has to be one of: {', '.join(filter(None, self.choices))}")
        if not said:
            raise BadInput("say something here")
        return require_seen(said, self.label)


@dataclass(frozen=True, slots=True)
class Ticks:
    """Several names of which some are chosen."""

    name: str
    label: str
    hint: str
    offered: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that belong together; each row of `rows` is what stands side by side."""

    title: str
    rows: tuple[tuple[Field, ...], ...]
    note: str = ""
    ticks: Ticks | None = None

    @property
    def fields(self) -> Iterator[Field]:
        """All of them."""
        return (one for row in self.rows for one in row)


@dataclass(frozen=True, slots=True)
class _Of:
    """Makes the fields of one charter."""

    content: dict[str, Any]

    def __call__(
        self, name: str, label: str, kind: Kind, hint: str = "", choices: tuple[str, ...] | None = None
    ) -> Field:
        return Field(name, label, kind, said(self.content, name), hint, choices)


def groups(workspace: Workspace, content: dict[str, Any]) -> tuple[Group, ...]:
    """The fields of a charter, which is given as plain data with its numbers as they are written."""
    of = _Of(content)
    people, catalogue = read_people(workspace).people, read_metrics(workspace).metrics
    metrics = tuple(catalogue)
    everybody, deciders = tuple(each.email for each in people), tuple(each.email for each in people if each.decides)
    goal, chosen = said(content, "primary.metric"), content.get("secondary") or ()
    return (
        Group("The idea", (
            (of("hypothesis.because", "Because …", "long", "what was seen"),),
            (of("hypothesis.we_believe", "… we believe that …", "long", "what is tried"),),
            (of("hypothesis.will", "… will", "long", "what it will do"),),
        )),
        Group("What decides", (
            (of("primary.metric", "The goal is measured by", "choice", choices=metrics),
             of("primary.minimum_effect", "The smallest gain worth it", "number",
                "for a share, 0.01 is one point of 100 customers")),
            *_guardrails(of, metrics),
        ), "Without a safety limit the gate cannot decide. A row without a metric is left out.",
            Ticks("secondary", "Looked at as well", "They decide nothing.",
                  tuple((name, name in chosen) for name in metrics if name != goal))),
        Group("How many customers", (
            (of("sample.units_per_arm", "In each arm", "whole"),
             of("sample.power", "Power", "number", "the chance to find such a gain, like 0.8"),
             of("sample.alpha", "Alpha", "number", "the chance of a false alarm, like 0.05")),
            *_today(of, catalogue),
        ), "What is known from past pilots need not be said: what customers do today, without a treatment."),
        Group("When", (
            (of("time_box.start", "First day", "day"),
             of("time_box.end", "The day after the last", "day", "whole weeks after the first"),
             of("decide_by", "Decided by the end of", "day", "no decision by then is a stop")),
        )),
        Group("Money", (_budget(of, read_settings(workspace).budget.currency),)),
        Group("People and risk", (
            (of("requester", "Asked for by", "choice", choices=everybody),
             of("owner", "Decided by", "choice", "whoever asks does not decide", deciders)),
            (of("risk_tier", "Risk", "choice", "which of the gate's rules apply", TIERS),),
        )),
        *_subjects(of),
    )  # fmt: skip


def _guardrails(of: _Of, metrics: tuple[str, ...]) -> Iterator[tuple[Field, ...]]:
    """A row for each, and one for another."""
    for at in range(len(of.content.get(GUARDRAILS) or ()) + 1):
        yield (
            of(f"{GUARDRAILS}.{at}.metric", "A safety limit on", "choice", choices=("", *metrics)),
            of(f"{GUARDRAILS}.{at}.margin", "It may change by", "number", "at most; below zero where more is better"),
        )


def _today(of: _Of, catalogue: Mapping[str, Metric]) -> Iterator[tuple[Field, ...]]:
    """What each metric that decides is expected to be without a treatment."""
    rails = (said(of.content, f"{GUARDRAILS}.{at}.metric") for at in range(len(of.content.get(GUARDRAILS) or ())))
    for name in dict.fromkeys((said(of.content, "primary.metric"), *rails)):
        metric = catalogue.get(name)
        if metric is None:
            continue
        share = metric.kind == "proportion"
        mean = of(f"{ASSUME}.{name}.mean", f"{name} today", "number", "a share, like 0.11" if share else metric.unit)
        spread = of(f"{ASSUME}.{name}.sd", "its standard deviation", "number", "between customers")
        yield tuple(replace(one, optional=True) for one in ((mean,) if share else (mean, spread)))


def _budget(of: _Of, currency: str) -> tuple[Field, ...]:
    parts = {"media": "Media", "ai": "AI", "infrastructure": "Infrastructure"}
    return tuple(of(f"budget.{part}", f"{label}, {currency}", "number") for part, label in parts.items())


def _subjects(of: _Of) -> Iterator[Group]:
    rows = []
    for at, arm in enumerate(of.content.get("arms") or ()):
        play = arm.get("play") if isinstance(arm, dict) else None
        if isinstance(play, dict) and "subject" in play:
            rows.append((of(f"arms.{at}.play.subject", f"Subject of {arm.get('name')}", "text"),))
    if rows:
        yield Group("Subjects", tuple(rows))


def said(content: Any, name: str) -> str:
    """What a charter says at a place, as a field shows it; nothing where it says nothing."""
    for step in name.split("."):
        if isinstance(content, list) and step.isdigit() and int(step) < len(content):
            content = content[int(step)]
        elif isinstance(content, dict):
            content = content.get(step)
        else:
            return ""
    return "" if content is None else " ".join(str(content).split())
