"""The kill switch, tried for real and taken back: one transaction stops everything, lifts the stop, and is undone."""

from __future__ import annotations

import sqlalchemy as sa

from factory.state.states import get_release, halted, resume_everything, stop_everything, stop_switch
from factory.state.tables import releases
from shared.core.clock import rfc3339
from shared.core.errors import Fault
from shared.state.chain import GENESIS
from shared.state.room import Room
from shared.trust.preflight import KillSwitch

# No release's name: those hold no dots.
DRILL = "kill.switch.drill"


class _Undo(Exception):
    """Takes the drill's transaction back."""


def try_kill_switch(room: Room) -> KillSwitch:
    """Whether `stop-all` would stop a live release now, and `resume --all` bring it back; nobody else sees of it."""
    before = _state(room)
    try:
        stops, resumes = _drill(room)
    except (sa.exc.SQLAlchemyError, Fault) as error:
        said = error.what if isinstance(error, Fault) else type(error).__name__
        return KillSwitch(stopped=before[0], problem=f"the Factory's database does not take it: {said}")
    return KillSwitch(stops=stops, resumes=resumes, undone=_state(room) == before, stopped=before[0])


def _drill(room: Room) -> tuple[bool, bool]:
    stops = resumes = False
    try:
        with room.transaction() as connection:
            connection.execute(releases.insert().values(_row(room)))
            if stop_switch(connection) is not None:
                resume_everything(room, connection, "drill")
            stop_everything(room, connection, "drill")
            stops = halted(get_release(connection, DRILL), stop_switch(connection)) is not None
            # The switch alone is not enough: a run that began before it was set looks at the release's own state.
            stops &= get_release(connection, DRILL).state == "paused"
            resume_everything(room, connection, "drill")
            resumes = halted(get_release(connection, DRILL), stop_switch(connection)) is None
            raise _Undo
    except _Undo:
        return stops, resumes


def _row(room: Room) -> dict[str, object]:
    return {
        "name": DRILL, "package": GENESIS, "attestation": GENESIS, "pilot": DRILL, "arm": DRILL, "state": "live",
        "epoch": 1, "admitted_at": rfc3339(room.now()), "expires": rfc3339(room.now()),
    }  # fmt: skip


def _state(room: Room) -> tuple[str | None, tuple[tuple[str, str, int], ...], str]:
    """The switch, every release's state and epoch, and the ledger's end."""
    with room.read() as connection:
        query = sa.select(releases.c.name, releases.c.state, releases.c.epoch).order_by(releases.c.name)
        rows = tuple((row.name, row.state, row.epoch) for row in connection.execute(query))
        return stop_switch(connection), rows, room.head(connection).hash
