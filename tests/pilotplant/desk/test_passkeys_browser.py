"""Passkeys in a real browser, whose devices are Chromium's own: made at the desk, enrolled by ops, and signed with."""

from __future__ import annotations

from pilotplant.app import _exit_code
from shared.trust.record import decisions
from tests.browser import page_of, signed_in
from tests.desk import serving, two_signatures
from tests.lab_makers import OWNER, PILOT

REASON = "visits rose by far more than a letter costs"


def device(page, *, verified: bool = True):
    """A device that keeps passkeys, as Chromium has them for tests, and whether it verifies its owner."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
               "isUserVerified": verified, "automaticPresenceSimulation": True}  # fmt: skip
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session, made["authenticatorId"]


def enrol_at_the_desk(page, workspace) -> None:
    """Somebody makes a passkey; ops type what the page says."""
    page.goto("/key")
    page.get_by_role("button", name="Make a passkey").click()
    page.get_by_role("button", name="Make it").click()
    page.wait_for_url("**/key")
    commands = page.locator("pre").inner_text().splitlines()
    for command in filter(None, commands):
        words = [str(workspace.root / word) if word.startswith("var/") else word for word in command.split()[1:]]
        assert _exit_code(["--workspace", str(workspace.root), *words]) == 0
    page.goto("/key")
    assert page.get_by_role("heading", level=1).inner_text() == "You sign with a passkey"


def test_two_persons_scale_by_passkey(chromium, submitted_desk):
    workspace = submitted_desk.workspace
    second = two_signatures(workspace)
    with serving(submitted_desk) as address:
        pages, complaints = [], []
        for person in (OWNER, second):
            page, heard = page_of(chromium, submitted_desk, address, person)
            device(page)
            enrol_at_the_desk(page, workspace)
            pages.append(page)
            complaints.append(heard)
        owner, other = pages
        owner.goto(f"/gate/{PILOT}")
        owner.get_by_label("Why, in a sentence").first.fill(REASON)
        owner.get_by_role("button", name="Take a last look").first.click()
        owner.get_by_role("button", name="Sign: Scale letter").click()
        owner.wait_for_url(f"**/gate/{PILOT}")
        assert owner.get_by_role("heading", level=1).inner_text() == f"Scale letter is signed by {OWNER}"
        assert decisions(workspace) == {}
        other.goto("/today")
        other.get_by_role("link", name="Sign the decision about spring mail").click()
        other.get_by_label("Why you agree, in a sentence").fill("I read the results as well")
        other.get_by_role("button", name="Take a last look").click()
        other.get_by_role("button", name="Sign: Scale letter").click()
        other.wait_for_url(f"**/gate/{PILOT}")
        assert other.get_by_role("heading", level=1).inner_text() == "Letter was scaled"
        assert decisions(workspace)[PILOT].decision.arm == "letter"
        assert complaints == [[], []]


def test_a_device_that_does_not_know_its_owner_signs_nothing(chromium, submitted_desk):
    with signed_in(chromium, submitted_desk, OWNER) as page:
        session, authenticator = device(page)
        enrol_at_the_desk(page, submitted_desk.workspace)
        page.goto(f"/gate/{PILOT}")
        page.get_by_label("Why, in a sentence").first.fill(REASON)
        page.get_by_role("button", name="Take a last look").first.click()
        session.send("WebAuthn.setUserVerified", {"authenticatorId": authenticator, "isUserVerified": False})
        page.get_by_role("button", name="Sign: Scale letter").click()
        page.get_by_text("Nothing was signed: it was cancelled").wait_for(timeout=90_000)
        assert page.get_by_role("button", name="Sign: Scale letter").is_enabled()
        assert decisions(submitted_desk.workspace) == {}


def test_without_javascript_the_page_says_where_a_passkey_signs(chromium, submitted_desk):
    workspace = submitted_desk.workspace
    with serving(submitted_desk) as address:
        page, _ = page_of(chromium, submitted_desk, address, OWNER)
        device(page)
        enrol_at_the_desk(page, workspace)
        page, _ = page_of(chromium, submitted_desk, address, OWNER, java_script_enabled=False)
        page.goto(f"/gate/{PILOT}")
        page.get_by_label("Why, in a sentence").first.fill(REASON)
        page.get_by_role("button", name="Take a last look").first.click()
        assert page.get_by_text("promote decide --draft").is_visible()
        assert page.get_by_role("button", name="Sign: Scale letter").is_disabled()
