"""Mail is given to a real server: taken, not taken, or the line broke before it said so (see lab/test_testmail.py)."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shared.notify.mail
from shared.core.errors import Refused, Undecided
from shared.notify.mail import Smtp, deliver
from tests.fakes import dropping, free_port, post_office
from tests.hostile import HOSTILE, hostile_signs

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


@given(
    st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\n\r\t\x1b\u202e\u2028")), max_size=30)
)
def test_no_text_adds_a_header_to_a_letter_or_acts_in_it(text):
    """A line break in a subject would begin a header of its own (RFC 5322, 2.2)."""
    mail = shared.notify.mail.letter(
        sender="gate@example.com", to="owner@example.com", subject=text, body=text, key="k", headers={"X-Unit": text}
    )
    parsed = email.message_from_bytes(mail.as_bytes(), policy=email.policy.default)
    assert sorted(parsed.keys()) == sorted(
        ["From", "To", "Subject", "Message-ID", "X-Unit", "Date", "Auto-Submitted", "MIME-Version", "Content-Type",
         "Content-Transfer-Encoding"]
    )  # fmt: skip
    assert hostile_signs(parsed["Subject"] + parsed["X-Unit"], allowed="") == set()
    assert hostile_signs(parsed.get_content(), allowed="\n\t") == set()


def test_a_hostile_letter_arrives_with_everything_shown():
    with post_office() as post:
        mail = shared.notify.mail.letter(
            sender="gate@example.com", to="owner@example.com", subject=HOSTILE, body=HOSTILE, key="k"
        )
        smtp = Smtp(host="127.0.0.1", port=post.port, security="none", sender="gate@example.com")
        deliver(smtp, None, mail, what="reminder", setting=SETTING)
    [(_, recipients, taken)] = post.taken
    assert recipients == ["owner@example.com"]
    assert r"so\neverybody: ADMIT\r\u001b[2K" in taken["Subject"]
    assert hostile_signs(taken.get_content(), allowed="\r\n") == set()
