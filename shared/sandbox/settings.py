"""How much Lab-written code may use, as a room's settings file says it."""

from __future__ import annotations

from pydantic import Field

from shared.core.frozen import FrozenModel
from shared.sandbox.box import Limits


class BoxLimits(FrozenModel):
    """What one SQL query, or one chunk of messages, may use.

    Attributes:
        disk_mb: the size of a result and of what is spilled; of a pilot's own database as well.
        memory_mb: DuckDB's memory, or a template's.
        seconds: wall clock.
        rows: the most rows of a result: units of an audience, and messages.
    """

    disk_mb: int = Field(default=512, ge=1, le=1_000_000)
    memory_mb: int = Field(default=1024, ge=64, le=1_000_000)
    seconds: float = Field(default=30, gt=0, le=3600)
    rows: int = Field(default=5_000_000, ge=1)

    def limits_by(self, setting: str) -> Limits:
        """The same as the box takes it; `setting` says where to raise it."""
        return Limits(self.seconds, self.memory_mb, self.disk_mb, self.rows, setting)
