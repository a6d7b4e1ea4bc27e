"""Prepared statements as files: what goes over an air gap, or waits on disk while a browser answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from promotion.decisions.draft import Asked
from promotion.decisions.prepared import Prepared
from promotion.decisions.waiver import Wish
from promotion.keys.signers import passkey_of
from shared.core.clock import parse_rfc3339
from shared.core.errors import BadInput
from shared.core.files import write_atomically
from shared.state.workspace import Workspace
from shared.trust.passkey import Answer, base64url, read_answer
from shared.trust.proposal import PROPOSAL, SECOND
from shared.trust.waiver import WAIVER

SCHEMA_VERSION = 1
_ASKED, _WISH = TypeAdapter(Asked), TypeAdapter(Wish)
_SECRETS = {"passphrase", "gate_passphrase"}


def as_json(prepared: Prepared) -> dict[str, Any]:
    """What a file holds: the statement, its challenge, what a browser is asked, and the words that led to it."""
    wanted = prepared.wanted
    said = (
        _WISH.dump_python(wanted, mode="json", exclude=_SECRETS)
        if isinstance(wanted, Wish)
        else _ASKED.dump_python(wanted, mode="json", exclude=_SECRETS)
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "name": prepared.name,
        "kind": prepared.kind,
        "statement": prepared.content,
        "challenge": base64url(prepared.challenge),
        "request": prepared.request,
        "wanted": said,
        "key_id": prepared.key.key_id,
    }


def write_prepared(prepared: Prepared, path: Path) -> None:
    """Writes a new file; raises BadInput where there is one of that name already."""
    if path.exists():
        raise BadInput("there is a file of that name", where=str(path), expected="a new file", remedy="name another")
    write_atomically(path, (json.dumps(as_json(prepared), indent=2, ensure_ascii=False) + "\n").encode())


def read_prepared(workspace: Workspace, path: Path) -> Prepared:
    """What `write_prepared` wrote; raises BadInput for anything else.

    Whether it still holds is asked when it is signed.
    """
    try:
        said = json.loads(path.read_bytes())
        if said["schema_version"] != SCHEMA_VERSION or said["kind"] not in {PROPOSAL, SECOND, WAIVER}:
            raise ValueError("another version or kind")
        adapter: TypeAdapter[Any] = _WISH if said["kind"] == WAIVER else _ASKED
        wanted = adapter.validate_python(said["wanted"])
        key = passkey_of(workspace, wanted.who)
        found = Prepared(str(said["name"]), wanted, said["kind"], said["statement"], key, None)
        parse_rfc3339(found.at)
        if said != as_json(found):
            raise ValueError("its parts do not belong together")
    except OSError as error:
        raise BadInput("the prepared statement cannot be read", where=str(path), expected="a file") from error
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError, RecursionError) as error:
        raise BadInput(
            "this is no statement that was prepared here, or it was changed since",
            where=str(path),
            expected="the file that --draft wrote, for the passkey that is enrolled now",
            remedy="prepare it once more, and sign that",
        ) from error
    return found


def read_answer_file(path: Path) -> Answer:
    """The answer that a browser gave, from its file; raises BadInput for anything that is none."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadInput("the answer cannot be read", where=str(path), expected="a file") from error
    return read_answer(raw, where=str(path))
