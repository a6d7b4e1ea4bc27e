"""The Factory's doors: what the other rooms may ask of it."""

from __future__ import annotations

from factory.releases.inbox import holds, take_in
from factory.state.room import open_factory
from factory.warehouse.ids import pseudonymise
from shared.core.errors import PilotPlantError
from shared.doors.door import Box, answers
from shared.doors.requests import FactoryLedger, HandOver, IsHandedOver, LedgerState, Masked, Pseudonymise
from shared.state.workspace import Workspace


@answers(HandOver)
def _hand_over(workspace: Workspace, request: HandOver, box: Box) -> None:
    take_in(workspace, request.candidate, box.parcel)


@answers(IsHandedOver)
def _is_handed_over(workspace: Workspace, request: IsHandedOver, _: Box) -> bool:
    return holds(workspace, request.candidate, request.attestation)


@answers(Pseudonymise)
def _pseudonymise(workspace: Workspace, request: Pseudonymise, box: Box) -> Masked:
    file = box.parcel / request.name
    try:
        rows, strangers = pseudonymise(
            workspace, file, box.given / request.out, column=request.column, table=request.table, keep_strangers=True,
            hash_events=True,
        )  # fmt: skip
    except PilotPlantError as error:
        # Whoever reads it knows the file by another name.
        error.where = error.where and error.where.replace(str(file), request.file)
        raise
    return Masked(rows, strangers)


@answers(FactoryLedger)
def _ledger(workspace: Workspace, request: FactoryLedger, _: Box) -> LedgerState:
    room = open_factory(workspace)
    return LedgerState(room.end(), tuple(room.problems()) if request.verified else ())
