"""The engine that is taken where none is named; it is loaded when it is taken, for most commands only read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.engines.protocol import Engine


def usual_engine() -> Engine:
    """DuckDB."""
    from shared.engines.duckdb import DuckDB

    return DuckDB()
