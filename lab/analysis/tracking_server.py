"""MLflow's pages over the Lab's notebook: how they are started, and where they are while somebody has them up."""

from __future__ import annotations

import shlex
import socket
from collections.abc import Sequence
from itertools import pairwise

import psutil

from lab.analysis.tracking import STORE, store_uri
from shared.state.workspace import Workspace

LOOPBACK = "127.0.0.1"
# MLflow's own (`mlflow server --help`).
PORT, PORT_MAX = 5000, 65_535
ANSWERS_WITHIN_S = 0.2


def is_there(workspace: Workspace) -> bool:
    """Whether there is a notebook yet; the first analysis makes it."""
    return (workspace.lab / STORE).exists()


def command(workspace: Workspace) -> str:
    """What starts the pages, on this machine alone."""
    return shlex.join(["mlflow", "ui", "--host", LOOPBACK, "--backend-store-uri", store_uri(workspace)])


def port_of(workspace: Workspace) -> int | None:
    """On which port a process of this account shows this very notebook; None where none does."""
    store = store_uri(workspace)
    for process in psutil.process_iter(["cmdline"]):
        arguments = process.info["cmdline"] or []  # None of what belongs to somebody else, or has just ended
        if store in arguments and {"ui", "server"} & set(arguments):
            return _port(arguments)
    return None


def answers(port: int) -> bool:
    """Whether anything listens there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(ANSWERS_WITHIN_S)
        return probe.connect_ex((LOOPBACK, port)) == 0


def _port(arguments: Sequence[str]) -> int | None:
    said = [after for flag, after in pairwise(arguments) if flag in {"--port", "-p"}]
    said += [each.removeprefix("--port=") for each in arguments if each.startswith("--port=")]
    if not said:
        return PORT
    return int(said[-1]) if said[-1].isascii() and said[-1].isdigit() and int(said[-1]) <= PORT_MAX else None
