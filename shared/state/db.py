"""Databases of the rooms: SQLite made safe for several processes, or PostgreSQL.

Transactions that write go one after another. Those that read see one moment of the database, and neither wait for one
that writes nor hold it up.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from shared.core.errors import BadInput, Damaged, Fault, PilotPlantError, Refused
from shared.core.faults import fault
from shared.state.columns import Whole

# How long a process waits for another one's transaction before it gives up.
BUSY_TIMEOUT_MS = 30_000
# Every transaction on PostgreSQL that writes holds this advisory lock of its database; any fixed number would do.
ROOM_LOCK = 5_317_429
# Of so many databases at once does a process keep engines: three rooms, and a second workspace.
_ENGINES_MAX = 6
# A connection's execution option: the transactions on it only read.
_READS = "pilotplant_reads"
NEWER_REMEDY = "use the release that wrote it, or restore the copy that `pilotplant migrate` made before"
# The schema with which releases began to say its version; the first step leads from it to the next one.
FIRST_VERSION = 1
# Which version of a room's tables a database holds: in `schema` for every release, in alembic's own table for alembic.
_VERSIONS = sa.MetaData()
_SCHEMA = sa.Table("schema", _VERSIONS, sa.Column("version", Whole, nullable=False))
_STEPS = sa.Table("alembic_version", _VERSIONS, sa.Column("version_num", sa.String(32), primary_key=True))
VERSION_TABLES = tuple(_VERSIONS.sorted_tables)
# What PostgreSQL says where role, password or database are not as the URL has them; libpq gives no code for these.
_NOT_AS_DECLARED = ("authentication failed", "no password supplied", "does not exist")
_POSTGRESQL = {"postgresql", "postgres", "postgresql+psycopg"}
_EXPECTED = "like sqlite:///var/lab/lab.db, or postgresql://lab_app@db.example.com/lab"


def is_prepared(engine: sa.Engine, metadata: sa.MetaData, *, version: int) -> bool:
    """Whether every table of the room is there; on PostgreSQL (see `provision`), raises BadInput where one is not.

    Raises PilotPlantError where the server is away, or the tables are of another version.
    """
    if engine.dialect.name != "sqlite":
        with reading(engine) as connection:
            _require_tables(connection, metadata, version)
        return True
    tables, known = _schema_of(engine)
    if known is None:
        return False
    _require_version(engine, known, version)
    return tables >= set(metadata.tables)


def version_of(engine: sa.Engine) -> int | None:
    """The version of the schema that a database is of; None where nothing was made in it yet."""
    return _schema_of(engine)[1]


def _schema_of(engine: sa.Engine) -> tuple[set[str], int | None]:
    """The tables of a database, and the version that they are of; nothing is read of a SQLite file without a byte."""
    file = sqlite_file(engine)
    if file is not None and not (file.exists() and file.stat().st_size):
        return set(), None
    with reading(engine) as connection:
        tables = set(sa.inspect(connection).get_table_names())
        version = connection.execute(sa.select(_SCHEMA.c.version)).scalar() if _SCHEMA.name in tables else None
    return tables, version


def set_version(connection: sa.Connection, version: int) -> None:
    """Writes down, within a migration, which version of the schema it has led to."""
    connection.execute(_SCHEMA.update().values(version=version))


def is_empty(engine: sa.Engine) -> bool:
    """Whether a SQLite file is not there, or holds no table; PostgreSQL says itself what was not prepared."""
    return sqlite_file(engine) is not None and not _schema_of(engine)[0]


def make_tables(connection: sa.Connection, metadata: sa.MetaData, *, version: int) -> None:
    """Makes whatever tables are missing, and writes down their version, or raises PilotPlantError for another one."""
    _VERSIONS.create_all(connection)
    found = connection.execute(sa.select(_SCHEMA.c.version)).scalar()
    if found is None:
        connection.execute(_SCHEMA.insert().values(version=version))
        # A database that is made now is behind no step.
        connection.execute(_STEPS.insert().values(version_num=str(version)))
    else:
        _require_version(connection.engine, found, version)
    metadata.create_all(connection)


def shown(engine: sa.Engine) -> str:
    """A database's URL without its password."""
    return engine.url.render_as_string(hide_password=True)


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction with the database's one lock of who writes: all of it is kept, or nothing."""
    with translated(engine), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that sees the database as it is now, to its end; the database refuses what would write."""
    with translated(engine), engine.execution_options(**{_READS: True}).begin() as connection:
        yield connection


@contextmanager
def translated(engine: sa.Engine) -> Iterator[None]:
    """Says in words what the machine or PostgreSQL has against a statement; what else is raised passes through."""
    try:
        yield
    except Damaged as error:
        # A value that is none of its column's type does not know in which database it lies.
        error.where = error.where or _place(engine)
        raise
    except sa.exc.DBAPIError as error:
        told = fault(error, _place(engine)) or _told(error, engine)
        if told is None:
            raise
        raise told from error


def sqlite_file(engine: sa.Engine) -> Path | None:
    """The file of a SQLite database; None for another one."""
    return Path(engine.url.database or "") if engine.dialect.name == "sqlite" else None


def _place(engine: sa.Engine) -> str:
    file = sqlite_file(engine)
    return str(file) if file else shown(engine)


def _told(error: sa.exc.DBAPIError, engine: sa.Engine) -> PilotPlantError | None:
    if engine.dialect.name != "postgresql":
        return None
    from psycopg import errors

    said = str(error.orig).split("\n")[0]
    secret = engine.url.password
    said = said.replace(str(secret), "***") if secret else said
    if isinstance(error.orig, errors.InsufficientPrivilege):
        return Refused(
            f"the database does not let this role do that: {said}",
            where=shown(engine),
            remedy="give the role its rights anew: pilotplant init-database",
        )
    if isinstance(error.orig, errors.LockNotAvailable):
        return PilotPlantError(
            f"another command has held the database for more than {BUSY_TIMEOUT_MS // 1000} seconds",
            where=shown(engine),
            remedy="wait for it to end, then give the same command again",
        )
    if not isinstance(error.orig, errors.OperationalError):
        return None
    if any(phrase in said for phrase in _NOT_AS_DECLARED):
        return BadInput(
            f"the database does not let us in: {said}",
            where=shown(engine),
            remedy="put role and database of `database` in configs/ right; the password may stand in ~/.pgpass",
        )
    return PilotPlantError(
        f"the database is not reachable: {said}",
        where=shown(engine),
        remedy="see that the server runs and this machine may connect; then give the same command again, which "
        "finishes what was cut off",
    )


def _require_tables(connection: sa.Connection, metadata: sa.MetaData, version: int) -> None:
    there = set(sa.inspect(connection).get_table_names())
    if _SCHEMA.name in there:
        _require_version(connection.engine, connection.execute(sa.select(_SCHEMA.c.version)).scalar(), version)
    missing = sorted(set(metadata.tables) - there)
    if missing or _SCHEMA.name not in there:
        raise BadInput(
            "the database was not prepared for this room"
            if _SCHEMA.name not in there
            else f"the database lacks tables of this release: {', '.join(missing)}",
            where=shown(connection.engine),
            remedy="have its owner run: pilotplant init-database ROOM --role ROLE",
        )


def _require_version(engine: sa.Engine, found: int | None, version: int) -> None:
    if found != version:
        raise PilotPlantError(
            f"the database is of schema version {found}, this release reads version {version}",
            where=shown(engine),
            remedy="bring it to this release, which keeps a copy of it as it is: pilotplant migrate"
            if found is not None and found < version
            else NEWER_REMEDY,
        )


def connect(url: str, root: Path) -> sa.Engine:
    """The engine of a database, for `writing` and `reading`; raises BadInput for a URL that cannot be used."""
    try:
        parsed = sa.make_url(url)
        if parsed.drivername in _POSTGRESQL:
            return _engine(parsed.set(drivername="postgresql+psycopg"))
        if parsed.get_backend_name() != "sqlite" or not parsed.database:
            raise ValueError("it names no file and no server")
        path = root / parsed.database
        engine = _engine(parsed.set(database=str(path)))
    except (sa.exc.ArgumentError, ValueError) as error:
        raise BadInput(f"`{_shown(url)}` is not a database URL", expected=_EXPECTED) from error
    except ImportError as error:
        raise BadInput(
            f"the database of `{_shown(url)}` needs a driver that is not installed: {error.name}",
            remedy="install it, or name another driver in the URL",
        ) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except NotADirectoryError as error:
        raise BadInput(f"`{_shown(url)}` lies below a file", where=str(path), expected=_EXPECTED) from error
    return engine


def _engine(url: sa.URL) -> sa.Engine:
    """The engine, which keeps its statements, and its connections to PostgreSQL, for the next transaction."""
    engine = _ENGINES.pop(url, None) or _made(url)
    _ENGINES[url] = engine
    if len(_ENGINES) > _ENGINES_MAX:
        _ENGINES.pop(next(iter(_ENGINES))).dispose()
    return engine


def _made(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() == "sqlite":
        # NullPool: opening a file takes a fraction of a millisecond, and a connection that outlived a fork, a backup or
        # a restored file would read and write another one than lies there.
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        sa.event.listen(engine, "do_connect", _opened)
        sa.event.listen(engine, "begin", _begin)
    else:
        # Each statement sees what was committed before it, and the lock of `_begin_alone` lets nothing in between.
        engine = sa.create_engine(url, pool_pre_ping=True, max_overflow=-1, isolation_level="READ COMMITTED")
        sa.event.listen(engine, "begin", _begin_alone)
    return engine


def _forget_connections() -> None:
    """What a fork has inherited are its parent's connections, to be neither used nor closed."""
    for engine in _ENGINES.values():
        engine.dispose(close=False)
    _ENGINES.clear()


