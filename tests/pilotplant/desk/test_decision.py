"""An owner decides at the desk: chooses, looks once more, and signs; what is signed is what the command line signs."""

from __future__ import annotations

import html
import re

import pytest

from shared.trust.record import decisions
from tests.lab_makers import OWNER, PILOT

REASON = "letters bring people back"
INSIGHT = "letters bring visits, and cost no sales"
GATE = f"/gate/{PILOT}"


def fields_of(page: str) -> dict[str, str]:
    """What the form of the last look would send."""
    form = re.search(r'<form [^>]*class="form".*?</form>', page, re.DOTALL)[0]
    return {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', form)}


def test_a_scale_is_chosen_looked_at_and_signed(undecided):
    page = undecided.page(GATE)
    assert "letter may be scaled" in page
    assert f'action="{GATE}/look"' in page
    look = undecided.send(f"{GATE}/look", word="scale", arm="letter", reason=REASON)
    assert look.status_code == 200, look.text
    assert "Last look before you sign" in look.text
    assert decisions(undecided.desk.workspace) == {}
    answer = undecided.post(f"{GATE}/decide", **fields_of(look.text))
    assert (answer.status_code, answer.headers["location"]) == (303, GATE), answer.text
    said = decisions(undecided.desk.workspace)[PILOT].decision
    assert (said.word, said.arm, said.owner, said.reason) == ("scale", "letter", OWNER, REASON)
    assert f'action="{GATE}/look"' not in undecided.page(GATE)


@pytest.mark.parametrize(("word", "more"), [("revise", {}), ("stop", {"insight": INSIGHT})])
def test_a_pilot_is_revised_or_stopped_with_what_was_learned(undecided, word, more):
    look = undecided.send(f"{GATE}/look", word=word, reason=REASON, **more)
    assert look.status_code == 200, look.text
    undecided.post(f"{GATE}/decide", **fields_of(look.text))
    said = decisions(undecided.desk.workspace)[PILOT].decision
    assert (said.word, said.insight) == (word, more.get("insight"))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"word": "scale", "arm": "letter", "reason": "short"}, "at least 10 characters"),
        ({"word": "stop", "reason": REASON}, "with an insight"),
        ({"word": "launch", "reason": REASON}, "is not a decision"),
        ({"word": "scale", "arm": "postcard", "reason": REASON}, "postcard"),
        ({"word": "scale", "arm": "letter", "reason": "seen\u202enwot a thing"}, "nobody can see"),
    ],
)
@pytest.mark.parametrize("step", ["look", "decide"])
def test_what_cannot_be_decided_so_is_said_and_nothing_is_signed(undecided, fields, told, step):
    answer = undecided.send(f"{GATE}/{step}", **fields)
    assert answer.status_code == 400
    assert told in html.unescape(answer.text)
    assert decisions(undecided.desk.workspace) == {}


def test_only_the_owner_is_asked_and_only_the_owner_may(undecided):
    other = undecided.enter("requester@example.com")
    assert f'action="{GATE}/look"' not in other.page(GATE)
    answer = other.send(f"{GATE}/decide", word="scale", arm="letter", reason=REASON)
    assert answer.status_code == 409
    assert decisions(undecided.desk.workspace) == {}


def test_whoever_only_reads_signs_nothing(undecided):
    other = undecided.enter(None)
    for step in ("look", "decide"):
        assert other.send(f"{GATE}/{step}", word="scale", arm="letter", reason=REASON).status_code == 403
    assert decisions(undecided.desk.workspace) == {}
