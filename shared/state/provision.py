"""Provision: the owner makes a room's PostgreSQL database; the role that works there may only add to the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from shared.core.errors import BadInput, Refused
from shared.state.db import VERSION_TABLES, connect, make_tables, shown, writing
from shared.state.ledger import LEDGER

# Whatever lets a role change a row of the ledger, or make something else of what is added.
_RIGHTS = sa.text(
    "SELECT r.rolsuper, has_any_column_privilege(r.rolname, c.oid, 'UPDATE'), "
    "has_table_privilege(r.rolname, c.oid, 'DELETE'), has_table_privilege(r.rolname, c.oid, 'TRUNCATE'), "
    "has_table_privilege(r.rolname, c.oid, 'TRIGGER'), pg_has_role(r.rolname, c.relowner, 'MEMBER'), "
    "pg_has_role(r.rolname, n.nspowner, 'MEMBER') "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.rolname = :role "
    "WHERE c.oid = to_regclass('ledger')"
)
_NAMES = ("being a superuser", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "owning it", "owning its schema")


@dataclass(frozen=True, slots=True)
class Provisioned:
    """A database with its tables.

    Attributes:
        database: its URL, without a password.
        tables: those that were made now; empty where all were there.
    """

    database: str
    role: str
    tables: tuple[str, ...]


def provision(url: str, metadata: sa.MetaData, role: str, *, version: int) -> Provisioned:
    """Makes the tables that are missing, and gives `role` its rights and no more; the same again changes nothing.

    `url` is the owner's, and is kept nowhere. Raises BadInput where it is none of PostgreSQL or there is no such role,
    Refused where the role could change the ledger all the same.
    """
    engine = connect(url, Path())
    if engine.dialect.name != "postgresql":
        raise BadInput(
            "only a PostgreSQL database has an owner and other roles",
            where="--url",
            expected="like postgresql://lab_owner@db.example.com/lab",
            remedy="a SQLite file needs no preparation: the first command makes it",
        )
    with writing(engine) as connection:
        if connection.execute(sa.text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).scalar() is None:
            raise BadInput(
                f"there is no role `{role}` on this server",
                where="--role",
                remedy=f"make it first: CREATE ROLE {role} LOGIN PASSWORD '…'",
            )
        before = set(sa.inspect(connection).get_table_names())
        make_tables(connection, metadata, version=version)
        grant(connection, metadata, role)
    made = {*metadata.tables, *(table.name for table in VERSION_TABLES)} - before
    return Provisioned(shown(engine), role, tuple(sorted(made)))


def rights_over_ledger(connection: sa.Connection, role: str | None = None) -> list[str]:
    """What lets a role, or else who has logged in, change what stands in the ledger; empty if nothing."""
    # Not current_user: who has logged in can always take back a SET ROLE.
    asked = role or connection.execute(sa.text("SELECT session_user")).scalar_one()
    superuser, *held = connection.execute(_RIGHTS, {"role": asked}).one()
    if superuser:
        return [_NAMES[0]]
    return [name for name, has in zip(_NAMES[1:], held, strict=True) if has]


def is_owned(connection: sa.Connection) -> bool:
    """Whether who has logged in may change the tables themselves."""
    return not {_NAMES[0], _NAMES[5]}.isdisjoint(rights_over_ledger(connection))


def grant(connection: sa.Connection, metadata: sa.MetaData, role: str) -> None:
    """Gives a role its rights over a room's tables, and no more; raises Refused where it could change the ledger."""
    quoted, schema = _quoted(connection, role), connection.execute(sa.text("SELECT current_schema()")).scalar()
    schema = _quoted(connection, str(schema))
    read = {table.name: "SELECT" for table in VERSION_TABLES}
    for table in (*metadata.sorted_tables, *VERSION_TABLES):
        given = {LEDGER: "SELECT, INSERT", **read}.get(table.name, "SELECT, INSERT, UPDATE, DELETE")
        name = connection.dialect.identifier_preparer.format_table(table)
        connection.exec_driver_sql(f"REVOKE ALL ON {name} FROM PUBLIC, {quoted}")
        connection.exec_driver_sql(f"GRANT {given} ON {name} TO {quoted}")
    # What numbers the rows of a table that has no name for them.
    connection.exec_driver_sql(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {quoted}")
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO {quoted}")
    rights = rights_over_ledger(connection, role)
    if rights:
        raise Refused(
            f"role `{role}` could change the ledger: by {', '.join(rights)}",
            where=shown(connection.engine),
            expected="a role that is no superuser, owns nothing here and belongs to no owner",
            remedy="make another one: CREATE ROLE … LOGIN",
        )


def _quoted(connection: sa.Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)
