"""The rooms' databases: the front door knows the tables of all three."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from shared.core.errors import BadInput
from shared.state.db import connect, shown
from shared.state.provision import Provisioned, provision
from shared.state.workspace import Workspace

if TYPE_CHECKING:
    from shared.state.migrations.migration import Step

# By room: where its tables are declared, and what reads the settings that name its database.
ROOMS = {
    "lab": ("lab.state", "lab.state.read_settings"),
    "promotion": ("promotion.state", "promotion.settings.read_room_settings"),
    "factory": ("factory.state.tables", "factory.state.settings.read_settings"),
}


@dataclass(frozen=True, slots=True)
class Migrated:
    """A room's database, and what brings it or has brought it to this release.

    Attributes:
        from_: the version of its schema; None where nothing was made in it yet.
        to: the one that the steps lead to.
        copy: where it is kept as it was; None where nothing was done.
    """

    room: str
    database: str
    from_: int | None
    to: int | None
    steps: tuple[Step, ...]
    copy: str | None = None

    def lines(self) -> list[str]:
        """For people."""
        if self.from_ is None:
            return [f"{self.room}: nothing was made in it yet."]
        if not self.steps:
            return [f"{self.room}: it is of this release's schema, {self.from_}."]
        kept = [] if self.copy is None else [f"  as it was: {self.copy}"]
        return [
            f"{self.room}: schema {self.from_} → {self.to}",
            *(f"  {step.to}: {step.what}" for step in self.steps),
            *kept,
        ]


def prepare(room: str, url: str, role: str) -> Provisioned:
    """A room's database with its tables and its role's rights; raises BadInput for a room that there is not."""
    _require_room(room, "ROOM")
    state = import_module(ROOMS[room][0])
    return provision(url, state.metadata, role, version=state.SCHEMA_VERSION)


def planned(workspace: Workspace, rooms: Collection[str] = ()) -> list[Migrated]:
    """What would bring each room's database to this release, or only that of some rooms.

    Raises PilotPlantError for one of a newer release, BadInput for a room that there is not.
    """
    from shared.state.migrations import migration

    for room in rooms:
        _require_room(room, "ROOM")
    found = []
    for room in rooms or ROOMS:
        engine = connect(database_url(workspace, room), workspace.root)
        plan = migration.planned(engine, _steps(room))
        found.append(Migrated(room, shown(engine), plan.before, plan.after, plan.steps))
    return found


def migrate(workspace: Workspace, rooms: Collection[str], owners: Mapping[str, str]) -> list[Migrated]:
    """Brings each room's database, or that of some, to this release, one after the other; keeps each as it was.

    `owners` are the owners' URLs of rooms on PostgreSQL. Where one fails, those before it are done, and the same once
    more goes on with it. Raises as `planned` does, before anything is changed, and as `migration.migrate`.
    """
    from shared.state.migrations import migration

    for room in owners:
        _require_room(room, "--owner-url")
    done = []
    for plan in planned(workspace, rooms):
        if plan.steps:
            metadata = import_module(ROOMS[plan.room][0]).metadata
            url = sa.make_url(database_url(workspace, plan.room))
            engine = connect(owners.get(plan.room, url.render_as_string(hide_password=False)), workspace.root)
            role = url.username if engine.dialect.name == "postgresql" else None
            copy = migration.migrate(engine, _steps(plan.room), metadata, role=role)
            plan = replace(plan, copy=copy)  # noqa: PLW2901 - the same, now done
        done.append(plan)
    return done


def _require_room(room: str, where: str) -> None:
    if room not in ROOMS:
        raise BadInput(f"there is no room `{room}`", where=where, expected="one of: " + ", ".join(ROOMS))


def database_url(workspace: Workspace, room: str) -> str:
    """The URL of a room's database, as its settings name it."""
    module, _, reader = ROOMS[room][1].rpartition(".")
    return str(getattr(import_module(module), reader)(workspace).database)


def _steps(room: str) -> Path:
    """Where the room's own steps lie."""
    return Path(str(import_module(room).__file__)).parent / "migrations"
