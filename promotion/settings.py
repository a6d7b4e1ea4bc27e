"""The gate's settings, from `configs/gate.yaml`, but for the rules of its tiers, which the gate alone reads."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field

from shared.core.errors import BadInput
from shared.core.frozen import FrozenModel
from shared.core.yamlfile import read_yaml
from shared.experiment.people import SignaturesMin
from shared.notify.mail import Smtp
from shared.notify.webhook import require_safe
from shared.state.workspace import Workspace


class PortfolioSettings(FrozenModel):
    """What holds for all pilots together.

    Attributes:
        bound: the largest expected share of false ones among all that are scaled within their level; 0.2 costs a team
            of 20 to 40 pilots a year the least power of what may still be called a bound (docs/proof/portfolio.md).
    """

    bound: float = Field(default=0.2, gt=0, lt=1)


class Notify(FrozenModel):
    """How people are told, other than by mail.

    Attributes:
        webhook: where each reminder is posted as JSON; https, or http on this machine.
    """

    webhook: Annotated[str, AfterValidator(require_safe)] | None = None


class RoomSettings(FrozenModel):
    """`configs/gate.yaml`, its tiers as they stand there.

    Attributes:
        database: an SQLAlchemy URL.
        valid_days: how long a package may run after its decision.
        remind_days: how many days before its deadline a decision is shown as due.
        early_results: whether results are shown before the charter's look: its end, or a look that was agreed on.
        signatures_min: how many persons sign a decision, by risk tier.
        portfolio: what holds for all pilots together.
        nonce_seed: draws the nonces of a rehearsal, so that the same names get the same arms; None draws new ones.
        smtp: the mail server for `promote remind --send`; None where there is none.
        notify: what is told instead of by mail.
        tiers: see there.
    """

    schema_version: Literal[1]
    database: str
    valid_days: int = Field(default=180, ge=1, le=3650)
    remind_days: int = Field(default=3, ge=0)
    early_results: Literal["hidden", "shown"] = "hidden"
    signatures_min: SignaturesMin = SignaturesMin()
    portfolio: PortfolioSettings = PortfolioSettings()
    nonce_seed: str | None = Field(default=None, min_length=1)
    smtp: Smtp | None = None
    notify: Notify = Notify()
    tiers: Any = None


AnySettings = TypeVar("AnySettings", bound=RoomSettings)


def read_room_settings(workspace: Workspace) -> RoomSettings:
    """The workspace's; raises BadInput for a key that there is not, and for a seed of the draws in a live workspace."""
    return read_as(workspace, RoomSettings)


def read_as(workspace: Workspace, model: type[AnySettings]) -> AnySettings:
    """`configs/gate.yaml` as a model; raises as `read_room_settings` does."""
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
