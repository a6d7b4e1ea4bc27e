"""The charter as a form: the file keeps its comments, errors stand beside their fields, and nothing is half saved."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pytest
import yaml

from lab.charters.drafts import new
from lab.charters.edits import Number, edited
from pilotplant.desk.desk import Desk
from shared.core.errors import BadInput
from shared.core.yamlfile import read_yaml
from shared.experiment.charter import Charter
from shared.state.workspace import Workspace
from tests.browser import page_of
from tests.desk import Browser, at, serving
from tests.lab_makers import REQUESTER, stage_copy

DRAFT = "autumn-mail"
PAGE = f"/drafts/{DRAFT}"


@pytest.fixture
def workspace(request, tmp_path) -> Workspace:
    made = stage_copy(request, tmp_path / "workspace", "loaded")
    new(made, DRAFT)
    return made


@pytest.fixture
def desk(workspace) -> Desk:
    return Desk(workspace)


@pytest.fixture
def requester(desk):
    with at(desk, REQUESTER) as browser:
        yield browser


@pytest.fixture(scope="module")
def shared(request, tmp_path_factory) -> Iterator[Browser]:
    """A desk of many edits, each of which is another one's beginning."""
    made = stage_copy(request, tmp_path_factory.mktemp("shared") / "workspace", "loaded")
    new(made, DRAFT)
    with at(Desk(made), REQUESTER) as browser:
        yield browser


def charter(workspace) -> Charter:
    return read_yaml(path_of(workspace), Charter)


def path_of(workspace):
    return workspace.pilots / DRAFT / "charter.yaml"


def digest_of(page: str) -> str:
    return re.search(r'name="digest" value="([^"]+)"', page)[1]


def save(browser: Browser, **fields):
    page = browser.page(PAGE)
    return browser.send(f"{PAGE}/form", digest=digest_of(page), **fields)


def comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.lstrip().startswith("#")]


def test_a_form_changes_what_was_typed_and_leaves_every_other_line_as_it_is(requester, workspace):
    before = path_of(workspace).read_text()
    days = {"time_box.start": "2026-02-02", "time_box.end": "2026-02-16", "decide_by": "2026-02-20"}
    answer = save(requester, **{"sample.units_per_arm": "1234", "budget.media": "750.50"}, **days)
    assert (answer.status_code, answer.headers["location"]) == (303, PAGE), answer.text
    after = path_of(workspace).read_text()
    found = charter(workspace)
    assert (found.sample.units_per_arm, str(found.budget.media), str(found.time_box.start)) == (
        1234, "750.50", "2026-02-02",
    )  # fmt: skip
    changed = [line for line in before.splitlines() if line not in after.splitlines()]
    assert len(changed) == 4, "sample, time_box, decide_by and budget"
    assert comments(after) == comments(before)


def test_saved_as_it_was_the_file_is_the_same_to_the_byte(requester, workspace):
    before = path_of(workspace).read_bytes()
    page = requester.page(PAGE)
    form = re.search(rf'<form [^>]*action="{PAGE}/form".*?</form>', page, re.DOTALL)[0]
    inputs = re.findall(r'<input [^>]*name="([^"]+)" value="([^"]*)"', form)
    fields = {name: html.unescape(value) for name, value in inputs}
    fields |= {name: html.unescape(text) for name, text in
               re.findall(r'<textarea name="([^"]+)"[^>]*>\n?(.*?)</textarea>', form, re.DOTALL)}  # fmt: skip
    for name, options in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        fields[name] = re.search(r'value="([^"]*)" selected', options)[1]
    ticked = re.findall(r'name="secondary" value="([^"]+)" checked', form)
    fields = {name: value for name, value in fields.items() if name != "secondary"} | (
        {"secondary": ticked} if ticked else {}
    )
    assert len(fields) > 20
    answer = requester.post(f"{PAGE}/form", **fields)
    assert answer.status_code == 303, answer.text
    assert path_of(workspace).read_bytes() == before


