"""kill -9 at every named crash point of the gate's commands: the same command again finishes, and writes once."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from promotion.audit.verification import verify
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from promotion.decisions.silence import settle
from promotion.decisions.waiver import Wish, waive
from promotion.keys.enrolment import enrol, enrolled_key
from promotion.keys.keyring import keyring
from promotion.keys.revocation import revoke
from promotion.state import open_promotion
from shared.core.crashpoints import VARIABLE, Point
from shared.state.workspace import open_workspace
from shared.trust.keys import KeyStore
from tests.lab_makers import run_child
from tests.makers import OWNER, moment
from tests.promotion.cases import REASON

LOST = "the laptop was stolen"


def do(root: Path, command: str) -> Any:
    workspace = open_workspace(root)
    first = keyring(open_promotion(workspace).entries(), workspace).keys[OWNER][0]
    return {
        "rotate": lambda: enrol(workspace, OWNER, rotate=True),
        "revoke": lambda: revoke(workspace, first.key_id, LOST),
        "waive": lambda: waive(
            workspace, "spring-email", Wish("sample_planned", OWNER, REASON, moment("2026-01-25 00:00"))
        ),
        "lapse": lambda: settle(open_promotion(workspace)),
        "propose": lambda: decide(workspace, "spring-email", Asked("scale", OWNER, REASON)),
    }[command]()


def do_killed(root: Path, command: str, point: str) -> None:
    os.environ[VARIABLE] = point
    do(root, command)


def kinds(workspace, subject):
    return [entry.kind for entry in open_promotion(workspace).entries(subject)]


def killed(stage, command, point):
    code, _ = run_child(do_killed, stage.workspace.root, command, str(point))
    assert code == -signal.SIGKILL, f"{point} was not reached"


def test_a_rotation_that_was_cut_off_is_finished_and_no_third_key_is_made(stage):
    killed(stage, "rotate", Point.ROTATE_RECORDED)
    assert any("key owner@" in problem for problem in verify(stage.workspace).problems)
    done = do(stage.workspace.root, "rotate")
    assert done.repeated
    assert kinds(stage.workspace, OWNER) == ["enrolled", "enrolled"]
    assert KeyStore(stage.workspace).signer(OWNER).public_key.keyid == done.key.key_id
    assert enrolled_key(stage.workspace, OWNER) == done.key
    assert verify(stage.workspace).problems == []


def test_after_a_rotation_that_was_cut_off_enrolling_finishes_it_too(stage):
    killed(stage, "rotate", Point.ROTATE_RECORDED)
    done = enrol(stage.workspace, OWNER)
    assert KeyStore(stage.workspace).signer(OWNER).public_key.keyid == done.key.key_id
    assert kinds(stage.workspace, OWNER) == ["enrolled", "enrolled"]
    assert verify(stage.workspace).problems == []


@pytest.mark.parametrize("point", [Point.REVOKE_WRITTEN, Point.REVOKE_RECORDED])
def test_a_revocation_that_was_cut_off_is_finished_and_written_once(stage, point):
    killed(stage, "revoke", point)
    assert kinds(stage.workspace, OWNER).count("revoked") == (point == Point.REVOKE_RECORDED)
    do(stage.workspace.root, "revoke")
    assert kinds(stage.workspace, OWNER) == ["enrolled", "revoked"]
    assert verify(stage.workspace).problems == []


@pytest.mark.parametrize("point", [Point.PROPOSE_WRITTEN, Point.PROPOSE_RECORDED])
def test_a_proposal_that_was_cut_off_is_finished_and_written_once(stage, point):
    stage.people(*({"email": who, "decides": {"tiers": ["high"]}} for who in (OWNER, "requester@example.com")))
    stage.submit(charter={"risk_tier": "high"})
    killed(stage, "propose", point)
    assert kinds(stage.workspace, "spring-email").count("proposed") == (point == Point.PROPOSE_RECORDED)
    assert do(stage.workspace.root, "propose").repeated == (point == Point.PROPOSE_RECORDED)
    assert kinds(stage.workspace, "spring-email") == ["registered", "proposed"]
    assert verify(stage.workspace).problems == []


@pytest.mark.parametrize("point", [Point.WAIVE_WRITTEN, Point.WAIVE_RECORDED])
def test_a_waiver_that_was_cut_off_is_finished_and_written_once(stage, point):
    right = {"checks": ["sample_planned"], "tiers": ["standard"]}
    stage.people({"email": OWNER, "decides": {"tiers": ["standard"]}, "waives": [right]})
    stage.submit(charter={"sample": {"units_per_arm": 300}})
    killed(stage, "waive", point)
    assert kinds(stage.workspace, "spring-email").count("waived") == (point == Point.WAIVE_RECORDED)
    assert do(stage.workspace.root, "waive").repeated == (point == Point.WAIVE_RECORDED)
    assert kinds(stage.workspace, "spring-email") == ["registered", "waived"]
    assert verify(stage.workspace).problems == []


@pytest.mark.parametrize("point", [Point.LAPSE_WRITTEN, Point.LAPSE_RECORDED])
def test_a_lapse_that_was_cut_off_is_finished_and_written_once(stage, point):
    stage.submit()
    stage.workspace.clock.set(moment("2026-02-01 00:00"))
    killed(stage, "lapse", point)
    assert kinds(stage.workspace, "spring-email").count("lapsed") == (point == Point.LAPSE_RECORDED)
    assert len(do(stage.workspace.root, "lapse")) == (point == Point.LAPSE_WRITTEN)
    assert kinds(stage.workspace, "spring-email") == ["registered", "lapsed"]
    assert verify(stage.workspace).problems == []


def test_every_crash_point_of_these_commands_is_walked_here():
    walked = {
        name for name in Point.__members__ if name.split("_")[0] in {"PROPOSE", "WAIVE", "REVOKE", "ROTATE", "LAPSE"}
    }
    assert walked == {
        "PROPOSE_WRITTEN", "PROPOSE_RECORDED", "WAIVE_WRITTEN", "WAIVE_RECORDED", "REVOKE_WRITTEN", "REVOKE_RECORDED",
        "ROTATE_RECORDED", "LAPSE_WRITTEN", "LAPSE_RECORDED",
    }  # fmt: skip
