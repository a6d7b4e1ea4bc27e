"""The JSON form of what the rooms say: one for every value, whichever command prints it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from shared.core.clock import rfc3339
from shared.core.errors import PilotPlantError

# The metadata of a dataclass's field that no JSON says.
INSIDE = {"inside": True}


def jsonable(value: Any) -> Any:
    """A value as JSON has it: models and dataclasses as objects of their fields, moments in RFC 3339, paths as texts.

    A name that Python keeps for itself, like `from`, has an underscore behind it in a dataclass; a field of `INSIDE` is
    nobody's to read. A class that says something else of itself has a method `as_json`. Raises TypeError for what has
    no form.
    """
    found: Any
    match value:
        case None | bool() | int() | float() | str():
            found = value.value if isinstance(value, Enum) else value
        case Mapping():
            found = {str(key): jsonable(each) for key, each in value.items()}
        case list() | tuple():
            found = [jsonable(each) for each in value]
        case set() | frozenset():
            found = sorted(jsonable(each) for each in value)
        case datetime():
            found = rfc3339(value)
        case Path() | Decimal() | date():
            found = str(value)
        case _:
            found = _object(value)
    return found


def _object(value: Any) -> Any:
    from pydantic import BaseModel  # not for `--help`, which has no JSON

    if isinstance(value, PilotPlantError):
        return jsonable(value.told)
    if hasattr(value, "as_json"):
        return jsonable(value.as_json())
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value):
        shown = [field for field in fields(value) if not field.metadata.get("inside")]
        return {field.name.removesuffix("_"): jsonable(getattr(value, field.name)) for field in shown}
    raise TypeError(f"{type(value).__name__} has no JSON form here")
