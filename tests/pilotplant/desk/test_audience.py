"""A draft's audience at the desk: chosen without SQL, counted while one types, never put over somebody's own SQL."""

from __future__ import annotations

import html
import re

import pytest

from lab.charters.audience import split
from lab.charters.drafts import check, new
from pilotplant.desk.desk import Desk
from shared.data.snapshot import latest_snapshot
from shared.data.tabular import connect
from tests.browser import signed_in
from tests.desk import at
from tests.lab_makers import REQUESTER, stage_copy

DRAFT = "autumn-mail"
PAGE = f"/drafts/{DRAFT}/audience"


@pytest.fixture
def workspace(request, tmp_path):
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


def sql_of(workspace):
    return workspace.pilots / DRAFT / "audience.sql"


def rows(*conditions) -> dict[str, list[str]]:
    columns, operators, values = zip(*conditions, strict=True)
    return {"column": list(columns), "operator": list(operators), "values": list(values)}


def save(browser, path=PAGE, **fields):
    page = browser.page(PAGE)
    token = re.search(r'name="token" value="([^"]+)"', page)[1]
    digest = re.search(r'name="digest" value="([^"]+)"', page)[1]
    return browser.post(path, **({"token": token, "digest": digest, "file": "audience.sql"} | fields))


def by_hand(workspace, where: str) -> int:
    """How many there are, by a count of our own over the published table."""
    with connect() as connection:
        table = latest_snapshot(workspace).table("customers")
        return connection.execute(f"SELECT count(*) FROM read_parquet('{table}') WHERE {where}").fetchone()[0]


def test_an_audience_is_chosen_saved_and_launchable(requester, workspace):
    comment, _ = split(sql_of(workspace).read_text())
    answer = save(
        requester, **rows(("recency", "at most", "6"), ("zip_code", "one of", "Urban; Rural"), ("", "is", ""))
    )
    assert answer.status_code == 303, answer.text
    text = sql_of(workspace).read_text()
    assert text == (
        f"{comment}SELECT customer_id AS unit\nFROM customers\nWHERE recency <= 6\n"
        "  AND zip_code IN ('Urban', 'Rural')\n"
    )
    found = requester.data(f"{PAGE}.json")
    assert [(row["column"], row["operator"], row["values"]) for row in found["rows"] if row["column"]] == [
        ("recency", "at most", "6"), ("zip_code", "one of", "Urban; Rural"),
    ]  # fmt: skip
    expected = by_hand(workspace, "recency <= 6 AND zip_code IN ('Urban', 'Rural')")
    assert re.match(rf"({expected}|\w+) customers of 600 \({100 * expected / 600:.1f} %\)", found["selected"])
    assert check(workspace, DRAFT).audiences["email"] == expected


def test_the_count_follows_what_is_typed_and_writes_nothing(requester, workspace):
    before = sql_of(workspace).read_bytes()
    found = save(requester, f"{PAGE}/count", **rows(("recency", "at most", "3")))
    assert f"({100 * by_hand(workspace, 'recency <= 3') / 600:.1f} %)" in found.text
    wrong = save(requester, f"{PAGE}/count", **rows(("recency", "at most", "three")))
    assert "is no whole number" in html.unescape(wrong.text)
    assert sql_of(workspace).read_bytes() == before


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (("recency", "at most", "'; DROP TABLE customers; --"), "is no whole number"),
        (("email", "is", "a@example.com"), "there is no column `email`"),
        (("zip_code", "LIKE", "U%"), "compares nothing"),
        (("zip_code", "at most", "Urban"), "cannot be compared"),
        (("recency", "between", "1"), "takes 2 values"),
    ],
)
def test_what_is_no_condition_is_said_and_nothing_is_written(requester, workspace, condition, told):
    before = sql_of(workspace).read_bytes()
    answer = save(requester, **rows(condition))
    assert answer.status_code == 400
    page = html.unescape(answer.text).replace("<code>", "`").replace("</code>", "`")
    assert told in page.replace("There is", "there is")
    assert f'value="{condition[2]}"' in page
    assert sql_of(workspace).read_bytes() == before


def test_sql_that_somebody_wrote_is_shown_and_stays_unless_they_say(requester, workspace):
    own = "-- mine\nSELECT customer_id AS unit FROM customers WHERE recency < 3 OR zip_code = 'Urban'\n"
    sql_of(workspace).write_text(own)
    page = requester.page(PAGE)
    assert "It is written as SQL" in page
    assert "recency &lt; 3 OR" in page
    refused = save(requester, **rows(("recency", "at most", "6")))
    assert refused.status_code == 400
    assert "conditions would take its place" in refused.text
    assert sql_of(workspace).read_text() == own
    assert save(requester, replace="yes", **rows(("recency", "at most", "6"))).status_code == 303
    assert sql_of(workspace).read_text() == "-- mine\nSELECT customer_id AS unit\nFROM customers\nWHERE recency <= 6\n"


def test_two_who_choose_do_not_undo_each_other(requester, workspace):
    digest = re.search(r'name="digest" value="([^"]+)"', requester.page(PAGE))[1]
    assert save(requester, **rows(("recency", "at most", "6"))).status_code == 303
    answer = save(requester, digest=digest, **rows(("recency", "at most", "2")))
    assert answer.status_code == 400
    assert "recency <= 6" in sql_of(workspace).read_text()


@pytest.mark.parametrize("file", ["../../configs/people.yaml", "charter.yaml", "/etc/passwd", "message.txt.j2"])
def test_no_file_but_an_audience_is_read_or_written(requester, workspace, file):
    assert requester.client.get(PAGE, params={"file": file}).status_code == 404
    answer = save(requester, file=file, **rows(("recency", "at most", "6")))
    assert answer.status_code in {400, 404}
    assert "root:" not in answer.text


def test_whoever_only_reads_changes_nothing(desk, workspace):
    before = sql_of(workspace).read_bytes()
    with at(desk, None) as reader:
        assert 'name="digest"' not in reader.page(PAGE)
        assert reader.send(PAGE, file="audience.sql", digest="x", column="recency").status_code == 403
    assert sql_of(workspace).read_bytes() == before


def test_from_idea_to_launch_without_a_line_of_yaml_or_sql(chromium, desk, workspace):
    with signed_in(chromium, desk, REQUESTER) as page:
        page.goto("/lab")
        page.get_by_role("link", name="A new pilot").click()
        page.get_by_label("Its name").fill("winter-mail")
        page.get_by_label("The smallest gain worth it").fill("0.3")
        page.get_by_role("button", name="Make the draft").click()
        page.wait_for_url("**/drafts/winter-mail")
        page.locator("[name='hypothesis.will']").fill("bring visits back")
        page.get_by_label("In each arm").fill("80")
        page.get_by_label("Subject of email").fill("Snow is here")
        page.get_by_role("button", name="Save", exact=True).click()
        page.locator("article").get_by_text("Snow is here").wait_for()
        page.get_by_role("link", name="Who gets it").click()
        page.locator("select[name=column]").first.select_option("recency")
        page.locator("select[name=operator]").first.select_option("at most")
        page.locator("input[name=values]").first.fill("11")
        page.get_by_text(f"({100 * by_hand(workspace, 'recency <= 11') / 600:.1f} %)").wait_for()
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_role("link", name="Back to the draft").click()
        page.get_by_role("link", name="Check it").click()
        page.get_by_role("button", name="Launch").wait_for(timeout=120_000)
        page.get_by_role("button", name="Launch").click()
        page.wait_for_url("**/lab/winter-mail", timeout=120_000)