@pytest.mark.parametrize(
    "said",
    ["no", "on", "null", "~", "1e3", "0500", "2026-01-01", "12:30:00", ": x", "- a list", "# no comment", "{a: b}",
     "*alias", "&anchor", "!tag", "%TAG", "@at", "`tick`", "a: b", "it's \"quoted\"", "ends with:", "back\\slash",
     "ünïcödé ☕", "x" * 1900],
)  # fmt: skip
def test_a_text_stays_the_text_that_was_typed(shared, said):
    answer = save(shared, **{"hypothesis.because": said})
    assert answer.status_code == 303, answer.text
    assert charter(shared.desk.workspace).hypothesis.because == said
    assert f">{said}</textarea>" in html.unescape(shared.page(PAGE))


@pytest.mark.parametrize(
    ("field", "said", "told"),
    [
        ("sample.units_per_arm", "many", "This is no number"),
        ("sample.units_per_arm", "1", "greater than or equal to 2"),
        ("primary.minimum_effect", "0,01", "write it like 0.01"),
        ("primary.minimum_effect", "1e-2", "This is no number"),
        ("primary.minimum_effect", "0", "greater than 0"),
        ("primary.metric", "profit", "It has to be one of"),
        ("guardrails.0.margin", "a little", "Say as a number"),
        ("time_box.start", "soon", "This is no day"),
        ("time_box.end", "2026-01-20", "whole weeks"),
        ("decide_by", "2020-01-01", "before the time box ends"),
        ("decide_by", "9999-12-31", "is not in the years"),
        ("owner", "stranger@example.com", "It has to be one of"),
        ("hypothesis.will", "", "Say something here"),
        ("hypothesis.will", "bring\u202eback", "nobody can see"),
        ("sample.power", "0.2", "greater than or equal to 0.5"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(shared, field, said, told):
    workspace = shared.desk.workspace
    before = path_of(workspace).read_bytes()
    fields = {"hypothesis.because": "they came back after the last one", field: said}
    if field.startswith("guardrails"):
        fields["guardrails.0.metric"] = "spend"
    answer = save(shared, **fields)
    assert answer.status_code == 400
    page = html.unescape(answer.text)
    assert told in page
    assert "they came back after the last one" in page
    assert path_of(workspace).read_bytes() == before
    assert f'id="why-{field}"' in page or 'role="alert"' in page


def test_two_who_edit_one_draft_do_not_undo_each_other(requester, workspace):
    old = digest_of(requester.page(PAGE))
    assert save(requester, **{"sample.units_per_arm": "500"}).status_code == 303
    answer = requester.send(f"{PAGE}/form", digest=old, **{"hypothesis.because": "somebody else's words"})
    assert answer.status_code == 400
    assert "somebody has changed this draft" in answer.text.lower()
    assert "somebody else&#39;s words" in answer.text
    assert charter(workspace).sample.units_per_arm == 500
    assert charter(workspace).hypothesis.because != "somebody else's words"


def test_a_message_is_edited_and_shown(requester, workspace):
    [name] = re.findall(r'name="(message:[^"]+)"', requester.page(PAGE))
    answer = save(requester, **{name: "Hello,\r\n\r\nthe snow is here.\r\n", "arms.1.play.subject": "Snow"})
    assert answer.status_code == 303, answer.text
    assert (workspace.pilots / DRAFT / name.partition(":")[2]).read_text() == "Hello,\n\nthe snow is here.\n"
    page = requester.page(PAGE)
    assert "<b>Snow</b>" in page
    assert "the snow is here.</p>" in page


def test_no_file_but_the_drafts_own_is_written(requester, workspace):
    answer = save(requester, **{"message:../../configs/people.yaml": "people: []", "message:charter.yaml": "x"})
    assert answer.status_code == 303
    assert "people: []" not in (workspace.configs / "people.yaml").read_text()
    assert charter(workspace).pilot == DRAFT


def test_safety_limits_are_added_and_taken_away(requester, workspace):
    rows = {"guardrails.0.metric": "spend", "guardrails.0.margin": "-0.5",
            "guardrails.1.metric": "conversion", "guardrails.1.margin": "-0.01"}  # fmt: skip
    assert save(requester, secondary="", **{"secondary?": ""}, **rows).status_code == 303
    assert [(one.metric, one.margin) for one in charter(workspace).guardrails] == [
        ("spend", -0.5),
        ("conversion", -0.01),
    ]
    assert save(requester, **{"guardrails.0.metric": "", "guardrails.1.metric": "conversion",
                              "guardrails.1.margin": "-0.01"}).status_code == 303  # fmt: skip
    assert [one.metric for one in charter(workspace).guardrails] == ["conversion"]


def test_what_customers_do_today_is_said_and_taken_back(requester, workspace):
    field = "sample.assume.visit.mean"
    assert save(requester, **{field: "0.11"}).status_code == 303
    assert charter(workspace).sample.assume["visit"].mean == 0.11
    assert save(requester, **{field: ""}).status_code == 303
    assert "visit" not in charter(workspace).sample.assume


def test_whoever_only_reads_sees_the_plan_and_changes_nothing(desk, workspace):
    before = path_of(workspace).read_bytes()
    with at(desk, None) as reader:
        page = reader.page(PAGE)
        assert f'action="{PAGE}/form"' not in page
        for path in ("form", "outlook"):
            answer = reader.send(f"{PAGE}/{path}", digest="x", **{"hypothesis.because": "mine"})
            assert answer.status_code == (403 if path == "form" else 200)
    assert path_of(workspace).read_bytes() == before


def test_the_outlook_follows_what_is_typed_and_writes_nothing(requester, workspace):
    before = path_of(workspace).read_bytes()
    typed = {"sample.assume.visit.mean": "0.11", "primary.minimum_effect": "0.2"}
    few = requester.send(f"{PAGE}/outlook", **typed, **{"sample.units_per_arm": "40"})
    assert few.status_code == 200
    assert "% to find +20.00 pp" in few.text
    assert "needs" in few.text
    wrong = requester.send(f"{PAGE}/outlook", **typed, **{"sample.units_per_arm": "forty"})
    assert "It cannot be said yet: This is no number" in wrong.text
    dear = requester.send(f"{PAGE}/outlook", **{"budget.media": "99999999.00"})
    assert "is more than" in dear.text
    assert path_of(workspace).read_bytes() == before


def test_the_outlook_is_there_while_one_types(chromium, desk):
    with serving(desk) as address:
        page, _ = page_of(chromium, desk, address, REQUESTER)
        page.goto(PAGE)
        page.get_by_label("visit today").fill("0.11")
        page.get_by_label("The smallest gain worth it").fill("0.2")
        page.get_by_text("% to find +20.00 pp").wait_for()
        page.get_by_label("The smallest gain worth it").fill("nothing")
        page.get_by_text("It cannot be said yet").wait_for()
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_text("This is no number").first.wait_for()
        assert page.get_by_label("visit today").input_value() == "0.11"


def test_a_charter_that_is_no_yaml_has_its_text_alone(requester, workspace):
    path_of(workspace).write_text("pilot: [")
    page = requester.page(PAGE)
    assert "cannot be read" in page
    assert f'action="{PAGE}/form"' not in page
    assert f'action="{PAGE}/edit"' in page


def test_an_edit_that_would_change_more_than_it_says_is_refused():
    """Merge keys are resolved by one library and kept by the other: what stands behind them would move."""
    assert yaml.safe_load(edited("a: {b: 1}  # one\n", {("a", "b"): Number("2")})) == {"a": {"b": 2}}
    with pytest.raises(BadInput, match=r"there is no `a\.0\.b`"):
        edited("a: []\n", {("a", 0, "b"): "x"})
    with pytest.raises(BadInput, match="in a way that a form cannot edit"):
        edited("base: &base {x: 1}\nother: *base\n", {("other", "x"): Number("2")})
