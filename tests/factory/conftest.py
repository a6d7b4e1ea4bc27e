"""One loaded workspace, made once and copied for each test: loading imports a heavy library."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory.releases.admission import admit
from factory.warehouse.load import load
from shared.state.workspace import Workspace
from tests.makers import at_work, customers_csv, make_package, make_workspace


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
