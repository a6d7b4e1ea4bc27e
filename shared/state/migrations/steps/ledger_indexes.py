"""The ledger is searched by kind and by subject, not from its first entry."""

from __future__ import annotations

from alembic import op

revision, down_revision = "2", None
INDEXES = {"ledger_by_kind": ["kind", "subject"], "ledger_by_subject": ["subject", "kind"]}


def upgrade() -> None:
    """Makes the indexes."""
    for name, columns in INDEXES.items():
        op.create_index(name, "ledger", columns)


def downgrade() -> None:
    """Drops them."""
    for name in INDEXES:
        op.drop_index(name, "ledger")
