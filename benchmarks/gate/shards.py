"""Shards: what was found of each pilot, one CSV for each class, so that hours of work can be interrupted and checked.

A file is of one state of the gate, whose digest stands in its first line; results of another state are not read.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.gate.candidates import Judged
from shared.core.files import write_atomically

Batch = tuple[str, int, int]
Row = tuple[bool, Judged]
ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "docs" / "proof" / "gate"
# Whatever changes what the gate says of a pilot.
SOURCES = (
    "promotion",
    "shared",
    "configs",
    "benchmarks/gate",
    "tests/promotion/cases.py",
    "tests/promotion/preflights.py",
    "tests/suites.py",
    "requirements.lock",
)
COLUMNS = ("pilot", "shipped", "verdict", "against", "warned")


@dataclass(frozen=True, slots=True)
class Shards:
    """The results of one state of the gate in a folder of their own.

    Attributes:
        state: the digest of everything that the verdicts depend on.
    """

    folder: Path
    state: str
    _known: dict[str, dict[int, Row]] = field(default_factory=dict, compare=False)

    @classmethod
    def of_this_gate(cls) -> Shards:
        """Those of the gate as it stands in the working tree."""
        found = [path for name in SOURCES for path in _files(ROOT / name)]
        digest = hashlib.sha256()
        for path in sorted(found):
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
        return cls(RESULTS, digest.hexdigest()[:16])

    def read(self, batch: Batch) -> list[Row] | None:
        """What was found of a batch; None where not every pilot of it was judged yet."""
        name, start, stop = batch
        known = self._of(name)
        return [known[number] for number in range(start, stop)] if known.keys() >= set(range(start, stop)) else None

    def write(self, batch: Batch, rows: Sequence[Row]) -> None:
        """Keeps what was found of a batch."""
        name, start, _ = batch
        known = self._of(name)
        known.update(enumerate(rows, start=start))
        text = io.StringIO(f"# gate {self.state}\n")
        text.seek(0, io.SEEK_END)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for number, (shipped, said) in sorted(known.items()):
            writer.writerow([number, int(shipped), said.verdict, " ".join(said.against), " ".join(said.warned)])
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path(name), text.getvalue())

    def _of(self, name: str) -> dict[int, Row]:
        if name not in self._known:
            self._known[name] = dict(self._kept(name))
        return self._known[name]

    def _kept(self, name: str) -> Iterator[tuple[int, Row]]:
        path = self._path(name)
        if not path.exists():
            return
        state, _, *rows = path.read_text(encoding="utf-8").splitlines()
        if state != f"# gate {self.state}":
            return
        for number, shipped, verdict, against, warned in csv.reader(rows):
            said = Judged(verdict, tuple(against.split()), tuple(warned.split()))  # type: ignore[arg-type]
            yield int(number), (shipped == "1", said)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.csv"


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [each for each in path.rglob("*") if each.suffix in {".py", ".yaml"}]
