"""Assignment by salted hash: the same answer for a unit in every room, in Python and in SQL.

A unit's bucket is the first 52 bits of SHA-256 over `salt:unit` (UTF-8), an integer in [0, 2**52). Arms own
consecutive ranges of buckets in the order of the charter, as long as their weights; the boundaries are whole
numbers, so no rounding can move a unit. 52 bits are exact in a double as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fractions import Fraction

HEX_DIGITS = 13
BUCKETS = 16**HEX_DIGITS


def pilot_salt(pilot: str) -> str:
    """The salt that draws a pilot's arms."""
    return f"pilot:{pilot}"


def holdout_salt(release: str) -> str:
    """The salt that draws a release's holdout; another one than any pilot's, so the two are independent."""
    return f"holdout:{release}"


def bucket(salt: str, unit: str) -> int:
    """The unit's bucket under a salt, in [0, 2**52)."""
    return int(hashlib.sha256(f"{salt}:{unit}".encode()).hexdigest()[:HEX_DIGITS], 16)


def boundaries(weights: Mapping[str, Fraction]) -> list[tuple[str, int]]:
    """Each arm with the first bucket that is no longer its own, in the mapping's order."""
    total = sum(weights.values())
    reached, bounds = Fraction(0), []
    for arm, weight in weights.items():
        reached += weight
        bounds.append((arm, int(BUCKETS * reached / total)))
    return bounds


def assign(salt: str, unit: str, weights: Mapping[str, Fraction]) -> str:
    """The unit's arm."""
    own = bucket(salt, unit)
    return next(arm for arm, bound in boundaries(weights) if own < bound)


def held_out(release: str, unit: str, fraction: Fraction) -> bool:
    """Whether a release leaves the unit alone, so that what it delivers can be measured."""
    return bucket(holdout_salt(release), unit) < int(BUCKETS * fraction)


def bucket_sql(salt: str, unit: str) -> str:
    """The DuckDB expression of `bucket`; `unit` is a column's SQL, `salt` a plain text."""
    quoted = "'" + f"{salt}:".replace("'", "''") + "'"
    return f"CAST('0x' || substr(sha256({quoted} || {unit}), 1, {HEX_DIGITS}) AS UBIGINT)"


def assign_sql(salt: str, unit: str, weights: Mapping[str, Fraction]) -> str:
    """The DuckDB expression of `assign`."""
    cases = " ".join(
        "WHEN {} < {} THEN '{}'".format("bucket", bound, arm.replace("'", "''")) for arm, bound in boundaries(weights)
    )
    return f"(SELECT CASE {cases} END FROM (SELECT {bucket_sql(salt, unit)} AS bucket))"


def held_out_sql(release: str, unit: str, fraction: Fraction) -> str:
    """The DuckDB expression of `held_out`."""
    return f"({bucket_sql(holdout_salt(release), unit)} < {int(BUCKETS * fraction)})"
