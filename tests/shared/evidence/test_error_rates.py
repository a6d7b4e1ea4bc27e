"""The lines of docs/proof/error-rates.md with fewer pilots: `make proof` runs them with 20,000 each."""

from __future__ import annotations

import numpy as np
import pytest

from shared.stats.estimates import differences
from tests.proof import simulated
from tests.proof.error_rate_lines import ALPHA, Line, Outcome, lines
from tests.proof.error_rates import simulate

PILOTS = 2_000
LINES = list(lines())


@pytest.mark.parametrize("line", LINES, ids=[f"{line.section}: {line.what}" for line in LINES])
def test_what_is_promised_holds(line):
    row = simulate(line, PILOTS)
    assert row.holds, row.text()


def test_no_two_lines_share_their_seed():
    assert len({(line.section, line.what) for line in LINES}) == len(LINES)


def test_a_line_that_errs_too_often_does_not_hold():
    def run(rng, pilots):
        # Known to err: units in clusters taken as independent of each other.
        def estimate(treated, control):
            return simulated.plain()(
                *({"y": np.repeat(rows["y"] / rows["size"], 20, axis=1)} for rows in (treated, control))
            )

        draw = simulated.clusters("equal")
        found = differences(*simulated.arms(rng, pilots, (draw, draw), (50, 50), estimate))
        return Outcome(found.p() <= ALPHA, found.known)

    row = simulate(Line("false positives", "clusters as if they were units", "at most", ALPHA, run), 500)
    assert not row.holds
    assert row.rate > 0.3


def test_a_line_that_is_hardly_ever_evaluable_does_not_hold():
    def run(rng, pilots):
        return Outcome(np.zeros(pilots, dtype=bool), rng.random(pilots) < 0.1)

    assert not simulate(Line("coverage", "nothing", "at most", ALPHA, run), 500).holds
