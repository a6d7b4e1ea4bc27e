"""The charter as a form: the same file as text, of which each field changes one value and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from lab.charters.edits import Number, Place, Value, edited
from lab.charters.outlook import outlook
from pilotplant.desk.views.charters.fields import GUARDRAILS, NUMBER, Field, Group, Ticks, groups, said
from shared.core.digests import digest_json
from shared.core.errors import BadInput, PilotPlantError, Refused
from shared.core.files import write_atomically
from shared.core.yamlfile import parse_yaml, read_text
from shared.experiment.charter import Charter
from shared.state.workspace import Workspace
from shared.ui.page import first_large, sentence

CHARTER = "charter.yaml"
TEXT_MAX = 64_000
# The names of a draft's other fields begin so.
MESSAGE = "message:"


@dataclass(frozen=True, slots=True)
class Message:
    """The file with what an arm says, as it is edited."""

    name: str
    file: str
    arms: str
    text: str


@dataclass(frozen=True, slots=True)
class CharterForm:
    """A draft's charter as a form.

    Attributes:
        digest: of what the form was made from: it is saved over that and nothing else.
        problem: what is wrong with the whole of it; None where nothing is.
    """

    name: str
    digest: str
    groups: tuple[Group, ...]
    messages: tuple[Message, ...]
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class OutlookFragment:
    """What the numbers come to, under `METRIC_COLUMNS` of lab/forecast/text.py, or why that cannot be said."""

    rows: tuple[tuple[str, ...], ...] = ()
    lines: tuple[str, ...] = ()
    over: str | None = None
    problem: str | None = None


def form_of(workspace: Workspace, name: str, typed: Mapping[str, Sequence[str]] | None = None,
            problems: Mapping[str, str] | None = None) -> CharterForm:  # fmt: skip
    """The form of a draft, with what was typed into it; raises BadInput where its charter cannot be read as YAML."""
    folder = workspace.pilots / name
    text = read_text(folder / CHARTER)
    content, found = _content(text), dict(problems or {})
    filled = tuple(
        replace(
            group,
            rows=tuple(tuple(_with(one, typed, found) for one in row) for row in group.rows),
            ticks=_ticked(group.ticks, typed),
        )
        for group in groups(workspace, content)
    )
    messages = tuple(
        replace(one, text=typed[one.name][0] if typed and one.name in typed else one.text)
        for one in _messages(folder, content)
    )
    return CharterForm(name, _digest(folder, text, content), filled, messages, found.get(""))


def save(workspace: Workspace, name: str, digest: str, typed: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Saves what was typed, and says what is wrong with it: by field, or under the empty name; nothing is written then.

    Raises Refused where somebody else has changed the draft since the form was made.
    """
    folder = workspace.pilots / name
    text = read_text(folder / CHARTER)
    content = _content(text)
    if digest != _digest(folder, text, content):
        raise Refused(
            "somebody has changed this draft since you opened it; what you typed was not saved",
            where=f"draft {name}",
            remedy="copy what you need from here, open the draft again, and change it there",
        )
    changed, problems = changes(workspace, content, typed)
    texts = _message_texts(folder, content, typed, problems)
    if problems:
        return problems
    try:
        after = edited(text, changed) if changed else text
        charter = parse_yaml(after, Path(CHARTER), Charter)
    except BadInput as error:
        return _by_field(error, _names(workspace, content))
    if charter.pilot != name:
        return {"": f"The charter names another pilot, {charter.pilot}."}
    for file, words in texts.items():
        write_atomically(folder / file, words)
    if after != text:
        write_atomically(folder / CHARTER, after)
    return {}


def look_ahead(workspace: Workspace, name: str, typed: Mapping[str, Sequence[str]]) -> OutlookFragment:
    """What the plan would come to with what is typed now; nothing is written."""
    try:
        text = read_text(workspace.pilots / name / CHARTER)
        changed, problems = changes(workspace, _content(text), typed)
        if problems:
            return OutlookFragment(problem="; ".join(dict.fromkeys(problems.values())))
        charter = parse_yaml(edited(text, changed) if changed else text, Path(CHARTER), Charter)
    except PilotPlantError as error:
        return OutlookFragment(problem=sentence(error.what))
    return outlook_of(workspace, charter)


def outlook_of(workspace: Workspace, charter: Charter) -> OutlookFragment:
    """What a charter's numbers come to, or why that cannot be said."""
    try:
        found = outlook(workspace, charter)
    except PilotPlantError as error:
        return OutlookFragment(problem=sentence(error.what))
    return OutlookFragment(tuple(found.rows), tuple(map(sentence, found.lines)), found.over)


def changes(
    workspace: Workspace, content: dict[str, Any], typed: Mapping[str, Sequence[str]]
) -> tuple[dict[Place, Value | None], dict[str, str]]:
    """What was typed and is not what the charter says, by place; and what cannot be taken, by field."""
    changed: dict[Place, Value | None] = {}
    problems: dict[str, str] = {}
    for group in groups(workspace, content):
        for one in group.fields:
            if one.name not in typed or one.name.startswith(f"{GUARDRAILS}."):
                continue
            words = " ".join(typed[one.name][0].split())
            if words == one.value:
                continue
            if one.optional and not words:
                # A spread without a mean says nothing.
                changed[one.place[:-1] if one.name.endswith(".mean") else one.place] = None
                continue
            try:
                changed[one.place] = one.read(words)
            except BadInput as error:
                problems[one.name] = sentence(error.what)
        if group.ticks is not None and f"{group.ticks.name}?" in typed:
            chosen = typed.get(group.ticks.name, ())
            after = [name for name, _ in group.ticks.offered if name in chosen]
            if after != [name for name, ticked in group.ticks.offered if ticked]:
                changed[group.ticks.name,] = after
    _guardrails(content, typed, changed, problems)
    return changed, problems


