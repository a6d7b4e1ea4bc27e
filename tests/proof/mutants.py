"""A pytest plugin that runs the collected tests on every mutant of one module, in one process.

`mutmut` makes the mutants: each function comes back as all its variants and a switch between them, which reads
`MUTANT_UNDER_TEST`. Its own runner starts the tests anew for each mutant and picks them by what they reach; every
judgement reaches every check, so here a module is held against its own tests, whose shared fixtures stay up.

`MUTATED` is the module's name, `MUTATED_FILE` its path and `MUTATED_RESULT` the JSON file that is written.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import time
from collections.abc import Callable
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from mutmut.mutation.file_mutation import MutatedFile, mutate_file_contents

MODULE, FILE, RESULT = os.environ["MUTATED"], Path(os.environ["MUTATED_FILE"]), Path(os.environ["MUTATED_RESULT"])
SWITCH = "MUTANT_UNDER_TEST"


def undecorated(text: str) -> str:
    """The text with every decorator of a function put after it as a call: mutmut leaves what is decorated alone."""
    lines = text.splitlines(keepends=True)
    for node in reversed(ast.parse(text).body):
        if not isinstance(node, ast.FunctionDef):
            continue
        by = node.decorator_list
        calls = [f"\n\n{node.name} = {ast.unparse(decorator)}({node.name})\n" for decorator in reversed(by)]
        lines[node.end_lineno : node.end_lineno] = calls
        first = min((decorator.lineno for decorator in by), default=node.lineno)
        del lines[first - 1 : node.lineno - 1]
    return "".join(lines)


class Loader(SourceFileLoader):
    """Compiles the mutated text in place of the file's."""

    mutated: MutatedFile = mutate_file_contents(str(FILE), undecorated(FILE.read_text()))

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - importlib's signature
        return compile(self.mutated.code, self.path, "exec", dont_inherit=True)


class Finder:
    """Finds the one module that is mutated."""

    @staticmethod
    def find_spec(name: str, *_: object) -> ModuleSpec | None:
        return spec_from_file_location(name, FILE, loader=Loader(name, str(FILE))) if name == MODULE else None


class Memory:
    """What a test's stage made the first time, handed to the same test again: no check takes part in making a case."""

    def __init__(self) -> None:
        self.made: dict[tuple[str, int], Any] = {}
        self.fresh: set[str] = set()
        self.test, self.calls, self.within = "", 0, False

    def begin(self, test: str) -> None:
        self.test, self.calls, self.within = test, 0, False

    def remembering(self, make: Callable[..., Any]) -> Callable[..., Any]:
        """A maker of a stage that is asked once for each of a test's calls."""

        def made(*args: Any, **changes: Any) -> Any:
            if self.within:  # one maker calls another
                return make(*args, **changes)
            self.calls += 1
            place = self.test, self.calls
            if place not in self.made or self.test in self.fresh:
                self.within = True
                try:
                    self.made[place] = make(*args, **changes)
                finally:
                    self.within = False
            return self.made[place]

        return made


class Runs:
    """Runs items over and over; the quickest and the last that killed a mutant come first."""

    def __init__(self, session: pytest.Session, memory: Memory) -> None:
        self.items = list(session.items)
        self.memory = memory
        self.failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or report.failed

    def fails(self, item: pytest.Item, *, last: bool = False) -> bool:
        """Whether a test failed; all but its own fixtures stay up, unless it is the last."""
        self.failed = False
        self.memory.begin(item.nodeid)
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None if last else item.session)
        return self.failed

    def sound(self, *, last: bool = False) -> bool:
        """Whether all tests pass, and again with what they made; one that does not is to make it anew each time."""
        took = {}
        for item in self.items:
            if self.fails(item):
                return False
            if self.fails(item):
                self.memory.fresh.add(item.nodeid)
            begun = time.monotonic()
            if self.fails(item, last=last and item is self.items[-1]):
                return False
            took[item] = time.monotonic() - begun
        self.items.sort(key=took.__getitem__)
        return True

    def killed(self, mutant: str) -> bool:
        os.environ[SWITCH] = f"{MODULE}.{mutant}"
        try:
            for item in self.items:
                if self.fails(item):
                    self.items.remove(item)
                    self.items.insert(0, item)
                    return True
            return False
        finally:
            del os.environ[SWITCH]


assert MODULE not in sys.modules
sys.meta_path.insert(0, Finder())  # type: ignore[arg-type]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """In place of pytest's own loop: the tests as they are, on each mutant, and as they are again."""
    from tests.promotion.cases import Stage

    memory = Memory()
    for maker in ("submit", "case", "open"):
        setattr(Stage, maker, memory.remembering(getattr(Stage, maker)))
    runs = Runs(session, memory)
    session.config.pluginmanager.register(runs)
    if session.testsfailed or not runs.items or not runs.sound():
        raise pytest.UsageError(f"the tests of {MODULE} do not pass without a mutation")
    mutants = Loader.mutated.mutant_names
    survivors = [mutant for mutant in mutants if not runs.killed(mutant)]
    if not runs.sound(last=True):
        raise pytest.UsageError(f"the tests of {MODULE} do not pass any more: a mutant left something behind")
    RESULT.write_text(json.dumps({"mutants": len(mutants), "survivors": [_change(name) for name in survivors]}))
    return True


def _change(mutant: str) -> dict[str, list[str] | str]:
    lines = Loader.mutated.code.splitlines()
    original, _, _ = mutant.rpartition("__mutmut_")
    was, now = (
        [line for line in lines[span.start - 1 : span.end] if "__mutmut_" not in line]
        for span in (Loader.mutated.line_span_by_function_name[name] for name in (f"{original}__mutmut_orig", mutant))
    )
    removed = [line.strip() for line in was if line not in now]
    added = [line.strip() for line in now if line not in was]
    return {"function": original.removeprefix("x_"), "was": removed, "now": added}
