"""`lab finish`: from the end of the time box to the gate in one command."""

import json

import pytest

from lab.analysis.analysis import latest
from lab.pilots.pilot import get_pilot
from lab.state import open_lab
from pilotplant.app import _exit_code
from promotion.queue.judgements import judge_named
from shared.state.workspace import Workspace
from shared.trust.candidates import latest as candidates
from tests.lab_makers import AFTER, PILOT, stage_copy


@pytest.fixture
def ended(request, tmp_path):
    workspace = stage_copy(request, tmp_path / "workspace", "recorded")
    workspace.clock.set(AFTER)
    return workspace


def finish(workspace: Workspace, capsys, *words):
    capsys.readouterr()
    code = _exit_code(["--workspace", str(workspace.root), "lab", "finish", PILOT, *words])
    return code, capsys.readouterr()


def test_a_pilot_is_analysed_submitted_and_tried_at_once(ended, capsys):
    code, said = finish(ended, capsys, "--json")
    told = json.loads(said.out)
    assert code == 0
    assert told["candidate"] == candidates(ended)[PILOT].digest
    assert told["evidence"] == latest(open_lab(ended), get_pilot(open_lab(ended), PILOT)).evidence.digest
    [(case, judgement)] = judge_named(ended, PILOT)
    assert case.preflight.report.candidate == told["candidate"]
    assert not [one for one in judgement.findings if one.check == "preflight_signed" and one.outcome != "passed"]


def test_people_read_the_effects_and_what_comes_next_and_a_second_time_nothing_is_done(ended, capsys):
    code, said = finish(ended, capsys)
    assert code == 0
    assert "Units: " in said.out
    assert "spring-mail is before the gate, as candidate sha256:" in said.out
    assert "Next: pilotplant promote check spring-mail" in said.out
    code, said = finish(ended, capsys)
    assert (code, "was before the gate already" in said.out) == (0, True)


def test_before_the_end_nothing_comes_before_the_gate(request, tmp_path, capsys):
    workspace = stage_copy(request, tmp_path / "workspace", "recorded")
    code, _said = finish(workspace, capsys)
    assert (code, candidates(workspace)) == (3, {})
