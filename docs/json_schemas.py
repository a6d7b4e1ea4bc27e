"""JSON Schemas of the YAML files that people write, from the models that read them, with help for editors."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SECTION = re.compile(r"^(Attributes|Returns|Raises|References):\s*$", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}(?P<names>\w+(?:, \w+)*): (?P<text>.+(?:\n {8}.+)*)", re.MULTILINE)


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a model, each key described as its docstring's `Attributes:` describe it.

    It refuses what the model refuses by structure: unknown, missing and mistyped keys, words outside their list. What
    needs two keys at once, like a time box of whole weeks, is for the model alone.
    """
    schema = model.model_json_schema()
    parts: dict[str, Any] = schema.get("$defs", {})
    for part in _models(model):
        _describe(part, schema if part is model else parts[part.__name__])
    _require_tags(schema, parts)
    return {"$schema": DIALECT, **schema}


def attributes(model: type[BaseModel]) -> dict[str, str]:
    """What the docstrings of a model and its bases say of each attribute, on one line."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__[: model.__mro__.index(BaseModel)]):
        doc = inspect.cleandoc(base.__doc__ or "")
        for entry in _ENTRY.finditer(doc[doc.find("Attributes:") :] if "Attributes:" in doc else ""):
            found |= dict.fromkeys(entry["names"].split(", "), " ".join(entry["text"].split()))
    return found


def _models(annotation: Any, seen: set[Any] | None = None) -> Iterator[type[BaseModel]]:
    """Every model on the way from this one, each once."""
    seen = set() if seen is None else seen
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation not in seen:
            seen.add(annotation)
            yield annotation
            for field in annotation.model_fields.values():
                yield from _models(field.annotation, seen)
        return
    for inner in get_args(annotation):
        yield from _models(inner, seen)


def _describe(model: type[BaseModel], schema: dict[str, Any]) -> None:
    summary = _SECTION.split(inspect.cleandoc(model.__doc__ or ""))[0]
    schema["description"] = " ".join(summary.split())
    said = attributes(model)
    for name, field in model.model_fields.items():
        described = schema["properties"][field.alias or name]
        described.pop("title", None)
        if name in said:
            described["description"] = said[name]


def _require_tags(node: Any, parts: dict[str, Any]) -> None:
    """Pydantic asks for a union's tag even where the member has a default for it; the schema has to say so too."""
    if isinstance(node, dict):
        if "discriminator" in node:
            tag = node["discriminator"]["propertyName"]
            for reference in node["discriminator"]["mapping"].values():
                member = parts[reference.rpartition("/")[2]]
                member["required"] = sorted({*member.get("required", []), tag})
        for value in node.values():
            _require_tags(value, parts)
    elif isinstance(node, list):
        for value in node:
            _require_tags(value, parts)
