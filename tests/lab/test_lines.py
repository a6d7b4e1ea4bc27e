"""Before a launch the Lab tells what the gate would say of a further attempt, and what looks like one."""

from __future__ import annotations

import pytest

from lab.charters.drafts import check
from lab.launch.amendment import amend
from lab.launch.launch import launch
from lab.pilots.pilot import find_pilot, get_pilot
from lab.state import open_lab
from promotion.state import open_promotion
from shared.core.errors import BadInput
from shared.experiment.line import Uncarried
from tests.lab_makers import AUDIENCE, CARD, MESSAGE, draft

AGAIN = "autumn-mail"
CHEAP = ("media: 100.00", "media: 1.00")
FOLLOWS = "follows: {pilot: spring-mail, change: what is different, alpha_spent: 0.05}"


def renamed(workspace, *changes, message=MESSAGE, audience=AUDIENCE):
    """A draft under another name that says the same to the same, but for what is given."""
    path = draft(workspace, AGAIN, (CARD, ""), CHEAP, *changes)
    (path.parent / "message.txt").write_text(message)
    (path.parent / "audience.sql").write_text(audience)


def with_line(text):
    return ("decide_by: 2026-01-26", f"decide_by: 2026-01-26\n{text}")


def test_a_renamed_pilot_is_told_what_to_write_before_it_is_launched(launched):
    renamed(launched, message=f"\n{MESSAGE.upper().replace('ZIP_CODE', 'zip_code')}")
    found = check(launched, AGAIN)
    [problem] = found.problems
    assert (type(problem), problem.expected) == (Uncarried, FOLLOWS)
    # What has to name the pilot that it follows is not asked whether it follows any.
    assert not any("once more" in note for note in found.notes)
    before = len(open_promotion(launched).entries())
    with pytest.raises(Uncarried, match="autumn-mail is a further attempt at what spring-mail tried"):
        launch(launched, AGAIN)
    assert len(open_promotion(launched).entries()) == before
    assert find_pilot(open_lab(launched), AGAIN) is None
    assert not (launched.lab / "pilots" / AGAIN).exists()


def test_the_gate_refuses_it_also_where_nobody_asked_beforehand(launched):
    renamed(launched)
    with pytest.raises(Uncarried):
        launch(launched, AGAIN)
    assert find_pilot(open_lab(launched), AGAIN) is None


def test_with_what_it_was_told_to_write_it_is_launched_and_tested_at_half(launched):
    renamed(launched, with_line(FOLLOWS))
    assert check(launched, AGAIN).problems == []
    assert launch(launched, AGAIN).pilot.charter.alpha == pytest.approx(0.025)


def test_another_message_to_another_audience_launches_at_its_own_alpha(launched):
    renamed(launched, message="A card, and nothing else to say.\n", audience=AUDIENCE.replace("<= 6", "<= 7"))
    assert launch(launched, AGAIN).pilot.charter.alpha == 0.05


def test_an_amendment_into_an_earlier_pilots_message_is_refused_and_leaves_the_version_before(launched):
    apart = {"message": "A card, and nothing else to say.\n", "audience": AUDIENCE.replace("<= 6", "<= 7")}
    renamed(launched, **apart)
    launch(launched, AGAIN)
    renamed(launched)
    with pytest.raises(Uncarried):
        amend(launched, AGAIN, "say what was said in spring")
    pilot = get_pilot(open_lab(launched), AGAIN)
    assert (pilot.promise.version, pilot.undeposited) == (1, False)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Dear customer from a {{ zip_code }} place, hello.\n" * 3, "its message has nearly the same words"),
        ("Nothing at all in common.\n", "its arms have the same names"),
    ],
)
def test_what_looks_like_another_attempt_is_warned_of_until_the_charter_answers(launched, message, told):
    changes = () if "arms" in told else ((CARD, ""), ("name: letter", "name: note"))
    path = draft(launched, AGAIN, *changes, CHEAP)
    (path.parent / "message.txt").write_text(message)
    found = check(launched, AGAIN)
    assert found.problems == []
    [note] = [note for note in found.notes if "looks like spring-mail once more" in note]
    assert told in note
    path.write_text(path.read_text().replace(*with_line("follows: {none: another product altogether}")))
    assert not [note for note in check(launched, AGAIN).notes if "once more" in note]


def test_population_and_goal_alone_look_like_nothing(launched):
    path = draft(
        launched,
        AGAIN,
        (CARD, ""),
        CHEAP,
        ("name: letter", "name: note"),
        ("For our {{ zip_code }} customers", "Hello"),
    )
    (path.parent / "message.txt").write_text("Nothing at all in common.\n")
    assert not [note for note in check(launched, AGAIN).notes if "once more" in note]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("follows: none", "it takes a reason"),
        ("follows: {none: another}", "at least 10 characters"),
        ("follows: {pilot: spring-mail, chnge: x, alpha_spent: 0.05}", "alpha_spent, candidate, change, pilot"),
        ("follows: {none: another product altogether, pilot: x}", "one of: none"),
    ],
)
def test_a_lineage_that_says_too_little_is_named_with_its_line(launched, said, told):
    renamed(launched, with_line(said))
    with pytest.raises(BadInput, match=told) as refused:
        check(launched, AGAIN)
    assert "charter.yaml, line 28" in str(refused.value.where)
