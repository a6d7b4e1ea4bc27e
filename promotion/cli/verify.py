"""What others can verify: checkpoints, exported packages, and the verification itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from promotion.cli.group import Name, app
from shared.core.errors import Refused
from shared.core.times import date_time
from shared.ui.console import Json, counted, emit, passphrase, session


@app.command()
def checkpoint(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="The file; if left out, one in this folder.")] = None,
    as_json: Json = False,
) -> Any:
    """Sign the present ends of the rooms' ledgers into a small file, to be kept where nobody here can write."""
    from promotion.audit.checkpoint import heads, take
    from shared.trust.keys import GATE

    workspace = session(context).workspace()
    seen, unread = heads(workspace)
    done = take(workspace, seen, out, passphrase=passphrase(workspace, GATE))
    at = date_time(done.checkpoint.at)
    emit(
        as_json,
        {
            "schema_version": 1,
            "checkpoint": done.checkpoint,
            "file": str(done.file),
            "not_covered": unread,
            "repeated": done.repeated,
        },
        f"The checkpoint of {at} was there already: {done.file}" if done.repeated else f"Checkpoint: {done.file}",
        *(f"{room}: entry {head.seq}, {head.hash}" for room, head in done.checkpoint.ledgers.items()),
        *(f"{room}: NOT COVERED ({reason})" for room, reason in unread.items()),
        "Keep it elsewhere: pilotplant promote verify --checkpoint FILE then finds a ledger that was cut or restored.",
    )
    return done


@app.command()
def export(
    context: typer.Context,
    name: Name,
    out: Annotated[Path, typer.Option(help="The new folder.")],
    checkpoint: Annotated[Path | None, typer.Option(help="A checkpoint to go with it.")] = None,
    as_json: Json = False,
) -> Any:
    """Write a decided pilot into a folder that others can verify without this workspace: package, keys, ledger."""
    from promotion.audit.export import export as write_out

    done = write_out(session(context).workspace(), name, out, checkpoint=checkpoint)
    emit(
        as_json,
        {"schema_version": 1, "pilot": done.pilot, "candidate": done.candidate, "attestation": done.attestation,
         "folder": str(done.folder), "files": list(done.files), "repeated": done.repeated},
        f"{done.pilot} was exported before: {done.folder}" if done.repeated
        else f"{done.pilot}: {counted(len(done.files), 'file')} in {done.folder}",
        "The charter, the data and the names of all pilots in the ledger are in it: give it to whom that may concern.",
        f"To verify it there: pilotplant promote verify --package {done.folder} --keys {done.folder / 'keys'}",
    )  # fmt: skip
    return done


@app.command()
def verify(
    context: typer.Context,
    digest: Annotated[str | None, typer.Argument(help="Only this candidate.")] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint that was kept elsewhere: is everything of then still there?")
    ] = None,
    package: Annotated[
        Path | None, typer.Option(help="What `promote export` wrote, or a package; no workspace is needed.")
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="With --package: the folder of the public keys you trust.")] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="With --package: compute the evidence again from the sealed data.")
    ] = False,
    as_json: Json = False,
) -> Any:
    """Verify candidates, attestations, keys and the ledger; name everything that was changed."""
    from promotion.audit.verification import verify as examine

    if package is not None or keys is not None or recompute:
        if package is None or keys is None or digest is not None:
            raise typer.BadParameter("--package goes with --keys, and with no digest; --recompute goes with both")
        return _verify_outside(package, keys, checkpoint, recompute=recompute, as_json=as_json)
    found = examine(session(context).workspace(), digest, checkpoint=checkpoint)
    emit(
        as_json,
        {"schema_version": 1, "verified": found.verified, "problems": found.problems},
        *(f"ok       {line}" for line in found.verified),
        *(f"PROBLEM  {line}" for line in found.problems),
    )
    if found.problems:
        raise typer.Exit(Refused.exit_code)
    return found


def _verify_outside(package: Path, keys: Path, checkpoint: Path | None, *, recompute: bool, as_json: bool) -> Any:
    from promotion.audit.outsider import verify_outside

    found = verify_outside(package, keys, checkpoint=checkpoint, recompute=recompute)
    emit(
        as_json,
        {"schema_version": 1, "verified": found.verified, "problems": found.problems, "unverified": found.unverified},
        *(f"ok           {line}" for line in found.verified),
        *(f"PROBLEM      {line}" for line in found.problems),
        *(f"cannot say   {line}" for line in found.unverified),
    )
    if found.problems:
        raise typer.Exit(Refused.exit_code)
    return found
