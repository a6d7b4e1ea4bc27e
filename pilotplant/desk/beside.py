"""The desk beside the Factory: a process of its own, which `factory up` starts and ends.

It carries the plant's mark, so that the next start clears what a killed one has left behind.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from factory.runtime import processes, pulse
from pilotplant.desk.links import invitations
from shared.core.errors import BadInput
from shared.state.workspace import Workspace, open_workspace


@dataclass
class Beside:
    """A desk that runs beside the Factory, or the reason why none does.

    Attributes:
        url: where it is; None where it was not started, and `problem` says why.
    """

    workspace: Workspace
    url: str | None
    problem: str | None = None
    _child: processes.Child | None = field(default=None, repr=False)

    def lines(self, *, links: bool) -> list[str]:
        """For people: where it is, and who may open it; with `links` each can be used once, by whoever reads it."""
        if self.url is None:
            return [f"The desk is not up: {self.problem}. The Factory is."]
        if not links:
            port = self.url.rpartition(":")[2]
            return [f"The desk is at {self.url}; a link to open it: pilotplant desk --link --port {port}"]
        found = invitations(self.workspace, self.url, None)
        return [
            f"The desk is at {self.url}. Each link lets one browser in, once, within ten minutes:",
            *(f"  {one.person or 'reading only'}: {one.url}" for one in found),
        ]

    def ended(self) -> str | None:
        """What is to be said where it has ended by itself, once; the Factory goes on without it."""
        child = self._child
        if child is None or child.process.poll() is None:
            return None
        self._child = None
        return (
            f"the desk ended by itself (exit code {child.process.returncode}), and the Factory goes on; its log is "
            f"{child.log}. Start it again: pilotplant desk"
        )


@contextmanager
def beside(workspace: Workspace, port: int) -> Iterator[Beside]:
    """A desk is up inside, and gone afterwards; where its port is taken there is none, and it is said why."""
    from pilotplant.desk.server import address_of, listen

    try:
        listener = listen(port)
    except BadInput as error:
        yield Beside(workspace, None, f"{error.what}; name another one with --desk-port, or leave it out: --no-desk")
        return
    with listener:
        # Here and not in the child: whoever opens a link before it is ready waits, and is not refused.
        url, child = address_of(listener), _start(workspace, listener)
    try:
        yield Beside(workspace, url, None, child)
    finally:
        processes.end([child])


def _start(workspace: Workspace, listener: socket.socket) -> processes.Child:
    home = pulse.home(workspace)
    number = listener.fileno()
    return processes.start(
        "the desk",
        [sys.executable, "-P", "-m", "pilotplant.desk.beside", str(workspace.root), str(number)],
        environment={**os.environ, processes.MARK: str(home)},
        folder=workspace.root,
        log=home / "logs" / "desk.log",
        inherits=(number,),
    )


def main(root: str, number: str) -> None:
    """Serves a workspace's desk on a socket that was inherited, until told to end."""
    from pilotplant.desk.desk import Desk
    from pilotplant.desk.server import server_of

    with socket.socket(fileno=int(number)) as listener:
        server_of(Desk(open_workspace(Path(root)))).run(sockets=[listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
