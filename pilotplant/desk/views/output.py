"""What the Factory has put out: snapshots for the Lab, and what releases wrote; and where its engines are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from factory.releases.releases import last_written
from factory.runtime import pulse
from factory.warehouse.snapshots import SnapshotFacts, list_snapshots
from lab.analysis import tracking_server
from shared.core.clock import parse_rfc3339
from shared.core.errors import PilotPlantError
from shared.state.workspace import Workspace
from shared.ui.page import sentence
from shared.ui.phrases import days

SNAPSHOTS_MAX, SECONDS_PER_DAY = 5, 86_400


@dataclass(frozen=True, slots=True)
class Written:
    """What a release's last run wrote.

    Attributes:
        occurrence: the moment that the schedule names, RFC 3339.
        file: where it lies, from the Factory's own folder on.
    """

    occurrence: str
    file: str
    messages: int


@dataclass(frozen=True, slots=True)
class SnapshotLine:
    """A snapshot in the list; `age` is how old it is, in words."""

    found: SnapshotFacts
    age: str


@dataclass(frozen=True, slots=True)
class Output:
    """What was put out.

    Attributes:
        unread: why the snapshots cannot be read; None where they can.
        written: by release.
    """

    snapshots: tuple[SnapshotLine, ...]
    unread: str | None
    written: dict[str, Written]


@dataclass(frozen=True, slots=True)
class Engine:
    """Software below the Factory or the Lab that has pages of its own.

    Attributes:
        shows: what one sees there.
        url: where; None while nothing serves them, and `command` starts it.
        hint: what to know before one goes there.
    """

    name: str
    shows: str
    url: str | None
    command: str
    hint: str = ""


def output_of(workspace: Workspace, now: datetime) -> Output:
    """What was put out so far."""
    written = {
        name: Written(run.occurrence, run.file, run.messages or 0)
        for name, run in last_written(workspace).items()
        if run.file is not None
    }
    try:
        found = list_snapshots(workspace, SNAPSHOTS_MAX)
    except PilotPlantError as error:
        return Output((), sentence(error.what), written)
    return Output(tuple(SnapshotLine(one, _age(now, one.at)) for one in found), None, written)


def _age(now: datetime, at: str) -> str:
    seconds = (now - parse_rfc3339(at)).total_seconds()
    return "less than a day old" if seconds < SECONDS_PER_DAY else f"{days(seconds / SECONDS_PER_DAY)} old"


def engines(workspace: Workspace, tracking_port: int | None) -> tuple[Engine, ...]:
    """Prefect and MLflow, each with its address while it is up; `tracking_port` is where MLflow was seen last."""
    prefect = pulse.address(workspace)
    hint = "It asks for a password, new at every start, which is in var/factory/prefect/password."
    found = [Engine("Prefect", "schedules, runs and their logs", prefect, "pilotplant factory up", hint)]
    if tracking_server.is_there(workspace):
        is_up = tracking_port is not None and tracking_server.answers(tracking_port)
        url = f"http://{tracking_server.LOOPBACK}:{tracking_port}" if is_up else None
        found.append(Engine("MLflow", "the Lab's analyses, one by one", url, tracking_server.command(workspace)))
    return tuple(found)
