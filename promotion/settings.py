"""What the gate's settings say before any policy: its database, the draws, and what all pilots share."""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from shared.core.errors import BadInput
from shared.core.yamlfile import read_yaml
from shared.state.workspace import Workspace


class PortfolioSettings(BaseModel):
    """What holds for all pilots together.

    Attributes:
        bound: the largest expected share of false ones among all that are scaled within their level; 0.2 costs a team
            of 20 to 40 pilots a year the least power of what may still be called a bound (docs/proof/portfolio.md).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bound: float = Field(default=0.2, gt=0, lt=1)


class RegistrySettings(BaseModel):
    """The part of `configs/gate.yaml` that no check has a say in.

    Attributes:
        database: an SQLAlchemy URL.
        portfolio: what holds for all pilots together.
        nonce_seed: draws the nonces of a rehearsal, so that the same names get the same arms; None draws new ones.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1]
    database: str
    portfolio: PortfolioSettings = PortfolioSettings()
    nonce_seed: str | None = Field(default=None, min_length=1)


AnySettings = TypeVar("AnySettings", bound=RegistrySettings)


def read_registry_settings(workspace: Workspace) -> RegistrySettings:
    """The workspace's; raises BadInput for a seed of the draws in a live workspace."""
    return read_as(workspace, RegistrySettings)


def read_as(workspace: Workspace, model: type[AnySettings]) -> AnySettings:
    """`configs/gate.yaml` as a model, or the part of it that the model has; raises as `read_registry_settings` does."""
    path = workspace.configs / "gate.yaml"
    settings = read_yaml(path, model)
    if settings.nonce_seed is not None and workspace.mode == "live":
        raise BadInput(
            "`nonce_seed` would let somebody choose which customers get which arm",
            where=str(path),
            expected="no `nonce_seed` in a live workspace; it is for rehearsals",
            remedy="take the line out: the gate draws each pilot's nonce itself",
        )
    return settings
