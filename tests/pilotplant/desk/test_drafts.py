"""From an idea to a launched pilot at the desk: a form makes the draft, the check says what it would come to."""

from __future__ import annotations

import html

import pytest

from lab.pilots.pilot import all_pilots
from lab.state import open_lab
from pilotplant.desk.desk import Desk
from shared.core.yamlfile import read_yaml
from shared.experiment.charter import Charter
from tests.desk import at
from tests.lab_makers import BEFORE, OWNER, PILOT, REQUESTER, stage_copy

NAME = "summer-sale"
ANSWERS = {"name": NAME, "template": "ab-email", "because": "many ask for it", "believe": "a sale",
           "will": "bring visits", "metric": "visit", "minimum_effect": "0.02", "weeks": "2", "media": "120",
           "owner": OWNER, "requester": REQUESTER}  # fmt: skip


@pytest.fixture
def at_desk(request, tmp_path):
    """The requester, in a workspace with customers and one draft."""
    desk = Desk(stage_copy(request, tmp_path / "workspace", "loaded"))
    desk.workspace.clock.set(BEFORE)
    with at(desk, REQUESTER) as browser:
        yield browser


def charter(browser, name=NAME):
    return read_yaml(browser.desk.workspace.pilots / name / "charter.yaml", Charter)


def test_a_form_makes_a_draft_that_the_command_line_reads(at_desk):
    assert 'name="minimum_effect"' in at_desk.page("/new-pilot")
    answer = at_desk.send("/new-pilot", **ANSWERS)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/drafts/{NAME}"), answer.text
    said = charter(at_desk)
    assert (said.hypothesis.because, said.primary.metric, said.primary.minimum_effect) == (
        "many ask for it",
        "visit",
        0.02,
    )
    assert (said.owner, said.requester, said.budget.media) == (OWNER, REQUESTER, 120)
    assert NAME.replace("-", " ").capitalize() in at_desk.page("/lab")
    assert "as a customer would read it" in at_desk.page(f"/drafts/{NAME}")


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "Summer Sale", "summer sale"),
        ("name", "../outside", "outside"),
        ("name", PILOT, PILOT),
        ("minimum_effect", "a lot", "a lot"),
        ("weeks", "0", "weeks"),
        ("owner", "stranger@example.com", "nobody is known as stranger@example.com"),
        ("template", "letter", "there is no template"),
        ("because", "seen\u202enwot", "nobody can see"),
    ],
)
def test_an_answer_that_cannot_be_is_said_and_nothing_is_written(at_desk, field, value, told):
    before = sorted(path.name for path in at_desk.desk.workspace.pilots.iterdir())
    answer = at_desk.send("/new-pilot", **{**ANSWERS, field: value})
    assert answer.status_code in {400, 409}, answer.text
    assert told.casefold() in html.unescape(answer.text).casefold()
    assert sorted(path.name for path in at_desk.desk.workspace.pilots.iterdir()) == before


def test_a_charter_is_edited_as_text_and_its_comments_stay(at_desk):
    path = at_desk.desk.workspace.pilots / PILOT / "charter.yaml"
    shown = at_desk.page(f"/drafts/{PILOT}").split('class="code">\n')[1].split("</textarea>")[0]
    # What is shown is what would be saved.
    assert html.unescape(shown) == path.read_text()
    text = f"# why we try this\n{html.unescape(shown)}"
    assert at_desk.send(f"/drafts/{PILOT}/edit", text=text.replace("\n", "\r\n")).status_code == 303
    assert path.read_text() == text
    for broken, told in ((text + "surprise: 1\n", "surprise"), ("", "empty"), (text.replace(PILOT, "other"), "other")):
        answer = at_desk.send(f"/drafts/{PILOT}/edit", text=broken)
        assert answer.status_code in {400, 409}
        assert told in html.unescape(answer.text)
        assert str(at_desk.desk.workspace.root) not in answer.text
        assert path.read_text() == text


def test_a_draft_is_checked_and_launched(at_desk):
    page = at_desk.page(f"/drafts/{PILOT}/check")
    assert "It can start" in page
    assert at_desk.data(f"/drafts/{PILOT}/check.json")["may_launch"] is True
    assert all_pilots(open_lab(at_desk.desk.workspace)) == []
    assert at_desk.send(f"/drafts/{PILOT}/launch").headers["location"] == f"/lab/{PILOT}"
    assert [pilot.name for pilot in all_pilots(open_lab(at_desk.desk.workspace))] == [PILOT]
    # What is frozen is edited no more, and is no draft.
    assert at_desk.send(f"/drafts/{PILOT}/edit", text="pilot: x").status_code == 400
    assert at_desk.client.get(f"/drafts/{PILOT}").status_code == 404


def test_what_keeps_a_draft_from_its_launch_is_said_and_it_is_not_launched(at_desk):
    path = at_desk.desk.workspace.pilots / PILOT / "charter.yaml"
    path.write_text(path.read_text().replace(f"requester: {REQUESTER}", f"requester: {OWNER}"))
    page = at_desk.page(f"/drafts/{PILOT}/check")
    assert "It cannot start yet" in page
    assert "What keeps it from starting" in page
    assert "Launch</button>" not in page
    assert at_desk.send(f"/drafts/{PILOT}/launch").status_code in {400, 409}
    assert all_pilots(open_lab(at_desk.desk.workspace)) == []


def test_whoever_only_reads_writes_and_launches_nothing(at_desk):
    other = at_desk.enter(None)
    for path in ("/new-pilot", f"/drafts/{PILOT}/edit", f"/drafts/{PILOT}/launch"):
        assert other.send(path, **ANSWERS).status_code == 403
    assert all_pilots(open_lab(at_desk.desk.workspace)) == []
