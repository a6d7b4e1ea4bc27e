"""A page of benchmarks: runs the files of a folder, by name or all, and writes their tables into one document.

A benchmark is a file with a function `run()` that returns the lines of its table.
"""

from __future__ import annotations

import argparse
import inspect
import os
import platform
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import HEAD, Line

DOCS = Path(__file__).parent.parent / "docs" / "benchmarks"


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        name: of the folder of its benchmarks, and of the page.
        title: its heading and what is said above the tables.
        helpers: files of the folder that are no benchmarks.
    """

    name: str
    title: str
    helpers: frozenset[str]

    @property
    def path(self) -> Path:
        return DOCS / f"{self.name}.md"

    def main(self) -> None:
        """Runs what the command line asks for; ends the process, with 1 where a limit does not hold."""
        folder = Path(__file__).parent / self.name
        found = sorted(path.stem for path in folder.glob("*.py") if path.stem not in self.helpers | {"__main__"})
        parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{self.name}")
        parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(found)}")
        parser.add_argument("--repeats", type=int, help="rounds of each line; each benchmark has its own default")
        asked = parser.parse_args()
        for name in asked.names:
            if name not in found:
                parser.error(f"there is no benchmark `{name}`; there are: {', '.join(found)}")
        sections, holds = self._sections(), True
        for name in asked.names or found:
            sys.stderr.write(f"{name} …\n")
            module = import_module(f"benchmarks.{self.name}.{name}")
            rounds = asked.repeats or inspect.signature(module.run).parameters["repeats"].default
            lines: list[Line] = module.run(repeats=rounds)
            sections[name] = _section(module.__doc__ or name, lines, rounds)
            sys.stderr.write(sections[name])
            holds &= all(line.holds for line in lines)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.title + "".join(f"\n## {name}\n{sections[name]}" for name in sorted(sections)))
        sys.stderr.flush()
        os._exit(not holds)  # before DuckDB's extension module prints pages of leak warnings

    def _sections(self) -> dict[str, str]:
        """The page's sections as they are, so that one benchmark can be run again without the others."""
        if not self.path.exists():
            return {}
        parts = self.path.read_text().split("\n## ")[1:]
        return {name: f"{body.rstrip()}\n" for name, _, body in (part.partition("\n") for part in parts)}


def _section(story: str, lines: list[Line], rounds: int) -> str:
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, DuckDB {version('duckdb')}"
    measured = f"{story.strip()}\n\n{datetime.now(UTC):%Y-%m-%d}; median of {rounds}; {machine}."
    return f"\n{measured}\n\n{HEAD}\n" + "".join(f"{line.as_markdown()}\n" for line in lines)
