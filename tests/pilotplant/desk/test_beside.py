"""The desk beside the Factory: `factory up` starts it as a process of its own, prints its links, and ends it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from factory.runtime import processes, pulse
from pilotplant.desk.beside import beside
from tests.lab_makers import OWNER


def ours(workspace):
    """The desks that carry the plant's mark."""
    mark = str(pulse.home(workspace))
    return [each for each in processes.marked(mark) if "pilotplant.desk.beside" in each.cmdline()]


def test_it_serves_as_a_process_of_its_own_and_is_gone_afterwards(desk):
    workspace = desk.workspace
    with beside(workspace, 0) as found:
        said = found.lines(links=True)
        links = dict(re.findall(r"^  (\S.*?): (http://\S+)$", "\n".join(said), re.MULTILINE))
        assert {OWNER, "reading only"} <= set(links)
        link = links[OWNER].partition("?link=")[2]
        with httpx.Client(base_url=found.url, follow_redirects=True, timeout=60) as client:
            headers = {"origin": found.url, "sec-fetch-site": "same-origin"}
            assert client.post("/sign-in", data={"link": link}, headers=headers).url.path == "/today"
        assert [each.pid for each in ours(workspace)] == [found._child.process.pid]
        assert found.ended() is None
    assert ours(workspace) == []
    # A link opens the desk for whoever has it, so that it is in no log.
    log = (pulse.home(workspace) / "logs" / "desk.log").read_text()
    assert "link=" not in log


def test_without_a_terminal_no_link_is_printed(desk):
    with beside(desk.workspace, 0) as found:
        [line] = found.lines(links=False)
    assert "sign-in" not in line
    assert f"pilotplant desk --link --port {found.url.rpartition(':')[2]}" in line


def test_a_port_that_is_taken_is_said_and_hinders_nothing_else(desk):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with beside(desk.workspace, port) as found:
            [line] = found.lines(links=True)
    assert (found.url, found.ended()) == (None, None)
    assert f"port {port} is taken" in line
    assert "--no-desk" in line


def test_one_that_ends_by_itself_is_told_once(desk):
    with beside(desk.workspace, 0) as found:
        found._child.process.kill()
        found._child.process.wait()
        assert "ended by itself (exit code -9)" in found.ended()
        assert found.ended() is None


def test_what_a_killed_factory_leaves_behind_is_cleared_by_the_next_start(desk):
    workspace = desk.workspace
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom pilotplant.desk.beside import beside\n"
        "from shared.state.workspace import open_workspace\n"
        f"with beside(open_workspace(Path({str(workspace.root)!r})), 0):\n"
        "    print('up', flush=True)\n    time.sleep(300)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == "up\n"
    parent.kill()
    parent.wait()
    assert len(ours(workspace)) == 1
    assert processes.stop_marked(str(pulse.home(workspace))) == 1  # as each start of the plant does first
    assert ours(workspace) == []


@pytest.mark.check
@pytest.mark.timeout(300)
def test_the_command_prints_links_on_a_terminal_and_ends_both(desk):
    said, _ = run_up(desk.workspace, terminal=True)
    assert "Prefect: http://127.0.0.1:" in said
    # A terminal of 80 columns breaks before the address, never within it.
    assert re.search(rf"  {re.escape(OWNER)}:\s+(?:↳ )?http://localhost:\d+/sign-in\?link=\S{{43}}\r", said)


@pytest.mark.check
@pytest.mark.timeout(300)
def test_the_command_links_to_prefect_from_the_desk_and_leaves_the_desk_out_when_asked(desk):
    said, urls = run_up(desk.workspace, "--json", terminal=False)
    assert "link=" not in said
    assert urls["desk"].startswith("http://localhost:")
    said, urls = run_up(desk.workspace, "--json", "--no-desk", terminal=False)
    assert set(urls) == {"prefect"}


def run_up(workspace, *options, terminal):
    """What `factory up` prints until it is up, and its addresses; it is stopped then, and leaves nothing behind."""
    command = [sys.executable, "-m", "pilotplant", "--workspace", str(workspace.root), "factory", "up", "--port", "0",
               "--desk-port", "0", *options]  # fmt: skip
    ours_, theirs = os.openpty() if terminal else os.pipe()
    process = subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, text=True, start_new_session=True)
    os.close(theirs)
    try:
        for line in process.stderr:
            if "the Factory is up" in line:
                break
        urls = None
        if "--no-desk" not in options:
            assert len(ours(workspace)) == 1
            url = pulse.address(workspace)
            assert httpx.get(f"{url}/api/health", timeout=30).status_code in {200, 401}
        process.send_signal(signal.SIGINT)
        said = b""
        with contextlib.suppress(OSError):  # how a terminal says that it was closed
            while part := os.read(ours_, 65_536):
                said += part
        assert process.wait(timeout=60) == 0, process.stderr.read()
        if "--json" in options:
            urls = json.loads(said)["urls"]
    finally:
        process.kill()
        process.wait()
        os.close(ours_)
    time.sleep(0.5)
    assert processes.marked(str(pulse.home(workspace))) == []
    assert pulse.address(workspace) is None
    return said.decode(), urls
