"""What stands between the gate and a release: the Factory's own report, the keys it trusts, and admission."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from factory.cli.group import app
from shared.core.errors import Refused
from shared.ui.completion import pilots
from shared.ui.console import Json, emit, passphrase, progress, session


@app.command()
def enrol(context: typer.Context, as_json: Json = False) -> Any:
    """Make the key with which the Factory signs its preflight reports."""
    from factory.releases.enrolment import enrol_factory
    from shared.trust.keys import FACTORY, KeyStore

    workspace = session(context).workspace()
    new = not KeyStore(workspace).has(FACTORY)
    done = enrol_factory(workspace, passphrase=passphrase(workspace, FACTORY, new=new))
    emit(
        as_json,
        {"key_id": done.key.key_id, "file": str(done.file), "mode": done.key.mode, "repeated": done.repeated},
        f"The Factory's key {done.key.key_id} {'was made before' if done.repeated else 'is made'}: {done.file}",
        "The gate believes it once it is enrolled there: pilotplant promote enrol factory",
    )
    return done


@app.command()
def preflight(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="A pilot's name, or the digest of a candidate.", metavar="NAME", autocompletion=pilots)
    ],
    as_json: Json = False,
) -> Any:
    """Try a candidate on the Factory's data, writing no message, and sign what was found for the gate."""
    from factory.preflight.report import preflight as try_out
    from factory.preflight.text import lines
    from shared.trust.keys import FACTORY

    workspace = session(context).workspace()
    secret = passphrase(workspace, FACTORY)
    progress("trying the candidate's plays on the Factory's tables; no message is written …")
    done = try_out(workspace, name, passphrase=secret)
    emit(
        as_json,
        {**done.report.as_json(), "report": done.digest, "file": str(done.file)},
        *lines(done.report),
        f"Signed by the Factory: {done.file}",
        f"What it means is the gate's to say: pilotplant promote check {done.report.pilot}",
    )
    return done


@app.command()
def trust(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="`gate`, or an owner's e-mail address.", metavar="NAME")],
    replace: Annotated[bool, typer.Option("--replace", help="Take a new key in place of the one trusted now.")] = False,
    as_json: Json = False,
) -> Any:
    """Trust an enrolled key from now on; compare its id with its holder first."""
    from factory.releases.trust import trust as pin
    from shared.trust.keys import GATE

    key, fresh = pin(session(context).workspace(), name, replace=replace)
    emit(
        as_json,
        {"name": key.name, "role": key.role, "key_id": key.key_id, "mode": key.mode, "changed": fresh},
        f"The key of {key.name} ({key.role}) is {'trusted now' if fresh else 'trusted already; nothing was changed'}.",
        f"Its id is {key.key_id}; "
        + (
            "compare it with what `promote enrol gate` printed."
            if key.name == GATE
            else f"ask {key.name} whether it is theirs."
        ),
    )
    return key


@app.command()
def admit(
    context: typer.Context,
    package: Annotated[Path | None, typer.Argument(help="A package's folder; the inbox if left out.")] = None,
    as_json: Json = False,
) -> Any:
    """Admit the packages of the inbox, or one from elsewhere; each that verifies becomes a release."""
    from factory.releases.admission import admit as take

    result = take(session(context).workspace(), package)
    emit(
        as_json,
        result,
        *(f"Admitted: {name}" for name in result.admitted),
        *(f"Already admitted: {name}" for name in result.already),
        *(
            line
            for folder, reasons in result.refused.items()
            for line in (f"Refused: package {folder}", *(f"  {reason}" for reason in reasons))
        ),
        *([] if result.admitted or result.already or result.refused else ["The inbox is empty."]),
    )
    if result.refused and not as_json:
        progress("look at configs/trusted_keys and configs/factory.yaml, or have the pilot promoted again")
    if result.refused:
        raise typer.Exit(Refused.exit_code)
    return result
