"""A machine whose kernel cannot confine what the Lab wrote: nothing is admitted or sent, unless that is accepted."""

import pytest

from factory.delivery.channels.file import outgoing
from factory.releases.admission import admit
from factory.releases.releases import list_releases
from factory.runtime.campaign import run_occurrence
from shared.core.errors import Undecided
from shared.sandbox import landlock
from tests.makers import OCCURRENCE, RELEASE, make_package


@pytest.fixture
def absent(monkeypatch):
    """The kernel's own answer to whether it has Landlock."""
    monkeypatch.setattr(landlock, "available", lambda: 0)


def accept(workspace):
    path = workspace.configs / "factory.yaml"
    refused = "without_landlock: refuse"
    text = path.read_text()
    assert refused in text
    path.write_text(text.replace(refused, "without_landlock: accept"))


def test_no_package_is_admitted(workspace, absent):
    make_package(workspace)
    with pytest.raises(Undecided, match="cannot confine"):
        admit(workspace)
    assert list_releases(workspace) == []


def test_nothing_is_sent(workspace, monkeypatch):
    make_package(workspace)
    admit(workspace)
    monkeypatch.setattr(landlock, "available", lambda: 0)
    with pytest.raises(Undecided, match="cannot confine"):
        run_occurrence(workspace, RELEASE, OCCURRENCE)
    assert not outgoing(workspace, RELEASE, OCCURRENCE).exists()


def test_where_it_is_accepted_everything_runs_and_says_so(workspace, absent, capsys):
    accept(workspace)
    make_package(workspace)
    admit(workspace)
    run_occurrence(workspace, RELEASE, OCCURRENCE)
    assert outgoing(workspace, RELEASE, OCCURRENCE).exists()
    said = capsys.readouterr().err
    # Two checks and whom it would reach at admission; the audience and the messages of the run.
    assert said.count("Not confined by the kernel") == 5
