"""Every engine says the same of the same rows: DuckDB against plain Python, on random small pilots."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.engines.duckdb import DuckDB
from shared.engines.protocol import IN_TWO_ARMS, NOT_ASSIGNED, Question
from shared.metrics import Metric
from tests.shared.engines.agreement import assert_agree
from tests.shared.engines.reference import Reference
from tests.shared.engines.rows import moment, write_rows

UNITS = [f"u{n}" for n in range(12)]
units = st.sampled_from(UNITS)
moments = st.tuples(st.integers(1, 20), st.sampled_from(["00:00", "11:30", "23:00", "23:59:59.999999"])).map(
    lambda parts: f"2026-03-{parts[0]:02} {parts[1]}"
)
spends = st.one_of(st.none(), st.floats(-1e3, 1e6), st.sampled_from([0.0, 9.99, 25.0, 1e9 + 0.25, 1e200, float("nan")]))
arms = st.sampled_from(["control", "letter", "letter", "card"])
traits = st.fixed_dictionaries(
    {
        "before": st.one_of(st.none(), st.floats(-1e3, 1e3), st.sampled_from([0.0, 7.5, float("inf")])),
        "history": st.one_of(st.none(), st.integers(0, 5).map(float)),
        "zone": st.sampled_from(["Urban", "Rural", "", None]),
        "channel": st.sampled_from(["web", "phone"]),
        "household": st.one_of(st.none(), st.sampled_from(["h1", "h2", "h3", "h4", "h5"])),
    }
)


def metric(kind, **content):
    return Metric.model_validate({"kind": kind, "unit": "-", **content})


METRICS = {
    "visit": metric("proportion", column="visit"),
    "orders": metric("count", column="spend"),
    "answers": metric("count", window_days=3),
    "spend": metric("mean", column="spend"),
    "capped": metric("mean", column="spend", cap=30.0, window_days=5),
    "winsorised": metric("mean", column="spend", cap_quantile=0.8),
    "net": metric("mean", expression="spend - visit"),
    "price": metric("mean", expression="spend / visit"),
    "per_visit": metric("ratio", column="spend", denominator="visit"),
    "rating": metric("mean", column="spend", no_outcome="left_out"),
    "satisfied": metric("proportion", column="visit", no_outcome="left_out", window_days=4),
    "high": metric("quantile", column="spend", quantile=0.5),
}


@st.composite
def pilots(draw):
    exposed = draw(st.lists(st.tuples(units, moments), max_size=20))
    usual = {unit: draw(arms) for unit in UNITS}
    exposures = [(unit, draw(arms) if draw(st.integers(0, 9)) == 0 else usual[unit], at) for unit, at in exposed]
    visits = st.one_of(st.none(), st.integers(0, 3))
    outcomes = draw(st.lists(st.tuples(units, moments, visits, spends), max_size=25))
    reasons = st.sampled_from([IN_TWO_ARMS, NOT_ASSIGNED, "late"])
    conflicts = draw(st.lists(st.tuples(st.one_of(st.none(), units), reasons), max_size=2))
    known = draw(st.dictionaries(units, traits, max_size=12)) if draw(st.booleans()) else None
    return exposures, outcomes, conflicts, known or None


@st.composite
def questions(draw):
    names = draw(st.lists(st.sampled_from(sorted(METRICS)), min_size=1, max_size=4, unique=True))
    novel = tuple(name for name in names if not (METRICS[name].divided or METRICS[name].quantile))
    return Question(
        metrics={name: METRICS[name] for name in names},
        covariates=tuple(draw(st.lists(st.sampled_from(["before", "history"]), unique=True))),
        segments=tuple(draw(st.lists(st.sampled_from(["zone", "channel"]), unique=True))),
        strata=draw(st.sampled_from([None, "zone", "channel"])),
        cluster=draw(st.sampled_from([None, None, "household"])),
        timezone=draw(st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"])),
        until=draw(st.one_of(st.none(), moments.map(moment))),
        novelty=draw(st.sampled_from([None, (novel, dt.timedelta(days=2, hours=1))])) if novel else None,
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pilots(), questions())
def test_duckdb_says_what_plain_python_says(rows, question):
    with tempfile.TemporaryDirectory() as folder:
        data = write_rows(Path(folder), *rows)
        assert_agree(DuckDB().summarise(data, question), Reference().summarise(data, question))
