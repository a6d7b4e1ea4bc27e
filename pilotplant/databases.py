"""The rooms' databases on PostgreSQL: the front door knows the tables of all three."""

from __future__ import annotations

from importlib import import_module

from shared.core.errors import BadInput
from shared.state.provision import Provisioned, provision

ROOMS = {"lab": "lab.state", "promotion": "promotion.state", "factory": "factory.state.tables"}


def prepare(room: str, url: str, role: str) -> Provisioned:
    """A room's database with its tables and its role's rights; raises BadInput for a room that there is not."""
    if room not in ROOMS:
        raise BadInput(f"there is no room `{room}`", where="ROOM", expected="one of: " + ", ".join(ROOMS))
    state = import_module(ROOMS[room])
    return provision(url, state.metadata, role, version=state.SCHEMA_VERSION)
