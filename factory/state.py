"""The Factory's own truth: loads, snapshots, releases, runs and the stop switch; Prefect only calls on it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from shared.core.yamlfile import read_yaml
from shared.experiment.assignment import WorkspaceHoldout
from shared.experiment.people import SignaturesMin
from shared.sandbox import Limits, WithoutLandlock
from shared.sandbox.settings import BoxLimits
from shared.state.columns import Moment, Text, Whole
from shared.state.ledger import ledger_table
from shared.state.room import Room, open_room
from shared.state.workspace import Workspace

SCHEMA_VERSION = 1
ReleaseState = Literal["live", "paused", "retired"]

metadata = sa.MetaData()
ledger = ledger_table(metadata)

loads = sa.Table(
    "loads",
    metadata,
    sa.Column("id", Whole, primary_key=True),
    sa.Column("table", Text, nullable=False),
    sa.Column("file_digest", Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("accepted", Whole, nullable=False),
    sa.Column("quarantined", Whole, nullable=False),
)
snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("id", Text, primary_key=True),
    sa.Column("at", Moment, nullable=False),
)
exports = sa.Table(
    "exports",
    metadata,
    sa.Column("table", Text, primary_key=True),
    sa.Column("version", Text, nullable=False),  # of the table in the warehouse, as it was exported last
    sa.Column("masking", Text, nullable=False),  # the digest of the query, key included
    sa.Column("data", Text, nullable=False),  # the digest of the Parquet file that came of it
)
releases = sa.Table(
    "releases",
    metadata,
    sa.Column("name", Text, primary_key=True),
    sa.Column("package", Text, nullable=False, unique=True),  # the candidate's digest
    sa.Column("attestation", Text, nullable=False),  # the envelope's digest
    sa.Column("pilot", Text, nullable=False),
    sa.Column("arm", Text, nullable=False),
    sa.Column("state", Text, nullable=False),
    sa.Column("epoch", Whole, nullable=False),  # raised by every change of state
    sa.Column("admitted_at", Moment, nullable=False),
    sa.Column("expires", Moment, nullable=False),
)
runs = sa.Table(
    "runs",
    metadata,
    sa.Column("release", Text, sa.ForeignKey("releases.name"), primary_key=True),
    sa.Column("occurrence", Moment, primary_key=True),  # RFC 3339, the moment the schedule names
    sa.Column("state", Text, nullable=False),
    sa.Column("attempts", Whole, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("ended_at", Moment),
    sa.Column("audience", Whole),  # units selected
    sa.Column("held_out", Whole),  # of these, left alone
    sa.Column("messages", Whole),
    sa.Column("file", Text),  # what was written, relative to the Factory's root
    sa.Column("file_digest", Text),
    sa.Column("reason", Text),
)
switches = sa.Table(
    "switches",
    metadata,
    sa.Column("name", Text, primary_key=True),  # `stop-all`
    sa.Column("since", Moment, nullable=False),
    sa.Column("reason", Text, nullable=False),
)


# The ledger's entries of tables: a file was taken in, the same one came again, and a table went.
LOADED, CONFIRMED, DROPPED = "loaded", "confirmed", "dropped"


# How the reason of a run begins that was skipped because its grace was over.
TOO_LATE = "too late"


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

    model_config = ConfigDict(frozen=True, extra="forbid")

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


def standing(room: Room) -> set[str]:
    """The tables that were loaded, and not dropped since, as the ledger says."""
    entries, last = room.entries_table, dict[str, str]()
    query = sa.select(entries.c.subject, entries.c.kind).where(entries.c.kind.in_([LOADED, DROPPED]))
    with room.transaction() as connection:
        for subject, kind in connection.execute(query.order_by(entries.c.seq)):
            last[subject] = kind
    return {table for table, kind in last.items() if kind == LOADED}


def read_settings(workspace: Workspace) -> FactorySettings:
    """The workspace's Factory settings."""
    return read_yaml(workspace.configs / "factory.yaml", FactorySettings)


def open_factory(workspace: Workspace, *, settled: bool = True) -> Room:
    """The Factory's room, its releases as their permits have them unless that is left to the caller."""
    room = open_room("factory", workspace, read_settings(workspace).database, metadata, version=SCHEMA_VERSION)
    if settled:
        from factory.releases.releases import settle  # which reads these tables

        settle(room)
    return room


def warehouse_path(workspace: Workspace) -> Path:
    """Where the warehouse lies."""
    return workspace.factory / "warehouse.duckdb"


def inbox(workspace: Workspace) -> Path:
    """Where packages arrive and stay."""
    return workspace.factory / "inbox"
