"""YAML files whose every error names the file, the line and what would have been valid."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, Tag, ValidationError

from shared.core.errors import BadInput
from shared.core.printable import hidden

Model = TypeVar("Model", bound=BaseModel)
Location = Sequence[str | int]
# Plain values that every version of YAML reads alike, by what PyYAML takes them for.
_CLEAR = {
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+"),
    "float": re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
}
_WRITE = {
    "bool": "true or false",
    "int": "a number like 500: no zero in front of it, no `_` and no `:` within it",
    "float": "a number like 12.5: no `_` and no `:` within it",
}


def read_yaml(path: Path, model: type[Model], *, as_it_is: bool = False) -> Model:
    """The file's content as `model`; raises BadInput with file and line.

    A text with a character that nobody can see is refused, and a value that two versions of YAML read differently, but
    for files that were frozen before they were: `as_it_is`.
    """
    return cast("Model", _read(read_text(path), path, model, as_it_is))


def parse_yaml(text: str, path: Path, model: type[Model]) -> Model:
    """A text that is to become the file, as `model`; raises BadInput as `read_yaml` does."""
    _require_text(text, path)
    return cast("Model", _read(text, path, model, as_it_is=False))


@lru_cache(maxsize=256)
def _read(text: str, path: Path, model: type[BaseModel], as_it_is: bool) -> BaseModel:
    """The same text is read once: one command asks for a contract or for settings again and again."""
    node = _compose(text, path)
    if not as_it_is:
        for scalar in _scalars(node):
            _refuse_hidden(scalar, path)
            _refuse_ambiguous(scalar, path)
    content = _construct(node, path)
    try:
        found = model.model_validate(content)
    except ValidationError as error:
        raise _first(error, node, path, model) from error
    if not as_it_is and (place := _truth_for_number(content, found)) is not None:
        raise BadInput(
            f"`{'.'.join(map(str, place))}` is true or false, and a number is expected",
            where=f"{path}, line {_line(node, place)}",
            remedy="write the number",
        )
    return found


def read_text(path: Path) -> str:
    """A UTF-8 text file; raises BadInput where it is missing, empty or in another encoding."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadInput("there is no such file", where=str(path), remedy="check the name and the folder") from error
    except IsADirectoryError as error:
        raise BadInput("this is a folder, not a file", where=str(path), remedy="name the file inside") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BadInput(
            "the file is not in UTF-8", where=f"{path}, line {line}", remedy="save it with the encoding UTF-8"
        ) from error
    _require_text(text, path)
    return text


def _require_text(text: str, path: Path) -> None:
    if not text.strip():
        raise BadInput("the file is empty", where=str(path), remedy="write it, or restore it from a backup")


def _compose(text: str, path: Path) -> yaml.Node:
    try:
        node = _composed(text)
    except RecursionError as error:
        raise BadInput("this is nested too deeply to be read", where=str(path)) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise BadInput(
            f"this is not YAML: {getattr(error, 'problem', None) or error}",
            where=f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else _after(text, error, path),
            remedy="look at the indentation, colons and quotes at and just above that line",
        ) from error
    if node is None:
        raise BadInput("the file holds nothing but comments", where=str(path), remedy="write its keys below them")
    try:
        _refuse_repeated_keys(node, path)
    except RecursionError as error:
        raise BadInput("this is nested too deeply, or within itself", where=str(path)) from error
    return node


def _composed(text: str) -> yaml.Node | None:
    if yaml.__with_libyaml__:
        with suppress(yaml.YAMLError):  # PyYAML's own parser says more of what is wrong where
            return yaml.compose(text, Loader=_quick())
    return yaml.compose(text, Loader=yaml.SafeLoader)


@cache
def _quick() -> Any:
    """Reads with libyaml, ten times as fast, and builds the nodes in Python: libyaml's own builder knows no depth."""
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    class Quick(yaml.composer.Composer, CParser, yaml.resolver.Resolver):
        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            yaml.composer.Composer.__init__(self)
            yaml.resolver.Resolver.__init__(self)

    return Quick


