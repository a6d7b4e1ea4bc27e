"""The Lab's own truth: launched pilots, what came in, what it cost, what was analysed and submitted."""

from __future__ import annotations

from typing import Literal

import sqlalchemy as sa
from pydantic import Field

from shared.core.frozen import FrozenModel
from shared.core.money import Money
from shared.core.yamlfile import read_yaml
from shared.notify.mail import Smtp
from shared.sandbox import Limits, WithoutLandlock
from shared.sandbox.settings import BoxLimits
from shared.state.columns import Amount, Json, Moment, Text, Whole
from shared.state.ledger import ledger_table
from shared.state.room import Room, open_room
from shared.state.workspace import Workspace
from shared.trust import clock_correction

SCHEMA_VERSION = 2

metadata = sa.MetaData()
ledger = ledger_table(metadata)

pilots = sa.Table(
    "pilots",
    metadata,
    sa.Column("name", Text, primary_key=True),
    sa.Column("promise", Text, nullable=False),  # the version in force
    sa.Column("snapshot", Text, nullable=False),
    sa.Column("launched_at", Moment, nullable=False),
    sa.Column("deposited_at", Moment, nullable=False),  # what decides stands since then, by the gate's clock
    sa.Column("deadline", Moment, nullable=False),  # silence after it is *stop*
    sa.Column("reserved", Amount, nullable=False),  # the budget's total, in the Lab's currency
    sa.Column("ended_at", Moment),  # only where it was closed early
    sa.Column("end_reason", Text),
)
amendments = sa.Table(
    "amendments",
    metadata,
    sa.Column("pilot", Text, sa.ForeignKey("pilots.name"), primary_key=True),
    sa.Column("version", Whole, primary_key=True),  # as launched it was version 1
    sa.Column("promise", Text, nullable=False),
    sa.Column("before", Text, nullable=False),  # the promise it took the place of
    sa.Column("reason", Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("changes", Json, nullable=False),
    sa.Column("deposited_at", Moment),  # by the gate's clock; until then the pilot takes nothing more
)
batches = sa.Table(
    "batches",
    metadata,
    sa.Column("id", Whole, primary_key=True),
    sa.Column("pilot", Text, sa.ForeignKey("pilots.name"), nullable=False),
    sa.Column("kind", Text, nullable=False),
    sa.Column("file_digest", Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("parts", Text, nullable=False),  # the folder of its Parquet parts, below the pilot's own
    sa.Column("exposures", Whole, nullable=False),
    sa.Column("outcomes", Whole, nullable=False),
    sa.Column("duplicates", Whole, nullable=False),
    sa.Column("conflicts", Json, nullable=False),  # rows held back, by reason
    sa.UniqueConstraint("pilot", "kind", "file_digest"),
)
spend = sa.Table(
    "spend",
    metadata,
    sa.Column("pilot", Text, sa.ForeignKey("pilots.name"), primary_key=True),
    sa.Column("id", Text, primary_key=True),  # the idempotency key
    sa.Column("at", Moment, nullable=False),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("currency", Text, nullable=False),
    sa.Column("purpose", Text, nullable=False),
)
# Money held for a cost that is still to come. A row without `closed_at` is open: its amount is not left to spend.
reservations = sa.Table(
    "reservations",
    metadata,
    sa.Column("pilot", Text, sa.ForeignKey("pilots.name"), primary_key=True),
    sa.Column("id", Text, primary_key=True),  # settled, the cost has the same id
    sa.Column("at", Moment, nullable=False),
    sa.Column("amount", Amount, nullable=False),
    sa.Column("currency", Text, nullable=False),
    sa.Column("purpose", Text, nullable=False),
    sa.Column("closed_at", Moment),
    sa.Column("closed_by", Text),  # settled or released
)
analyses = sa.Table(
    "analyses",
    metadata,
    sa.Column("pilot", Text, sa.ForeignKey("pilots.name"), primary_key=True),
    sa.Column("folder", Text, primary_key=True),  # named by the evidence's digest, below the pilot's own
    sa.Column("evidence", Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("mlflow_run", Text, nullable=False),
)
candidates = sa.Table(
    "candidates",
    metadata,
    sa.Column("digest", Text, primary_key=True),
    sa.Column("pilot", Text, sa.ForeignKey("pilots.name"), nullable=False),
    sa.Column("at", Moment, nullable=False),
)
insight_tags = sa.Table(
    "insight_tags",
    metadata,
    sa.Column("pilot", Text, sa.ForeignKey("pilots.name"), primary_key=True),
    sa.Column("tag", Text, primary_key=True),
    sa.Column("at", Moment, nullable=False),
)
insight_links = sa.Table(
    "insight_links",
    metadata,
    sa.Column("pilot", Text, sa.ForeignKey("pilots.name"), primary_key=True),
    sa.Column("other", Text, sa.ForeignKey("pilots.name"), primary_key=True),
    sa.Column("kind", Text, nullable=False),  # supports or contradicts
    sa.Column("reason", Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
)


class SandboxSettings(BoxLimits):
    """What Lab-written SQL and templates may use, and what happens where the kernel cannot confine them.

    Attributes:
        without_landlock: `refuse` runs no Lab-written SQL and template on such a kernel; `accept` does.
    """

    without_landlock: WithoutLandlock = "refuse"

    @property
    def limits(self) -> Limits:
        """The same, as the box takes it."""
        return self.limits_by("`sandbox` in configs/lab.yaml")


class LabSettings(FrozenModel):
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
    return open_room(
        "lab",
        workspace,
        read_settings(workspace).database,
        metadata,
        version=SCHEMA_VERSION,
        corrections=clock_correction,
    )
