"""The door of Prefect's server: what comes in without the password, from elsewhere, or by another name."""

from __future__ import annotations

import asyncio
import base64

import pytest

from factory.runtime.door import Door, refusal
from factory.runtime.server import PrefectServer

ORIGIN = "http://127.0.0.1:4200"
PASSWORD = "pilotplant:s3cret"


def basic(password):
    return "Basic " + base64.b64encode(password.encode()).decode()


def status(method, path, **headers):
    """The status that turns a request away; None where it comes in."""
    headers = {"host": "127.0.0.1:4200", **headers}
    turned_away = refusal(method, path, headers, origin=ORIGIN, password=PASSWORD)
    return turned_away and turned_away.status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/health"),
        ("HEAD", "/api/health"),
        ("GET", "/api/ready"),
        ("GET", "/"),
        ("GET", "/v2/assets/index.js"),
        ("GET", "/ui-settings"),
    ],
)
def test_probes_and_pages_come_in_without_the_password(method, path):
    assert status(method, path) is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/flows/"),
        ("POST", "/api/deployments/filter"),
        ("GET", "/api/version"),
        ("GET", "/api/admin/settings"),
        ("GET", "/api"),
        ("GET", "/api/"),
        ("GET", "/api/health/"),
        ("GET", "/api/variables/name/health"),
        ("POST", "/api/health"),
        ("OPTIONS", "/api/flows/"),
        ("GET", "/api/docs"),
        ("GET", "/docs"),
        ("GET", "/docs/oauth2-redirect"),
        ("GET", "/redoc"),
        ("GET", "/openapi.json"),
        ("POST", "/"),
        ("PUT", "/ui-settings"),
        ("TRACE", "/"),
    ],
)
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"authorization": basic("pilotplant:another")},
        {"authorization": basic("")},
        {"authorization": "Bearer " + PASSWORD},
        {"authorization": PASSWORD},
        {"authorization": "Basic"},
        {"authorization": "Basic ???"},
        {"authorization": "Basic é"},
    ],
)
def test_everything_else_needs_the_password(method, path, given):
    assert status(method, path, **given) == 401


def test_the_password_opens_the_api_and_nothing_beside_it():
    assert status("POST", "/api/flows/", authorization=basic(PASSWORD)) is None
    assert status("GET", "/docs", authorization=basic(PASSWORD)) == 404
    assert status("POST", "/", authorization=basic(PASSWORD)) == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4200", "localhost:4200", "127.0.0.1", "", None])
def test_a_name_that_somebody_points_at_this_machine_is_turned_away(host):
    headers = {} if host is None else {"host": host}
    asked = [("GET", "/"), ("GET", "/api/health"), ("POST", "/api/flows/"), ("WEBSOCKET", "/api/events/in")]
    for method, path in asked:
        turned_away = refusal(
            method, path, {"authorization": basic(PASSWORD), **headers}, origin=ORIGIN, password=PASSWORD
        )
        assert turned_away.status == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:4201", "https://127.0.0.1:4200", "null", ""]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "WEBSOCKET"])
def test_a_page_of_another_origin_gets_no_answer_even_with_the_password(method, origin):
    assert status(method, "/api/flows/", origin=origin, authorization=basic(PASSWORD)) == 403


def test_a_page_of_its_own_comes_in():
    assert status("POST", "/api/flows/", origin=ORIGIN, authorization=basic(PASSWORD)) is None
    assert status("WEBSOCKET", "/api/events/out", origin=ORIGIN) is None


def test_a_socket_beside_the_api_is_turned_away():
    assert status("WEBSOCKET", "/") == 401


def test_words_that_would_open_an_answer_to_other_origins_are_taken_out_of_it():
    """Prefect's own refusal of a wrong CSRF token says `Access-Control-Allow-Origin: *`."""
    sent = []

    async def prefect(_scope, _receive, send):
        headers = [(b"Access-Control-Allow-Origin", b"*"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    async def collected(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"Host", b"127.0.0.1:4200")]}
    asyncio.run(Door(prefect, origin=ORIGIN, password=PASSWORD)(scope, None, collected))
    assert sent[0]["headers"] == [(b"content-type", b"application/json")]
    assert sent[1]["body"] == b"{}"


def test_every_start_has_a_password_of_its_own_that_is_hard_to_guess(tmp_path):
    one, two = (PrefectServer(tmp_path, 4200, print) for _ in range(2))
    passwords = {one.environment()["PREFECT_SERVER_API_AUTH_STRING"], two.environment()["PREFECT_API_AUTH_STRING"]}
    assert len(passwords) == 2
    # 32 random bytes in base64 are 43 characters; a user's name and a colon stand before them.
    assert all(len(password.partition(":")[2]) == 43 for password in passwords)
    assert not any(password in repr(one) + repr(two) for password in passwords)
