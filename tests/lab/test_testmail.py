"""Test mails: one message to one of the team's own people, over a real mail server on this machine."""

from __future__ import annotations

import datetime as dt
import ssl

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from lab.launch.preview import Rendering
from lab.launch.testmail import message, send_test
from lab.state import open_lab
from shared.core.errors import BadInput, Refused
from shared.notify.mail import Smtp
from tests.fakes import Post, free_port, post_office
from tests.lab_makers import CARD, OWNER, PILOT, draft

PASSWORD = "correct horse battery"
SENDER = "lab@example.com"


@pytest.fixture
def post():
    """A server that takes mail from this machine without a word."""
    with post_office() as box:
        yield box


def certificate(folder):
    """A certificate of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    day = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(day - dt.timedelta(days=1))
        .not_valid_after(day + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def guarded(tmp_path):
    """A server that wants STARTTLS and a password; its certificate is the second half."""
    path, box = certificate(tmp_path), Post()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)

    def authenticate(server, session, envelope, mechanism, credentials):
        good = (credentials.login, credentials.password) == (b"lab", PASSWORD.encode())
        return AuthResult(success=good, handled=False)

    server = Controller(
        box, hostname="127.0.0.1", port=free_port(), tls_context=context, require_starttls=True, auth_required=True,
        authenticator=authenticate,
    )  # fmt: skip
    server.start()
    box.port, box.certificate = server.port, path
    yield box
    server.stop()


def configure(workspace, text):
    path = workspace.configs / "lab.yaml"
    path.write_text(path.read_text() + text + "\n")


def plain(box):
    return f"smtp: {{host: 127.0.0.1, port: {box.port}, security: none, sender: {SENDER}}}"


def with_password(box):
    return f"smtp: {{host: localhost, port: {box.port}, sender: {SENDER}, user: lab, password_env: LAB_PASSWORD}}"


def test_one_message_goes_to_oneself_and_says_that_it_is_a_test(loaded, post):
    configure(loaded, plain(post))
    done = send_test(loaded, PILOT, to=OWNER, arm="letter")
    [(sender, recipients, mail)] = post.taken
    assert (sender, recipients) == (SENDER, [OWNER])
    assert mail["Subject"] == f"[Test: {PILOT}, letter] {done.rendering.subject}"
    assert (mail["X-Pilot-Plant-Test"], mail["X-Pilot-Plant-Unit"]) == (f"{PILOT}, letter", done.rendering.unit)
    assert (mail["To"], mail["From"], mail["Auto-Submitted"]) == (OWNER, SENDER, "auto-generated")
    assert mail.get_content().strip() == done.rendering.body.strip()


def test_the_ledger_says_what_was_sent_to_whom(loaded, post):
    configure(loaded, plain(post))
    done = send_test(loaded, PILOT, to=OWNER, arm="letter")
    [entry] = [entry for entry in open_lab(loaded).entries(PILOT) if entry.kind == "test_sent"]
    assert entry.body == {"arm": "letter", "unit": done.rendering.unit, "to": OWNER}


def test_the_only_arm_with_a_message_need_not_be_named(loaded, post):
    configure(loaded, plain(post))
    draft(loaded, PILOT, (CARD, ""))
    assert send_test(loaded, PILOT, to=OWNER).rendering.arm == "letter"
    assert len(post.taken) == 1


def test_one_of_several_arms_has_to_be_named(loaded, post):
    configure(loaded, plain(post))
    with pytest.raises(BadInput, match="has several messages") as error:
        send_test(loaded, PILOT, to=OWNER)
    assert error.value.expected == "one of: card, letter"
    assert post.taken == []


def test_nobody_but_the_teams_own_people_gets_a_test(loaded, post):
    configure(loaded, plain(post))
    with pytest.raises(BadInput, match=r"nobody is known as c000001@example\.com"):
        send_test(loaded, PILOT, to="c000001@example.com", arm="letter")
    assert post.taken == []


def test_without_a_server_the_setting_is_named(loaded):
    with pytest.raises(BadInput, match="knows no mail server") as error:
        send_test(loaded, PILOT, to=OWNER, arm="letter")
    assert error.value.where == "configs/lab.yaml, `smtp`"
    assert "smtp: {host:" in error.value.expected


def test_over_starttls_with_a_password(loaded, guarded, monkeypatch):
    configure(loaded, with_password(guarded))
    monkeypatch.setenv("LAB_PASSWORD", PASSWORD)
    monkeypatch.setenv("SSL_CERT_FILE", str(guarded.certificate))
    send_test(loaded, PILOT, to=OWNER, arm="letter")
    assert len(guarded.taken) == 1


@pytest.mark.parametrize(
    ("password", "trusted", "told"),
    [("wrong", True, "535"), (PASSWORD, False, "certificate verify failed")],
)
def test_a_wrong_password_or_a_strange_certificate_is_refused(loaded, guarded, monkeypatch, password, trusted, told):
    configure(loaded, with_password(guarded))
    monkeypatch.setenv("LAB_PASSWORD", password)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(guarded.certificate))
    with pytest.raises(Refused, match="did not take the test mail") as error:
        send_test(loaded, PILOT, to=OWNER, arm="letter")
    assert told in error.value.what
    assert PASSWORD not in str(error.value)
    assert guarded.taken == []


def test_a_password_that_is_not_in_the_environment_is_named(loaded, guarded, monkeypatch):
    configure(loaded, with_password(guarded))
    monkeypatch.delenv("LAB_PASSWORD", raising=False)
    with pytest.raises(BadInput, match="the environment has no LAB_PASSWORD"):
        send_test(loaded, PILOT, to=OWNER, arm="letter")


def test_a_server_that_says_no_is_quoted_and_nothing_is_recorded(loaded, post):
    configure(loaded, plain(post))
    post.refuses = "554 no such luck"
    with pytest.raises(Refused, match="554 no such luck"):
        send_test(loaded, PILOT, to=OWNER, arm="letter")
    assert not [entry for entry in open_lab(loaded).entries(PILOT) if entry.kind == "test_sent"]


def test_a_server_that_is_not_there_is_refused(loaded):
    configure(loaded, f"smtp: {{host: 127.0.0.1, port: {free_port()}, security: none, sender: {SENDER}}}")
    with pytest.raises(Refused, match="Connection refused"):
        send_test(loaded, PILOT, to=OWNER, arm="letter")


def test_a_body_in_html_is_sent_as_html():
    found = message(
        Rendering("letter", "u1", "Grüße", "<!DOCTYPE html><p>Grüße</p>"), pilot="autumn", sender=SENDER, to=OWNER
    )
    assert found.get_content_type() == "text/html"
    assert message(Rendering("letter", "u1", "s", "a < b"), pilot="p", sender=SENDER, to=OWNER).get_content_type() == (
        "text/plain"
    )


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"user": "lab"}, "belong together"),
        ({"password_env": "LAB"}, "belong together"),
        ({"user": "lab", "password_env": "LAB", "security": "none"}, "in the clear"),
    ],
)
def test_a_password_without_protection_is_no_setting(settings, told):
    with pytest.raises(ValidationError, match=told):
        Smtp(host="mail", sender=SENDER, **settings)
