"""A hand at the command line of one workspace, at a moment that it names."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import time_machine

from pilotplant.app import _exit_code
from shared.core.clock import rfc3339
from shared.state.workspace import MARK, open_workspace

# Private keys lie outside a live workspace, each encrypted with its holder's passphrase.
PASSPHRASES = {
    "PILOTPLANT_PASSPHRASE": "the very own of the owner",
    "PILOTPLANT_GATE_PASSPHRASE": "the very own of the gate",
    "PILOTPLANT_FACTORY_PASSPHRASE": "the very own of the Factory",
}
# Of archives that were made while a shorter one was taken.
SHORT_PASSPHRASES = {
    "PILOTPLANT_PASSPHRASE": "the owner's own",
    "PILOTPLANT_GATE_PASSPHRASE": "the gate's own",
    "PILOTPLANT_FACTORY_PASSPHRASE": "the Factory's own",
}

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass
class Hand:
    """Gives commands, one after the other: time never goes back, as it does not where people work.

    Attributes:
        folder: holds `workspace`, `keys` and the files that are brought in.
        rehearsal: its clock is set by command; a live workspace's time is moved from outside, as only a test can.
        until: when the last command had ended, by the workspace's clock.
        passphrases: of owner, gate and Factory, as the environment gives them.
    """

    folder: Path
    rehearsal: bool
    until: datetime = LONG_AGO
    passphrases: Mapping[str, str] = field(default_factory=lambda: PASSPHRASES)

    @property
    def root(self) -> Path:
        """The workspace."""
        return self.folder / "workspace"

    def say(self, at: datetime, *words: object) -> dict[str, Any]:
        """What a command answers at a moment, or as soon as the one before it has ended; it must end with 0."""
        code, answer = self.ask(at, *words)
        assert code == 0, (words, answer)
        return answer

    def ask(self, at: datetime, *words: object) -> tuple[int, dict[str, Any]]:
        """A command's exit code and answer, likewise."""
        environment = {"PILOTPLANT_KEYS": str(self.folder / "keys"), **self.passphrases}
        with patch.dict(os.environ, environment), self._time(at):
            return self._run([str(word) for word in words])

    @contextmanager
    def _time(self, at: datetime) -> Iterator[None]:
        if not self.rehearsal:
            with time_machine.travel(max(at, self.until)):
                yield
                self.until = datetime.now(UTC)
            return
        made = (self.root / MARK).exists()
        if made and at > self.until:
            assert self._run(["clock", rfc3339(at)])[0] == 0
        yield
        self.until = open_workspace(self.root).clock.now() if made else self.until

    def _run(self, words: list[str]) -> tuple[int, dict[str, Any]]:
        with redirect_stdout(io.StringIO()) as out:
            code = _exit_code(["--workspace", str(self.root), *words, "--json"])
        return code, json.loads(out.getvalue() or "{}")
