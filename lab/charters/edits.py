"""Edits: values of a charter's text changed, while all else, comments too, stays as it was written."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import yaml

from shared.core.errors import BadInput

Place = tuple[str | int, ...]
LINE_MAX = 4096


@dataclass(frozen=True, slots=True)
class Number:
    """A number as somebody has written it: `500.00` stays that."""

    text: str

    @property
    def value(self) -> Any:
        """What it is."""
        return yaml.safe_load(self.text)


Value = str | Number | date | Sequence["Value"] | Mapping[str, "Value"]


def edited(text: str, changes: Mapping[Place, Value | None]) -> str:
    """A YAML text with other values at some places; None takes a key away.

    Raises BadInput where a place is not there, or where its surroundings would not stay as they are.
    """
    from ruamel.yaml import YAML

    written = YAML()
    written.preserve_quotes = True
    written.width = LINE_MAX
    written.indent(mapping=2, sequence=4, offset=2)
    content = written.load(text)
    expected = _unshared(yaml.safe_load(text))
    for place, value in changes.items():
        _put(content, place, None if value is None else _as_written(written, value))
        _put(expected, place, None if value is None else _meant(value))
    out = io.StringIO()
    written.dump(content, out)
    # Whatever else the text said it says still: the two libraries have to agree on that.
    if yaml.safe_load(out.getvalue()) != expected:
        raise BadInput(
            "this charter is written in a way that a form cannot edit",
            where="charter.yaml",
            remedy="edit it as text",
        )
    return out.getvalue()


def _unshared(content: Any) -> Any:
    """The same with nothing in two places: what an anchor names is changed where it was asked for, or not at all."""
    if isinstance(content, dict):
        return {key: _unshared(each) for key, each in content.items()}
    return [_unshared(each) for each in content] if isinstance(content, list) else content


def _put(content: Any, place: Place, value: Any) -> None:
    try:
        for step in place[:-1]:
            if isinstance(content, dict) and step not in content:
                if value is None:
                    return
                content[step] = {}
            content = content[step]
        if value is None:
            content.pop(place[-1], None)
        else:
            content[place[-1]] = value
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        name = ".".join(map(str, place))
        raise BadInput(f"there is no `{name}` to change", where="charter.yaml", remedy="edit it as text") from error


def _meant(value: Value) -> Any:
    """A value as it is read again."""
    if isinstance(value, Number):
        return value.value
    if isinstance(value, str | date):
        return value
    if isinstance(value, Mapping):
        return {key: _meant(each) for key, each in value.items()}
    return [_meant(each) for each in value]


def _as_written(written: Any, value: Value) -> Any:
    """A value as it is written: quoted where anybody could read it as something else than the text that it is."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, Number):
        return written.load(value.text)
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        return value if _is_plain(value) else DoubleQuotedScalarString(value)
    if isinstance(value, Mapping):
        inner = CommentedMap({key: _as_written(written, each) for key, each in value.items()})
        inner.fa.set_flow_style()
        return inner
    found = CommentedSeq([_as_written(written, each) for each in value])
    if not value or all(isinstance(each, str) for each in value):
        found.fa.set_flow_style()
    return found


def _is_plain(text: str) -> bool:
    """Whether every reader of YAML takes it for this text without quotes."""
    try:
        return bool(text) and text == yaml.safe_load(text) and "\n" not in text and text == text.strip()
    except (yaml.YAMLError, ValueError):
        return False
