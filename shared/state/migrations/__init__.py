"""Migrations: a room's database brought from the schema of an earlier release to this one's, by alembic."""
