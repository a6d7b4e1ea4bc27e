"""Questions: what `lab new` asks on a terminal, with an answer proposed for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from lab.charters.briefs import TEMPLATES, Brief, assumption, brief, filled, starter
from lab.charters.drafts import charter_text, planned, require_free
from lab.charters.sample_size import unknown
from lab.state import read_settings
from shared.experiment.metrics import read_metrics
from shared.experiment.people import read_people
from shared.state.workspace import Workspace
from shared.ui.console import ask, progress

# What is answered where nobody knows.
UNKNOWN = "unknown"
# The rest is asked with the proposals of what was answered before: the metric's unit comes with the metric.
ASKED = {
    "because": "Because",
    "believe": "we believe that",
    "will": "will",
    "metric": "The metric that decides",
    "minimum_effect": "The smallest difference in it worth scaling",
    "weeks": "How many weeks it runs",
    "assignment": "Who draws the arms (pilotplant; or source: a web or mail system that reports each customer's arm)",
    "units_per_arm": "How many units each arm needs",
    "media": "What it may spend on media",
    "requester": "Who asks",
    "owner": "Who decides",
}


def asked(workspace: Workspace, name: str, given: Brief) -> Brief:
    """The brief, with an answer for everything that no option said; raises what `new` would of the name."""
    require_free(workspace, name)
    if "template" not in given.model_fields_set:
        for template in TEMPLATES:
            progress(f"  {template:18} {starter(template).title}")
        given = _with(given, template=_ask("What to start from", given.template, _valid(workspace, given, "template")))
    progress("Press Enter to take what is proposed; everything can be edited afterwards.")
    for field, question in ASKED.items():
        if getattr(given, field) is None:
            if field == "units_per_arm":
                given = _with_baselines(workspace, name, given)
            full = planned(workspace, name, given)[0] if field == "units_per_arm" else filled(workspace, given)
            proposed = getattr(full, field)
            given = _with(
                given,
                **{field: _ask(_told(workspace, given, field, question), proposed, _valid(workspace, given, field))},
            )
    return given


def _with_baselines(workspace: Workspace, name: str, given: Brief) -> Brief:
    """The brief with what nobody but its author knows of the metrics that decide, so that the plan can be sized."""
    for metric in unknown(workspace, charter_text(workspace, name, filled(workspace, given))):
        given = _with_baseline(workspace, name, given, metric)
    return given


def _with_baseline(workspace: Workspace, name: str, given: Brief, metric: str) -> Brief:
    share = read_metrics(workspace).get(metric).kind == "proportion"

    def value(answer: str) -> Brief:
        if answer.strip() == UNKNOWN:
            return given
        told = _with(given, assume=given.assume | dict([assumption(f"{metric}={answer.strip()}")]))
        planned(workspace, name, told)
        return told

    like = "a share, like 0.11" if share else "mean and standard deviation, like 0.65:10"
    found: Brief = _ask(f"What `{metric}` is without a treatment ({like})", UNKNOWN, value)
    return found


def _told(workspace: Workspace, given: Brief, field: str, question: str) -> str:
    """The question, with what may be answered where that is a list."""
    if field == "metric":
        return f"{question} ({', '.join(read_metrics(workspace).metrics)})"
    if field == "minimum_effect":
        metric = read_metrics(workspace).get(str(given.metric))
        return f"{question} ({'0.01 is one percentage point' if metric.kind == 'proportion' else metric.unit})"
    if field == "media":
        return f"{question}, in {read_settings(workspace).budget.currency}"
    if field in {"owner", "requester"}:
        return f"{question} ({', '.join(person.email for person in read_people(workspace).people)})"
    return question


def _valid(workspace: Workspace, given: Brief, field: str) -> Callable[[str], Any]:
    """Turns an answer into its value, or has it asked again."""

    def value(answer: str) -> Any:
        return getattr(filled(workspace, _with(given, **{field: answer})), field)

    return value


def _with(given: Brief, **more: Any) -> Brief:
    return brief(**{**given.model_dump(exclude_unset=True), **more})


def _ask(question: str, proposed: Any, value: Callable[[str], Any]) -> Any:
    try:
        return ask(question, default=str(proposed), value=value)
    except typer.Abort:
        raise KeyboardInterrupt from None  # Typer would end with 1, which is a defect's
