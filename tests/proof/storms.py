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
HEAD = """# Storms

`make proof`: the tests that take too long to be run at every change. Each row is a test by its name; *cases* is how
often it ran, on different crash points, databases or parts, and *counted* what these added up to. A case fails with the
first change that is not found, the first trace of a kill that is not repaired.

"""


@dataclass(slots=True)
class Told:
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
        return f"{self.outcomes['skipped']} skipped" if self.outcomes["skipped"] else "holds"


def prove() -> tuple[str, bool]:
    """The page, and whether every test passed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = ["-q", "-n", "auto", "--dist", "loadfile", "-m", "proof", f"--junitxml={report}"]
        # What pytest prints is progress: the table is the result.
        done = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, stdout=sys.stderr, check=False)
        tests = read(report)
    return page(tests), done.returncode == 0 and bool(tests)


def read(report: Path) -> dict[tuple[str, str], Told]:
    """What a report of pytest's in JUnit's format says, by module and test, in the order of their names."""
    found: dict[tuple[str, str], Told] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 -- pytest wrote it a moment ago
        told = found.setdefault((case.attrib["classname"], case.attrib["name"].partition("[")[0]), Told())
        told.outcomes[_outcome(case)] += 1
        told.counted.update({each.attrib["name"]: int(each.attrib["value"]) for each in case.iter("property")})
    return dict(sorted(found.items()))


def _outcome(case: ET.Element) -> str:
    tags = {child.tag for child in case}
    return "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"


def page(tests: dict[tuple[str, str], Told]) -> str:
    """The tables, as Markdown: one for each module, under the first line of what it says of itself."""
    cases = sum(told.outcomes.total() for told in tests.values())
    return HEAD + f"**{cases:,} cases of {len(tests)} tests.**\n" + "".join(_sections(tests.items()))


def _sections(tests: Iterable[tuple[tuple[str, str], Told]]) -> Iterator[str]:
    for module, rows in groupby(tests, key=lambda row: row[0][0]):
        file = f"{module.replace('.', '/')}.py"
        about = ast.get_docstring(ast.parse((ROOT / file).read_text(encoding="utf-8"))) or module
        lines = "".join(
            f"| {name.removeprefix('test_').replace('_', ' ')} | {told.outcomes.total():,} | {_counted(told)} "
            f"| {told.result} |\n"
            for (_, name), told in rows
        )
        first = about.partition("\n")[0]
        yield f"\n## {first}\n\n`{file}`\n\n| | cases | counted | |\n|---|---:|---|---|\n{lines}"


def _counted(told: Told) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in told.counted.items())
