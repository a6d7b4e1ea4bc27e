"""Writes docs/reference/ from the models that read people's YAML; `--check` only says whether it is up to date."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from generated import settle
from json_schemas import schema_of
from schemas import MODELS

from shared.data.contracts import Document

FOLDER = Path(__file__).with_name("reference")
# Where each file lies in a workspace, and what it is for.
FILES = {
    "charter": ("pilots/NAME/charter.yaml", "The plan of one pilot, frozen when it is launched."),
    "contract": (
        "configs/contracts/TABLE.odcs.yaml",
        "What a table holds, by the Open Data Contract Standard 3.1.0, in the part of it that is enforced "
        "([Data in](../data.md)).",
    ),
    "metrics": ("configs/metrics.yaml", "What is measured: one definition for Lab, gate and Factory."),
    "people": ("configs/people.yaml", "Who may decide what. It names people and never makes a key trusted."),
    "gate": (
        "configs/gate.yaml",
        "The gate's policy. What each check asks, with its thresholds, is on [a page of its own](../gate.md).",
    ),
    "factory": ("configs/factory.yaml", "The Factory's settings."),
    "lab": ("configs/lab.yaml", "The Lab's settings."),
    "team": ("configs/team.yaml", "The team."),
    "access": ("configs/access.yaml", "Which accounts of the machine may reach what."),
}
HEAD = """# {title}

{about} `make docs` writes this page from the model that reads the file; what is not named here is
refused, with its line. {schema}
"""
SCHEMA = "Editors complete and check it by `configs/schemas/{name}.schema.json`.\n"
ROW = "| key | value | if left out | what it is |\n|---|---|---|---|\n"


def pages() -> dict[Path, str]:
    """Each page with its text."""
    models = {**MODELS, "contract": Document}
    return {FOLDER / f"{name}.md": _page(name, schema_of(models[name])) for name in FILES}


def _page(name: str, schema: dict[str, Any]) -> str:
    title, about = FILES[name]
    head = HEAD.format(title=title, about=about, schema=SCHEMA.format(name=name) if name in MODELS else "")
    parts = schema.get("$defs", {})
    return head + _table(schema) + "".join(_part(part, parts[part]) for part in _in_order(schema, parts))


def _in_order(schema: Any, parts: dict[str, Any]) -> list[str]:
    """The parts that the file is made of, each once, as a reader comes upon them."""
    found: dict[str, None] = {}

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "$ref" and (name := value.rpartition("/")[2]) not in found:
                    found[name] = None
                    walk(parts[name])
                elif key != "$defs":
                    walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(schema)
    return list(found)


def _part(name: str, schema: dict[str, Any]) -> str:
    said = _cell(schema.get("description", ""))
    body = _table(schema) if "properties" in schema else f"{_value(schema)}\n"
    return f"\n## {name}\n\n{said}\n\n{body}"


def _table(schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    return ROW + "".join(
        f"| `{name}` | {_value(each)} | {_default(each, needed=name in required)} | {_meaning(each)} |\n"
        for name, each in schema.get("properties", {}).items()
    )


def _meaning(schema: dict[str, Any]) -> str:
    said = _cell(schema.get("description", ""))
    return said[:1].upper() + said[1:]


def _default(schema: dict[str, Any], *, needed: bool) -> str:
    if needed:
        return "needed"
    value = schema.get("default")
    if isinstance(value, dict) and any(isinstance(each, dict) for each in value.values()):
        return "as below"
    said = "" if value is None else _cell(_said(value))
    return f"`{said}`" if said else "–"


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_said(each)}" for key, each in value.items() if each is not None)
    return str(value)


def _value(schema: dict[str, Any]) -> str:  # noqa: PLR0911
    """What may stand there, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{_cell(_said(schema['const']))}`"
    if "enum" in schema:
        return ", ".join(f"`{_cell(_said(each))}`" for each in schema["enum"])
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        # "Nothing" is what stands there where it is left out.
        return " or ".join(dict.fromkeys(_value(each) for each in choices if each.get("type") != "null"))
    if "allOf" in schema:
        return ", ".join(map(_value, schema["allOf"]))
    if schema.get("type") == "array":
        items = schema.get("prefixItems")
        return f"[{', '.join(map(_value, items))}]" if items else f"list of {_value(schema.get('items', {}))}"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"by name: {_value(inner)}" if isinstance(inner, dict) else "keys and values"
    return ", ".join([_plain(schema), *_bounds(schema)])


def _plain(schema: dict[str, Any]) -> str:
    kinds = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return {"date": "day", "date-time": "moment"}.get(
        schema.get("format", ""), kinds.get(schema.get("type", ""), "value")
    )


def _bounds(schema: dict[str, Any]) -> Iterator[str]:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    yield from (f"{word} {schema[key]}" for key, word in words.items() if key in schema)
    if "pattern" in schema:
        yield f"like `{_cell(schema['pattern'])}`"


def _cell(text: str) -> str:
    # In Python what was left out is None; in YAML it is not there.
    return re.sub(r"\bNone\b", "left out", " ".join(text.split())).replace("|", "\\|")


if __name__ == "__main__":
    for path, text in pages().items():
        settle(path, text, f"docs/reference/{path.name} is not what its model says")
