"""What comes from outside as a model: once read nothing changes it, and a key that it does not know is an error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """A model of files and messages."""

    model_config = ConfigDict(frozen=True, extra="forbid")
