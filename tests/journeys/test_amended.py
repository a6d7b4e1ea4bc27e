"""A pilot that was amended on its way goes all of it, and everybody on the way is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory.preflight.report import preflight
from factory.releases.admission import admit
from factory.releases.packages import package_folder
from lab.analysis.analysis import analyse
from lab.analysis.submission import submit
from lab.launch.amendment import amend
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from promotion.audit.verification import verify
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from shared.trust.candidate import open_candidate
from tests.lab_makers import AFTER, OWNER, PILOT, REASON, draft, stage_copy


@pytest.fixture
def amended(request, tmp_path: Path):
    """Results are in, and an hour before the end its wording and its budget are amended."""
    workspace = stage_copy(request, tmp_path / "workspace", "recorded")
    draft(workspace, PILOT, ("will: bring visits", "will: bring more visits"), ("media: 100.00", "media: 120.00"))
    amend(workspace, PILOT, REASON)
    workspace.clock.set(AFTER)
    analyse(workspace, PILOT)
    submit(workspace, PILOT)
    preflight(workspace, PILOT)
    return workspace


@pytest.mark.check
def test_an_amended_pilot_is_admitted_with_its_amendments_told_and_signed(amended):
    pilot = get_pilot(open_lab(amended), PILOT)
    done = decide(amended, PILOT, Asked("scale", OWNER, "visits rise by far more than a letter costs", arm="letter"))
    predicate = done.attestation.predicate
    assert (predicate.verdict, predicate.promise) == ("admit", pilot.promise.digest)
    [told] = [finding for finding in predicate.findings if finding.check == "charter_frozen"]
    [amendment] = told.measured["amendments"]
    assert (amendment["reason"], amendment["changes"]) == (REASON, ["budget.media", "hypothesis.will"])
    assert not verify(amended).problems
    admit(amended)
    package = open_candidate(package_folder(amended, done.attestation.candidate) / "candidate")
    assert [promise.version for promise in (*package.earlier(), package.promise())] == [1, 2]
