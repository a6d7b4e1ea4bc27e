"""Every check has, in its own module, tests in which it passed, failed and could not be evaluated."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from promotion.case import Case
from shared.finding import Finding


class Heard:
    """What one module's tests heard of its check: the outcomes, and which tests ran here."""

    def __init__(self) -> None:
        self.outcomes: set[str] = set()
        self.ran: set[str] = set()


@pytest.fixture(scope="module")
def heard(request: pytest.FixtureRequest) -> Iterator[Heard]:
    """Once all tests of a module have run in this process and none has failed, all three outcomes were heard."""
    found, failed = Heard(), request.session.testsfailed
    yield found
    items = [item for item in request.session.items if item.path == request.node.path]
    written = ast.parse(request.node.path.read_text()).body
    tests = {node.name for node in written if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    chosen = {item.name.split("[")[0] for item in items}
    if tests <= chosen and {item.nodeid for item in items} <= found.ran and request.session.testsfailed == failed:
        missing = {"passed", "failed", "unevaluable"} - found.outcomes
        assert not missing, f"no test saw the check {', '.join(sorted(missing))}"


@pytest.fixture(autouse=True)
def _ran(heard: Heard, request: pytest.FixtureRequest) -> None:
    heard.ran.add(request.node.nodeid)


@pytest.fixture
def ask(
    ask: Callable[..., list[Finding]], heard: Heard, request: pytest.FixtureRequest
) -> Callable[..., list[Finding]]:
    """The same question, whose answers of the module's own check are kept."""

    def asked(name: str, case: Case, **rule: Any) -> list[Finding]:
        found = ask(name, case, **rule)
        if request.path.stem == f"test_{name}":
            heard.outcomes.update(finding.outcome for finding in found)
        return found

    return asked
