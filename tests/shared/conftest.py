"""How Hypothesis runs here: repeatably, and without a stopwatch (nothing is timed in a test)."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("shared", deadline=None, derandomize=True, database=None, max_examples=40)
settings.load_profile("shared")
