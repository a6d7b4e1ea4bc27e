"""What is done at the desk: by whom it may be done, with a reason, and on the ledger afterwards."""

from __future__ import annotations

import pytest

from tests.desk import OPS
from tests.lab_makers import OWNER, PILOT

RELEASE = f"{PILOT}-letter"
REASON = "the subject line is wrong"


def state(browser):
    return browser.data("/factory.json")["stopped"], browser.data(f"/factory/{RELEASE}.json")["is_paused"]


def test_whoever_has_a_name_stops_and_whoever_operates_starts_again(owner, ops):
    assert owner.send("/factory/stop-all", reason=REASON).headers["location"] == "/factory"
    assert state(owner)[0] == f"{REASON} ({OWNER}, at the desk)"
    assert "Everything is stopped" in owner.page("/factory")
    assert owner.send("/factory/resume-all", reason="it is mended").status_code == 403
    assert ops.send("/factory/resume-all", reason="it is mended").status_code == 303
    assert state(ops) == (None, False)


def test_a_release_is_paused_and_let_run_with_a_reason_each_time(owner, ops):
    assert owner.send(f"/factory/{RELEASE}/pause", reason=REASON).headers["location"] == f"/factory/{RELEASE}"
    assert state(owner) == (None, True)
    assert REASON in owner.page(f"/factory/{RELEASE}")
    assert owner.send(f"/factory/{RELEASE}/resume", reason="it is mended").status_code == 403
    assert ops.send(f"/factory/{RELEASE}/resume", reason="it is mended").status_code == 303
    assert state(ops) == (None, False)
    events = ops.data(f"/ledger.json?subject={RELEASE}")["entries"]
    assert [event["kind"] for event in events][:2] == ["resumed", "paused"]
    assert OPS in events[0]["what"]


@pytest.mark.parametrize("path", ["/factory/stop-all", f"/factory/{RELEASE}/pause"])
@pytest.mark.parametrize("reason", ["", "   ", "seen\u202enwot"])
def test_nothing_is_done_without_a_reason_that_can_be_read(ops, path, reason):
    answer = ops.send(path, reason=reason)
    assert answer.status_code == 400
    assert "nothing was done" in answer.text
    assert state(ops) == (None, False)


@pytest.mark.parametrize("path", ["stop-all", "resume-all", f"{RELEASE}/pause", f"{RELEASE}/resume"])
def test_whoever_only_reads_changes_nothing(reader, path):
    assert reader.send(f"/factory/{path}", reason=REASON).status_code == 403
    assert state(reader) == (None, False)


def test_a_person_who_was_taken_out_of_people_can_do_nothing_any_more(desk, owner):
    path = desk.workspace.configs / "people.yaml"
    path.write_text(path.read_text().replace(OWNER, "somebody-else@example.com"))
    assert owner.send("/factory/stop-all", reason=REASON).status_code == 403


def test_a_release_that_is_not_there_cannot_be_paused(ops):
    answer = ops.send("/factory/nobody-knows/pause", reason=REASON)
    assert answer.status_code == 400
    assert "nobody-knows" in answer.text
