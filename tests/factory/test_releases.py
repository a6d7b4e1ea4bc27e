"""Releases: states change in one step with epoch and ledger, and a repeated word changes nothing."""

from __future__ import annotations

import pytest

from factory.releases.admission import admit
from factory.releases.releases import list_releases, pause, resume, resume_all, show_release, stop_all
from factory.state.room import open_factory
from shared.core.errors import BadInput, Refused
from tests.makers import RELEASE, at_work, make_charter, make_package, set_factory


@pytest.fixture(scope="module")
def two_releases(loaded, tmp_path_factory):
    workspace = at_work(loaded, tmp_path_factory.mktemp("two") / "workspace")
    make_package(workspace)
    make_package(workspace, charter=make_charter("autumn-email", cron="0 10 1 * *"))
    set_factory(workspace, contacts_per_week=8)
    admit(workspace)
    return workspace


@pytest.fixture
def released(two_releases, tmp_path):
    return at_work(two_releases, tmp_path / "released")


def states(workspace):
    return {release.name: (release.state, release.epoch) for release in list_releases(workspace)}


def test_pause_and_resume_raise_the_epoch_and_say_so_when_repeated(released):
    assert pause(released, RELEASE, reason="a typo").releases == (RELEASE,)
    assert states(released)[RELEASE] == ("paused", 2)
    assert pause(released, RELEASE, reason="again").releases == ()
    assert resume(released, RELEASE, reason="mended").releases == (RELEASE,)
    assert "already" in resume(released, RELEASE, reason="again").said
    assert states(released)[RELEASE] == ("live", 3)
    entries = open_factory(released).entries(RELEASE)
    assert [(entry.kind, entry.body.get("reason")) for entry in entries[1:]] == [
        ("paused", "a typo"),
        ("resumed", "mended"),
    ]


def test_stop_all_pauses_what_is_live_and_blocks_single_resumes(released):
    pause(released, RELEASE, reason="a typo")
    assert stop_all(released, reason="complaints").releases == ("autumn-email-letter",)
    assert stop_all(released, reason="complaints").releases == ()
    with pytest.raises(Refused, match="everything is stopped: complaints") as refusal:
        resume(released, RELEASE, reason="mended")
    assert "resume --all" in refusal.value.remedy


def test_lifting_the_stop_brings_back_only_what_it_had_paused(released):
    pause(released, RELEASE, reason="a typo")
    stop_all(released, reason="complaints")
    change = resume_all(released, reason="settled")
    assert change.releases == ("autumn-email-letter",)
    assert RELEASE in change.said
    assert states(released) == {RELEASE: ("paused", 2), "autumn-email-letter": ("live", 3)}
    assert resume_all(released, reason="settled").releases == ()


def test_an_unknown_release_is_bad_input_that_names_the_known(released):
    with pytest.raises(BadInput, match="no release `winter`") as error:
        show_release(released, "winter")
    assert RELEASE in error.value.expected
