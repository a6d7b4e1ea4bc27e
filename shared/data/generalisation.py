"""Generalisation: how coarse a restricted column is shown, as its contract says it.

In the Open Data Contract Standard it is a custom property of the column, `generalise`, with one of four forms. Each is
total, so that no value slips through as it was, and keeps the column's type, so that SQL reads it like the original:

* `width: 10`: numbers become the lower end of their band; bands are so wide, and one of them begins at 0;
* `breaks: [18, 30, 50]`: numbers become the greatest break that is not above them, and the first if all are;
* `to: month` (or `quarter`, `year`): dates and timestamps become the first moment of theirs, in UTC;
* `characters: 3`: texts become their first three characters; one that is no longer than that would be shown whole, and
  becomes NULL.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, StrictInt, field_validator, model_validator

from shared.core.exact import Number
from shared.core.frozen import FrozenModel

_APPLIES = {
    "width": {"integer", "number"},
    "breaks": {"integer", "number"},
    "to": {"date", "timestamp"},
    "characters": {"string"},
}


class Generalisation(FrozenModel):
    """One of the four forms; the other three are None."""

    width: Number | None = None
    breaks: Annotated[tuple[Number, ...], Field(min_length=1)] | None = None
    to: Literal["month", "quarter", "year"] | None = None
    characters: Annotated[StrictInt, Field(ge=1)] | None = None

    @field_validator("width")
    @classmethod
    def _is_positive(cls, width: float | None) -> int | float | None:
        if width is not None and width <= 0:
            raise ValueError("must be above 0")
        return width

    @field_validator("breaks")
    @classmethod
    def _ascend(cls, breaks: tuple[int | float, ...] | None) -> tuple[int | float, ...] | None:
        if any(low >= high for low, high in pairwise(breaks or ())):
            raise ValueError("must ascend")
        return breaks

    @model_validator(mode="after")
    def _has_one_form(self) -> Generalisation:
        given = self.model_dump(exclude_none=True)
        if len(given) != 1:
            raise ValueError(f"needs exactly one of {', '.join(_APPLIES)}, and has {', '.join(given) or 'none'}")
        return self

    @property
    def form(self) -> str:
        """Which of the four it is."""
        return next(iter(self.model_dump(exclude_none=True)))

    def against(self, kind: str) -> str | None:
        """Why it cannot coarsen a column of this type, or None."""
        if kind not in _APPLIES[self.form]:
            fitting = [form for form, kinds in _APPLIES.items() if kind in kinds]
            return f"{self.form} does not apply to {kind}" + (f"; {' or '.join(fitting)} does" if fitting else "")
        numbers = (self.width, *(self.breaks or ()))
        if kind == "integer" and any(isinstance(number, float) for number in numbers):
            return f"{self.form} of an integer needs whole numbers"
        return None

    def __str__(self) -> str:
        """What a shown value is, in plain words."""
        if self.breaks:
            return "the lower end of its band, one of " + ", ".join(map(str, self.breaks))
        if self.to:
            return f"the first moment of its {self.to}"
        if self.characters:
            return f"its first {self.characters} characters"
        return f"the lower end of its band, which is {self.width} wide"
