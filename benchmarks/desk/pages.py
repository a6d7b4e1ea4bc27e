"""Pages of a desk over 400 pilots and 200 releases: the time within the server that 95 of 100 requests stay below.

The peer is a page of the same weight that asks nothing: the same server, the same layers, the same templates' engine.
Each page is asked for two hundred times, one after the other; none may take more than 100 ms or weigh more than 100 kB.
The pilots are copies of one that went the real way, the releases are packages as the gate hands them over.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import sqlalchemy as sa
from fastapi.responses import HTMLResponse

from benchmarks.lab.portfolio import MANY, workspace_of
from benchmarks.measure import Cost, Line
from factory.state import permits
from factory.state.room import open_factory
from factory.state.settings import inbox
from factory.state.tables import releases
from pilotplant.desk.desk import Desk
from pilotplant.desk.server import address_of, application, listen
from shared.state.workspace import Workspace
from shared.trust.attestation import read_attestation
from tests.lab_makers import OWNER
from tests.makers import make_charter, make_package

RELEASES, REPEATS, ROUNDS = 200, 200, 0.95
MS_MAX, KB_MAX, MS, KB = 100.0, 100.0, 1_000, 1_000
PAGES = ("/today", "/lab", "/lab/pilot-001", "/gate", "/factory", "/factory/mail-001-letter", "/ledger", "/insights",
         "/calendar")  # fmt: skip


def run(repeats: int = REPEATS) -> list[Line]:
    with TemporaryDirectory() as folder:
        workspace = workspace_of(Path(folder), MANY)
        release(workspace)
        return [_line(*each) for each in _asked(Desk(workspace), repeats)]


def release(workspace: Workspace) -> None:
    """Puts so many releases at work."""
    for number in range(RELEASES):
        make_package(workspace, charter=make_charter(pilot=f"mail-{number:03}"))
    room = open_factory(workspace)
    with room.transaction() as connection:
        for package in inbox(workspace).glob("[!.]*"):
            found = read_attestation(package / "attestation.json")
            said = found.predicate
            row = {"name": said.scope.release, "package": found.candidate, "attestation": found.digest,
                   "pilot": said.pilot, "arm": "letter", "state": "live", "epoch": 1,
                   "admitted_at": said.time_verified, "expires": said.expires}  # fmt: skip
            connection.execute(sa.insert(releases).values(row))
            permits.give(workspace, str(said.scope.release))


def _asked(desk: Desk, repeats: int) -> list[tuple[str, float, float, float]]:
    """Of each page its weight in kB, its 95th percentile and that of the page that asks nothing, in seconds."""
    import uvicorn

    app, weights = application(desk), dict[str, int]()
    app.get("/nothing")(lambda weight: HTMLResponse("x" * int(weight)))
    with listen(0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        address = address_of(listener)
        try:
            with httpx.Client(base_url=address, timeout=60) as client:
                client.post("/sign-in", data={"link": desk.links.make(OWNER)},
                            headers={"origin": address, "sec-fetch-site": "same-origin"})  # fmt: skip
                found = []
                for page in PAGES:
                    weights[page] = len(client.get(page).raise_for_status().content)
                    ours, bare = [], []
                    for _ in range(repeats):
                        ours.append(_timed(client, page))
                        bare.append(_timed(client, f"/nothing?weight={weights[page]}"))
                    found.append((page, weights[page] / KB, _percentile(ours), _percentile(bare)))
                return found
        finally:
            server.should_exit = True
            thread.join()


def _timed(client: httpx.Client, path: str) -> float:
    began = time.perf_counter()
    client.get(path).raise_for_status()
    return time.perf_counter() - began


def _percentile(seconds: list[float]) -> float:
    return sorted(seconds)[int(ROUNDS * len(seconds)) - 1]


def _line(page: str, kilobytes: float, ours: float, bare: float) -> Line:
    what = f"`{page}`: p95 {MS * ours:.0f} ms, {kilobytes:.0f} kB"
    peer = f"a page that asks nothing: {MS * bare:.1f} ms"
    # The limit is one of milliseconds and of weight, told as the ratio that it comes to here.
    limit = MS_MAX / MS / bare if kilobytes <= KB_MAX else 0.0
    return Line(what, peer, Cost(ours, None), Cost(bare, None), limit=round(limit, 1))
