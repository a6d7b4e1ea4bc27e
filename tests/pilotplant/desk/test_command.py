"""`pilotplant desk` as somebody types it: the links it prints let in, Ctrl-C ends it, and what is wrong is said."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading

import httpx
import pytest

from pilotplant.app import _exit_code
from pilotplant.desk.server import listen
from tests.lab_makers import OWNER


@pytest.fixture
def up(desk):
    """The command as a process of its own, and what it has printed."""
    command = [sys.executable, "-m", "pilotplant", "--workspace", str(desk.workspace.root), "desk", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    yield process, "".join(lines)
    process.kill()
    process.wait()


def test_each_person_gets_a_link_that_lets_in_and_ctrl_c_ends_it_in_peace(up):
    process, said = up
    links = dict(re.findall(r"^  (\S.*?): (http://\S+)$", said, re.MULTILINE))
    assert {OWNER, "reading only"} <= set(links)
    address, _, link = links[OWNER].partition("/sign-in?link=")
    with httpx.Client(base_url=address, follow_redirects=True, timeout=60) as client:
        ours = {"origin": address, "sec-fetch-site": "same-origin"}
        answer = client.post("/sign-in", data={"link": link}, headers=ours)
        assert answer.url.path == "/today"
        stream = threading.Thread(target=follow, args=(client,))
        stream.start()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) in {0, 130}
        stream.join(timeout=30)
    assert "Traceback" not in process.stderr.read()


def follow(client):
    """Read what the desk says as it happens, until it ends."""
    with contextlib.suppress(httpx.HTTPError, httpx.StreamError), client.stream("GET", "/events") as answer:
        for _ in answer.iter_lines():
            pass


def test_a_link_waits_for_a_desk_that_is_still_starting():
    listener = listen(0)
    with listener, socket.create_connection(listener.getsockname(), timeout=5):
        pass


def test_a_link_alone_is_printed_for_a_desk_that_is_up(desk, capsys):
    code = _exit_code(["--workspace", str(desk.workspace.root), "desk", "--link", "--as", OWNER, "--json"])
    said = json.loads(capsys.readouterr().out)
    assert code == 0
    [link] = said["links"]
    assert link["person"] == OWNER
    assert desk.links.look(link["url"].rpartition("=")[2]) == (OWNER,)


def test_nobody_is_let_in_whom_people_yaml_does_not_know(desk, capsys):
    assert _exit_code(["--workspace", str(desk.workspace.root), "desk", "--link", "--as", "stranger@example.com"]) == 2
    assert "nobody is known as stranger@example.com" in capsys.readouterr().err


def test_a_port_that_is_taken_is_named_with_what_to_do(desk, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert _exit_code(["--workspace", str(desk.workspace.root), "desk", "--port", port]) == 2
    said = capsys.readouterr().err
    assert f"port {port} is taken" in said
    assert "--port 0" in said
