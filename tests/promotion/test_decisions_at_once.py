"""Fifty who decide on one pilot at the same time: one wins, everybody else is told whose word stands."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from promotion.audit.verification import verify
from promotion.keys.enrolment import enrol
from promotion.state import open_promotion
from shared.trust.candidate import DATA
from shared.trust.keys import GATE
from shared.trust.record import decisions
from tests.lab_makers import start_child
from tests.makers import OWNER
from tests.postgres import on_postgres
from tests.promotion.cases import LAUNCHED, do_decide

pytestmark = pytest.mark.proof

PROCESSES = 50


@pytest.fixture(params=["sqlite", "postgresql"])
def stage(request, make_stage):
    """A rehearsal with one candidate before the gate, on either database."""
    made = make_stage("rehearsal")
    if request.param == "postgresql":
        on_postgres(made.workspace, request.getfixturevalue("postgres"), "promotion")
    made.workspace.clock.set(LAUNCHED)
    for name in (GATE, OWNER):
        enrol(made.workspace, name)
    # Without data the gate cannot say, which takes little time: all fifty come to the decision at once.
    made.submit(alter=lambda folder: shutil.rmtree(folder / DATA))
    return made


def test_of_fifty_who_decide_at_once_exactly_one_wins_and_the_others_are_told_who(stage, record_property):
    root = stage.workspace.root
    (root / "wait").touch()
    said = [(("stop", "revise")[n % 2], f"this is the reason of number {n}") for n in range(PROCESSES)]
    children = [start_child(do_decide, root, word, reason) for word, reason in said]
    (root / "wait").unlink()
    for child in children:
        child.join(timeout=240)
    codes = [child.exitcode for child in children]
    assert Counter(codes) == {0: 1, 3: PROCESSES - 1}
    record_property("processes", PROCESSES)
    word, reason = said[codes.index(0)]
    [decided] = [entry for entry in open_promotion(stage.workspace).entries() if entry.kind == "decided"]
    assert (decided.body["decision"]["word"], decided.body["decision"]["reason"]) == (word, reason)
    told = [path.read_text() for path in root.glob("told-*")]
    assert len(told) == PROCESSES - 1
    assert all(f"{word} by {OWNER} at {decided.body['decision']['at']} ({reason})" in text for text in told)
    assert {pilot: one.decision.reason for pilot, one in decisions(stage.workspace).items()} == {"spring-email": reason}
    assert (stage.workspace.pilots / "spring-email-2").exists() == (word == "revise")
    assert verify(stage.workspace).problems == []
