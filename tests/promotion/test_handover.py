import shutil

import pytest

from promotion.decisions.handover import hand_over
from shared.core.errors import Refused


@pytest.fixture
def attestation():
    return b'{"signed":"so to speak"}'


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_package_is_candidate_and_attestation_under_the_candidates_digest(stage, attestation):
    candidate = stage.submit()
    target = hand_over(stage.workspace, candidate, attestation)
    assert target == stage.workspace.factory / "inbox" / candidate.folder.name
    assert sorted(path.name for path in target.iterdir()) == ["attestation.json", "candidate"]
    assert content(target / "candidate") == content(candidate.folder)
    assert (target / "attestation.json").read_bytes() == attestation


def test_nothing_else_is_left_in_the_inbox(stage, attestation):
    target = hand_over(stage.workspace, stage.submit(), attestation)
    assert list(target.parent.iterdir()) == [target]


def test_a_whole_package_that_is_there_stays_as_it_is(stage, attestation):
    candidate = stage.submit()
    target = hand_over(stage.workspace, candidate, attestation)
    before = target.stat().st_ino
    assert hand_over(stage.workspace, candidate, attestation) == target
    assert target.stat().st_ino == before
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("name", ["attestation.json", "candidate/manifest.json", "candidate/evidence.json"])
def test_a_damaged_package_is_moved_aside_and_handed_over_again(stage, attestation, name):
    candidate = stage.submit()
    target = hand_over(stage.workspace, candidate, attestation)
    (target / name).write_text("{}")
    assert hand_over(stage.workspace, candidate, attestation) == target
    assert content(target / "candidate") == content(candidate.folder)
    assert (target / "attestation.json").read_bytes() == attestation
    assert sorted(path.name for path in target.parent.iterdir()) == [f".damaged.1.{target.name}", target.name]


def test_a_candidate_that_was_changed_meanwhile_does_not_cross(stage, attestation):
    candidate = stage.submit()
    candidate.file("message.txt").write_text("Dear customer, buy!\n")
    with pytest.raises(Refused, match=r"files/message\.txt: changed after it was sealed"):
        hand_over(stage.workspace, candidate, attestation)
    assert list((stage.workspace.factory / "inbox").glob("*")) == []


def test_a_hand_over_that_fails_half_way_leaves_no_package(stage, attestation):
    candidate = stage.submit()
    candidate.file("message.txt").unlink()
    candidate.file("message.txt").symlink_to("nowhere")
    with pytest.raises(shutil.Error):
        hand_over(stage.workspace, candidate, attestation)
    assert list((stage.workspace.factory / "inbox").glob("*")) == []
