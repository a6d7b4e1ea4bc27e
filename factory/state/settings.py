"""The Factory's settings, from `configs/factory.yaml`, and where its files lie."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import Field

from shared.core.exact import WorkspaceHoldout
from shared.core.frozen import FrozenModel
from shared.core.yamlfile import read_yaml
from shared.experiment.people import SignaturesMin
from shared.sandbox import Limits, WithoutLandlock
from shared.sandbox.settings import BoxLimits
from shared.state.workspace import Workspace


class PrefectSettings(FrozenModel):
    """Where the Factory's own Prefect server listens (loopback only)."""

    port: int = Field(default=4200, ge=1024, le=65535)


class SnapshotSettings(FrozenModel):
    """How many of the newest snapshots `factory prune` leaves, whoever needs them."""

    keep: int = Field(default=5, ge=1)


class FactorySettings(FrozenModel):
    """`configs/factory.yaml`.

    Attributes:
        database: an SQLAlchemy URL.
        snapshots: how many are kept.
        channels: what a release may send through here.
        box: what Lab-written SQL and templates may use.
        without_landlock: whether Lab-written SQL and templates run where the kernel cannot confine them.
        revoked: digests of candidates, and ids of keys, that no longer count.
        signatures_min: how many persons must have signed a package, by the risk tier of its charter.
        quarantined_frac_max: the share of a file's rows that may be bad; a file with more is not loaded at all.
        holdout_frac: the share of all customers that no pilot and no release touches.
        contacts_per_week: how many messages one unit may get within a week, from all releases together.
        above_cap_frac_max: the share of a release's units that may be planned for more, when it is admitted; a run
            leaves them alone once they have got so many.
        simultaneous_frac_max: the share of a release's units that may get another release's message at the very same
            moment; above a half, most people would get two at once.
        release_holdout_frac_min: the least share of its audience that a release leaves alone; 0 allows one without.
    """

    schema_version: Literal[1]
    database: str
    prefect: PrefectSettings = PrefectSettings()
    snapshots: SnapshotSettings = SnapshotSettings()
    channels: tuple[Literal["file"], ...] = ("file",)
    box: BoxLimits = BoxLimits()
    without_landlock: WithoutLandlock = "refuse"
    revoked: tuple[str, ...] = ()
    signatures_min: SignaturesMin = SignaturesMin()
    # Great Expectations' own examples let a rule fail in a twentieth (`mostly: 0.95`); a row may break several rules.
    quarantined_frac_max: float = Field(default=0.1, ge=0, le=1)
    holdout_frac: WorkspaceHoldout = Decimal(0)
    # One a day, which is where Bird's frequency capping begins as well (docs.bird.com, "Frequency Capping").
    contacts_per_week: int = Field(default=7, ge=1)
    above_cap_frac_max: float = Field(default=0, ge=0, lt=1)
    simultaneous_frac_max: float = Field(default=0.5, ge=0, lt=1)
    # Kohavi, Tang and Xu (2020), "Trustworthy Online Controlled Experiments", ch. 23: holdbacks keep 1 to 10 percent.
    release_holdout_frac_min: Decimal = Field(default=Decimal("0.01"), ge=0, lt=1, allow_inf_nan=False)


def limits(workspace: Workspace) -> Limits:
    """What Lab-written SQL and templates may use in the Factory."""
    return read_settings(workspace).box.limits_by("`box` in configs/factory.yaml")


def read_settings(workspace: Workspace) -> FactorySettings:
    """The workspace's Factory settings."""
    return read_yaml(workspace.configs / "factory.yaml", FactorySettings)


def warehouse_path(workspace: Workspace) -> Path:
    """Where the warehouse lies."""
    return workspace.factory / "warehouse.duckdb"


def inbox(workspace: Workspace) -> Path:
    """Where packages arrive and stay."""
    return workspace.factory / "inbox"
