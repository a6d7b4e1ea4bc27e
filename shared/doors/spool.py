"""The spool: requests to a room as folders, which the room's own process answers.

`request.json` and the parcel are there before the folder has its name; `answer.json` comes in one step when the answer
is there in full, and whoever asked removes the folder. A process that was killed in between finds the request again.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from shared.core.errors import PilotPlantError, Undecided
from shared.core.files import locked, scratch_in, settle, write_atomically
from shared.doors import requests
from shared.doors.door import Answer, Box, Pack, Request, RoomName, answered, spool_of
from shared.state.workspace import Workspace

REQUEST, ANSWER, PARCEL, GIVEN = "request.json", "answer.json", "parcel", "given"
ASKED_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Spool:
    """The transport where the rooms are different accounts.

    Attributes:
        wait_s: after so many seconds without an answer it is as if the room could not be asked.
    """

    wait_s: float = 60.0

    @contextmanager
    def __call__(
        self, workspace: Workspace, request: Request[Answer], pack: Pack | None
    ) -> Iterator[tuple[Answer, Path]]:
        """As `Transport` says; raises Undecided where the room's process does not answer."""
        spool = spool_of(workspace, request.room)
        folder = spool / secrets.token_hex(16)
        with scratch_in(spool) as scratch:
            (scratch / PARCEL).mkdir()
            if pack is not None:
                pack(scratch / PARCEL)
            said = {"kind": type(request).__name__, "request": request.model_dump(mode="json")}
            (scratch / REQUEST).write_text(json.dumps(said))
            settle(scratch, folder)
        try:
            yield self._answer(request, folder), folder / GIVEN
        finally:
            # Out of the room's sight in one step: half removed it would look like one that nobody has answered.
            shutil.rmtree(folder.rename(spool / f".{folder.name}"), ignore_errors=True)

    def _answer(self, request: Request[Answer], folder: Path) -> Answer:
        until = time.monotonic() + self.wait_s
        while not (folder / ANSWER).exists():
            if time.monotonic() > until:
                raise Undecided(
                    f"the {request.room} room does not answer",
                    where=str(folder.parent),
                    remedy="see that its process runs; then give the same command again",
                )
            time.sleep(ASKED_EVERY_S)
        found = json.loads((folder / ANSWER).read_bytes())
        if "error" in found:
            raise _error(found["error"])
        answer: Answer = TypeAdapter(request.answer).validate_json(json.dumps(found["answer"]))
        return answer


def serve(workspace: Workspace, room: RoomName, until: Callable[[], bool]) -> None:
    """Answers the requests in a room's spool, one after the other, until somebody says that it is enough."""
    spool = spool_of(workspace, room)
    spool.mkdir(parents=True, exist_ok=True)
    with locked(spool / ".serving.lock"):
        while not until():
            for folder in sorted(spool.glob("[!.]*")):
                if (folder / REQUEST).exists() and not (folder / ANSWER).exists():
                    _serve(workspace, room, folder)
            time.sleep(ASKED_EVERY_S)


def _serve(workspace: Workspace, room: RoomName, folder: Path) -> None:
    given, told = (folder.with_name(f".{folder.name}.{name}") for name in (GIVEN, ANSWER))
    try:
        said = json.loads((folder / REQUEST).read_bytes())
        kind: type[Request[Any]] = requests.BY_NAME[said["kind"]]
        request = kind.model_validate_json(json.dumps(said["request"]))
        # What came is another account's, which could change it meanwhile: the room works on a copy of its own.
        with scratch_in(spool_of(workspace, room).parent) as scratch:
            box = Box(scratch / PARCEL, scratch / GIVEN)
            shutil.copytree(folder / PARCEL, box.parcel, symlinks=True)
            box.given.mkdir()
            answer = answered(workspace, request, box)
            settle(box.given, given)
        content = {"answer": TypeAdapter(kind.answer).dump_python(answer, mode="json")}
    except PilotPlantError as error:
        content = {"error": {"kind": type(error).__name__, **asdict(error.told)}}
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        content = {"error": {"kind": "PilotPlantError", "what": f"a request cannot be read: {error}"}}
    write_atomically(told, json.dumps(content))
    try:
        if given.exists():
            given.rename(folder / GIVEN)
        told.rename(folder / ANSWER)
    except FileNotFoundError:  # whoever asked waits no longer, and asks again
        shutil.rmtree(given, ignore_errors=True)
        told.unlink(missing_ok=True)


def _error(said: dict[str, Any]) -> PilotPlantError:
    """The error as the room raised it, of the same class where this process knows it."""
    kind = said.pop("kind")
    return _classes(PilotPlantError).get(kind, PilotPlantError)(said.pop("what"), **said)


def _classes(root: type[PilotPlantError]) -> dict[str, type[PilotPlantError]]:
    return {root.__name__: root} | {
        name: found for each in root.__subclasses__() for name, found in _classes(each).items()
    }
