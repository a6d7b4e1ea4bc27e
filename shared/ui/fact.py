"""Facts: the few numbers that decided, each with what it is held against."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """A number: what it is of, and what it is held against."""

    name: str
    value: str
    against: str
