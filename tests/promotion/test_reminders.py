"""Reminders: who must decide or sign by when, told once by a real mail server or webhook, whatever breaks."""

from __future__ import annotations

import json
import os
import signal

import pytest

from pilotplant.app import _exit_code
from promotion.audit.verification import verify
from promotion.gate.policy import read_settings
from promotion.keys.enrolment import enrol
from promotion.queue.reminders import remind, reminders
from promotion.state import open_promotion
from shared.core.crashpoints import VARIABLE, Point
from shared.core.errors import BadInput
from shared.state.workspace import open_workspace
from tests.fakes import dropping, free_port, post_office, webhook
from tests.lab_makers import run_child
from tests.makers import OWNER, moment

SECOND = "second@example.com"
# Two days before the deadline, which is the end of 31 January.
DUE = moment("2026-01-30 00:00")


@pytest.fixture
def due(stage):
    """A candidate that has to be decided within two days."""
    stage.digest = stage.submit().digest
    stage.workspace.clock.set(DUE)
    return stage


@pytest.fixture
def post(due):
    with post_office() as found:
        mail_by(due, found.port)
        yield found


@pytest.fixture
def hook(due):
    with webhook() as found:
        configure(due, f"notify: {{webhook: '{found.url}'}}")
        yield found


def configure(stage, line):
    path = stage.workspace.configs / "gate.yaml"
    path.write_text(path.read_text() + line + "\n")


def mail_by(stage, port):
    configure(stage, f"smtp: {{host: 127.0.0.1, port: {port}, security: none, sender: gate@example.com}}")


def kinds(stage):
    return [entry.kind for entry in open_promotion(stage.workspace).entries("spring-email")][1:]


def said(stage, capsys, *words):
    code = _exit_code(["--workspace", str(stage.workspace.root), "promote", "remind", *words])
    return code, capsys.readouterr()


def test_what_is_due_names_who_what_until_when_and_the_command(due):
    [found] = reminders(due.workspace)
    assert (found.pilot, found.candidate, found.stage, found.to) == ("spring-email", due.digest, "decide", OWNER)
    assert (found.until, found.told) == ("2026-02-01T00:00:00Z", "no")
    assert found.days_left == pytest.approx(2, abs=0.1)
    assert found.next == f"pilotplant promote decide spring-email WORD --as {OWNER} --reason TEXT"
    assert kinds(due) == []


def test_nothing_is_due_before_remind_days_nor_after_the_deadline_nor_once_decided(stage):
    stage.submit()
    for when in ("2026-01-28 23:00", "2026-02-01 00:00"):
        stage.workspace.clock.set(moment(when))
        assert reminders(stage.workspace) == []


def test_what_is_decided_is_not_reminded_of(due):
    due.decide("stop")
    assert reminders(due.workspace) == []


def test_an_absent_owners_delegate_is_reminded_too(due):
    decides = {"tiers": ["standard"]}
    away = [{"first_day": "2026-01-29", "last_day": "2026-02-05"}]
    due.people(
        {"email": OWNER, "decides": decides, "delegates": [SECOND], "absences": away},
        {"email": SECOND, "decides": decides},
    )
    assert [one.to for one in reminders(due.workspace)] == [OWNER, SECOND]


def test_the_owner_is_told_once_by_mail_however_often_it_runs(due, post):
    assert [one.told for one in remind(due.workspace)] == ["sent"]
    assert [one.told for one in remind(due.workspace)] == ["sent"]
    [(sender, recipients, mail)] = post.taken
    assert (sender, recipients) == ("gate@example.com", [OWNER])
    assert mail["Subject"] == "spring-email: your decision is due by 2026-02-01 00:00 UTC"
    text = mail.get_content()
    assert mail.get_content_type() == "text/plain"
    assert f"pilotplant promote decide spring-email WORD --as {OWNER} --reason TEXT" in text
    assert "no decision by then is *stop*" in text
    assert mail["Auto-Submitted"] == "auto-generated"
    assert kinds(due) == ["reminding", "reminded"]
    assert verify(due.workspace).problems == []


def test_a_new_candidate_is_told_of_again(due, post):
    remind(due.workspace)
    due.submit(ledger={"seq": 10, "hash": "sha256:10"}, costs=[])
    due.workspace.clock.set(DUE)
    remind(due.workspace)
    assert len(post.taken) == 2


