"""The file channel: one JSON Lines file per release and occurrence; it appears whole, once, and is never replaced."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from shared.core.clock import rfc3339
from shared.core.digests import digest_file, digest_json
from shared.core.files import sync_folder
from shared.state.workspace import Workspace

SCHEMA_VERSION = 1
PARTIAL = ".partial"


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one unit.

    Attributes:
        unit: the pseudonym.
        to: the Factory's own id of the unit.
    """

    unit: str
    to: str
    subject: str
    body: str


def stamp(occurrence: datetime) -> str:
    """An occurrence as file names carry it: `20261123T090000Z`."""
    return occurrence.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def outgoing(workspace: Workspace, release: str, occurrence: datetime) -> Path:
    """The file of one occurrence; once it is there, it counts as sent."""
    return workspace.factory / "outgoing" / release / f"{stamp(occurrence)}.jsonl"


def key(release: str, occurrence: datetime, step: str, unit: str) -> str:
    """What makes a message the same message: the far side drops the second one with the same key."""
    return digest_json({"release": release, "occurrence": rfc3339(occurrence), "step": step, "unit": unit})


def write_partial(final: Path, release: str, occurrence: datetime, step: str, messages: Iterable[Message]) -> Path:
    """The messages in a hidden file beside `final`, on the disk for good."""
    final.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=final.parent, prefix=f".{final.name}.", suffix=PARTIAL)
    with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
        for message in messages:
            line = {
                "schema_version": SCHEMA_VERSION,
                "key": key(release, occurrence, step, message.unit),
                "release": release,
                "occurrence": rfc3339(occurrence),
                "unit": message.unit,
                "to": message.to,
                "subject": message.subject,
                "body": message.body,
            }
            stream.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    return Path(name)


def reveal(partial: Path, final: Path) -> bool:
    """Gives the file its name, unless another one has it: then nothing is touched and the answer is False."""
    try:
        # A link never replaces; a rename would.
        os.link(partial, final)
    except FileExistsError:
        return False
    sync_folder(final.parent)
    return True


def discard_partials(final: Path) -> None:
    """Removes what killed attempts left beside `final`."""
    for leftover in final.parent.glob(f".{final.name}.*{PARTIAL}"):
        leftover.unlink(missing_ok=True)


def read_back(final: Path) -> str:
    """The digest of a revealed file."""
    return digest_file(final)
