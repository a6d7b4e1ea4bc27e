"""Archives of earlier builds, opened: unpacked where a test wants them, their databases on a server of their own."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.earlier.hand import LONG_AGO, SHORT_PASSPHRASES, Hand
from tests.earlier.make import CONFIGS, FOLDER, here
from tests.postgres import Server, start

ARCHIVES = sorted(FOLDER.glob("*/*.tar.xz"))


@dataclass
class Earlier:
    """A workspace of an earlier build.

    Attributes:
        hand: gives it commands of the present build.
        said: what the earlier build said of its pilots.
    """

    hand: Hand
    said: dict[str, Any]

    @property
    def files(self) -> Path:
        """What lies beside the workspace: results, recorded and to be recorded, and what others keep of it."""
        return self.hand.folder / "files"


@contextmanager
def opened(archive: Path, folder: Path) -> Iterator[Earlier]:
    """The archive's workspace, unpacked into `folder`, its databases brought to this release."""
    kind = archive.name.removesuffix(".tar.xz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    said = json.loads(archive.with_name(f"{kind}.json").read_text())
    hand = Hand(folder, kind == "rehearsal", passphrases=said.get("passphrases", SHORT_PASSPHRASES))
    if not (folder / "databases").exists():
        hand.say(LONG_AGO, "migrate")
        yield Earlier(hand, said)
        return
    server = start()
    try:
        _restore(hand, server)
        owners = [f"--owner-url={room}={server.url(f'pilotplant_{room}', 'pilotplant_owner')}" for room in CONFIGS]
        hand.say(LONG_AGO, "migrate", *owners)
        yield Earlier(hand, said)
    finally:
        server.stop()


def _restore(hand: Hand, server: Server) -> None:
    """Puts the databases on the server, with their roles, and its address into the settings."""
    databases = hand.folder / "databases"
    server.run(*(databases / "roles.sql").read_text().strip().split("\n"))
    for room, file in CONFIGS.items():
        words = [server.bin / "psql", "--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--output", "/dev/null"]
        target = ["--dbname", server.url(f"pilotplant_{room}"), "--file", databases / f"{room}.sql"]
        subprocess.run([*words, *target], check=True)
        path = hand.root / "configs" / file
        path.write_text(here(path.read_text(), server))
