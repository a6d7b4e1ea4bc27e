"""Results are brought to the desk as a file; what becomes of it is what the command line makes of it."""

from __future__ import annotations

import html

import pytest

from lab.overview.portfolio import lines
from lab.state import open_lab
from pilotplant.desk.desk import Desk
from pilotplant.desk.guard import FILE_BYTES_MAX, FORM_BYTES_MAX
from promotion.queue.queue import waiting
from tests.desk import at
from tests.lab_makers import AFTER, INSIDE, PILOT, REQUESTER, results, stage_copy, write_csv

PATH = f"/lab/{PILOT}/results"


@pytest.fixture
def running(request, tmp_path):
    """The requester, before a running pilot without results."""
    desk = Desk(stage_copy(request, tmp_path / "workspace", "launched"))
    desk.workspace.clock.set(INSIDE)
    with at(desk, REQUESTER) as browser:
        yield browser


@pytest.fixture
def rows(running):
    return results(running.desk.workspace)


def bring(browser, name, content):
    token = browser.page(f"/lab/{PILOT}").split('name="token" value="')[1].split('"')[0]
    return browser.client.post(PATH, data={"token": token}, files={"file": (name, content)}, headers=browser.ours)


def recorded(browser):
    [line] = lines(open_lab(browser.desk.workspace))
    return line.exposures


def test_a_file_is_taken_in_once_and_then_analysed_and_put_before_the_gate(running, rows, tmp_path):
    content = write_csv(tmp_path / "results.csv", rows).read_bytes()
    answer = bring(running, "results.csv", content)
    assert answer.status_code == 200, answer.text
    assert f"{recorded(running):,} exposures and" in answer.text
    assert "was recorded before; nothing was done" in bring(running, "again.csv", content).text
    running.desk.workspace.clock.set(AFTER)
    running.desk.changed()
    assert "Analyse and submit" in running.page(f"/lab/{PILOT}")
    assert running.send(f"/lab/{PILOT}/finish").headers["location"] == f"/lab/{PILOT}"
    assert [one.pilot for one in waiting(running.desk.workspace)] == [PILOT]
    assert "Bring results" not in running.page(f"/lab/{PILOT}")


def test_rows_that_cannot_count_are_said_with_their_reason(running, rows, tmp_path):
    rows[3]["arm"] = "postcard"
    answer = bring(running, "results.csv", write_csv(tmp_path / "results.csv", rows).read_bytes())
    assert "Rows that did not count" in answer.text
    assert "arm" in answer.text.split("Rows that did not count")[1].casefold()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("results.exe", b"MZ", "is no file of results"),
        ("../../workspace.json", b"{}", "is no file of results"),
        (".csv", b"unit", "is no file of results"),
        ("empty.csv", b"", "empty"),
        ("results.csv", b"a,b\n1,2\n", "neither a column of units nor one of customers"),
        ("results.parquet", b"PAR1 not really", "parquet"),
        ("seen\u202enwot.csv", b"unit\n", "nobody can see"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_and_nothing_is_kept(running, name, content, told):
    answer = bring(running, name, content)
    assert answer.status_code == 400, answer.text
    assert told in html.unescape(answer.text).casefold() or told in html.unescape(answer.text)
    assert recorded(running) == 0
    assert [path.name for path in (running.desk.workspace.root / "var/desk").iterdir() if path.name != "links"] == []


def test_nothing_is_finished_before_its_end(running):
    answer = running.send(f"/lab/{PILOT}/finish")
    assert answer.status_code == 409
    assert waiting(running.desk.workspace) == []


def test_whoever_only_reads_brings_nothing(running, rows, tmp_path):
    other = running.enter(None)
    token = other.page("/today").split('name="token" value="')[1].split('"')[0]
    files = {"file": ("results.csv", write_csv(tmp_path / "results.csv", rows).read_bytes())}
    assert other.client.post(PATH, data={"token": token}, files=files, headers=other.ours).status_code == 403
    assert recorded(running) == 0


def test_only_where_files_are_brought_may_a_request_be_large():
    assert FORM_BYTES_MAX < FILE_BYTES_MAX
