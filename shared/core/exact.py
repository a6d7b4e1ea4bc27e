"""Numbers that a YAML file may give: finite, and exact as a double."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, PlainValidator

# Beyond 2^53 an integer is not exact as a double, which is how Great Expectations passes its bounds on.
EXACT = 2**53


def exact(value: Any) -> int | float:
    """The number as it came; raises ValueError for what is none, infinite, or too large to be exact."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("must be a finite number")
    if isinstance(value, int) and abs(value) > EXACT:
        raise ValueError(f"must lie between -{EXACT} and {EXACT} (2^53)")
    return value


Number = Annotated[int | float, PlainValidator(exact)]
# The share of all units that no pilot and no release of a workspace touches.
WorkspaceHoldout = Annotated[Decimal, Field(ge=0, lt=1, allow_inf_nan=False)]
