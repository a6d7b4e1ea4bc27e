"""What every request needs: the desk, and who asks."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Form, Path, Request
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from pilotplant.desk.access import Session
from pilotplant.desk.desk import Desk
from pilotplant.desk.frame import Frame, render
from pilotplant.desk.views.today import split
from shared.core.times import zone_name
from shared.experiment.charter import NAME_PATTERN
from shared.experiment.people import Person, read_people
from shared.state.team import read_in_its_zone

COOKIE = "pilotplant-desk"


def cookie(request: Request) -> str | None:
    """The secret that a browser holds, if any."""
    return request.cookies.get(COOKIE)


def wants_json(request: Request) -> bool:
    """Whether a script asks."""
    return request.url.path.endswith(".json")


@dataclass(frozen=True, slots=True)
class Reading:
    """Somebody at the desk."""

    desk: Desk
    session: Session

    @property
    def person(self) -> str | None:
        """Who, by address; None for somebody who only reads."""
        return self.session.person

    def entry(self) -> Person | None:
        """What configs/people.yaml says of them now; None for nobody whom it knows."""
        return None if self.person is None else read_people(self.desk.workspace).find(self.person)

    @property
    def operates(self) -> bool:
        """Whether they may let run what was paused or stopped."""
        person = self.entry()
        return person is not None and person.operates

    def page(self, template: str, title: str, here: str, command: str, data: str | None = None,
             trail: tuple[tuple[str, str], ...] = (), **values: Any) -> HTMLResponse:  # fmt: skip
        """A page of a room, in its frame."""
        found = self.desk.overview()
        mine, _ = split(found, self.person)
        counts = {
            room: count
            for room in ("/lab", "/gate", "/factory")
            if (count := sum(str(item.href).startswith(room) for item in mine))
        } | ({"/today": len(mine)} if mine else {})
        frame = Frame(
            title,
            self.desk.workspace.mode,
            self.session,
            here,
            counts,
            data,
            command,
            zone_name(),
            trail,
            self.desk.mark(),
        )
        return HTMLResponse(render(template, frame, **values))


async def _reading(request: Request) -> Reading:
    """Not in a thread of its own: what is set here holds for whatever the request does next."""
    desk: Desk = request.app.state.desk
    # A page that keeps itself up to date says so; nobody need be there.
    session = desk.sessions.find(cookie(request), seen="hx-request" not in request.headers)
    if session is None:
        raise HTTPException(HTTPStatus.UNAUTHORIZED)
    read_in_its_zone(desk.workspace)
    if request.method == "GET":
        desk.look_once()
    return Reading(desk, session)


Reader = Annotated[Reading, Depends(_reading)]


def _acting(reading: Reader, token: Annotated[str, Form()] = "") -> Reading:
    """Whoever sends a form of their own session."""
    if not reading.session.owns(token):
        raise HTTPException(HTTPStatus.FORBIDDEN)
    return reading


Actor = Annotated[Reading, Depends(_acting)]
PilotName = Annotated[str, Path(pattern=NAME_PATTERN, description="The pilot's name.")]
ReleaseName = Annotated[str, Path(pattern=NAME_PATTERN, description="The release's name.")]
