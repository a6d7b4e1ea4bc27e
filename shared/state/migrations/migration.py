"""A migration: the steps that a database is behind, taken all or not at all, with a copy of what was there before.

A step is a file of alembic's: its revision is the version of the schema that it leads to, its docstring says what for.
Those in `steps/` are of what every room has; a room's own lie in the folder `migrations` beside its tables.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from shared.core.errors import BadInput, PilotPlantError
from shared.core.files import sync_file, sync_folder
from shared.state.db import FIRST_VERSION, NEWER_REMEDY, open_sqlite, shown, sqlite_file, version_of, writing
from shared.state.provision import grant, is_owned

HERE = Path(__file__).parent
HEAD = "head"
BACKUPS = "backups"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the version of the schema that it leads to, and what for."""

    to: int
    what: str


@dataclass(frozen=True, slots=True)
class Migration:
    """What brings a database to this release's schema.

    Attributes:
        before: the version that it is of; None where nothing was made in it yet.
        steps: those that it is behind, in order.
    """

    before: int | None
    steps: tuple[Step, ...]

    @property
    def after(self) -> int | None:
        """The version that they lead to."""
        return self.steps[-1].to if self.steps else self.before


def planned(engine: sa.Engine, own: Path) -> Migration:
    """The steps that a database is behind; `own` is the folder of its room's, which need not be there.

    Raises PilotPlantError for a database of a newer release.
    """
    steps, before = steps_in(own), version_of(engine)
    if before is not None and before > steps[-1].to:
        raise PilotPlantError(
            f"the database is of schema version {before}, this release reads version {steps[-1].to}",
            where=shown(engine),
            remedy=NEWER_REMEDY,
        )
    return Migration(before, tuple(step for step in steps if before is not None and step.to > before))


def steps_in(own: Path) -> list[Step]:
    """Every step of a room's database, the first one first."""
    scripts = ScriptDirectory.from_config(_config(own))
    found = [Step(int(script.revision), str(script.doc)) for script in scripts.walk_revisions()]
    return found[::-1]


def migrate(
    engine: sa.Engine, own: Path, metadata: sa.MetaData, *, role: str | None = None, to: str = HEAD
) -> str | None:
    """Takes the steps to a version, forwards or back; returns where the copy of what was there before is.

    `role` is the one that a room on PostgreSQL works as; the engine is then its owner's. Where a step fails or the
    process is killed, the database is as it was. Raises BadInput where the engine's role owns no tables.
    """
    with writing(engine) as connection:
        before = version_of(engine)
        target = steps_in(own)[-1].to if to == HEAD else int(to)
        if before is None or before == target:
            return None
        file = sqlite_file(engine)
        copy = _copied_schema(connection, before) if file is None else str(_copied_file(file, before))
        config = _config(own)
        config.attributes["connection"] = connection
        if before > target:
            command.downgrade(config, "base" if target == FIRST_VERSION else str(target))
        else:
            command.upgrade(config, str(target))
        if role is not None:
            grant(connection, metadata, role)
    return copy


def _copied_file(file: Path, version: int) -> Path:
    """Keeps a database beside its file; nobody else writes meanwhile, for the caller's transaction holds the lock."""
    folder = file.parent / BACKUPS
    folder.mkdir(exist_ok=True)
    targets = (folder / f"{file.stem}-{name}{file.suffix}" for name in _names(version))
    target = next(path for path in targets if not path.exists())
    scratch = target.with_suffix(".unfinished")
    scratch.unlink(missing_ok=True)
    with closing(open_sqlite(file)) as source, closing(sqlite3.connect(scratch)) as copy:
        source.backup(copy)
    sync_file(scratch)
    scratch.rename(target)
    sync_folder(folder)
    return target


def _copied_schema(connection: sa.Connection, version: int) -> str:
    """Keeps a database of PostgreSQL in a schema within it."""
    if not is_owned(connection):
        raise BadInput(
            "only the owner of a database can bring it to another schema",
            where=shown(connection.engine),
            remedy="name the owner's URL: pilotplant migrate --owner-url ROOM=URL",
        )
    inspector = sa.inspect(connection)
    tables, taken = inspector.get_table_names(), set(inspector.get_schema_names())
    schema = next(name for name in (each.replace("-", "_") for each in _names(version)) if name not in taken)
    connection.execute(sa.schema.CreateSchema(schema))
    quoted = connection.dialect.identifier_preparer.quote
    for table in tables:
        connection.exec_driver_sql(f"CREATE TABLE {quoted(schema)}.{quoted(table)} AS TABLE {quoted(table)}")
    return f"schema {schema}"


def _names(version: int) -> list[str]:
    """Names of a copy of a database of that version; whoever migrates, goes back and migrates again needs another."""
    return [f"version-{version}", *(f"version-{version}-{number}" for number in range(2, 100))]


def _config(own: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.set_main_option("path_separator", "os")
    folders = [HERE / "steps", *([own] if own.is_dir() else [])]
    config.set_main_option("version_locations", os.pathsep.join(str(folder).replace("%", "%%") for folder in folders))
    return config
