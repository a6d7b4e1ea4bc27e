"""A desk over a pilot that went the whole way, and browsers that are let in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import sync_playwright

from pilotplant.desk.desk import Desk
from shared.state.workspace import Workspace, open_workspace
from tests import walls
from tests.desk import OPS, Browser, at, serving
from tests.lab_makers import OWNER, stage_copy


@pytest.fixture
def desk(whole: Workspace, tmp_path) -> Desk:
    root = tmp_path / "workspace"
    shutil.copytree(whole.root, root)
    workspace = open_workspace(root)
    people = workspace.configs / "people.yaml"
    people.write_text(f"{people.read_text()}  - email: {OPS}\n    operates: true\n")
    return Desk(workspace)


@pytest.fixture
def opened(desk: Desk) -> Iterator[Callable[[], Browser]]:
    """Opens a browser in which nobody is signed in."""
    with serving(desk) as address:
        clients: list[httpx.Client] = []

        def open_() -> Browser:
            clients.append(httpx.Client(base_url=address, timeout=60))
            return Browser(clients[-1], desk)

        yield open_
        for client in clients:
            client.close()


@pytest.fixture
def stranger(opened) -> Browser:
    return opened()


@pytest.fixture
def owner(opened) -> Browser:
    return opened().enter(OWNER)


@pytest.fixture
def ops(opened) -> Browser:
    return opened().enter(OPS)


@pytest.fixture
def reader(opened) -> Browser:
    """Somebody who only reads."""
    return opened().enter(None)


@pytest.fixture
def undecided(submitted_desk: Desk) -> Iterator[Browser]:
    """The owner, before a pilot whose results wait for a decision."""
    with at(submitted_desk, OWNER) as browser:
        yield browser


@pytest.fixture
def submitted_desk(request, tmp_path) -> Desk:
    return Desk(stage_copy(request, tmp_path / "workspace", "submitted"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    path = shutil.which("chromium")
    walls.require("Debian's chromium", path is not None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
