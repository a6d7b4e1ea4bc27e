"""The gate's doors: what the other rooms may ask of it."""

from __future__ import annotations

import shutil

from promotion.registry.line import line
from promotion.registry.register import register
from shared.core.digests import digest_file, hex_of
from shared.core.errors import BadInput
from shared.core.files import write_atomically
from shared.doors.door import Box, answers
from shared.doors.requests import (
    CandidateToTry,
    JudgedEvidence,
    Kept,
    LineOf,
    NoteRetrospective,
    Register,
    Report,
    TakeIn,
)
from shared.experiment.charter import Promise
from shared.experiment.line import Line
from shared.state.workspace import Workspace
from shared.trust.candidate import EVIDENCE, open_candidate
from shared.trust.candidates import digest_named, find_candidate, intake_folder, note_retrospective, take_in
from shared.trust.preflight import report_path
from shared.trust.register import Receipt


@answers(Register)
def _register(workspace: Workspace, request: Register, _: Box) -> Receipt:
    return register(workspace, Promise.stored(request.promise), request.lab, before=request.before, texts=request.texts)


@answers(LineOf)
def _line_of(workspace: Workspace, request: LineOf, _: Box) -> Line:
    return line(workspace, Promise.stored(request.promise), request.texts)


@answers(TakeIn)
def _take_in(workspace: Workspace, request: TakeIn, box: Box) -> str:
    return str(take_in(intake_folder(workspace), box.parcel, request.candidate))


@answers(NoteRetrospective)
def _note_retrospective(workspace: Workspace, request: NoteRetrospective, _: Box) -> None:
    note_retrospective(workspace, request.test)


@answers(JudgedEvidence)
def _judged_evidence(workspace: Workspace, request: JudgedEvidence, _: Box) -> Kept:
    found = {digest: _evidence(workspace, digest) for digest in request.candidates}
    return Kept(evidence={digest: content for digest, content in found.items() if content is not None})


def _evidence(workspace: Workspace, candidate: str) -> bytes | None:
    """The evidence in a candidate; None where that is gone or no longer what was sealed."""
    folder = intake_folder(workspace) / hex_of(candidate)
    try:
        found = open_candidate(folder)
        if found.digest != candidate or digest_file(folder / EVIDENCE) != found.manifest.files.get(EVIDENCE):
            return None
        return (folder / EVIDENCE).read_bytes()
    except (BadInput, OSError):
        return None


@answers(CandidateToTry)
def _candidate_to_try(workspace: Workspace, request: CandidateToTry, box: Box) -> str:
    found = find_candidate(workspace, request.name)
    shutil.copytree(found.folder, box.given / found.folder.name)
    return digest_named(found)


@answers(Report)
def _report(workspace: Workspace, request: Report, _: Box) -> str:
    path = report_path(workspace, request.candidate)
    write_atomically(path, request.envelope)
    return str(path)
