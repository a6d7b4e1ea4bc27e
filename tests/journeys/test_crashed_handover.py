"""From a decision to a release: what gate and Factory say on the way, and kill -9 at each named point of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from factory.releases.admission import admit
from factory.releases.receipts import problems as receipt_problems
from factory.releases.releases import list_releases
from factory.releases.trust import trust
from factory.state.room import open_factory
from factory.warehouse.load import load
from lab.state import open_lab
from pilotplant.app import _exit_code
from pilotplant.witnesses import verify
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from promotion.decisions.handover import package_path
from promotion.queue.reception import receptions
from promotion.state import open_promotion
from shared.core.crashpoints import VARIABLE, Point
from shared.state.workspace import open_workspace
from shared.trust.decision import Word
from shared.trust.keys import GATE
from shared.trust.receipt import read_receipt, receipt_path
from shared.trust.record import attestation_path
from tests.lab_makers import run_child
from tests.makers import OWNER, RELEASE, customers_csv
from tests.promotion.cases import INSIGHT, LAUNCHED, REASON, Stage

pytestmark = pytest.mark.proof

PILOT, SUCCESSOR = "spring-email", "spring-email-2"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A pilot before the gate of a workspace whose Factory has its table, and trusts gate and owner."""
    from promotion.keys.enrolment import enrol
    from shared.state.workspace import create

    root = tmp_path_factory.mktemp("before")
    workspace, _ = create(root / "workspace", "rehearsal")
    workspace.clock.set(LAUNCHED)
    for name in (GATE, OWNER):
        enrol(workspace, name)
        trust(workspace, name)
    load(workspace, "customers", customers_csv(root / "customers.csv"))
    stage = Stage(workspace).with_factory()
    stage.settings()
    stage.submit(lab=open_lab(workspace))
    return stage


@pytest.fixture
def stage(template: Stage, tmp_path: Path) -> Stage:
    return template.copy(tmp_path / "workspace")


def do(root: Path, command: str) -> None:
    """One command of the way."""
    workspace = open_workspace(root)
    if command == "admit":
        admit(workspace)
    else:
        word: Word = "revise" if command == "revise" else "scale"
        decide(workspace, PILOT, Asked(word, OWNER, REASON))


def do_killed(root: Path, command: str, point: str) -> None:
    os.environ[VARIABLE] = point
    do(root, command)


def told(room, kind):
    return [entry for entry in room.entries() if entry.kind == kind]


DECIDING = [point for point in Point if point.name.startswith(("DECIDE", "CARRY_ATTESTED", "HAND_OVER"))]
ADMITTING = [point for point in Point if point.name.startswith("ADMIT")]
DRAFTING = [Point.DECIDE_RECORDED, Point.CARRY_ATTESTED, Point.CARRY_DRAFTED]
WALK = [("scale", point) for point in DECIDING] + [("admit", point) for point in ADMITTING]
# Nothing is decided, or admitted, until the commit; afterwards it is, whatever becomes of the rest.
BEFORE = {Point.DECIDE_JUDGED, Point.DECIDE_SIGNED, Point.DECIDE_WRITTEN, Point.ADMIT_WRITTEN}


@pytest.mark.parametrize(("command", "point"), WALK, ids=[point.name for _, point in WALK])
def test_killed_on_the_way_to_a_release_the_same_command_leaves_exactly_one(stage, command, point):
    workspace = stage.workspace
    if command == "admit":
        do(workspace.root, "scale")
    code, _ = run_child(do_killed, workspace.root, command, str(point))
    assert code == -signal.SIGKILL, f"{point} was not reached"
    gate, factory = open_promotion(workspace), open_factory(workspace)
    kind, room = ("admitted", factory) if command == "admit" else ("decided", gate)
    assert len(told(room, kind)) == (point not in BEFORE)
    assert gate.problems() == factory.problems() == []
    # Whoever admits now finds a whole package or none.
    inbox = workspace.factory / "inbox"
    whole = list(inbox.glob("[!.]*")) if inbox.is_dir() else []
    assert len(whole) == (command == "admit" or point is Point.HAND_OVER_SETTLED)
    do(workspace.root, command)
    assert len(told(gate, "decided")) == 1
    assert len(list_releases(workspace)) == (command == "admit")
    do(workspace.root, "admit")
    [release], [decided], [admitted] = list_releases(workspace), told(gate, "decided"), told(factory, "admitted")
    # Both ledgers tell the same story: what was owed from the decision on is what was admitted.
    assert decided.body["hand_over"] == {"package": release.package, "release": RELEASE, "arm": "letter"}
    assert (admitted.subject, admitted.body["package"]) == (RELEASE, release.package)
    assert admitted.body["attestation"] == decided.body["attestation"] == release.attestation
    assert [(one.state, one.release) for one in receptions(workspace)] == [("admitted", RELEASE)]
    assert receipt_problems(factory) == []
    assert verify(workspace).problems == []


