"""What the tests of the gate stand on; the cases themselves are made in `cases.py`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import shared.evidence.compute
from promotion.gate.case import Case
from promotion.gate.checks import CHECKS
from promotion.gate.gate import _ask
from promotion.keys.enrolment import enrol
from shared.state.workspace import Mode, Workspace, create
from shared.trust.candidate import Candidate, write_json
from shared.trust.finding import Finding
from shared.trust.keys import GATE
from tests.makers import OWNER, allow_small
from tests.promotion import cases
from tests.promotion.cases import LAUNCHED, Stage
from tests.suites import each_answer_once, each_evidence_once


@pytest.fixture(scope="session", autouse=True)
def _each_evidence_once() -> Iterator[None]:
    with each_evidence_once(shared.evidence.compute, cases):
        yield


@pytest.fixture(autouse=True)
def _each_answer_once() -> Iterator[None]:
    with each_answer_once():
        yield


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    with pytest.MonkeyPatch.context() as patch:
        # Its identity draws the holdout: the same units in every run.
        patch.setattr("shared.state.workspace.secrets.token_hex", lambda size: "2026" * (size // 2))
        workspace, _ = create(tmp_path_factory.mktemp("prepared") / "workspace", "rehearsal")
    allow_small(workspace).clock.set(LAUNCHED)
    for name in (GATE, OWNER):
        enrol(workspace, name)
    stage = Stage(workspace).with_factory()
    given = yaml.safe_load((workspace.configs / "gate.yaml").read_text())["tiers"]
    stage.settings(**given)
    stage.seed("stage")
    return stage.workspace


@pytest.fixture
def stage(prepared: Workspace, tmp_path: Path) -> Stage:
    """A rehearsal workspace in which gate, owner and Factory have keys."""
    return Stage(prepared).copy(tmp_path / "workspace")


@pytest.fixture
def make_stage(tmp_path: Path) -> Callable[[Mode], Stage]:
    """A workspace of one mode or the other, without keys."""
    return lambda mode: Stage(allow_small(create(tmp_path / mode, mode)[0]))


@pytest.fixture
def ask() -> Callable[..., list[Finding]]:
    """Puts one check's question to a case, as the gate does; keywords are the check's policy."""

    def asked(name: str, case: Case, **rule: Any) -> list[Finding]:
        [check] = [check for check in CHECKS if check.name == name]
        return list(_ask(check, case, check.rule(**rule)))

    return asked


@pytest.fixture(scope="session")
def standing(prepared: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Stage, Candidate]:
    """A good candidate, of which tests change nothing but the preflight report."""
    stage = Stage(prepared).copy(tmp_path_factory.mktemp("standing") / "workspace")
    return stage, stage.submit()


@pytest.fixture
def ask_of(standing: tuple[Stage, Candidate], ask: Callable[..., list[Finding]]) -> Callable[..., list[Finding]]:
    """Puts one check's question to a good candidate with a changed preflight report; keywords are the policy."""
    stage, candidate = standing

    def asked(name: str, preflight: Mapping[str, Any], **rule: Any) -> list[Finding]:
        stage.preflight(candidate, **preflight)
        return ask(name, stage.open(candidate), **rule)

    return asked


@pytest.fixture
def left_out(stage: Stage) -> Callable[..., None]:
    """Has metrics leave out the units that have no outcome."""

    def leave_out(*names: str) -> None:
        path = stage.workspace.configs / "metrics.yaml"
        catalogue = yaml.safe_load(path.read_text())
        for name in names:
            catalogue["metrics"][name]["no_outcome"] = "left_out"
            catalogue["metrics"][name].pop("cap", None)
        path.write_text(yaml.safe_dump(catalogue))

    return leave_out


@pytest.fixture
def edit() -> Callable[[str, Callable[[Any], None]], Callable[[Path], None]]:
    """A hand that changes one JSON file of a candidate before it is sealed."""

    def editor(name: str, change: Callable[[Any], None]) -> Callable[[Path], None]:
        def alter(folder: Path) -> None:
            content = json.loads((folder / name).read_text())
            change(content)
            write_json(folder / name, content)

        return alter

    return editor
