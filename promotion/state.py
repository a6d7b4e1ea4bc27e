"""The gate's own truth: promises it took in, keys it knows, and what was decided."""

from __future__ import annotations

import sqlalchemy as sa

from promotion.settings import read_room_settings
from shared.state.columns import Moment, Text, Whole
from shared.state.ledger import ledger_table
from shared.state.room import Room, open_room
from shared.state.workspace import Workspace
from shared.trust import clock_correction

SCHEMA_VERSION = 2
# Entries of the ledger: a promise was taken in; an owner's decision was signed.
REGISTERED, DECIDED = "registered", "decided"

metadata = sa.MetaData()
ledger = ledger_table(metadata)

promises = sa.Table(
    "promises",
    metadata,
    sa.Column("digest", Text, primary_key=True),
    sa.Column("pilot", Text, nullable=False),
    sa.Column("at", Moment, nullable=False),  # by the gate's clock
    sa.Column("ledger_seq", Whole, nullable=False),
    sa.Column("ledger_hash", Text, nullable=False),
)
decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("pilot", Text, primary_key=True),
    sa.Column("candidate", Text, nullable=False, unique=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("envelope", sa.LargeBinary, nullable=False),
)


def open_promotion(workspace: Workspace) -> Room:
    """The gate's room."""
    return open_room(
        "promotion",
        workspace,
        read_room_settings(workspace).database,
        metadata,
        version=SCHEMA_VERSION,
        corrections=clock_correction,
    )
