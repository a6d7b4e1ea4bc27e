"""`python -m benchmarks.lab [NAME …]`: runs the named benchmarks, or all, and writes docs/benchmarks/lab.md.

A benchmark is a file beside this one with a function `run()` that returns the lines of the table.
"""

from __future__ import annotations

import argparse
import inspect
import os
import platform
import sys
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from benchmarks.lab.measure import HEAD, Line

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "benchmarks" / "lab.md"
NO_BENCHMARKS = {"__main__", "measure", "stage"}
TITLE = "# Benchmarks of the Lab\n"
INTRODUCTION = """
`make bench` writes this page; `python -m benchmarks.lab NAME …` writes single sections of it anew. A ratio is the time
of our call over the time of its peer's, both on the same machine and file, in turns: medians of several rounds, each
call in a fresh process that has everything imported before the clock starts. Memory is the peak of the whole process,
interpreter and libraries included.
"""


def main() -> None:
    found = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NO_BENCHMARKS)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(found)}")
    parser.add_argument("--repeats", type=int, help="rounds of each line; each benchmark has its own default")
    asked = parser.parse_args()
    for name in asked.names:
        if name not in found:
            parser.error(f"there is no benchmark `{name}`; there are: {', '.join(found)}")
    sections, holds = _sections(), True
    for name in asked.names or found:
        sys.stderr.write(f"{name} …\n")
        module = import_module(f"benchmarks.lab.{name}")
        rounds = asked.repeats or inspect.signature(module.run).parameters["repeats"].default
        lines: list[Line] = module.run(repeats=rounds)
        sections[name] = _section(module.__doc__ or name, lines, rounds)
        sys.stderr.write(sections[name])
        holds &= all(line.holds for line in lines)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(TITLE + INTRODUCTION + "".join(f"\n## {name}\n{sections[name]}" for name in sorted(sections)))
    sys.stderr.flush()
    os._exit(not holds)  # before DuckDB's extension module prints pages of leak warnings


def _section(story: str, lines: list[Line], rounds: int) -> str:
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, DuckDB {version('duckdb')}"
    measured = f"{story.strip()}\n\n{datetime.now(UTC):%Y-%m-%d}; median of {rounds}; {machine}."
    return f"\n{measured}\n\n{HEAD}\n" + "".join(f"{line.as_markdown()}\n" for line in lines)


def _sections() -> dict[str, str]:
    """The page's sections as they are, so that one benchmark can be run again without the others."""
    if not PAGE.exists():
        return {}
    parts = PAGE.read_text().split("\n## ")[1:]
    return {name: f"{body.rstrip()}\n" for name, _, body in (part.partition("\n") for part in parts)}


if __name__ == "__main__":
    main()
