"""Passkeys at the desk: an answer counts once, for what this browser was shown, and the gate's key stays closed."""

from __future__ import annotations

import html
import json
import re
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from factory.releases.trust import trust
from pilotplant.app import _exit_code
from pilotplant.desk.desk import Desk
from promotion.keys.enrolment import PasskeyFile, enrol, find_key
from promotion.state import open_promotion
from shared.trust.keys import GATE, KeyStore
from shared.trust.passkey import unbase64url
from shared.trust.record import decisions
from tests.authenticator import RP, Authenticator
from tests.desk import Browser, serving, two_signatures
from tests.lab_makers import OWNER, PILOT, REQUESTER, stage_copy

REASON = "letters bring people back"
GATE_PAGE = f"/gate/{PILOT}"
WANTED = {"word": "scale", "arm": "letter", "reason": REASON}


@pytest.fixture
def address(submitted_desk):
    with serving(submitted_desk) as address:
        yield address


@pytest.fixture
def enter(submitted_desk, address):
    clients = []

    def enter_(person):
        clients.append(httpx.Client(base_url=address, timeout=120))
        return Browser(clients[-1], submitted_desk).enter(person)

    yield enter_
    for client in clients:
        client.close()


@pytest.fixture
def phone(submitted_desk, address):
    """The owner's authenticator, enrolled in the place of their key."""
    return enrolled(submitted_desk.workspace, OWNER, address)


@dataclass
class Shared:
    """A desk at which nothing is ever signed, with the browsers that are at it."""

    desk: Desk
    phone: Authenticator
    owner: Browser
    other: Browser
    requester: Browser


@pytest.fixture(scope="module")
def shared(request, tmp_path_factory):
    desk = Desk(stage_copy(request, tmp_path_factory.mktemp("shared") / "workspace", "submitted"))
    with serving(desk) as address, ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(base_url=address, timeout=120)) for _ in range(3)]
        people = (OWNER, OWNER, REQUESTER)
        browsers = [Browser(client, desk).enter(person) for client, person in zip(clients, people, strict=True)]
        yield Shared(desk, enrolled(desk.workspace, OWNER, address), *browsers)
        assert nothing_signed(desk)


def enrolled(workspace, person, address, **more):
    phone = Authenticator(origin=address, **more)
    file = workspace.root / "registration.json"
    file.write_bytes(phone.register())
    rotate = find_key(workspace, person) is not None
    enrol(workspace, person, passkey=PasskeyFile(file, RP, (address,)), rotate=rotate)
    trust(workspace, person, replace=rotate)
    return phone


def asked(answer) -> tuple[str, dict]:
    """The challenge of a page that asks a passkey, and the whole of what it asks."""
    assert answer.status_code == 200, answer.text
    request = json.loads(html.unescape(re.search(r'data-passkey="([^"]+)"', answer.text)[1]))
    assert f'name="challenge" value="{request["challenge"]}"' in answer.text
    return request["challenge"], request


def shown(browser, **wanted) -> str:
    return asked(browser.send(f"{GATE_PAGE}/look", **(wanted or WANTED)))[0]


def answered(phone, challenge, **client) -> str:
    return json.dumps(phone.answer(unbase64url(challenge), **client))


def take(browser, challenge, answer, name=PILOT):
    return browser.send(f"/gate/{name}/sign", challenge=challenge, answer=answer)


@pytest.fixture
def second(submitted_desk):
    """A second person, whose signature the policy asks for."""
    return two_signatures(submitted_desk.workspace)


def nothing_signed(desk) -> bool:
    room = open_promotion(desk.workspace)
    return decisions(desk.workspace) == {} and not room.entries(kinds=["proposed", "decided"])


def test_an_owner_signs_what_was_shown_and_the_gate_signs_in_its_own_process(submitted_desk, enter, phone, monkeypatch):
    opened = []
    signer = KeyStore.signer
    monkeypatch.setattr(KeyStore, "signer", lambda store, name: opened.append(name) or signer(store, name))
    owner = enter(OWNER)
    page = owner.send(f"{GATE_PAGE}/look", **WANTED)
    challenge, request = asked(page)
    assert request["rpId"] == RP
    assert request["userVerification"] == "required"
    assert "Passphrase" not in page.text
    assert nothing_signed(submitted_desk)
    answer = take(owner, challenge, answered(phone, challenge))
    assert (answer.status_code, answer.headers["location"]) == (303, GATE_PAGE), answer.text
    said = decisions(submitted_desk.workspace)[PILOT].decision
    assert (said.word, said.arm, said.owner, said.reason) == ("scale", "letter", OWNER, REASON)
    assert GATE not in opened
    assert "Letter was scaled" in owner.page(GATE_PAGE)
    assert _exit_code(["--workspace", str(submitted_desk.workspace.root), "promote", "verify"]) == 0


