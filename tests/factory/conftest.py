"""One loaded workspace, made once and copied for each test: loading imports a heavy library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from factory.delivery import messages
from factory.releases import admission
from factory.releases.admission import admit
from factory.warehouse.load import load
from shared.state.workspace import Workspace
from tests.makers import at_work, customers_csv, make_package, make_workspace
from tests.suites import each_box_once


@pytest.fixture(autouse=True, scope="module")
def _each_box_once() -> Iterator[None]:
    with each_box_once(admission, messages):
        yield


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("loaded")
    workspace = make_workspace(root / "workspace")
    load(workspace, "customers", customers_csv(root / "customers.csv"))
    return workspace


@pytest.fixture
def workspace(loaded: Workspace, tmp_path: Path) -> Workspace:
    """A loaded rehearsal workspace, at ten past nine of the day in question."""
    return at_work(loaded, tmp_path / "workspace")


@pytest.fixture(scope="session")
def one_release(loaded: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with one release, `spring-email-letter`; made once, and copied by whoever changes it."""
    made = at_work(loaded, tmp_path_factory.mktemp("one-release") / "workspace")
    make_package(made)
    admit(made)
    return made
