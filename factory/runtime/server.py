"""Prefect's server and worker as child processes of ours, which nothing of the user's own Prefect can redirect."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from factory.runtime import processes
from factory.runtime.door import HOST
from shared.core.errors import BadInput, Undecided
from shared.core.files import give_mode, mode_in, write_atomically

USER = "pilotplant"
# Measured: ready after 6 to 9 s, 15 to 20 s the first time; a busy machine takes several times that.
READY_WAIT_S = 180.0
TELL_EVERY_S = 10.0
POLL_S = 0.2
PORT_MAX = 65_535


@dataclass(slots=True)
class PrefectServer:
    """A server with its worker.

    Attributes:
        home: its own folder: database, logs, pages, password.
        port: where it listens, on loopback.
        say: where progress goes.
    """

    home: Path
    port: int
    say: Callable[[str], None]
    _password: str = field(default_factory=lambda: f"{USER}:{secrets.token_urlsafe(32)}", repr=False)
    _children: list[processes.Child] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where people look at it."""
        return f"http://{HOST}:{self.port}"

    @property
    def password_file(self) -> Path:
        """Where the password of this start is written, for people who look at the pages."""
        return self.home / "password"

    def start(self) -> None:
        """Starts the server under a new password and waits until it answers.

        Raises PilotPlantError where it ends by itself, Undecided where it takes too long.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        write_atomically(self.password_file, f"{self._password}\n")
        self.say(f"starting Prefect's server on {self.url} (log: {self.home / 'logs' / 'server.log'})")
        server = self._run("server", "factory.runtime.door", str(self.port))
        began = told = time.monotonic()
        while not _healthy(f"{self.url}/api/health"):
            server.require_alive()
            now = time.monotonic()
            if now - began > READY_WAIT_S:
                raise Undecided(
                    f"Prefect's server was not ready within {READY_WAIT_S:.0f} s:\n" + processes.last_lines(server.log),
                    where=str(server.log),
                    remedy="read the log; on a busy machine, run it again when there is less to do",
                )
            if now - told > TELL_EVERY_S:
                told = now
                self.say(f"still waiting for Prefect's server ({now - began:.0f} s)")
            time.sleep(POLL_S)
        for page in (self.home / "ui").rglob("*"):  # which Prefect copies with the modes that its package has
            give_mode(page, mode_in(page.parent, of_folder=page.is_dir()))
        self.say(f"the server is ready after {time.monotonic() - began:.0f} s")

    def start_worker(self, workspace: Path) -> None:
        """Starts the worker that runs this workspace's campaigns as processes."""
        self._run("worker", "factory.runtime.worker", str(workspace))

    def require_alive(self) -> None:
        """Raises PilotPlantError where server or worker have ended by themselves."""
        for child in self._children:
            child.require_alive()

    def stop(self) -> None:
        """Ends the worker, the server, and whatever they started; the password ends with them."""
        processes.stop(self._children, str(self.home))
        self._children.clear()
        self.password_file.unlink(missing_ok=True)

    def environment(self) -> dict[str, str]:
        """What our processes see: the user's environment without a word about any other Prefect.

        The password goes this way alone: no other account can read a process's environment, and each can its arguments.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        # A proxy for the world must not stand between us and our own machine.
        direct = ",".join(filter(None, (kept.get("NO_PROXY") or kept.get("no_proxy"), HOST, "localhost")))
        ours = {
            "HOME": str(self.home),
            "PROFILES_PATH": str(self.home / "profiles.toml"),
            "API_AUTH_STRING": self._password,
            "API_URL": f"{self.url}/api",
            "CLIENT_CSRF_SUPPORT_ENABLED": "true",
            "SERVER_ANALYTICS_ENABLED": "false",
            "SERVER_API_AUTH_STRING": self._password,
            "SERVER_CORS_ALLOWED_ORIGINS": self.url,
            "SERVER_CSRF_PROTECTION_ENABLED": "true",
            "SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{self.home / 'prefect.db'}",
            "SERVER_EPHEMERAL_ENABLED": "false",
            "SERVER_UI_API_URL": f"{self.url}/api",
            "SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "SERVER_UI_STATIC_DIRECTORY": str(self.home / "ui"),
            "WORKER_QUERY_SECONDS": "1",
        }
        ours = {f"PREFECT_{name}": value for name, value in ours.items()}
        ours |= {processes.MARK: str(self.home), "NO_PROXY": direct, "no_proxy": direct, "DO_NOT_TRACK": "1"}
        return kept | ours

    def _run(self, name: str, module: str, argument: str) -> processes.Child:
        child = processes.start(
            f"Prefect's {name}",
            [sys.executable, "-P", "-m", module, argument],
            environment=self.environment(),
            folder=self.home,  # where no `.env` or `prefect.toml` lies
            log=self.home / "logs" / f"{name}.log",
        )
        self._children.append(child)
        return child


def choose_port(given: int | None, configured: int) -> int:
    """The port to listen on: as given (0 is any free one), else as configured; raises BadInput where it is in use."""
    wanted = configured if given is None else given
    where = "prefect.port in configs/factory.yaml" if given is None else "--port"
    if not 0 <= wanted <= PORT_MAX:
        raise BadInput(f"{wanted} is no port", where=where, expected=f"1024 to {PORT_MAX}, or 0 for any that is free")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            forbidden = error.errno == errno.EACCES
            raise BadInput(
                f"port {wanted} is " + ("not for this account" if forbidden else "in use"),
                where=where,
                expected="a port that no other program listens on",
                remedy="change `prefect: {port: …}` in configs/factory.yaml, or give --port 0 for any free one",
            ) from error
        port: int = probe.getsockname()[1]
    return port


def _healthy(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == httpx.codes.OK  # past any proxy
    except httpx.HTTPError:
        return False