def test_whoever_may_sign_second_is_told_of_the_proposal(stage):
    decides = {"tiers": ["high"]}
    stage.people({"email": OWNER, "decides": decides}, {"email": SECOND, "decides": decides})
    enrol(stage.workspace, SECOND)
    stage.submit(charter={"risk_tier": "high"})
    stage.decide("scale")
    stage.workspace.clock.set(DUE)
    with post_office() as post:
        mail_by(stage, post.port)
        remind(stage.workspace)
    [(_, recipients, mail)] = post.taken
    assert recipients == [SECOND]
    assert "your signature is due" in mail["Subject"]
    assert f"promote decide spring-email scale --arm letter --as {SECOND}" in mail.get_content()


def test_a_webhook_is_told_once_with_nothing_more_than_the_mail_says(due, hook):
    remind(due.workspace)
    remind(due.workspace)
    [(headers, content)] = hook.taken
    assert set(content) == {
        "schema_version",
        "pilot",
        "candidate",
        "stage",
        "for",
        "what",
        "until",
        "days_left",
        "next",
    }
    assert (content["for"], content["stage"], content["candidate"]) == (OWNER, "decide", due.digest)
    assert headers["Idempotency-Key"] == reminders(due.workspace)[0].key


def test_what_was_not_taken_is_told_and_sent_by_the_next_run(due, post, capsys):
    post.refuses = "452 try later"
    code, told = said(due, capsys, "--send")
    assert code == 1
    assert "452 try later" in told.err
    assert "NOT SENT" in told.out
    assert kinds(due) == ["reminding", "not_reminded"]
    post.refuses = None
    code, told = said(due, capsys, "--send", "--json")
    assert (code, json.loads(told.out)["reminders"][0]["told"]) == (0, "sent")
    assert len(post.taken) == 1


def test_a_server_that_is_not_there_stops_nobody_else(due, capsys):
    due.submit(charter={"pilot": "autumn-email"})
    due.workspace.clock.set(DUE)
    mail_by(due, free_port())
    code, told = said(due, capsys, "--send", "--json")
    assert (code, [one["told"] for one in json.loads(told.out)["reminders"]]) == (1, ["failed", "failed"])


def test_what_may_have_arrived_is_told_as_unknown_and_never_sent_twice(due, capsys):
    with dropping() as port:
        mail_by(due, port)
        code, told = said(due, capsys, "--send", "--json")
        assert (code, json.loads(told.out)["reminders"][0]["told"]) == (4, "unknown")
    # A second attempt would find nobody at that port, and say `failed`.
    code, told = said(due, capsys, "--send")
    assert code == 4
    assert "it is not sent twice" in told.err
    assert kinds(due) == ["reminding", "not_reminded"]


def do_killed(root, point):
    os.environ[VARIABLE] = point
    remind(open_workspace(root))


@pytest.mark.parametrize(("point", "arrived"), [(Point.REMIND_INTENDED, 0), (Point.REMIND_SENT, 1)])
def test_a_crash_leaves_one_unknown_which_is_told_and_not_repeated(due, post, point, arrived):
    code, _ = run_child(do_killed, due.workspace.root, str(point))
    assert code == -signal.SIGKILL
    [found] = remind(due.workspace)
    assert (found.told, len(post.taken), kinds(due)) == ("unknown", arrived, ["reminding"])
    assert verify(due.workspace).problems == []


def test_without_a_way_to_tell_anybody_the_settings_are_named_and_nothing_is_recorded(due):
    with pytest.raises(BadInput, match="neither a mail server nor a webhook") as error:
        remind(due.workspace)
    assert "smtp: {host:" in error.value.expected
    assert kinds(due) == []


def test_a_webhook_in_the_clear_is_no_setting(due):
    configure(due, "notify: {webhook: 'http://chat.example.com/x'}")
    with pytest.raises(BadInput, match="https"):
        read_settings(due.workspace)


def test_the_list_says_what_to_type_and_sends_nothing(due, capsys):
    code, told = said(due, capsys)
    assert code == 0
    assert "not yet" in told.out
    assert f"promote decide spring-email WORD --as {OWNER}" in told.out
    due.decide("stop")
    assert said(due, capsys)[1].out == "Nothing is due.\n"
