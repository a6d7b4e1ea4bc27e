"""The Lab's own truth: launched pilots, what came in, what it cost, what was analysed and submitted."""

from __future__ import annotations

from typing import Literal

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from shared.confined import Limits, WithoutLandlock
from shared.ledger import ledger_table
from shared.mail import Smtp
from shared.money import Money
from shared.room import Room, open_room
from shared.workspace import Workspace
from shared.yamlfile import read_yaml

SCHEMA_VERSION = 1

metadata = sa.MetaData()
ledger = ledger_table(metadata)

pilots = sa.Table(
    "pilots",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("promise", sa.String, nullable=False),  # the version in force
    sa.Column("snapshot", sa.String, nullable=False),
    sa.Column("launched_at", sa.String, nullable=False),
    sa.Column("deposited_at", sa.String, nullable=False),  # what decides stands since then, by the gate's clock
    sa.Column("deadline", sa.String, nullable=False),  # silence after it is *stop*
    sa.Column("reserved", sa.String, nullable=False),  # the budget's total, in the Lab's currency
    sa.Column("ended_at", sa.String),  # only where it was closed early
    sa.Column("end_reason", sa.String),
)
amendments = sa.Table(
    "amendments",
    metadata,
    sa.Column("pilot", sa.String, sa.ForeignKey("pilots.name"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),  # as launched it was version 1
    sa.Column("promise", sa.String, nullable=False),
    sa.Column("before", sa.String, nullable=False),  # the promise it took the place of
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("changes", sa.JSON, nullable=False),
    sa.Column("deposited_at", sa.String),  # by the gate's clock; until then the pilot takes nothing more
)
batches = sa.Table(
    "batches",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("pilot", sa.String, sa.ForeignKey("pilots.name"), nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("file_digest", sa.String, nullable=False),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("parts", sa.String, nullable=False),  # the folder of its Parquet parts, below the pilot's own
    sa.Column("exposures", sa.Integer, nullable=False),
    sa.Column("outcomes", sa.Integer, nullable=False),
    sa.Column("duplicates", sa.Integer, nullable=False),
    sa.Column("conflicts", sa.JSON, nullable=False),  # rows held back, by reason
    sa.UniqueConstraint("pilot", "kind", "file_digest"),
)
spend = sa.Table(
    "spend",
    metadata,
    sa.Column("pilot", sa.String, sa.ForeignKey("pilots.name"), primary_key=True),
    sa.Column("id", sa.String, primary_key=True),  # the idempotency key
    sa.Column("at", sa.String, nullable=False),
    sa.Column("amount", sa.String, nullable=False),
    sa.Column("currency", sa.String, nullable=False),
    sa.Column("purpose", sa.String, nullable=False),
)
# Money held for a cost that is still to come. A row without `closed_at` is open: its amount is not left to spend.
reservations = sa.Table(
    "reservations",
    metadata,
    sa.Column("pilot", sa.String, sa.ForeignKey("pilots.name"), primary_key=True),
    sa.Column("id", sa.String, primary_key=True),  # settled, the cost has the same id
    sa.Column("at", sa.String, nullable=False),
    sa.Column("amount", sa.String, nullable=False),
    sa.Column("currency", sa.String, nullable=False),
    sa.Column("purpose", sa.String, nullable=False),
    sa.Column("closed_at", sa.String),
    sa.Column("closed_by", sa.String),  # settled or released
)
analyses = sa.Table(
    "analyses",
    metadata,
    sa.Column("pilot", sa.String, sa.ForeignKey("pilots.name"), primary_key=True),
    sa.Column("folder", sa.String, primary_key=True),  # named by the evidence's digest, below the pilot's own
    sa.Column("evidence", sa.String, nullable=False),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("mlflow_run", sa.String, nullable=False),
)
candidates = sa.Table(
    "candidates",
    metadata,
    sa.Column("digest", sa.String, primary_key=True),
    sa.Column("pilot", sa.String, sa.ForeignKey("pilots.name"), nullable=False),
    sa.Column("at", sa.String, nullable=False),
)
insight_tags = sa.Table(
    "insight_tags",
    metadata,
    sa.Column("pilot", sa.String, sa.ForeignKey("pilots.name"), primary_key=True),
    sa.Column("tag", sa.String, primary_key=True),
    sa.Column("at", sa.String, nullable=False),
)
insight_links = sa.Table(
    "insight_links",
    metadata,
    sa.Column("pilot", sa.String, sa.ForeignKey("pilots.name"), primary_key=True),
    sa.Column("other", sa.String, sa.ForeignKey("pilots.name"), primary_key=True),
    sa.Column("kind", sa.String, nullable=False),  # supports or contradicts
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("at", sa.String, nullable=False),
)


class SandboxSettings(BaseModel):
    """What the SQL of one `lab sql` may use, and what happens where the kernel cannot confine it.

    Attributes:
        disk_mb: the quota of a pilot's own database, and the size of a result and of what is spilled.
        rows: the most rows of a result.
        without_landlock: `refuse` runs no Lab-written SQL and template on such a kernel; `accept` does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    disk_mb: int = Field(default=512, ge=1, le=1_000_000)
    memory_mb: int = Field(default=1024, ge=64, le=1_000_000)
    seconds: float = Field(default=30, gt=0, le=3600)
    rows: int = Field(default=5_000_000, ge=1)
    without_landlock: WithoutLandlock = "refuse"

    @property
    def limits(self) -> Limits:
        """The same, as the box takes it."""
        setting = "`sandbox` in configs/lab.yaml"
        return Limits(self.seconds, self.memory_mb, self.disk_mb, self.rows, setting)


class LabSettings(BaseModel):
    """`configs/lab.yaml`.

    Attributes:
        database: an SQLAlchemy URL.
        budget: what all pilots together may cost.
        smtp: the mail server for `lab test-send`; None where there is none.
        personal_data: what becomes of a file that holds what looks like an address or a telephone number: it is refused
            whole, or each such value is kept as a hash that says nothing to anybody.
        remind_days: how many days before its end a time box, or a deadline, is spoken of.
        sandbox: the limits of Lab-written SQL.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1]
    database: str
    budget: Money
    smtp: Smtp | None = None
    personal_data: Literal["refuse", "hash"] = "refuse"
    remind_days: int = Field(default=3, ge=0)
    sandbox: SandboxSettings = SandboxSettings()


def read_settings(workspace: Workspace) -> LabSettings:
    """The workspace's Lab settings."""
    return read_yaml(workspace.configs / "lab.yaml", LabSettings)


def open_lab(workspace: Workspace) -> Room:
    """The Lab's room."""
    return open_room("lab", workspace, read_settings(workspace).database, metadata, version=SCHEMA_VERSION)