_ENGINES: dict[sa.URL, sa.Engine] = {}
os.register_at_fork(after_in_child=_forget_connections)


def _shown(url: str) -> str:
    """A URL without its password."""
    return re.sub(r"(://[^:@/]*):.*@", r"\1:***@", url)


def _opened(_dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]) -> sqlite3.Connection:
    return open_sqlite(Path(arguments[0]), **options)


def open_sqlite(path: Path, **options: Any) -> sqlite3.Connection:
    """A SQLite file to write, or only to read where the disk lets nobody write; raises sqlite3.Error."""
    try:
        return _settled(sqlite3.connect(path, **options))
    except sqlite3.OperationalError as error:
        if not _readable(path, fault(error, str(path))):
            raise
        return _settled(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", **{**options, "uri": True}))


def _readable(path: Path, found: Fault | None) -> bool:
    """Whether a file that cannot be opened to write may be read as it lies: no log beside it holds what it lacks."""
    log = path.with_name(f"{path.name}-wal")
    unused = not log.exists() or not log.stat().st_size
    return found is not None and not isinstance(found, Damaged) and path.is_file() and unused


def _settled(connection: sqlite3.Connection) -> sqlite3.Connection:
    # The driver's own transaction handling loses updates silently under concurrent writers.
    connection.isolation_level = None
    try:
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        _log_ahead(connection)
        # Whether its log can be opened shows only now.
        connection.execute("SELECT count(*) FROM sqlite_schema")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _log_ahead(connection: sqlite3.Connection) -> None:
    # Of processes that open a new file at once, SQLite lets one turn its log on and tells the others not to wait.
    give_up = time.monotonic() + BUSY_TIMEOUT_MS / 1_000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


def _reads(connection: sa.Connection) -> bool:
    return bool(connection.get_execution_options().get(_READS))


def _begin(connection: sa.Connection) -> None:
    if _reads(connection):
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.exec_driver_sql("BEGIN")
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_alone(connection: sa.Connection) -> None:
    if _reads(connection):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {BUSY_TIMEOUT_MS}")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ROOM_LOCK})")
