from datetime import timedelta

import pytest

from promotion.gate.case import Case
from promotion.state import open_promotion
from shared.core.clock import rfc3339
from shared.experiment.charter import Source
from shared.state.order import CORRECTED
from shared.state.workspace import create
from shared.trust.excerpt import Excerpt
from tests.promotion.cases import JUDGED, LAUNCHED

BACK = {"a day": timedelta(days=1), "three weeks": timedelta(weeks=3), "a year": timedelta(days=365)}


@pytest.fixture
def case(stage, tmp_path):
    """A candidate before a live gate that took its promise in at `taken`, on a snapshot of `published`."""

    def made(published=LAUNCHED - timedelta(hours=1), taken=LAUNCHED, links=None):
        live = create(tmp_path / "live", "live")[0]
        found = Case(open_promotion(live), stage.submit(workspace=live.id, mode="live"), JUDGED)
        source = None if published is None else Source(id="0" * 16, published=published)
        found.__dict__["promise"] = found.promise.model_copy(update={"source": source})
        if taken is not None:
            _take_in(found, taken)
        if links is not None:
            shown = found.excerpt.links[0]
            dated = tuple(
                shown.model_copy(update={"seq": number, "at": rfc3339(at), "kind": kind})
                for number, (at, kind) in enumerate(links, 1)
            )
            found.__dict__["excerpt"] = Excerpt(after=found.excerpt.after, links=dated)
        return found

    return made


def _take_in(found, at):
    """The gate's own entry, as `promotion.registry.register` writes it."""
    room = found.room
    with room.transaction() as connection:
        room._append(connection, "registered", found.charter.pilot, {"promise": found.promise.digest}, at)


def test_a_promise_after_its_snapshot_passes_with_both_times(case, ask):
    [found] = ask("times_in_order", case())
    assert (found.outcome, found.measured) == ("passed", [rfc3339(LAUNCHED)])
    assert found.threshold == rfc3339(LAUNCHED - timedelta(hours=1))


@pytest.mark.parametrize("back", BACK)
def test_a_promise_that_was_dated_back_before_its_snapshot_fails(case, ask, back):
    [found] = ask("times_in_order", case(taken=LAUNCHED - timedelta(hours=1) - BACK[back]))
    assert found.outcome == "failed"
    assert "one of the two clocks was wrong" in found.reason


def test_a_few_seconds_are_no_disorder(case, ask):
    [found] = ask("times_in_order", case(published=LAUNCHED + timedelta(seconds=5)))
    assert found.outcome == "passed"
    [found] = ask("times_in_order", case(published=LAUNCHED + timedelta(seconds=6)))
    assert found.outcome == "failed"


@pytest.mark.parametrize("back", BACK)
def test_a_lab_whose_record_went_back_fails(case, ask, back):
    at = LAUNCHED + timedelta(days=400)
    [found] = ask("times_in_order", case(links=[(at, "launched"), (at - BACK[back], "recorded")]))
    assert found.outcome == "failed"
    assert "the Lab's ledger: entry 2 (recorded)" in found.reason


def test_a_lab_whose_clock_was_corrected_passes(case, ask):
    wrong, right = LAUNCHED + timedelta(days=1900), LAUNCHED + timedelta(hours=1)
    [found] = ask("times_in_order", case(links=[(wrong, "spent"), (right, CORRECTED), (right, "recorded")]))
    assert found.outcome == "passed"


@pytest.mark.parametrize("missing", ["published", "taken"])
def test_what_nothing_dates_is_unevaluable(case, ask, missing):
    [found] = ask("times_in_order", case(**{missing: None}))
    assert found.outcome == "unevaluable"


def test_a_rehearsals_clock_may_be_set(stage, ask):
    [found] = ask("times_in_order", stage.case())
    assert (found.outcome, "may be set" in found.reason) == ("passed", True)
