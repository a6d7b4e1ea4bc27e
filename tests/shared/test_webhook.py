"""One JSON object to a real HTTP server on this machine: taken, not taken, or nobody can say."""

from __future__ import annotations

import pytest

from shared.core.errors import Refused, Undecided
from shared.notify import webhook as hooks
from tests.fakes import free_port, webhook

SETTING = "configs/gate.yaml, `notify.webhook`"


@pytest.fixture
def hook():
    with webhook() as found:
        yield found


def send(url):
    hooks.post(url, {"pilot": "spring-email", "what": "Grüße"}, key="k1", setting=SETTING)


def test_what_is_taken_arrived_once_with_its_key(hook):
    send(hook.url)
    [(headers, content)] = hook.taken
    assert content == {"pilot": "spring-email", "what": "Grüße"}
    assert (headers["Idempotency-Key"], headers["Content-Type"]) == ("k1", "application/json; charset=utf-8")


@pytest.mark.parametrize("status", [302, 404, 500])
def test_any_other_answer_is_not_taken_and_no_redirect_is_followed(hook, status):
    hook.answers = status
    with pytest.raises(Refused, match=f"it answered {status}") as error:
        send(hook.url)
    assert len(hook.taken) == 1
    assert "secret-token" not in str(error.value)
    assert error.value.where == SETTING


def test_a_server_that_is_not_there_has_not_taken_it():
    with pytest.raises(Refused, match="Connection refused"):
        send(f"http://127.0.0.1:{free_port()}/x")


def test_whoever_hangs_up_or_thinks_too_long_may_have_taken_it(hook, monkeypatch):
    hook.answers = 0
    with pytest.raises(Undecided, match="did not say whether it took it"):
        send(hook.url)
    hook.answers, hook.waits_s = 204, 1.0
    monkeypatch.setattr(hooks, "TIMEOUT_S", 0.2)
    with pytest.raises(Undecided, match="timed out"):
        send(hook.url)
    assert len(hook.taken) == 2


@pytest.mark.parametrize("url", ["https://chat.example.com/hooks", "http://127.0.0.1:80/", "http://localhost/x"])
def test_safe_addresses_are_taken(url):
    assert hooks.require_safe(url) == url


@pytest.mark.parametrize("url", ["http://chat.example.com/hooks", "file:///etc/passwd", "ftp://127.0.0.1/", "chat", ""])
def test_an_address_in_the_clear_or_of_no_web_server_is_none(url):
    with pytest.raises(ValueError, match="https"):
        hooks.require_safe(url)
