"""Databases of the rooms: any SQLAlchemy URL, with SQLite made safe for several processes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from shared.errors import BadInput, PilotPlantError

# How long a process waits for another one's transaction before it gives up.
BUSY_TIMEOUT_MS = 30_000


def open_database(url: str, root: Path, metadata: sa.MetaData, *, version: int) -> sa.Engine:
    """An engine with the room's tables in place.

    `url` may name a SQLite file relative to `root`. Raises BadInput for a URL that cannot be used, and
    PilotPlantError where the tables were written by a newer release.
    """
    engine = _engine(url, root)
    meta = sa.Table("schema", metadata, sa.Column("version", sa.Integer, nullable=False), extend_existing=True)
    with engine.begin() as connection:
        metadata.create_all(connection)
        found = connection.execute(sa.select(meta.c.version)).scalar()
        if found is None:
            connection.execute(meta.insert().values(version=version))
        elif found != version:
            raise PilotPlantError(
                f"the database is of schema version {found}, this release reads version {version}",
                where=engine.url.render_as_string(hide_password=True),
                remedy="use the release that wrote it, or upgrade this one",
            )
    return engine


def _engine(url: str, root: Path) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return sa.create_engine(parsed, isolation_level="SERIALIZABLE")
        if not parsed.database:
            raise ValueError("it names no file")
        path = root / parsed.database
        # NullPool: commands are short, and a connection must not outlive a fork or a removed workspace.
        engine = sa.create_engine(parsed.set(database=str(path)), poolclass=sa.NullPool)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise BadInput(f"`{_shown(url)}` is not a database URL", expected="like sqlite:///var/lab/lab.db") from error
    except ImportError as error:
        raise BadInput(
            f"the database of `{_shown(url)}` needs a driver that is not installed: {error.name}",
            remedy="install it, or name another driver in the URL",
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    sa.event.listen(engine, "connect", _settings)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _shown(url: str) -> str:
    """A URL without its password."""
    return re.sub(r"(://[^:@/]*):.*@", r"\1:***@", url)


def _settings(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling loses updates silently under concurrent writers.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_TIMEOUT_MS}", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
