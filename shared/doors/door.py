"""Asking another room: a request goes to the room that has to answer it, with the files that belong to it.

A room is asked and never reached into: what it gives comes as a typed answer, what it takes lies in a parcel that it
opens itself. How both travel is the transport's: a call in this process, or the receiving room's spool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from shared.core.errors import BadInput
from shared.core.files import scratch_in
from shared.state.workspace import Workspace

RoomName = Literal["lab", "promotion", "factory"]
Answer = TypeVar("Answer")
SPOOL = "spool"


# Of every message: bytes travel as text.
CONFIG = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class Request(BaseModel, Generic[Answer]):
    """What a room is asked; a subclass says which room, and what it answers.

    The same request once more is answered the same: whoever asks repeats it after a crash.

    Attributes:
        room: the one that answers.
        answer: the answer's type, to read it again where it has travelled.
        has_files: whether files go with it, or come with the answer.
    """

    model_config = CONFIG

    room: ClassVar[RoomName]
    answer: ClassVar[Any]
    has_files: ClassVar[bool]

    def __init_subclass__(cls, **_: Any) -> None:
        """Leaves the words of the class statement to the next one."""
        super().__init_subclass__()

    @classmethod
    def __pydantic_init_subclass__(cls, *, room: RoomName | None = None, has_files: bool = False, **_: Any) -> None:
        """Takes room and files from the class statement, and the answer's type from what is asked for."""
        if room is not None:
            [cls.answer] = cls.__mro__[1].__pydantic_generic_metadata__["args"]  # type: ignore[attr-defined]
            cls.room, cls.has_files = room, has_files


@dataclass(frozen=True, slots=True)
class Box:
    """The files of one request.

    Attributes:
        parcel: those that came with it.
        given: where those of the answer go.
    """

    parcel: Path
    given: Path

    @classmethod
    def make(cls, folder: Path) -> Box:
        """An empty one, inside a folder."""
        box = cls(folder / "parcel", folder / "given")
        box.parcel.mkdir()
        box.given.mkdir()
        return box


Handler = Callable[[Workspace, Any, Box], Any]
Pack = Callable[[Path], None]


class Transport(Protocol):
    """How a request reaches its room."""

    def __call__(
        self, workspace: Workspace, request: Request[Answer], pack: Pack | None
    ) -> AbstractContextManager[tuple[Answer, Path]]:
        """The answer, and the folder of the files that came with it, which is there until the context ends.

        `pack` writes the request's files into the folder that it is given. Raises whatever the room raises.
        """
        ...


def ask(workspace: Workspace, request: Request[Answer], pack: Pack | None = None) -> Answer:
    """A room's answer; raises whatever it raises, a PilotPlantError as a rule. `pack` as for `Transport`."""
    with asked(workspace, request, pack) as (answer, _):
        return answer


@contextmanager
def asked(workspace: Workspace, request: Request[Answer], pack: Pack | None = None) -> Iterator[tuple[Answer, Path]]:
    """The same, with the folder of the answer's files, which is there until the context ends."""
    with _TRANSPORT.get()(workspace, request, pack) as found:
        yield found


@contextmanager
def by(transport: Transport) -> Iterator[None]:
    """Has requests go by another transport meanwhile."""
    token = _TRANSPORT.set(transport)
    try:
        yield
    finally:
        _TRANSPORT.reset(token)


@contextmanager
def in_process(workspace: Workspace, request: Request[Answer], pack: Pack | None) -> Iterator[tuple[Answer, Path]]:
    """The transport where one account's process is all three rooms: the room's own function is called."""
    spool = spool_of(workspace, request.room)
    if not request.has_files:  # a disk that takes none must not keep one room from asking another
        yield answered(workspace, request, Box(spool, spool)), spool
        return
    with scratch_in(spool) as scratch:
        box = Box.make(scratch)
        if pack is not None:
            pack(box.parcel)
        yield answered(workspace, request, box), box.given


def answered(workspace: Workspace, request: Request[Answer], box: Box) -> Answer:
    """What the room itself answers; raises BadInput for a parcel with links, which could lead into other folders."""
    links = [path.name for path in box.parcel.rglob("*") if path.is_symlink()] if request.has_files else []
    if links:
        raise BadInput(
            "files that came with a request are links", where=", ".join(links), expected="the files themselves"
        )
    import_module(f"{request.room}.doors")
    answer: Answer = _HANDLERS[type(request)](workspace, request, box)
    return answer


def answers(kind: type[Request[Any]]) -> Callable[[Handler], Handler]:
    """Says, in a room's `doors.py`, that a function answers requests of a kind."""

    def made(handler: Handler) -> Handler:
        _HANDLERS[kind] = handler
        return handler

    return made


def spool_of(workspace: Workspace, room: RoomName) -> Path:
    """Where others lay requests to a room, with their files: the one folder of it into which they write."""
    return workspace.root / "var" / room / SPOOL


_HANDLERS: dict[type[Request[Any]], Handler] = {}
_TRANSPORT: ContextVar[Transport] = ContextVar("transport", default=in_process)
