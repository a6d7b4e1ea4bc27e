"""The tests marked `proof`: kills at crash points, tampering, crowds and simulated pilots, in a table of their own."""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parent.parent.parent
HEAD = """# The long tests

`make proof`: the tests that take too long to be run at every change. Each row is a test by its name; *cases* is how
often it ran, at other crash points, on other databases or parts, and *counted* what a case that tries many things in
turn has tried. One change that is not found, or one trace of a kill that is left, fails a case.

"""


@dataclass(slots=True)
class Tally:
    """What the cases of one test came to.

    Attributes:
        outcomes: how many passed, failed and were skipped.
        counted: what the cases recorded with `record_property`, added up.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)

    @property
    def result(self) -> str:
        if self.outcomes["failed"]:
            return f"**{self.outcomes['failed']} failed**"
        skipped = f"{self.outcomes['skipped']} skipped" if self.outcomes["skipped"] else ""
        return ", ".join(filter(None, ["holds" if self.outcomes["passed"] else "", skipped]))


def prove() -> tuple[str, bool]:
    """The page, and whether none failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = ["-q", "-n", "auto", "--dist", "loadfile", "-m", "proof", f"--junitxml={report}"]
        # What pytest prints is progress: the table is the result.
        done = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, stdout=sys.stderr, check=False)
        tests = read(report) if report.exists() else {}
    return page(tests), done.returncode == 0 and bool(tests)


def read(report: Path) -> dict[tuple[str, str], Tally]:
    """What a report of pytest's in JUnit's format says, by module and test, in the order of their names."""
    found: dict[tuple[str, str], Tally] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest wrote it a moment ago
        tally = found.setdefault((case.attrib["classname"], case.attrib["name"].partition("[")[0]), Tally())
        tally.outcomes[_outcome(case)] += 1
        tally.counted.update({each.attrib["name"]: int(each.attrib["value"]) for each in case.iter("property")})
    return dict(sorted(found.items()))


def _outcome(case: ET.Element) -> str:
    tags = {child.tag for child in case}
    return "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"


def page(tests: dict[tuple[str, str], Tally]) -> str:
    """The tables, as Markdown: one for each module, under the first line of what it says of itself."""
    cases = sum(tally.outcomes.total() for tally in tests.values())
    return HEAD + f"**{cases:,} cases of {len(tests)} tests.**\n" + "".join(_sections(tests.items()))


def _sections(tests: Iterable[tuple[tuple[str, str], Tally]]) -> Iterator[str]:
    for module, rows in groupby(tests, key=lambda row: row[0][0]):
        file = ROOT / f"{module.replace('.', '/')}.py"
        # A file that cannot be imported is reported without a module.
        about = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) if file.is_file() else None) or module
        lines = "".join(
            f"| {name.removeprefix('test_').replace('_', ' ')} | {tally.outcomes.total():,} | {_counted(tally)} "
            f"| {tally.result} |\n"
            for (_, name), tally in rows
        )
        first = about.partition("\n")[0]
        yield f"\n## {first}\n\n`{file.relative_to(ROOT)}`\n\n| | cases | counted | |\n|---|---:|---|---|\n{lines}"


def _counted(tally: Tally) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in tally.counted.items())
