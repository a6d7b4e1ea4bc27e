"""The Factory's page: what it published, held back and wrote, and links to its engines only while they are there."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from factory.runtime import processes, pulse
from factory.runtime.campaign import run_now
from factory.warehouse.load import load
from factory.warehouse.snapshots import publish
from lab.analysis import tracking_server
from shared.core.digests import digest_file
from shared.data.snapshot import latest_id, open_snapshot
from tests.lab_makers import CUSTOMERS, PILOT, customers_csv

RELEASE = f"{PILOT}-letter"
# A Monday at nine, as the play's schedule says.
MONDAY = datetime(2026, 1, 26, 9, 5, tzinfo=UTC)


def test_a_published_snapshot_is_named_with_its_tables_and_contracts(owner, desk):
    [line] = owner.data("/factory.json")["output"]["snapshots"]
    snapshot = line["found"]
    assert snapshot["snapshot"] == latest_id(desk.workspace)
    assert snapshot["is_latest"] is True
    folder = open_snapshot(desk.workspace, snapshot["snapshot"]).folder
    table = snapshot["tables"]["customers"]
    assert (table["rows"], table["contract"]) == (CUSTOMERS, digest_file(folder / "customers.odcs.yaml"))
    assert f"<code>{snapshot['snapshot']}</code>" in owner.page("/factory")


def test_an_earlier_snapshot_stays_in_the_list_and_is_not_the_latest(owner, desk, tmp_path):
    before = latest_id(desk.workspace)
    more = customers_csv(tmp_path / "customers.csv")
    more.write_text(more.read_text() + "C900000,c9@example.com,3,10,Urban\n")
    load(desk.workspace, "customers", more)
    publish(desk.workspace)
    found = [line["found"] for line in owner.data("/factory.json")["output"]["snapshots"]]
    assert [(one["snapshot"], one["is_latest"]) for one in found] == [
        (latest_id(desk.workspace), True),
        (before, False),
    ]
    assert found[0]["tables"]["customers"]["rows"] == CUSTOMERS + 1


def test_rows_that_did_not_count_are_told_with_their_reason(owner, desk, tmp_path):
    more = customers_csv(tmp_path / "customers.csv")
    more.write_text(more.read_text() + "C900000,c9@example.com,99,10,Urban\n")
    assert load(desk.workspace, "customers", more).quarantined == 1
    page = owner.page("/factory")
    assert "Customers: 1 rows did not count" not in page
    assert "Customers: one row did not count" in page
    assert "pilotplant factory tables customers" in page
    assert f"Row {CUSTOMERS + 1} of its file" in page


def test_what_a_release_wrote_last_is_named(owner, desk):
    desk.workspace.clock.set(MONDAY)
    done = run_now(desk.workspace, RELEASE)
    assert done.state == "done", done
    written = owner.data("/factory.json")["output"]["written"][RELEASE]
    assert written["messages"] == done.messages > 0
    assert (desk.workspace.factory / written["file"]).is_file()
    for path in ("/factory", f"/factory/{RELEASE}"):
        assert f"{written['file']}</code>" in owner.page(path)


def test_nothing_is_linked_that_is_not_up_and_the_page_says_how_it_is_started(owner, desk):
    engines = {one["name"]: one for one in owner.data("/factory.json")["engines"]}
    assert {name: one["url"] for name, one in engines.items()} == {"Prefect": None, "MLflow": None}
    page = owner.page("/factory")
    assert not re.search(r'href="http', page)
    assert "pilotplant factory up" in page
    assert "mlflow ui --host 127.0.0.1 --backend-store-uri sqlite:///" in page


def test_prefect_is_linked_only_while_the_plant_holds_its_lock(owner, desk):
    workspace, url = desk.workspace, "http://127.0.0.1:4205"

    def prefect():
        return next(one["url"] for one in owner.data("/factory.json")["engines"] if one["name"] == "Prefect")

    with processes.only_one(pulse.lock_path(workspace)):
        pulse.begin(workspace, url)
        # The lock is another process's for whoever looks, as it would be of a plant: one of a file per opening.
        assert prefect() == url
        pulse.stumble(workspace, "a full disk")
        assert prefect() == url
    assert prefect() is None


@pytest.fixture
def pages(desk):
    """MLflow's own pages over the notebook of the desk's workspace, started as the page says."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    said = tracking_server.command(desk.workspace).split()
    command = [sys.executable, "-m", *said, "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    give_up = time.monotonic() + 120
    while not tracking_server.answers(port) and process.poll() is None and time.monotonic() < give_up:
        time.sleep(0.2)
    yield port
    processes.stop([processes.Child("MLflow", process, desk.workspace.root / "none")], "no such mark")


def test_mlflows_pages_are_linked_while_they_show_this_notebook(owner, desk, pages):
    assert tracking_server.port_of(desk.workspace) == pages
    desk.changed()
    assert f'href="http://127.0.0.1:{pages}"' in owner.page("/factory")


@pytest.mark.parametrize(
    ("arguments", "port"),
    [(["ui"], 5000), (["ui", "--port", "5001"], 5001), (["server", "--port=5002"], 5002), (["ui", "-p", "x"], None)],
)
def test_a_port_is_read_as_mlflow_reads_it(arguments, port):
    assert tracking_server._port(arguments) == port
