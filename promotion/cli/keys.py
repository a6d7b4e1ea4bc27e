"""Whose signatures count: keys are enrolled, rotated and revoked."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promotion.cli.group import DATES, app
from shared.ui.console import Json, emit, passphrase, session

if TYPE_CHECKING:
    from shared.state.workspace import Workspace


@app.command()
def enrol(
    context: typer.Context,
    owner: Annotated[str, typer.Argument(help="A person of configs/people.yaml, `gate` (its own key), or `factory`.")],
    public: Annotated[Path | None, typer.Option(help="Register this public record instead of making a pair.")] = None,
    passkey: Annotated[
        Path | None, typer.Option(help="Register a person's passkey: what the browser gave, with its challenge.")
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            help="With --passkey: a page on which its owner signs, like https://desk.example.com; repeatable."
        ),
    ] = None,
    rp_id: Annotated[
        str | None, typer.Option(help="With --passkey: the site that it is for; the first origin's host if left out.")
    ] = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="A new key takes the old one's place.")] = False,
    as_json: Json = False,
) -> Any:
    """Make or register the key with which somebody signs.

    A passkey's private half stays in its authenticator. Its id covers the site and the pages that it may sign on, and
    whoever signs with it is verified by PIN, finger or face each time.
    """
    from promotion.keys.enrolment import enrol as register
    from promotion.registry.receipts import sign_waiting
    from promotion.state import open_promotion
    from shared.experiment.people import known
    from shared.trust.keys import FACTORY, GATE

    workspace = session(context).workspace()
    owner = owner if owner in {GATE, FACTORY} else known(workspace, owner) or owner
    given = _passkey_file(passkey, origin or [], rp_id)
    secret = None if public or given or owner == FACTORY else passphrase(workspace, owner, new=True)
    done = register(workspace, owner, passphrase=secret, public=public, passkey=given, rotate=rotate)
    if owner == GATE:
        sign_waiting(open_promotion(workspace), secret)
    emit(
        as_json,
        {
            "owner": owner,
            "key_id": done.key.key_id,
            "file": str(done.file),
            "repeated": done.repeated,
            "replaces": done.replaces,
        },
        f"{owner}: {'passkey' if given else 'key'} {done.key.key_id} "
        f"{'was enrolled before' if done.repeated else 'is enrolled'}."
        + (
            " It is a rehearsal's key: not encrypted, and trusted nowhere else."
            if workspace.mode == "rehearsal" and not given
            else ""
        ),
        *([f"It takes the place of key {done.replaces}, which has ended."] if done.replaces else []),
        *_private(workspace, owner, given=public is not None or given is not None),
        "The gate believes the reports that it signs; compare its id with what `factory enrol` printed."
        if owner == FACTORY
        else f"The Factory trusts it once ops have run: pilotplant factory trust {owner}",
    )
    return done


def _passkey_file(file: Path | None, origins: list[str], rp_id: str | None) -> Any:
    """The registration with the site that it has to be for; None where no passkey is given."""
    from urllib.parse import urlsplit

    from promotion.keys.enrolment import PasskeyFile
    from shared.core.errors import BadInput

    if file is None:
        if origins or rp_id:
            raise BadInput("--origin and --rp-id go with --passkey", where="--passkey", remedy="leave them away")
        return None
    if not origins:
        raise BadInput(
            "on which page does its owner sign?",
            where="--origin",
            expected="scheme, host and port, like https://desk.example.com",
            remedy="add --origin with the desk's address",
        )
    return PasskeyFile(file, rp_id or urlsplit(origins[0]).hostname or "", tuple(origins))


def _private(workspace: Workspace, owner: str, *, given: bool) -> list[str]:
    """Where the private half of a key lies that was made here."""
    from shared.trust.keys import FACTORY, KeyStore

    store = KeyStore(workspace)
    if given or owner == FACTORY or not store.has(owner):
        return []
    kept = "" if workspace.mode == "rehearsal" else "; it opens with the passphrase alone, which is kept nowhere"
    return [f"Its private half is {store.path(owner)}{kept}."]


@app.command()
def revoke(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(help="The key's id, or eight characters or more of it.", metavar="KEY_ID")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence.")],
    since: Annotated[
        datetime | None,
        typer.Option(help="From when on nothing it signed is believed, UTC; now if left out.", formats=DATES),
    ] = None,
    as_json: Json = False,
) -> Any:
    """Revoke a key: what it signs from then on is believed nowhere."""
    from promotion.keys.revocation import revoke as withdraw

    done = withdraw(session(context).workspace(), key_id, reason, since=since.replace(tzinfo=UTC) if since else None)
    key = done.key
    emit(
        as_json,
        {"owner": key.name, "key_id": key.key_id, "since": key.revoked_since, "reason": done.reason,
         "repeated": done.repeated},
        f"{key.name}: key {key.key_id} {'was revoked before' if done.repeated else 'is revoked'}.",
        f"What it signed from {key.revoked_since} on is not believed.",
        "A Factory that reads this gate's records refuses it from its next run on; elsewhere add its id to `revoked` in"
        " configs/factory.yaml.",
        f"A new key: pilotplant promote enrol {key.name} --rotate",
    )  # fmt: skip
    return done


@app.command("correct-clock")
def correct_clock(
    context: typer.Context,
    who: Annotated[str, typer.Option("--as", help="Who signs: one of two persons who decide on pilots.")],
    reason: Annotated[str | None, typer.Option(help="Why the clock was wrong; said by the first who signs.")] = None,
    as_json: Json = False,
) -> Any:
    """Sign that this machine's clock ran ahead and is right now.

    With a second person's signature, and the gate's (`promote countersign`), the rooms go on.
    """
    from promotion.keys.clock_correction import correct, ends
    from shared.trust.keys import GATE, passphrase_variable

    workspace = session(context).workspace()
    known, unread = ends(workspace)
    done = correct(
        workspace, who, reason, known, passphrase=passphrase(workspace, who),
        gate_passphrase=os.environ.get(passphrase_variable(GATE)),
    )  # fmt: skip
    said = done.correction
    emit(
        as_json,
        {"schema_version": 1, **done.as_json(), "not_covered": unread},
        f"The clock is corrected: time goes on from {said.at}." if done.state == "signed"
        else f"{'It was signed' if done.repeated else 'Signed'} by {' and '.join(done.persons)}. "
        + ("The gate has to sign." if done.state == "agreed" else "A second person has to sign."),
        f"Why it was wrong: {said.reason}",
        *(f"{name}: up to entry {head.seq} it may be dated ahead of that." for name, head in said.ledgers.items()),
        *(f"{name}: NOT COVERED ({why})" for name, why in unread.items()),
        "Nothing that was written is changed. Each room takes the correction with the next thing that it writes."
        if done.state == "signed"
        else "Within a day, for ops: pilotplant promote countersign" if done.state == "agreed"
        else "Within a day: pilotplant promote correct-clock --as EMAIL",
    )  # fmt: skip
    return done
