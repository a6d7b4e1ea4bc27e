"""Who gets in, as whom, for how long, and whose forms count."""

from __future__ import annotations

import time

import pytest

from pilotplant.desk.access import IDLE_S, LASTS_S, LINK_LASTS_S, SESSIONS_MAX, Sessions
from pilotplant.desk.guard import SIGN_INS
from pilotplant.desk.requests import COOKIE
from tests.desk import OPS
from tests.lab_makers import OWNER

PAGES = ("/today", "/lab", "/gate", "/factory", "/ledger")


@pytest.mark.parametrize("page", PAGES)
def test_without_a_link_no_page_is_shown_and_no_data(stranger, page):
    assert stranger.client.get(page).headers["location"] == "/sign-in"
    answer = stranger.client.get(f"{page}.json")
    assert (answer.status_code, list(answer.json())) == (401, ["error"])


def test_a_link_lets_one_browser_in_once(desk, opened):
    link, one, other = desk.links.make(OWNER), opened(), opened()
    assert f"You were asked in as {OWNER}" in one.page(f"/sign-in?link={link}")
    assert one.post("/sign-in", link=link).headers["location"] == "/today"
    answer = other.post("/sign-in", link=link)
    assert answer.status_code == 403
    assert "lets nobody in any more" in answer.text


def test_a_link_is_of_no_use_after_its_minutes(desk, stranger, monkeypatch):
    link, now = desk.links.make(OWNER), time.time()
    monkeypatch.setattr("pilotplant.desk.access.time.time", lambda: now + LINK_LASTS_S + 1)
    assert stranger.post("/sign-in", link=link).status_code == 403


@pytest.mark.parametrize("link", ["", "../../workspace", "a" * 43, "\x00"])
def test_what_is_no_link_lets_nobody_in(stranger, link):
    assert stranger.post("/sign-in", link=link).status_code == 403


def test_links_lie_as_digests_that_nobody_else_may_read(desk):
    secret = desk.links.make(OWNER)
    [path] = (desk.workspace.root / "var/desk/links").iterdir()
    assert secret not in path.name + path.read_text()
    for each in (path, path.parent, path.parent.parent):
        assert each.stat().st_mode & 0o077 == 0


def test_a_cookie_that_somebody_else_has_set_is_never_a_session(desk, stranger):
    stranger.client.cookies.set(COOKIE, "chosen-by-somebody-else")
    stranger.enter(OWNER)
    assert desk.sessions.find("chosen-by-somebody-else") is None


def test_the_cookie_is_for_the_desk_alone(desk, stranger):
    answer = stranger.post("/sign-in", link=desk.links.make(OWNER))
    said = answer.headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=lax" in said


def test_whoever_signs_out_is_out_for_good(owner):
    secret = owner.client.cookies[COOKIE]
    assert owner.send("/sign-out").headers["location"] == "/sign-in"
    owner.client.cookies.set(COOKIE, secret)
    assert owner.client.get("/today").headers["location"] == "/sign-in"


@pytest.mark.parametrize(("step", "steps"), [(IDLE_S + 1, 1), (IDLE_S - 1, LASTS_S // (IDLE_S - 1) + 1)])
def test_a_session_ends_when_nobody_is_there_and_in_any_case(step, steps):
    now = [0.0]
    sessions = Sessions(now=lambda: now[0])
    secret = sessions.begin(OWNER)
    for _ in range(steps):
        assert sessions.find(secret) is not None
        now[0] += step
    assert sessions.find(secret) is None


def test_the_oldest_session_of_a_person_makes_room():
    sessions = Sessions(now=iter(range(100)).__next__)
    other, secrets = sessions.begin(OPS), [sessions.begin(OWNER) for _ in range(SESSIONS_MAX + 1)]
    assert [sessions.find(each) is not None for each in secrets] == [False, *[True] * SESSIONS_MAX]
    assert sessions.find(other) is not None


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        {"origin": "https://evil.example"},
        {"origin": "null", "sec-fetch-site": "same-origin"},
        {"origin": "OURS", "sec-fetch-site": "same-site"},
        {"origin": "http://127.0.0.1:1"},
        {},
    ],
)
def test_a_form_that_another_site_sends_does_nothing(ops, headers):
    headers = {name: value.replace("OURS", ops.ours["origin"]) for name, value in headers.items()}
    assert ops.send("/factory/stop-all", headers, reason="for nothing").status_code == 403
    assert ops.data("/factory.json")["stopped"] is None


@pytest.mark.parametrize("token", ["", "guessed", "Ünknown"])
def test_a_form_without_the_sessions_own_token_does_nothing(ops, token):
    assert ops.send("/factory/stop-all", token=token, reason="for nothing").status_code == 403
    assert ops.data("/factory.json")["stopped"] is None


def test_a_token_of_another_session_is_none(desk, ops, owner):
    theirs = desk.sessions.find(owner.client.cookies[COOKIE]).token
    assert ops.send("/factory/stop-all", token=theirs, reason="for nothing").status_code == 403


def test_a_name_that_was_made_to_mean_this_machine_gets_no_answer(owner):
    answer = owner.client.get("/today.json", headers={"host": "evil.example:8700"})
    assert answer.status_code == 400


def test_links_cannot_be_guessed_by_the_hundred(stranger):
    codes = [stranger.post("/sign-in", link=str(n)).status_code for n in range(SIGN_INS.amount + 2)]
    assert codes == [*[403] * SIGN_INS.amount, 429, 429]


def test_a_form_of_any_size_is_not_read(ops):
    headers = ops.ours | {"content-type": "application/x-www-form-urlencoded"}
    body = (b"token=" + b"x" * 65_536 for _ in range(64))
    assert ops.client.post("/factory/stop-all", content=body, headers=headers).status_code == 413


def test_every_answer_says_what_it_may_do(owner):
    for path in (*PAGES, "/today.json", "/nowhere", "/sign-in"):
        said = owner.client.get(path).headers
        assert "default-src 'none'" in said["content-security-policy"]
        assert "unsafe" not in said["content-security-policy"]
        assert (said["x-content-type-options"], said["x-frame-options"]) == ("nosniff", "DENY")
        assert said["cache-control"] == "no-store"
        assert "server" not in said


def test_only_files_of_the_desk_are_files(owner):
    assert owner.client.get("/static/desk.css").status_code == 200
    for name in ("..%2f..%2fworkspace.json", "server.py", "%2e%2e/desk.css"):
        assert owner.client.get(f"/static/{name}").status_code == 404
