"""The overview says whose move it is."""

from types import SimpleNamespace

import pytest

from factory.releases.admission import admit
from factory.runtime.measures import ReleaseMeasures
from factory.warehouse.load import load
from pilotplant.overview import of_pilots, of_releases, overview
from shared.core.jsonable import jsonable
from shared.state.workspace import create
from tests.makers import OCCURRENCE, customers_csv, make_package, make_workspace


def release(state: str, last: str | None) -> ReleaseMeasures:
    return ReleaseMeasures("spring-mail", state, {}, None, last, 0, None)


def test_live_releases_whose_last_run_went_wrong_wait_for_ops():
    for last in ("failed", "refused"):
        [found] = of_releases([release("live", last)])
        assert (found.for_, found.next) == ("ops", "look at it: pilotplant factory show spring-mail")


def test_a_good_run_none_and_a_paused_release_wait_for_nobody():
    assert list(of_releases([release("live", "done"), release("live", None), release("paused", "failed")])) == []


def test_a_draft_waits_for_its_author(tmp_path):
    made, _ = create(tmp_path / "team", "rehearsal")
    (made.pilots / "autumn").mkdir()
    (made.pilots / "autumn" / "charter.yaml").write_text("schema_version: 1\n")
    found = jsonable(overview(made))["waits"]
    assert [(entry["what"], entry["next"]) for entry in found] == [("autumn (draft)", "pilotplant lab check autumn")]


def test_a_package_that_was_handed_over_waits_for_ops_until_it_is_a_release(tmp_path):
    made = make_workspace(tmp_path / "team")
    package = make_package(made)
    [found] = jsonable(overview(made))["waits"]
    assert (found["what"], found["for"]) == ("1 package in the Factory's inbox", "ops")
    made.clock.set(OCCURRENCE)
    load(made, "customers", customers_csv(tmp_path / "customers.csv"))
    admit(made, package)
    assert jsonable(overview(made))["waits"] == []


@pytest.mark.parametrize(
    ("waits_for", "step"),
    [
        ("asks@example.com (data)", "pilotplant lab record autumn FILE"),
        ("asks@example.com (submission)", "pilotplant lab finish autumn"),
        ("owner@example.com (decision)", "pilotplant promote summary autumn"),
        ("asks@example.com (bills)", None),
    ],
)
def test_whoever_a_pilot_waits_for_reads_the_command(waits_for, step):
    [found] = of_pilots([SimpleNamespace(name="autumn", waits_for=waits_for, until=None)], [])
    assert (found.for_, found.next) == (waits_for, step)
