import pytest

from shared.engines.protocol import EARLY
from shared.engines.uncaused import early_outcomes
from tests.shared.pilot_data import pilot_data, with_traits

MORNING, NOON, EVENING = (f"2026-01-05 {hour:02}:00:00+00" for hour in (8, 12, 18))
EXPOSED = [("u1", "control", NOON), ("u2", "letter", NOON), ("u3", "letter", NOON), ("u3", "letter", MORNING)]


@pytest.fixture
def data(tmp_path):
    """u1 did something before and after, u2 before (it was set aside), u3 between its two exposures; u9 is nobody."""
    outcomes = [("u1", MORNING, 1, 1.0), ("u1", EVENING, 1, 1.0), ("u3", "2026-01-05 09:00:00+00", 1, 1.0),
                ("u9", MORNING, 1, 1.0)]  # fmt: skip
    return pilot_data(tmp_path / "data", EXPOSED, outcomes, [("u2", EARLY), ("u2", "another reason"), ("u9", EARLY)])


def test_outcomes_before_the_first_exposure_are_counted_wherever_they_are_kept(data):
    found = early_outcomes(data)
    assert (found.drawn, found.early) == ({"control": 1, "letter": 2}, {"control": 1, "letter": 1})
    assert (found.before, found.after) == (2, 2)


def test_a_unit_in_two_arms_is_in_neither(tmp_path):
    both = pilot_data(tmp_path / "both", [*EXPOSED, ("u3", "control", EVENING)], [("u3", EVENING, 1, 1.0)])
    assert early_outcomes(both).drawn == {"control": 1, "letter": 1}


def test_of_clusters_any_unit_counts_and_one_without_a_cluster_does_not(data):
    known = with_traits(data, unit=["u1", "u2", "u3"], household=["h1", "h2", "h2"])
    found = early_outcomes(known, "household")
    assert (found.drawn, found.early) == ({"control": 1, "letter": 1}, {"control": 1, "letter": 1})
    some = with_traits(data, unit=["u2", "u3"], household=["h2", None])
    assert early_outcomes(some, "household").drawn == {"letter": 1}
