"""Which TCP ports processes listen on, as the kernel has it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

LISTEN = "0A"


def ports_of(numbers):
    """The ports that any of these processes listens on; it may be asked of one's own processes, or by root."""
    sockets = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN:
                sockets[f"socket:[{fields[9]}]"] = int(fields[1].rpartition(":")[2], 16)
    found = set()
    for number in numbers:
        with suppress(FileNotFoundError):  # it may have ended meanwhile
            for descriptor in Path(f"/proc/{number}/fd").iterdir():
                with suppress(FileNotFoundError):
                    found.add(sockets.get(os.readlink(descriptor)))
    return found - {None}
