"""The frame of every page: who reads it, which rooms there are, and the templates that draw it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment

from pilotplant.desk.access import Session
from pilotplant.desk.views.parts import title_of
from shared.ui.page import pages

STATIC = Path(__file__).parent / "static"
ROOMS = (("/today", "Today"), ("/lab", "Lab"), ("/gate", "Gate"), ("/factory", "Factory"), ("/ledger", "Ledger"))


@dataclass(frozen=True, slots=True)
class Frame:
    """What surrounds a page.

    Attributes:
        here: the address of the room that it belongs to; None for a page of none.
        counts: how many things wait for the reader, by room.
        data: where the same page is as JSON; None where it is nowhere.
        command: what shows the same on the command line; None where nothing does.
        zone: in which times are told.
        mark: of what it shows, by which the server knows whether it has become old.
    """

    title: str
    mode: str
    session: Session | None
    here: str | None = None
    counts: dict[str, int] | None = None
    data: str | None = None
    command: str | None = None
    zone: str = "UTC"
    trail: tuple[tuple[str, str], ...] = ()
    mark: str = ""


@cache
def templates() -> Environment:
    """The desk's templates."""
    environment = pages("pilotplant.desk", "lab", "promotion")
    environment.globals |= {"rooms": ROOMS, "version": version_of}
    environment.filters["title_of"] = title_of
    return environment


@cache
def version_of(name: str) -> str:
    """The address of a file of the style or script, which changes with its content: a browser may keep it for ever."""
    return f"/static/{name}?v={sha256(static_file(name).read_bytes()).hexdigest()[:12]}"


def static_file(name: str) -> Path:
    """Where a file that pages load lies."""
    import shared.ui

    return Path(shared.ui.__path__[0]) / name if name == "desk.css" else STATIC / name


def render(name: str, frame: Frame, **values: Any) -> str:
    """A page as HTML."""
    return templates().get_template(name).render(frame=frame, **values)
