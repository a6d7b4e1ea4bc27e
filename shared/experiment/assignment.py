"""Assignment by salted hash: the same answer for a unit in every room, in Python and in SQL.

A unit's bucket is the first 52 bits of SHA-256 over `salt:unit` (UTF-8), an integer in [0, 2**52). Arms own
consecutive ranges of buckets in the order of the charter, as long as their weights; the boundaries are whole
numbers, so no rounding can move a unit. 52 bits are exact in a double as well. `docs/assignment.md` describes it for
other languages, with vectors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

from pydantic import Field

from shared.core.sql import literal

HEX_DIGITS = 13
BUCKETS = 16**HEX_DIGITS
# The share of the units that could take part in a pilot which are drawn to.
SampledFrac = Annotated[Decimal, Field(gt=0, lt=1, allow_inf_nan=False)]


def pilot_salt(pilot: str, nonce: str | None = None) -> str:
    """The salt that draws a pilot's arms, by the nonce of the gate; without one, as under the first rules."""
    return _salt("pilot", pilot, nonce)


def sample_salt(pilot: str, nonce: str) -> str:
    """The salt that draws who takes part in a pilot; another one than its arms', so the two are independent."""
    return _salt("sample", pilot, nonce)


def holdout_salt(release: str, nonce: str | None = None) -> str:
    """The salt that draws a release's holdout; another one than any pilot's, so the two are independent."""
    return _salt("holdout", release, nonce)


def layer_salt(layer: str) -> str:
    """The salt that deals units out over a layer's slices."""
    return f"layer:{layer}"


def workspace_holdout_salt(workspace: str) -> str:
    """The salt that draws a workspace's holdout."""
    return f"workspace-holdout:{workspace}"


def bucket(salt: str, unit: str) -> int:
    """The unit's bucket under a salt, in [0, 2**52)."""
    return int(hashlib.sha256(f"{salt}:{unit}".encode()).hexdigest()[:HEX_DIGITS], 16)


def boundaries(weights: Mapping[str, Fraction]) -> list[tuple[str, int]]:
    """Each arm with the first bucket that is no longer its own, in the mapping's order."""
    total = sum(weights.values())
    reached, bounds = Fraction(0), []
    for arm, weight in weights.items():
        reached += weight
        bounds.append((arm, _bound(reached / total)))
    return bounds


def assign(salt: str, unit: str, weights: Mapping[str, Fraction]) -> str:
    """The unit's arm."""
    own = bucket(salt, unit)
    return next(arm for arm, bound in boundaries(weights) if own < bound)


def within(salt: str, unit: str, start: Fraction, end: Fraction) -> bool:
    """Whether the unit is in a slice: from the share `start` of all buckets on, up to but without `end`."""
    return _bound(start) <= bucket(salt, unit) < _bound(end)


def held_out(release: str, unit: str, fraction: Fraction, nonce: str | None = None) -> bool:
    """Whether a release leaves the unit alone, so that what it delivers can be measured."""
    return within(holdout_salt(release, nonce), unit, Fraction(0), fraction)


def assign_sql(salt: str, unit: str, weights: Mapping[str, Fraction]) -> str:
    """The DuckDB expression of `assign`; `unit` is a column's SQL, `salt` plain text. NULL for a unit that is NULL."""
    hashed = _hash_sql(salt, unit)
    cases = " ".join(f"WHEN {hashed} < {_bound_sql(bound)} THEN {literal(arm)}" for arm, bound in boundaries(weights))
    return f"(CASE {cases} END)"


def within_sql(salt: str, unit: str, start: Fraction, end: Fraction) -> str:
    """The DuckDB expression of `within`."""
    # A hash is longer than a bound and so never equals one: BETWEEN leaves `end` out.
    return f"({_hash_sql(salt, unit)} BETWEEN {_bound_sql(_bound(start))} AND {_bound_sql(_bound(end))})"


def held_out_sql(release: str, unit: str, fraction: Fraction, nonce: str | None = None) -> str:
    """The DuckDB expression of `held_out`."""
    return within_sql(holdout_salt(release, nonce), unit, Fraction(0), fraction)


def _salt(what: str, name: str, nonce: str | None) -> str:
    """Names hold no colon, so no salt of one kind is ever one of another."""
    return f"{what}:{name}" if nonce is None else f"{what}:{name}:{nonce}"


def _bound(share: Fraction) -> int:
    return int(BUCKETS * share)


def _hash_sql(salt: str, unit: str) -> str:
    return f"sha256({literal(f'{salt}:')} || {unit})"


def _bound_sql(bound: int) -> str:
    """A bound as text: digits of one length sort like the numbers they write, which spares reading every hash as one.

    The end of all buckets has a digit more, so `g` stands for it, which sorts after every digit.
    """
    return literal(f"{bound:0{HEX_DIGITS}x}" if bound < BUCKETS else "g")
