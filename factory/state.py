"""The Factory's own truth: loads, snapshots, releases, runs and the stop switch; Prefect only calls on it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from shared.assignment import WorkspaceHoldout
from shared.confined import WithoutLandlock
from shared.ledger import ledger_table
from shared.people import SignaturesMin
from shared.room import Room, open_room
from shared.workspace import Workspace
from shared.yamlfile import read_yaml

SCHEMA_VERSION = 1
ReleaseState = Literal["live", "paused", "retired"]

metadata = sa.MetaData()
ledger = ledger_table(metadata)

loads = sa.Table(
    "loads",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("table", sa.String, nullable=False),
    sa.Column("file_digest", sa.String, nullable=False),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("accepted", sa.Integer, nullable=False),
    sa.Column("quarantined", sa.Integer, nullable=False),
)
snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("at", sa.String, nullable=False),
)
exports = sa.Table(
    "exports",
    metadata,
    sa.Column("table", sa.String, primary_key=True),
    sa.Column("version", sa.String, nullable=False),  # of the table in the warehouse, as it was exported last
    sa.Column("masking", sa.String, nullable=False),  # the digest of the query, key included
    sa.Column("data", sa.String, nullable=False),  # the digest of the Parquet file that came of it
)
releases = sa.Table(
    "releases",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("package", sa.String, nullable=False, unique=True),  # the candidate's digest
    sa.Column("attestation", sa.String, nullable=False),  # the envelope's digest
    sa.Column("pilot", sa.String, nullable=False),
    sa.Column("arm", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),  # raised by every change of state
    sa.Column("admitted_at", sa.String, nullable=False),
    sa.Column("expires", sa.String, nullable=False),
)
runs = sa.Table(
    "runs",
    metadata,
    sa.Column("release", sa.String, sa.ForeignKey("releases.name"), primary_key=True),
    sa.Column("occurrence", sa.String, primary_key=True),  # RFC 3339, the moment the schedule names
    sa.Column("state", sa.String, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("started_at", sa.String, nullable=False),
    sa.Column("ended_at", sa.String),
    sa.Column("audience", sa.Integer),  # units selected
    sa.Column("held_out", sa.Integer),  # of these, left alone
    sa.Column("messages", sa.Integer),
    sa.Column("file", sa.String),  # what was written, relative to the Factory's root
    sa.Column("file_digest", sa.String),
    sa.Column("reason", sa.String),
)
switches = sa.Table(
    "switches",
    metadata,
    sa.Column("name", sa.String, primary_key=True),  # `stop-all`
    sa.Column("since", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
)


class PrefectSettings(BaseModel):
    """Where the Factory's own Prefect server listens (loopback only)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int = Field(default=4200, ge=1024, le=65535)


class SnapshotSettings(BaseModel):
    """How many of the newest snapshots `factory prune` leaves, whoever needs them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep: int = Field(default=5, ge=1)


class FactorySettings(BaseModel):
    """`configs/factory.yaml`.

    Attributes:
        database: an SQLAlchemy URL.
        snapshots: how many are kept.
        channels: what a release may send through here.
        without_landlock: whether Lab-written SQL and templates run where the kernel cannot confine them.
        revoked: digests of candidates, and ids of keys, that no longer count.
        signatures_min: how many persons must have signed a package, by the risk tier of its charter.
        holdout_frac: the share of all customers that no pilot and no release touches.
        contacts_per_week: how many messages one unit may get within a week, from all releases together.
        above_cap_frac_max: the share of a release's units that may be planned for more, when it is admitted; a run
            leaves them alone once they have got so many.
        simultaneous_frac_max: the share of a release's units that may get another release's message at the very same
            moment; above a half, most people would get two at once.
        release_holdout_frac_min: the least share of its audience that a release leaves alone; 0 allows one without.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1]
    database: str
    prefect: PrefectSettings = PrefectSettings()
    snapshots: SnapshotSettings = SnapshotSettings()
    channels: tuple[Literal["file"], ...] = ("file",)
    without_landlock: WithoutLandlock = "refuse"
    revoked: tuple[str, ...] = ()
    signatures_min: SignaturesMin = SignaturesMin()
    holdout_frac: WorkspaceHoldout = Decimal(0)
    # One a day, which is where Bird's frequency capping begins as well (docs.bird.com, "Frequency Capping").
    contacts_per_week: int = Field(default=7, ge=1)
    above_cap_frac_max: float = Field(default=0, ge=0, lt=1)
    simultaneous_frac_max: float = Field(default=0.5, ge=0, lt=1)
    # Kohavi, Tang and Xu (2020), "Trustworthy Online Controlled Experiments", ch. 23: holdbacks keep 1 to 10 percent.
    release_holdout_frac_min: Decimal = Field(default=Decimal("0.01"), ge=0, lt=1, allow_inf_nan=False)


def read_settings(workspace: Workspace) -> FactorySettings:
    """The workspace's Factory settings."""
    return read_yaml(workspace.configs / "factory.yaml", FactorySettings)


def open_factory(workspace: Workspace, *, settled: bool = True) -> Room:
    """The Factory's room, its releases as their permits have them unless that is left to the caller."""
    room = open_room("factory", workspace, read_settings(workspace).database, metadata, version=SCHEMA_VERSION)
    if settled:
        from factory.releases import settle  # which reads these tables

        settle(room)
    return room


def inbox(workspace: Workspace) -> Path:
    """Where packages arrive and stay."""
    return workspace.factory / "inbox"
