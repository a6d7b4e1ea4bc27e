"""Drafts: a new pilot from a few answers, its charter as text, what it would come to, and its launch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.charters.briefs import TEMPLATES, Brief, brief, starter
from lab.charters.drafts import Check, check, new
from lab.forecast import text as forecast_text
from lab.launch.launch import launch
from lab.launch.preview import Rendering
from lab.overview.portfolio import drafts
from lab.state import open_lab, read_settings
from pilotplant.desk.views.charters.form import CharterForm, OutlookFragment, form_of, look_ahead, save
from pilotplant.desk.views.charters.messages import messages
from shared.core.errors import BadInput, Refused
from shared.core.files import write_atomically
from shared.core.yamlfile import parse_yaml, read_yaml
from shared.experiment.charter import Charter
from shared.experiment.metrics import read_metrics
from shared.experiment.people import read_people
from shared.state.workspace import Workspace
from shared.ui.page import Tone, sentence

CHARTER = "charter.yaml"
TEXT_MAX = 64_000


@dataclass(frozen=True, slots=True)
class NewPage:
    """What a new pilot may begin with: templates with what they compare, metrics, people, and the currency."""

    templates: dict[str, str]
    metrics: tuple[str, ...]
    deciders: tuple[str, ...]
    people: tuple[str, ...]
    currency: str


@dataclass(frozen=True, slots=True)
class DraftPage:
    """A draft.

    Attributes:
        text: its charter, as it is written.
        problem: why that cannot be read; None where it can.
        form: the same as a form; None where it cannot be one.
        outlook: what its numbers come to.
        arms: what customers would get; empty where that cannot be shown, and `unread` says why.
    """

    name: str
    text: str
    problem: str | None
    form: CharterForm | None
    outlook: OutlookFragment
    arms: tuple[Rendering, ...]
    unread: str | None


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps a draft from its launch: what, where, and what to do."""

    what: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckPage:
    """What a draft would come to.

    Attributes:
        columns, rows: what the plan can show of each metric.
        chance_columns, chances: how it would end, by how large the effect is.
    """

    name: str
    headline: str
    tone: Tone
    icon: str
    because: tuple[str, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    chance_columns: tuple[str, ...]
    chances: tuple[tuple[str, ...], ...]
    lines: tuple[str, ...]
    may_launch: bool


def new_page(workspace: Workspace) -> NewPage:
    """What the form of a new pilot offers."""
    people = read_people(workspace).people
    return NewPage(
        templates={name: starter(name).title for name in TEMPLATES},
        metrics=tuple(read_metrics(workspace).metrics),
        deciders=tuple(each.email for each in people if each.decides),
        people=tuple(each.email for each in people),
        currency=read_settings(workspace).budget.currency,
    )


def begin(workspace: Workspace, name: str, said: Mapping[str, str]) -> None:
    """Writes a draft from a form's answers; what was left empty is the template's to say.

    Raises BadInput for an answer that cannot be, Refused where there is a pilot of that name.
    """
    new(workspace, name, _brief(said))


def _brief(said: Mapping[str, str]) -> Brief:
    answers = {name: " ".join(text.split()) or None for name, text in said.items()}
    try:
        return brief(**answers)
    except BadInput as error:
        where = error.where.removeprefix("--").replace("-", " ") if error.where else None
        raise BadInput(error.what, where=where, expected=error.expected, remedy="go back and correct it") from error


def draft_page(
    workspace: Workspace,
    name: str,
    typed: Mapping[str, Sequence[str]] | None = None,
    problems: Mapping[str, str] | None = None,
) -> DraftPage:
    """A draft, with what was typed into its form and what is wrong with that.

    Raises BadInput where there is none of that name.
    """
    path = _charter(workspace, name)
    text = path.read_text(encoding="utf-8", errors="replace")
    arms, unread = messages(workspace, name)
    try:
        form = form_of(workspace, name, typed, problems)
    except BadInput:
        form = None  # `problem` says why
    return DraftPage(
        name, text, _problem_of(path), form, look_ahead(workspace, name, typed or {}), arms, unread and sentence(unread)
    )


def save_form(workspace: Workspace, name: str, digest: str, typed: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Saves what was typed into a draft's form; what is wrong with it by field, and nothing is written then."""
    _charter(workspace, name)
    return save(workspace, name, digest, typed)


def rewrite(workspace: Workspace, name: str, text: str) -> None:
    """Puts a charter's text in the place of a draft's; raises BadInput where it cannot be read, and writes nothing."""
    path = _charter(workspace, name)
    text = text.replace("\r\n", "\n")
    if len(text) > TEXT_MAX:
        raise BadInput("the charter is too long", where=CHARTER, expected=f"at most {TEXT_MAX:,} characters")
    found = parse_yaml(text, Path(CHARTER), Charter)
    if found.pilot != name:
        raise Refused(f"the charter names another pilot, {found.pilot}", where=CHARTER, remedy=f"write `pilot: {name}`")
    write_atomically(path, text)


def check_page(workspace: Workspace, name: str) -> CheckPage:
    """What a draft would come to, simulated; raises BadInput where its charter cannot be read."""
    _charter(workspace, name)
    return _page(check(workspace, name))


def start(workspace: Workspace, name: str) -> None:
    """Launches a draft; raises Refused with every reason where it cannot be launched."""
    _charter(workspace, name)
    launch(workspace, name)


def _page(found: Check) -> CheckPage:
    forecast, said = found.forecast, found.verdict
    charter, chances = forecast.charter, forecast.chances
    rows = forecast_text.metric_rows(forecast, found.metrics)
    primary = found.metrics[charter.primary.metric]
    tone: Tone = "no" if not said.launch else "go" if said.scale == "possible" else "wait"
    begins = "It can start" if said.launch else "It cannot start yet"
    return CheckPage(
        name=found.pilot,
        headline=begins,
        tone=tone,
        icon="check" if tone == "go" else "cross" if tone == "no" else "warn",
        because=tuple(map(sentence, (said.told, *said.because))),
        problems=tuple(Problem(sentence(one.what), tuple(one.parts)) for one in found.problems),
        notes=tuple(map(sentence, found.notes)),
        columns=tuple(forecast_text.METRIC_COLUMNS),
        rows=tuple(tuple(map(_cell, row)) for row in rows),
        chance_columns=tuple(forecast_text.CHANCE_COLUMNS) if chances else (),
        chances=tuple(tuple(map(_cell, row)) for row in forecast_text.chance_rows(chances, charter, primary))
        if chances
        else (),
        lines=tuple(map(sentence, forecast_text.lines(forecast, found.metrics))),
        may_launch=found.ok,
    )


def _cell(value: object) -> str:
    return "–" if value is None else str(value)


def _problem_of(path: Path) -> str | None:
    try:
        read_yaml(path, Charter)
    except BadInput as error:
        return sentence(f"{error.what}{f' ({Path(error.where).name})' if error.where else ''}")
    return None


def _charter(workspace: Workspace, name: str) -> Path:
    if name not in drafts(open_lab(workspace)):
        raise BadInput(f"there is no draft `{name}`", where="the Lab", remedy="begin one, or look at the board")
    return workspace.pilots / name / CHARTER