@pytest.mark.parametrize("point", DRAFTING, ids=[point.name for point in DRAFTING])
def test_killed_while_it_revises_the_same_command_leaves_one_draft_and_no_release(stage, point):
    workspace = stage.workspace
    code, _ = run_child(do_killed, workspace.root, "revise", str(point))
    assert code == -signal.SIGKILL, f"{point} was not reached"
    do(workspace.root, "revise")
    assert [path.name for path in workspace.pilots.glob("[!.]*")] == [SUCCESSOR]
    assert len(told(open_promotion(workspace), "decided")) == 1
    assert admit(workspace).admitted == receptions(workspace) == ()
    assert verify(workspace).problems == []


def test_every_crash_point_from_decision_to_release_is_walked_here():
    walked = {point for _, point in WALK} | set(DRAFTING)
    ways = {"decide", "carry", "hand over", "admit"}
    assert walked == {point for point in Point if point.split(":")[0] in ways}


def test_the_decision_owes_a_package_that_was_lost_and_the_same_word_lays_it_again(stage):
    stage.decide("scale")
    [handed] = receptions(stage.workspace)
    shutil.rmtree(package_path(stage.workspace, handed.package))
    attestation_path(stage.workspace, handed.package).unlink()
    assert stage.decide("scale").repeated
    assert admit(stage.workspace).admitted == (RELEASE,)


def commands(stage, capsys):
    """What queue, log and status tell of the hand-over, as people and scripts read it."""
    texts, states = [], []
    for words in (["promote", "queue"], ["promote", "log"], ["status"]):
        assert _exit_code(["--workspace", str(stage.workspace.root), *words]) == 0
        texts.append(" ".join(capsys.readouterr().out.split()))
        assert _exit_code(["--workspace", str(stage.workspace.root), *words, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        states += [one["state"] for one in found.get("handed_over", found.get("promotion", {}).get("handed_over"))]
    return texts, states


def test_queue_log_and_status_say_what_became_of_a_hand_over(stage, capsys):
    stage.decide("scale")
    texts, states = commands(stage, capsys)
    assert all("handed over, not yet admitted" in text for text in texts)
    assert states == ["handed_over"] * 3
    [handed] = receptions(stage.workspace)
    # A package that was damaged on its way is refused, and the gate is told why.
    message = package_path(stage.workspace, handed.package) / "candidate" / "files" / "message.txt"
    sound = message.read_bytes()
    message.write_text("Buy!")
    admit(stage.workspace)
    texts, states = commands(stage, capsys)
    assert all("refused because: candidate/files/message.txt: changed after it was sealed" in text for text in texts)
    assert states == ["refused"] * 3
    message.write_bytes(sound)
    assert admit(stage.workspace).admitted == (RELEASE,)
    texts, states = commands(stage, capsys)
    assert f"admitted as release {RELEASE}" in texts[1]
    assert states == ["admitted"] * 3


def test_a_receipt_that_cannot_be_believed_is_not_taken_for_an_admission(stage, capsys):
    stage.decide("scale")
    admit(stage.workspace)
    [handed] = receptions(stage.workspace)
    path = receipt_path(stage.workspace, handed.package)
    sound = read_receipt(stage.workspace, handed.package)
    path.write_bytes(sound.model_copy(update={"attestation": "sha256:" + "0" * 64}).as_bytes())
    [found] = receptions(stage.workspace)
    assert (found.state, "another attestation" in found.told) == ("unknown", True)
    path.write_text("{}")
    assert [one.state for one in receptions(stage.workspace)] == ["unknown"]
    texts, _ = commands(stage, capsys)
    assert all("cannot say: the receipt is damaged" in text for text in texts)
    assert any("receipt" in problem for problem in verify(stage.workspace).problems)


def test_a_stopped_pilot_is_handed_over_to_nobody(stage):
    stage.decide("stop", insight=INSIGHT)
    assert receptions(stage.workspace) == ()
    [decided] = told(open_promotion(stage.workspace), "decided")
    assert "hand_over" not in decided.body
