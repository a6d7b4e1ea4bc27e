"""What alembic runs for every migration: its steps within the caller's transaction, all of them or none."""

from __future__ import annotations

from typing import Any

from alembic import context

from shared.state.db import FIRST_VERSION, set_version


def _count(*, ctx: Any, heads: Any, **_: Any) -> None:
    """Writes down the version that a step has led to, where every release looks."""
    set_version(ctx.connection, max((int(head) for head in heads), default=FIRST_VERSION))


context.configure(
    connection=context.config.attributes["connection"],
    transactional_ddl=True,
    render_as_batch=True,
    on_version_apply=_count,  # type: ignore[arg-type]  # alembic calls it by keywords
)
context.run_migrations()
