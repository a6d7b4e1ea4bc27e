"""Shards: what was found of some pilots, kept until the gate is changed, so that hours of work can be interrupted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.gate.candidates import Judged
from shared.files import write_atomically

Batch = tuple[str, int, int]
Row = tuple[bool, Judged]
ROOT = Path(__file__).parent.parent.parent
# Whatever changes what the gate says of a pilot.
SOURCES = (
    "promotion",
    "shared",
    "configs",
    "benchmarks/gate",
    "tests/promotion/cases.py",
    "tests/promotion/preflights.py",
)


@dataclass(frozen=True, slots=True)
class Shards:
    """The files of one state of the gate."""

    folder: Path

    @classmethod
    def of_this_gate(cls) -> Shards:
        """Those of the gate as it stands in the working tree."""
        found = [path for name in SOURCES for path in _files(ROOT / name)]
        digest = hashlib.sha256()
        for path in sorted(found):
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
        return cls(ROOT / "var" / "proof" / "gate" / digest.hexdigest()[:16])

    def read(self, batch: Batch) -> list[Row] | None:
        """What was found of a batch; None where it was not run yet."""
        path = self._path(batch)
        if not path.exists():
            return None
        return [(shipped, Judged(**{name: _tuple(value) for name, value in said.items()}))
                for shipped, said in json.loads(path.read_text())]  # fmt: skip

    def write(self, batch: Batch, rows: Sequence[Row]) -> None:
        """Keeps what was found of a batch."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path(batch), json.dumps([(shipped, asdict(said)) for shipped, said in rows]))

    def _path(self, batch: Batch) -> Path:
        return self.folder / f"{batch[0]}-{batch[1]}-{batch[2]}.json"


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [each for each in path.rglob("*") if each.suffix in {".py", ".yaml"}]
