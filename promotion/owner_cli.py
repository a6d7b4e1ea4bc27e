"""The gate's commands around the decision owner; `promotion/cli.py` adds them to the group."""

from __future__ import annotations

from typing import Any

import typer

from shared.console import Json, emit, session


def settle(context: typer.Context, as_json: Json = False) -> Any:
    """Record what has lapsed: a deadline that passed without a decision is *stop*. The other commands do it too."""
    from promotion.silence import settle as record
    from promotion.state import open_promotion

    found = record(open_promotion(session(context).workspace()))
    emit(
        as_json,
        {"lapsed": [one.as_json() for one in found]},
        *([one.told() for one in found] or ["Nothing has lapsed since the last time."]),
    )
    return found
