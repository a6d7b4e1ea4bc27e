"""Every check has, in its own module, tests in which it passed, failed and could not be evaluated.

All that it says in them, to the last word and number, stands in `findings/<check>.yaml`, to be read as its requesters
and owners would. A change of it fails until it is approved, by `APPROVE=1 pytest tests/promotion/checks`, and shows
in the diff.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from promotion.gate.case import Case
from shared.trust.finding import Finding

APPROVE = "APPROVE" in os.environ
FINDINGS = Path(__file__).with_name("findings")
LEFT_OUT: set[Path] = set()  # modules of which some tests do not run
ORDER = ("outcome", "level", "arm", "reason", "remedy", "measured", "threshold", "waived")


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    LEFT_OUT.update(item.path for item in items)


class Heard:
    """What one module's tests heard of its check: the outcomes, what was said, and which tests ran here."""

    def __init__(self, check: str) -> None:
        self.file = FINDINGS / f"{check}.yaml"
        self.approved: list[Any] = yaml.safe_load(self.file.read_text()) if self.file.exists() else []
        self.said: list[Any] = []
        self.outcomes: set[str] = set()
        self.ran: set[str] = set()

    def hear(self, finding: Finding) -> None:
        self.outcomes.add(finding.outcome)
        told = _plain(finding.model_dump(exclude={"check"}, exclude_none=True))
        if told not in self.said:
            self.said.append(told)
        assert APPROVE or told in self.approved, f"the check never said this before: {told}"

    def approve(self) -> None:
        found = [{key: told[key] for key in ORDER if key in told} for told in self.said]
        found.sort(key=lambda told: (told["outcome"], told["reason"], repr(told)))
        self.file.write_text(yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=120))


def _plain(value: Any) -> Any:
    """Without what is another in every run (digests, paths, parts of a second) or machine (a float's last digits)."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, str):
        for varies in (r"\b[0-9a-f]{16,64}\b", r"(?<=:\d\d)\.\d+(?=Z)", r"(?s)\S*/workspace/.*"):
            value = re.sub(varies, "…", value)
    return value


@pytest.fixture(scope="module")
def heard(request: pytest.FixtureRequest) -> Iterator[Heard]:
    """Once all tests of a module have run in this process and none has failed, all three outcomes were heard."""
    check = request.path.stem.removeprefix("test_")
    found, failed = Heard(check), request.session.testsfailed
    yield found
    items = [item for item in request.session.items if item.path == request.node.path]
    written = ast.parse(request.node.path.read_text()).body
    tests = {node.name for node in written if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    chosen = {item.name.split("[")[0] for item in items}
    whole = tests <= chosen and request.path not in LEFT_OUT
    if whole and {item.nodeid for item in items} <= found.ran and request.session.testsfailed == failed:
        missing = {"passed", "failed", "unevaluable"} - found.outcomes
        assert not missing, f"no test saw the check {', '.join(sorted(missing))}"
        if APPROVE:
            found.approve()
        stale = [told for told in found.approved if told not in found.said]
        assert APPROVE or not stale, f"in {found.file.name}, and said in no test any more: {stale}"


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
            for finding in found:
                heard.hear(finding)
        return found

    return asked
