"""The JSON form of what the rooms say: one for every value, whichever command prints it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import singledispatch
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from shared.core.clock import rfc3339
from shared.core.errors import PilotPlantError

INSIDE = {"inside": True}


@singledispatch
def jsonable(value: Any) -> Any:
    """A value as JSON has it: models and dataclasses as objects of their fields, moments in RFC 3339, paths as texts.

    A name that Python keeps for itself, like `from`, has an underscore behind it in a dataclass; a field of `INSIDE` is
    nobody's to read. A class that says something else of itself has a method `as_json`. Raises TypeError for what has
    no form.
    """
    if hasattr(value, "as_json"):
        return jsonable(value.as_json())
    if is_dataclass(value):
        shown = [field for field in fields(value) if not field.metadata.get("inside")]
        return {field.name.removesuffix("_"): jsonable(getattr(value, field.name)) for field in shown}
    if value is None:
        return None
    raise TypeError(f"{type(value).__name__} has no JSON form here")


@jsonable.register(bool | int | float | str)
def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


@jsonable.register
def _model(value: BaseModel) -> Any:
    return jsonable(value.as_json()) if hasattr(value, "as_json") else value.model_dump(mode="json")


@jsonable.register
def _error(value: PilotPlantError) -> Any:
    return jsonable(value.told)


@jsonable.register
def _object(value: Mapping) -> Any:  # type: ignore[type-arg]  # singledispatch takes no parameters
    return {str(key): jsonable(each) for key, each in value.items()}


@jsonable.register(list | tuple)
def _array(value: Any) -> Any:
    return [jsonable(each) for each in value]


@jsonable.register(set | frozenset)
def _set(value: Any) -> Any:
    return sorted(jsonable(each) for each in value)


@jsonable.register
def _moment(value: datetime) -> str:
    return rfc3339(value)


@jsonable.register(Path | Decimal | date)
def _text(value: Any) -> str:
    return str(value)
