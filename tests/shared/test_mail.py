"""Mail is given to a real server: taken, not taken, or the line broke before it said so (see lab/test_testmail.py)."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from shared.errors import Refused, Undecided
from shared.mail import Smtp, deliver
from tests.fakes import dropping, free_port, post_office

SETTING = "configs/gate.yaml, `smtp`"


def letter():
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "gate@example.com", "owner@example.com", "due"
    mail.set_content("decide\n")
    return mail


def send(port):
    smtp = Smtp(host="127.0.0.1", port=port, security="none", sender="gate@example.com")
    deliver(smtp, None, letter(), what="reminder", setting=SETTING)


def test_what_is_taken_arrived_once():
    with post_office() as post:
        send(post.port)
    [(sender, recipients, mail)] = post.taken
    assert (sender, recipients, mail["Subject"]) == ("gate@example.com", ["owner@example.com"], "due")


def test_a_server_that_says_no_has_not_taken_it():
    with post_office() as post:
        post.refuses = "452 try later"
        with pytest.raises(Refused, match="did not take the reminder: 452 try later"):
            send(post.port)


def test_a_server_that_is_not_there_has_not_taken_it():
    with pytest.raises(Refused, match="Connection refused"):
        send(free_port())


def test_a_line_that_breaks_before_the_answer_leaves_it_unknown():
    with dropping() as port, pytest.raises(Undecided, match="broke off before it answered to the reminder"):
        send(port)
