"""The Factory's own truth: loads, snapshots, releases, runs and the stop switch; Prefect only calls on it."""

from __future__ import annotations

from typing import Literal

import sqlalchemy as sa

from shared.state.columns import Moment, Text, Whole
from shared.state.ledger import ledger_table

SCHEMA_VERSION = 2
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


# What a release begins with in the ledger.
ADMITTED = "admitted"
# The ledger's entries of tables: a file was taken in, the same one came again, and a table went.
LOADED, CONFIRMED, DROPPED = "loaded", "confirmed", "dropped"


# How the reason of a run begins that was skipped because its grace was over.
TOO_LATE = "too late"
