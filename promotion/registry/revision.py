"""Revision: the fields of a charter that an owner wants changed, named so that a successor can be held to them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from shared.core.digests import canonical
from shared.core.errors import BadInput
from shared.experiment.charter import Charter

# What names the successor and its place in the line is not the owner's to choose.
KEPT = ("schema_version", "pilot", "follows")
MISSING = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One field, as a path like `sample.units_per_arm` or `arms.1.weight`, and its new value."""

    path: str
    value: Any

    def __str__(self) -> str:
        """As it is typed, and signed."""
        return f"{self.path}={canonical(self.value).decode()}"


def parse_changes(texts: Sequence[str], charter: Charter) -> tuple[Change, ...]:
    """The changes as they are typed; raises BadInput for one that names no field, changes nothing, or cannot be."""
    found = tuple(_parse(text, charter) for text in texts)
    if found:
        try:
            Charter.model_validate(applied(charter.model_dump(mode="json"), found))
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise BadInput(
                f"the charter would not hold together: {where}: {problem['msg']}",
                where="--change",
                remedy="give that field a value that it takes, or name what else has to change with it",
            ) from error
    return found


def applied(content: dict[str, Any], changes: Sequence[Change]) -> dict[str, Any]:
    """A charter's content with the changes made in it."""
    made = copy.deepcopy(content)
    for change in changes:
        *above, last = change.path.split(".")
        inner: Any = made
        for part in above:
            inner = inner[int(part)] if isinstance(inner, list) else inner.setdefault(part, {})
        inner[int(last) if isinstance(inner, list) else last] = change.value
    return made


def at(charter: Charter, path: str) -> Any:
    """The value at a path, in JSON; MISSING where there is none."""
    found: Any = charter
    for part in path.split("."):
        if isinstance(found, BaseModel) and part in type(found).model_fields:
            found = getattr(found, part)
        elif isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list | tuple) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            return MISSING
    return to_jsonable_python(found)


def unmade(changes: Sequence[str], before: Charter, after: Charter) -> list[str]:
    """The paths of the changes that were named, as they were signed, whose field is what it was."""
    paths = (change.partition("=")[0] for change in changes)
    return [path for path in paths if at(after, path) == at(before, path)]


def _parse(text: str, before: Charter) -> Change:
    path, found, given = text.partition("=")
    path, value = path.strip(), _value(given)
    known = at(before, path)
    if not found or known is MISSING or path.split(".")[0] in KEPT:
        fields = ", ".join(name for name in Charter.model_fields if name not in KEPT)
        raise BadInput(
            f"`{text}` names no field of the charter that can be changed",
            where="--change",
            expected=f"FIELD=VALUE, like sample.units_per_arm=4000; fields: {fields}",
        )
    if value == known:
        raise BadInput(f"`{path}` is {given.strip()} already", where="--change", remedy="name what is to be different")
    return Change(path, value)


def _value(given: str) -> Any:
    try:
        value = yaml.safe_load(given)
        canonical(value)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise BadInput(f"`{given}` is no value", where="--change", expected="a number, a word, or YAML") from error
    return value