def _after(text: str, error: yaml.YAMLError, path: Path) -> str:
    """Where a character stands that YAML does not allow: the reader counts characters, not lines."""
    position = getattr(error, "position", None)
    return str(path) if position is None else f"{path}, line {text[:position].count(chr(10)) + 1}"


class _Loader(yaml.SafeLoader):
    """Tells where a value stands that has the form of a date or number, and is none."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """As PyYAML does it, but for the mark in a ValueError."""
        try:
            return super().construct_object(node, deep=deep)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(problem=str(error), problem_mark=node.start_mark) from error


def _construct(node: yaml.Node, path: Path) -> Any:
    loader = _Loader("")
    try:
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or node.start_mark
        raise BadInput(
            f"this value cannot be read: {getattr(error, 'problem', None) or error}",
            where=f"{path}, line {mark.line + 1}",
            remedy="correct it there, or put it in quotes if it is meant as text",
        ) from error
    finally:
        loader.dispose()


def _refuse_repeated_keys(node: yaml.Node, path: Path) -> None:
    """YAML lets the last of two equal keys win in silence; a promise must not depend on that."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise BadInput(
                    "a key is a list or a mapping",
                    where=f"{path}, line {key.start_mark.line + 1}",
                    expected="a plain word as key",
                )
            if key.value in seen:
                raise BadInput(
                    f"`{key.value}` is given twice",
                    where=f"{path}, line {key.start_mark.line + 1}",
                    remedy=f"keep one of the two (the other is on line {seen[key.value]})",
                )
            seen[key.value] = key.start_mark.line + 1
            _refuse_repeated_keys(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(item, path)


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    else:
        for child in chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value:
            yield from _scalars(child)


def _refuse_hidden(node: yaml.ScalarNode, path: Path) -> None:
    if (found := hidden(node.value)) is not None:
        raise BadInput(
            f"this text holds a character that nobody can see ({found[1]})",
            where=f"{path}, line {node.start_mark.line + 1}",
            expected="text of which every character shows",
            remedy="type it anew; it may have come with what was pasted",
        )


def _refuse_ambiguous(node: yaml.ScalarNode, path: Path) -> None:
    """PyYAML reads YAML 1.1, where `0500` is 320, `1:30` is 90 and `on` is true; in YAML 1.2 none of them is."""
    kind, plain = node.tag.rpartition(":")[2], not node.style
    if plain and kind in _CLEAR and not _CLEAR[kind].fullmatch(node.value):
        raise BadInput(
            f"`{node.value}` is read differently by different programs: as {yaml.safe_load(node.value)!r} here",
            where=f"{path}, line {node.start_mark.line + 1}",
            expected=_WRITE[kind],
            remedy="write it so; or put it in quotes, if it is a text",
        )


def _truth_for_number(said: Any, found: Any, place: tuple[str | int, ...] = ()) -> tuple[str | int, ...] | None:
    """Where the file says true or false, and pydantic took it for 1 or 0."""
    if isinstance(said, bool):
        return place if isinstance(found, int | float) and not isinstance(found, bool) else None
    inner: Iterator[tuple[str | int, Any, Any]] = iter(())
    if isinstance(said, dict) and isinstance(found, BaseModel):
        names = {field.alias or name: name for name, field in type(found).model_fields.items()}
        inner = ((key, said[key], getattr(found, names[key])) for key in said if key in names)
    elif isinstance(said, dict) and isinstance(found, dict):
        inner = ((key, said[key], found[key]) for key in said if key in found)
    elif isinstance(said, list) and isinstance(found, list | tuple) and len(said) == len(found):
        inner = ((at, one, other) for at, (one, other) in enumerate(zip(said, found, strict=True)))
    places = (_truth_for_number(one, other, (*place, key)) for key, one, other in inner)
    return next((each for each in places if each is not None), None)


def _first(error: ValidationError, node: yaml.Node, path: Path, model: type[BaseModel]) -> BadInput:
    problems = error.errors(include_url=False)
    # A misspelt key is missing under its right name as well; the other half of the story says more.
    problem = next((each for each in problems if each["type"] == "extra_forbidden"), problems[0])
    location = problem["loc"]
    more = f" (and {len(problems) - 1} more after this)" if len(problems) > 1 else ""
    # What parts of a charter say together has no line of its own.
    together = not location and problem["type"] == "value_error"
    name = "" if together else ".".join(str(step) for step in location) or "the file"
    where = str(path) if together else f"{path}, line {_line(node, location)}"
    valid = _valid_keys(model, location[:-1])
    if problem["type"] == "extra_forbidden":
        key = str(location[-1])
        close = difflib.get_close_matches(key, valid, n=1)
        return BadInput(
            f"unknown key `{name}`{more}",
            where=where,
            expected="one of: " + ", ".join(valid),
            remedy=f"did you mean `{close[0]}`?" if close else "remove it, or correct its name",
        )
    if problem["type"] == "missing":
        return BadInput(f"`{name}` is missing{more}", where=where, remedy=f"add `{location[-1]}:` there")
    if problem["type"] == "union_tag_invalid":
        tag = problem["ctx"]["discriminator"].strip("'")
        return BadInput(
            f"`{name}.{tag}`: there is no `{problem['ctx']['tag']}`{more}",
            where=f"{path}, line {_line(node, (*location, tag))}",
            expected="one of: " + problem["ctx"]["expected_tags"].replace("'", ""),
            remedy="correct it there",
        )
    said = f"`{name}`: " if name else ""
    told = problem["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return BadInput(f"{said}{told}{more}", where=where, expected=_expected(problem), remedy="correct it there")


def _expected(problem: Any) -> str | None:
    context = problem.get("ctx", {})
    if problem["type"] in {"literal_error", "enum"}:
        return str(context["expected"])
    given = problem.get("input")
    if problem["type"] == "string_type" and not isinstance(given, dict | list):
        # Without quotes YAML makes a truth value of `false`, nothing of `null`, and a day of `2026-01-05`.
        return "a text; what YAML would read as something else stands in quotes"
    if isinstance(given, str | int | float | bool | None):
        return f"something else than {given!r}"
    return None


def _line(node: yaml.Node, location: Location) -> int:
    """The line of the deepest node on the way to `location` that exists in the file."""
    line = node.start_mark.line
    for step in location:
        found = _step(node, step)
        if found is None:
            continue  # a tag of a union, which pydantic adds to the way
        line, node = found
    return line + 1


def _step(node: yaml.Node, step: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line, node.value[step]
    return None


def _valid_keys(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that the model knows at `location`."""
    here: Any = model
    for step in location:
        if get_origin(here) in {Union, types.UnionType}:
            if tagged := next((member for member, tags in _members(here) if step in tags), None):
                here = tagged
                continue  # the step was the tag, which is no key of the file
            here = _inner(here)
        if step in _fields(here):
            here = _fields(here)[str(step)]
        elif get_origin(here) in {tuple, list, dict}:
            here = _inner(here)
    return sorted(_fields(_inner(here)))


def _members(annotation: Any) -> Iterator[tuple[type[BaseModel], tuple[Any, ...]]]:
    """The models of a union, each with the tags that choose it: given with it, or the values of its literal fields."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        tags = tuple(each.tag for each in metadata if isinstance(each, Tag))
        yield from [(inner, tags)] if tags else _members(inner)
    elif get_origin(annotation) in {Union, types.UnionType}:
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation, tuple(value for field in _fields(annotation).values() for value in get_args(field))


def _fields(model: Any) -> dict[str, Any]:
    """The keys of a model, as a file writes them, with their annotations."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return {}
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _inner(annotation: Any) -> Any:
    """The model inside `tuple[Model, ...]`, `dict[str, Model]` or `Model | None`."""
    if get_origin(annotation) in {tuple, list, dict, Union, types.UnionType, Annotated}:
        for argument in get_args(annotation):
            inner = _inner(argument)
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                return inner
    return annotation
