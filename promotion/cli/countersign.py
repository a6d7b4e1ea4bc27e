"""The gate's own signature, under what persons have signed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from promotion.cli.group import app
from shared.core.errors import BadInput, PilotPlantError, Refused, Undecided
from shared.core.times import date_time
from shared.ui.completion import pilots
from shared.ui.console import Json, emit, passphrase, progress, session

# Judging costs time: what the gate could not say is asked again after so many seconds.
UNSURE_S = 300


@app.command()
def countersign(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            help="A pilot's name, or a candidate's digest; all that wait if left out.", autocompletion=pilots
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until stopped, and sign what comes.")] = False,
    every: Annotated[int, typer.Option(help="With --watch: seconds between two looks.", min=1, max=3600)] = 10,
    as_json: Json = False,
) -> Any:
    """Sign as the gate what all persons have signed, after judging it once more; it is carried out at once.

    It needs the passphrase of the gate's key, from PILOTPLANT_GATE_PASSPHRASE or asked for: it is for ops, or for a
    service that runs --watch. Without a name it also finishes what was signed and not carried out, and signs the
    correction of a clock that two persons have signed. Exit code 3 where the gate declines to sign something, 4 where
    it cannot say yet.
    """
    from promotion.decisions.countersignature import countersign as sign
    from promotion.keys.clock_correction import countersign_clock, ends
    from shared.trust.keys import GATE

    workspace = session(context).workspace()
    if watch and (as_json or name):
        raise BadInput("--watch signs whatever comes, and goes on", remedy="leave --json and the pilot's name away")
    secret = passphrase(workspace, GATE)

    def clock() -> Any:
        return None if name else countersign_clock(workspace, ends(workspace)[0], secret)

    corrected = clock()
    progress("Judging once more what waits for the gate's signature …")
    found = sign(workspace, secret, name)
    emit(
        as_json,
        {"countersigned": found, "clock": corrected and corrected.as_json()},
        *(_lines(found, corrected) or ["Nothing waits for the gate's signature."]),
    )
    if watch:
        progress(f"Looking again every {every} s; stop it with Ctrl-C.")
        _watch(lambda leave: (clock(), sign(workspace, secret, leave=leave)), every)
    codes = [Refused.exit_code if one.declined else Undecided.exit_code for one in found if one.problem]
    if codes:
        raise typer.Exit(min(codes))
    return found


def _watch(look: Callable[[set[str]], tuple[Any, Sequence[Any]]], every_s: int) -> None:
    """Goes on until the process is stopped; says what is new, and what is in the way once while it lasts."""
    before: list[str] = []
    again: dict[str, float] = {}
    while True:
        time.sleep(every_s)
        now = time.monotonic()
        leave = {pilot for pilot, at in again.items() if now < at}
        try:
            corrected, found = look(leave)
        except PilotPlantError as error:
            lines = [str(error)]
        else:
            again = {pilot: at for pilot, at in again.items() if pilot in leave}
            again |= {one.pilot: now + UNSURE_S for one in found if one.unsure or one.unfinished}
            lines = [*_lines(found, corrected), *(line for line in before if leave)]
        for line in lines:
            if line not in before:
                emit(False, {}, line)
        before = lines


def _lines(found: Sequence[Any], corrected: Any) -> list[str]:
    """What became of each decision that waited for the gate."""
    from promotion.decisions.proposal import said

    lines = []
    if corrected:
        persons, what = " and ".join(corrected.persons), corrected.correction
        lines.append(f"The clock is corrected, as {persons} signed ({what.reason}): time goes on from {what.at}.")
    for one in found:
        word, persons = f"{one.pilot}: {said(one.decision)}", " and ".join(one.persons)
        if one.declined:
            lines.append(f"{word}, as {persons} decided, is not signed: {one.declined.what}. "
                         "Before the deadline it may be decided anew.")  # fmt: skip
        elif one.unfinished:
            lines.append(f"{word} is signed, and not carried out yet: {one.unfinished}")
        elif one.unsure:
            lines.append(f"{word} waits: the gate cannot say now: {one.unsure}")
        elif one.decided.repeated:
            lines.append(f"{word} was decided at {date_time(one.decision.at)}; nothing new was signed.")
        else:
            handed = f" Handed over as release {one.decision.release}." if one.decision.release else ""
            handed += f" Draft: pilots/{one.decision.successor}/charter.yaml" if one.decision.successor else ""
            lines.append(f"{word}, signed by {persons} and the gate.{handed}")
    return lines