def test_with_a_key_the_gate_signs_in_its_own_process_as_well(submitted_desk, enter, monkeypatch):
    opened = []
    signer = KeyStore.signer
    monkeypatch.setattr(KeyStore, "signer", lambda store, name: opened.append(name) or signer(store, name))
    owner = enter(OWNER)
    assert owner.send(f"{GATE_PAGE}/decide", **WANTED).status_code == 303
    assert decisions(submitted_desk.workspace)[PILOT].decision.word == "scale"
    assert set(opened) == {OWNER}


def test_two_persons_scale_with_two_passkeys(submitted_desk, enter, address, phone, second):
    theirs = enrolled(submitted_desk.workspace, second, address, algorithm="EdDSA")
    owner, other = enter(OWNER), enter(second)
    challenge = shown(owner)
    assert take(owner, challenge, answered(phone, challenge)).status_code == 303
    page = owner.page(GATE_PAGE)
    assert f"Scale letter is signed by {OWNER}" in page
    assert second in page
    assert 'name="reason"' not in page, "the first person is not asked again"
    assert decisions(submitted_desk.workspace) == {}
    assert "second person" in other.page("/today")
    page = other.page(GATE_PAGE)
    assert "Why you agree" in page
    look = other.send(f"{GATE_PAGE}/look", word="scale", arm="letter", reason="I read it as well, and agree")
    assert REASON in look.text
    challenge, _ = asked(look)
    assert take(other, challenge, answered(theirs, challenge)).status_code == 303
    assert decisions(submitted_desk.workspace)[PILOT].decision.arm == "letter"


def test_a_second_person_cannot_sign_for_the_first(submitted_desk, enter, address, phone, second):
    theirs = enrolled(submitted_desk.workspace, second, address)
    owner = enter(OWNER)
    challenge = shown(owner)
    answer = take(owner, challenge, answered(theirs, challenge))
    assert answer.status_code == 409
    assert "another credential" in answer.text
    assert nothing_signed(submitted_desk)


def test_an_answer_counts_once(submitted_desk, enter, phone):
    owner = enter(OWNER)
    challenge = shown(owner, word="revise", reason=REASON)
    given = answered(phone, challenge)
    assert take(owner, challenge, given).status_code == 303
    again = take(owner, challenge, given)
    assert again.status_code == 400
    assert "given already" in again.text


def test_an_answer_to_another_statement_is_refused(shared):
    """A desk page is swapped: the person signs one decision, and it is sent in for another."""
    stop = shown(shared.owner, word="stop", reason=REASON, insight="letters bring visits")
    scale = shown(shared.owner)
    answer = take(shared.owner, scale, answered(shared.phone, stop))
    assert answer.status_code == 409
    assert "another statement" in answer.text
    assert nothing_signed(shared.desk)


def test_an_answer_counts_in_the_browser_that_was_asked(shared):
    challenge = shown(shared.owner)
    for browser in (shared.other, shared.requester):
        answer = take(browser, challenge, answered(shared.phone, challenge))
        assert answer.status_code == 400
        assert "did not ask" in answer.text
    assert nothing_signed(shared.desk)


def test_an_answer_that_was_not_asked_for_is_refused(shared):
    """What was prepared on the command line is signed there: the desk has not shown it."""
    answer = take(shared.owner, "A" * 43, answered(shared.phone, "A" * 43))
    assert answer.status_code == 400
    assert "did not ask" in answer.text
    assert nothing_signed(shared.desk)


def test_an_answer_for_one_pilot_is_not_taken_for_another(shared):
    challenge = shown(shared.owner)
    answer = take(shared.owner, challenge, answered(shared.phone, challenge), name="another-pilot")
    assert answer.status_code == 400
    assert nothing_signed(shared.desk)


ELSEWHERE = [{"origin": "https://evil.example"}, {"crossOrigin": True}, {"type": "webauthn.create"}]


@pytest.mark.parametrize("client", ELSEWHERE)
def test_an_answer_from_another_page_is_refused(shared, client):
    challenge = shown(shared.owner)
    assert take(shared.owner, challenge, answered(shared.phone, challenge, **client)).status_code == 409
    assert nothing_signed(shared.desk)


