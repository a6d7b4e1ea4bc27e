"""Invitations: a link for each person who may open the desk."""

from __future__ import annotations

from dataclasses import dataclass

from pilotplant.desk.access import Links
from shared.experiment.people import read_people
from shared.state.workspace import Workspace

LOOPBACK = "127.0.0.1"
# By its name: a browser keeps a passkey for a name alone.
NAME = "localhost"


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link, and whom it lets in; None for somebody who only reads."""

    person: str | None
    url: str


def address_at(port: int) -> str:
    """Where a desk on a port of this machine is."""
    return f"http://{NAME}:{port}"


def invitations(workspace: Workspace, address: str, person: str | None) -> list[Invitation]:
    """A new link for a person; without one, for each of configs/people.yaml, and for somebody who only reads."""
    links = Links(workspace)
    people = [person] if person else [*(each.email for each in read_people(workspace).people), None]
    return [Invitation(each, f"{address}/sign-in?link={links.make(each)}") for each in people]