def _guardrails(
    content: dict[str, Any],
    typed: Mapping[str, Sequence[str]],
    changed: dict[Place, Value | None],
    problems: dict[str, str],
) -> None:
    """Rows of a metric and its margin; one without a metric is left out."""
    rows = sorted({int(m[1]) for name in typed if (m := re.fullmatch(rf"{GUARDRAILS}\.(\d+)\.metric", name))})
    found: list[tuple[str, str]] = []
    for at in rows:
        metric, margin = (
            " ".join(typed.get(f"{GUARDRAILS}.{at}.{part}", [""])[0].split()) for part in ("metric", "margin")
        )
        if metric and not NUMBER.fullmatch(margin):
            problems[f"{GUARDRAILS}.{at}.margin"] = "Say as a number how much it may change, like -0.01."
        elif metric:
            found.append((metric, margin))
    count = len(content.get(GUARDRAILS) or ())
    before = [
        (said(content, f"{GUARDRAILS}.{at}.metric"), said(content, f"{GUARDRAILS}.{at}.margin")) for at in range(count)
    ]
    if rows and found != before:
        changed[GUARDRAILS,] = [{"metric": metric, "margin": Number(margin)} for metric, margin in found]


def _content(text: str) -> dict[str, Any]:
    """The charter as plain data, its numbers as they are written."""
    try:
        found = yaml.load(text, _Written)  # noqa: S506 - a SafeLoader of ours
    except yaml.YAMLError as error:
        raise BadInput(
            "the charter is no YAML, so it has no form", where=CHARTER, remedy="correct it as text"
        ) from error
    if not isinstance(found, dict):
        raise BadInput("the charter is empty, so it has no form", where=CHARTER, remedy="write it as text")
    return found


class _Written(yaml.SafeLoader):
    """Leaves numbers and days as they are written."""


for _tag in ("int", "float", "timestamp"):
    _Written.add_constructor(f"tag:yaml.org,2002:{_tag}", lambda _, node: node.value)


def _messages(folder: Path, content: dict[str, Any]) -> Iterable[Message]:
    """The files that treatments' messages are in, each once."""
    using: dict[str, list[str]] = {}
    for arm in content.get("arms") or ():
        play = arm.get("play") if isinstance(arm, dict) else None
        file = play.get("template") if isinstance(play, dict) else None
        if isinstance(file, str) and Path(file).name == file and (folder / file).is_file():
            using.setdefault(file, []).append(str(arm.get("name")))
    for file, arms in using.items():
        text = (folder / file).read_text(encoding="utf-8", errors="replace")
        yield Message(MESSAGE + file, file, first_large(" and ".join(arms)), text)


def _message_texts(
    folder: Path, content: dict[str, Any], typed: Mapping[str, Sequence[str]], problems: dict[str, str]
) -> dict[str, str]:
    """The message files whose text was changed, with their new text."""
    found = {}
    for one in _messages(folder, content):
        words = typed.get(one.name, [one.text])[0].replace("\r\n", "\n")
        if len(words) > TEXT_MAX:
            problems[one.name] = f"This message is longer than {TEXT_MAX:,} characters."
        elif words.rstrip("\n") != one.text.rstrip("\n"):
            found[one.file] = words.rstrip("\n") + "\n"
    return found


def _digest(folder: Path, text: str, content: dict[str, Any]) -> str:
    return digest_json([text, *([one.file, one.text] for one in _messages(folder, content))])


def _with(one: Field, typed: Mapping[str, Sequence[str]] | None, problems: Mapping[str, str]) -> Field:
    words = one.value if typed is None else typed.get(one.name, [one.value])[0]
    return replace(one, value=words, problem=problems.get(one.name))


def _ticked(ticks: Ticks | None, typed: Mapping[str, Sequence[str]] | None) -> Ticks | None:
    if ticks is None or typed is None or f"{ticks.name}?" not in typed:
        return ticks
    chosen = typed.get(ticks.name, ())
    return replace(ticks, offered=tuple((name, name in chosen) for name, _ in ticks.offered))


def _names(workspace: Workspace, content: dict[str, Any]) -> set[str]:
    return {one.name for group in groups(workspace, content) for one in group.fields}


def _by_field(error: BadInput, names: Iterable[str]) -> dict[str, str]:
    """Whose field an error of the charter's reader is about; the whole form's where it names none of them."""
    named = re.match(r"`([\w.]+)`", error.what)
    told = sentence(f"{error.what}{f' (expected: {error.expected})' if error.expected else ''}")
    known = set(names)
    place = named[1] if named else ""
    while place and place not in known:
        place = place.rpartition(".")[0]
    return {place: told}