@pytest.mark.parametrize("answer", ["", "{}", "null", '"text"', "[" * 5_000, json.dumps({"type": "public-key"})])
def test_what_is_no_answer_is_said_and_the_challenge_stands(shared, answer):
    challenge = shown(shared.owner)
    bad = take(shared.owner, challenge, answer)
    assert bad.status_code == 400
    assert "no answer of a passkey" in bad.text
    # Another answer to it is judged, and not sent away as one that nobody asked for.
    assert take(shared.owner, challenge, answered(shared.phone, challenge, **ELSEWHERE[0])).status_code == 409


def test_whoever_only_reads_or_is_not_the_owner_signs_nothing(submitted_desk, enter, phone):
    for person, status in ((None, 403), (REQUESTER, 409)):
        assert enter(person).send(f"{GATE_PAGE}/look", **WANTED).status_code == status
    assert nothing_signed(submitted_desk)


def test_a_passkey_is_made_at_the_desk_and_enrolled_by_ops(submitted_desk, enter, address):
    owner, workspace = enter(OWNER), submitted_desk.workspace
    before = find_key(workspace, OWNER)
    phone = Authenticator(origin=address)
    challenge, request = asked(owner.send("/key/passkey"))
    assert request["user"]["name"] == OWNER
    registered = json.dumps(json.loads(phone.register(unbase64url(challenge)))["credential"])
    assert owner.send("/key/register", challenge=challenge, answer=registered).headers["location"] == "/key"
    assert find_key(workspace, OWNER) == before, "ops enrol it"
    page = html.unescape(owner.page("/key"))
    commands = re.findall(r"^pilotplant (.+)$", page.partition("<pre>")[2].partition("</pre>")[0], re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        words = [str(workspace.root / word) if word.startswith("var/") else word for word in command.split()]
        assert _exit_code(["--workspace", str(workspace.root), *words]) == 0
    key = find_key(workspace, OWNER)
    assert key.kind == "passkey"
    assert key.key_id in page
    assert "You sign with a passkey" in owner.page("/key")
    assert "waits for ops" not in owner.page("/key")
    challenge = shown(owner)
    assert take(owner, challenge, answered(phone, challenge)).status_code == 303
    assert decisions(workspace)[PILOT].decision.owner == OWNER


def test_a_registration_counts_in_the_browser_that_was_asked(shared):
    """Whoever has a second browser cannot have their own passkey wait in somebody else's name."""
    challenge, _ = asked(shared.owner.send("/key/passkey"))
    mine = Authenticator(origin=shared.phone.origin)
    given = json.dumps(json.loads(mine.register(unbase64url(challenge)))["credential"])
    answer = shared.requester.send("/key/register", challenge=challenge, answer=given)
    assert answer.status_code == 400
    assert not (shared.desk.workspace.root / "var" / "desk" / "passkeys").exists()


@pytest.mark.parametrize("client", [{"origin": "https://evil.example"}, {"crossOrigin": True}])
def test_a_registration_for_another_page_is_refused(shared, client):
    phone = Authenticator(origin=shared.phone.origin)
    challenge, _ = asked(shared.owner.send("/key/passkey"))
    given = json.dumps(json.loads(phone.register(unbase64url(challenge), **client))["credential"])
    assert shared.owner.send("/key/register", challenge=challenge, answer=given).status_code == 409
    assert not (shared.desk.workspace.root / "var" / "desk" / "passkeys").exists()


def test_a_registration_with_another_challenge_is_refused(shared):
    phone = Authenticator(origin=shared.phone.origin)
    challenge, _ = asked(shared.owner.send("/key/passkey"))
    given = json.dumps(json.loads(phone.register(bytes(32)))["credential"])
    assert shared.owner.send("/key/register", challenge=challenge, answer=given).status_code == 409
    assert not (shared.desk.workspace.root / "var" / "desk" / "passkeys").exists()


def test_a_desk_under_a_number_says_where_passkeys_work(shared):
    owner = shared.owner
    port = shared.phone.origin.rpartition(":")[2]
    answer = owner.client.get("/key", headers={"host": f"127.0.0.1:{port}"})
    assert answer.status_code == 200
    token = re.search(r'name="token" value="([^"]+)"', answer.text)[1]
    there = {"host": f"127.0.0.1:{port}", "origin": f"http://127.0.0.1:{port}"}
    answer = owner.post("/key/passkey", headers=there, token=token)
    assert answer.status_code == 400
    assert "belongs to a name" in answer.text
