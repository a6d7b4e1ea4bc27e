"""A desk that is served for real, and what asks it as a browser does."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import yaml

from pilotplant.desk.desk import Desk
from pilotplant.desk.server import address_of, listen, server_of
from shared.state.workspace import Workspace

OPS, SECOND = "ops@example.com", "second@example.com"


@dataclass
class Browser:
    """What asks the desk; `ours` is what a browser says of a form that a page of the desk sends."""

    client: httpx.Client
    desk: Desk

    @property
    def ours(self) -> dict[str, str]:
        return {"origin": str(self.client.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}

    def page(self, path: str) -> str:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def data(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
        return self.client.post(path, data=fields, headers=self.ours if headers is None else headers)

    def send(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
        """Sends a form with the token of the session."""
        token = re.search(r'name="token" value="([^"]+)"', self.page("/factory"))
        assert token is not None
        return self.post(path, headers, **{"token": token[1]} | fields)

    def enter(self, person: str | None) -> Browser:
        answer = self.post("/sign-in", link=self.desk.links.make(person))
        assert (answer.status_code, answer.headers["location"]) == (303, "/today")
        return self


@contextmanager
def serving(desk: Desk) -> Iterator[str]:
    """The address of a desk that is up."""
    with listen(0) as listener:
        server = server_of(desk)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield address_of(listener)
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def at(desk: Desk, person: str | None) -> Iterator[Browser]:
    """A person's browser, at a desk that is up."""
    with serving(desk) as address, httpx.Client(base_url=address, timeout=120) as client:
        yield Browser(client, desk).enter(person)


def two_signatures(workspace: Workspace) -> str:
    """Has the policy ask for two persons' signatures, and names a second one who may sign."""
    gate, people = workspace.configs / "gate.yaml", workspace.configs / "people.yaml"
    policy = yaml.safe_load(gate.read_text()) | {"signatures_min": {"low": 2, "standard": 2, "high": 2}}
    gate.write_text(yaml.safe_dump(policy))
    known = yaml.safe_load(people.read_text())
    known["people"].append({"email": SECOND, "decides": {"tiers": ["low", "standard", "high"]}})
    people.write_text(yaml.safe_dump(known))
    return SECOND
